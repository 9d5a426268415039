import MeshCRDT
import MeshWire

extension Engine {
  /// Does an operation. It either throws before anything changed, or succeeds.
  mutating func host(_ operation: LocalOperation) throws(OperationError) {
    switch operation {
    case .open(let session, let profile, let device, let lease, let time):
      try Validation.profile(profile)
      try Validation.text(device, "device", atMost: Limits.deviceBytes)
      try open(
        session, SessionValue(profile: profile, device: device, joinedAt: time), lease: lease)
    case .heartbeat(let session):
      var host = try hosting(session)
      host.heardAt = now
      hosted[session] = host
    case .setLease(let session, let lease):
      var host = try hosting(session)
      host.lease = lease
      host.heardAt = now
      hosted[session] = host
      if let end = host.endsAt { timers.set(.lease(session), at: end) }
    case .setProfile(let session, let profile):
      try Validation.profile(profile)
      var host = try hosting(session)
      guard areSame(host.value.profile.userID, profile.userID) else {
        throw .sessionOfAnotherUser(session)
      }
      guard host.value.profile != profile else { return }
      host.value.profile = profile
      host.counter = try counter()
      hosted[session] = host
      write(session, host)
    case .leave(let session):
      guard hosted[session] != nil else { return }
      let counter = try counter()
      end(session, counter: counter)
    case .enter(let session, let room): try enter(session, room)
    case .exit(let session, let room): try exit(session, room)
    case .setStatus(let session, let room, let status, let message, let time):
      if let message {
        try Validation.text(message, "message", atMost: Limits.messageBytes)
      }
      try change(session, room) { presence, counter in
        // The same status set again is the last word again: the user may have said something else
        // through another session.
        presence.status = status.map {
          StatusValue(status: $0, counter: counter, changedAt: time)
        }
        if let message { presence.message = message }
      }
    case .setTyping(let session, let room, let isTyping):
      try change(session, room) { presence, _ in presence.isTyping = isTyping }
      guard isTyping else { return }
      let until = now + configuration.typingTimeout
      hosted[session]?.places[room]?.typingUntil = until
      timers.set(.typing(session, room), at: until)
    case .setData(let session, let room, let data):
      try Validation.data(data, "data", atMost: Limits.presenceDataBytes)
      try change(session, room) { presence, _ in presence.data = data }
    case .moveCursor(let session, let room, let cursor):
      try Validation.text(cursor.anchor ?? "", "anchor", atMost: Limits.anchorBytes)
      try move(session, room, cursor)
    case .remove(let session, let room, let isFinal):
      try remove(session, from: room, isFinal: isFinal)
    case .follow(let rooms): try follow(rooms)
    case .all(let operations): for operation in operations { try host(operation) }
    case .leaveMesh: leaveMesh()
    }
  }

  private func hosting(_ session: SessionID) throws(OperationError) -> HostedSession {
    guard let host = hosted[session] else { throw .unknownSession(session) }
    return host
  }

  mutating func counter() throws(OperationError) -> UInt64 {
    guard let counter = state.nextCounter() else { throw .countersExhausted }
    reserveCounters()
    return counter
  }

  // MARK: Sessions

  private mutating func open(
    _ session: SessionID, _ value: SessionValue, lease: Lease
  ) throws(OperationError) {
    if var host = hosted[session] {
      guard areSame(host.value.profile.userID, value.profile.userID) else {
        throw .sessionOfAnotherUser(session)
      }
      // The same session inside its lease: nothing is told to the others unless it changed.
      let isChanged =
        host.value.profile != value.profile || !areSame(host.value.device, value.device)
      if isChanged { host.counter = try counter() }
      host.value.profile = value.profile
      host.value.device = value.device
      host.lease = lease
      host.heardAt = now
      hosted[session] = host
      if let end = host.endsAt { timers.set(.lease(session), at: end) }
      if isChanged { write(session, host) }
      emit(.restored(session))
      return
    }
    guard hosted.count + handedOver.count < Limits.sessionsPerOrigin else {
      throw .tooManySessions(limit: Limits.sessionsPerOrigin)
    }
    if winner(session) == nil, isShutOut(session, of: .lobby) {
      throw .sessionRemoved(session)
    }
    let elsewhere = lastKnown(session).map { Self.bounded($0) }
    if let elsewhere, !areSame(elsewhere.value.profile.userID, value.profile.userID) {
      throw .sessionOfAnotherUser(session)
    }
    if let elsewhere { try makeShelves(for: elsewhere.places.map(\.room) + elsewhere.visits) }
    if handedOver[session] != nil {
      buryHandedOver(session)
      flushBatches()
    }
    let counter = try counter()
    var host = HostedSession(value: value, counter: counter, lease: lease, heardAt: now)
    if let elsewhere {
      // It comes from another host, and keeps what it said there.
      host.value.joinedAt = elsewhere.value.joinedAt
      for place in elsewhere.places {
        // It enters anew: moves that it made here in an earlier stay do not count any more.
        var presence = place.presence
        presence.enteredCounter = counter
        host.places[place.room] = HostedSession.Place(
          presence: presence, cursor: place.cursor, cursorCounter: counter)
      }
      // What it said there is not known here.
      for room in elsewhere.visits {
        host.places[room] = HostedSession.Place(presence: PresenceValue(enteredCounter: counter))
      }
    }
    hosted[session] = host
    if let end = host.endsAt { timers.set(.lease(session), at: end) }
    write(session, host)
    for room in host.places.keys.sorted() {
      write(session, room, host)
      writeVisit(session, room, host)
      writeCursor(session, room, host)
      if host.places[room]?.presence.isTyping == true {
        let until = now + configuration.typingTimeout
        hosted[session]?.places[room]?.typingUntil = until
        timers.set(.typing(session, room), at: until)
      }
    }
    if elsewhere != nil { emit(.restored(session)) }
  }

  /// A session as another host told it, with no more rooms than a session may be in.
  private static func bounded(_ session: SessionSnapshot) -> SessionSnapshot {
    let rooms = session.places.map(\.room).filter { !$0.isLobby }.sorted() + session.visits.sorted()
    guard rooms.count > Limits.roomsPerSession else { return session }
    let kept = Set(rooms.prefix(Limits.roomsPerSession))
    return SessionSnapshot(
      id: session.id, host: session.host, value: session.value,
      places: session.places.filter { $0.room.isLobby || kept.contains($0.room) },
      visits: session.visits.filter { kept.contains($0) })
  }

  /// Ends a hosted session: tombstones for all its records.
  mutating func end(_ session: SessionID, counter: UInt64) {
    guard let host = hosted.removeValue(forKey: session) else { return }
    for (room, place) in host.places.sorted(by: { $0.key < $1.key }) {
      bury(session, room, hadCursor: place.cursor != nil, counter: counter)
    }
    write(
      Record(session: session, lane: .session, room: .lobby, counter: counter, value: nil))
  }

  /// Hosts a session no longer that another node hosts now. Its records here count for nothing; they
  /// are removed a little later, so that nobody hears that they are gone before it hears where the
  /// session is.
  mutating func handOver(_ session: SessionID) {
    guard let host = hosted.removeValue(forKey: session) else { return }
    for room in host.places.keys { pending.dropMoves(of: session, in: room) }
    handedOver[session] = now + Self.handOverDelay
    timers.set(.handOver(session), at: now + Self.handOverDelay)
  }

  private static let handOverDelay = Span.milliseconds(250)

  mutating func judgeHandOver(of session: SessionID) {
    guard let due = handedOver[session] else { return }
    guard due <= now else { return timers.set(.handOver(session), at: due) }
    buryHandedOver(session)
  }

  /// Removes the records of a session that was handed over.
  mutating func buryHandedOver(_ session: SessionID) {
    guard handedOver.removeValue(forKey: session) != nil,
      let entry = state.entry(of: session, slot: ownSlot), let counter = try? counter()
    else { return }
    for place in entry.places where place.presence?.isTombstone == false {
      guard let room = roomNames[place.room] else { continue }
      let key = RecordKey(session: session, lane: .cursor, room: place.room)
      let hadCursor = place.cursor?.isTombstone == false || state.moving[ownSlot][key] != nil
      bury(session, room, hadCursor: hadCursor, counter: counter)
    }
    write(
      Record(session: session, lane: .session, room: .lobby, counter: counter, value: nil))
  }

  mutating func bury(
    _ session: SessionID, _ room: RoomName, hadCursor: Bool, counter: UInt64
  ) {
    pending.dropMoves(of: session, in: room)
    pending.noteExit(of: session)
    write(
      Record(session: session, lane: .presence, room: room, counter: counter, value: nil))
    buryVisit(session, room, counter: counter)
    if hadCursor {
      write(Record(session: session, lane: .cursor, room: room, counter: counter, value: nil))
    }
  }

  // MARK: Rooms

  private mutating func enter(_ session: SessionID, _ room: RoomName) throws(OperationError) {
    var host = try hosting(session)
    guard host.places[room] == nil else { return }
    if !room.isLobby, isShutOut(session, of: state.room(room)) {
      throw .removedFromRoom(session, room)
    }
    let rooms = host.places.keys.count { !$0.isLobby }
    guard room.isLobby || rooms < Limits.roomsPerSession else {
      throw .tooManyRooms(limit: Limits.roomsPerSession)
    }
    try makeShelves(for: [room])
    // Rooms that it has left count for the log until that is written.
    if rooms + (pending.exits[session] ?? 0) >= Limits.roomsPerSession { flushBatches() }
    let counter = try counter()
    host = try hosting(session)
    host.places[room] = HostedSession.Place(presence: PresenceValue(enteredCounter: counter))
    hosted[session] = host
    write(session, room, host, counter: counter)
    writeVisit(session, room, host)
  }

  private mutating func exit(_ session: SessionID, _ room: RoomName) throws(OperationError) {
    let host = try hosting(session)
    guard let place = host.places[room] else { return }
    let counter = try counter()
    hosted[session]?.places[room] = nil
    bury(session, room, hadCursor: place.cursor != nil, counter: counter)
  }

  /// Changes what a session says in a room. The lobby is entered by saying something there.
  private mutating func change(
    _ session: SessionID, _ room: RoomName,
    _ body: (inout PresenceValue, _ counter: UInt64) -> Void
  ) throws(OperationError) {
    if room.isLobby { try enter(session, room) }
    var host = try hosting(session)
    guard let old = host.places[room]?.presence else { throw .notInRoom(session, room) }
    var new = old
    body(&new, state.lamport.counter + 1)
    guard new != old else { return }
    let counter = try counter()
    new = old
    body(&new, counter)
    host.places[room]?.presence = new
    hosted[session] = host
    write(session, room, host, counter: counter)
  }

  private mutating func move(
    _ session: SessionID, _ room: RoomName, _ cursor: Cursor
  ) throws(OperationError) {
    if room.isLobby { try enter(session, room) }
    guard let index = hosted.index(forKey: session) else { throw .unknownSession(session) }
    let movement = hosted.values[index].move(to: cursor, in: room, now: now)
    switch movement {
    case .notThere: throw .notInRoom(session, room)
    case .none: return
    case .moved, .began: break
    }
    let toldAt = hosted.values[index].places[room]?.toldAt
    let readyAt = toldAt.map { $0 + configuration.frameInterval } ?? now
    let isFirst = !pending.setMove(session, room, cursor, readyAt: readyAt) && readyAt <= now
    // The timer of a cursor that moves on sets itself anew.
    if case .began = movement, !PlantedBug.isActive(.restingCursorNotPacked) {
      timers.set(.rest(session, room), at: now + configuration.cursorRest)
    }
    scheduleFrame(isFirst: isFirst)
  }

  // MARK: Judging by time

  /// Ends a session whose client was silent for longer than its lease. The host is the writer of the
  /// session: this is its own word, not a view of somebody else.
  mutating func judgeLease(_ session: SessionID) {
    guard let host = hosted[session], let end = host.endsAt else { return }
    guard end <= now else { return timers.set(.lease(session), at: end) }
    guard !PlantedBug.isActive(.leaseNotEnded), let counter = try? counter() else { return }
    self.end(session, counter: counter)
    emit(.leaseEnded(session))
  }

  mutating func judgeTyping(_ session: SessionID, _ room: RoomName) {
    guard let place = hosted[session]?.places[room], let until = place.typingUntil else { return }
    guard until <= now else { return timers.set(.typing(session, room), at: until) }
    hosted[session]?.places[room]?.typingUntil = nil
    try? change(session, room) { presence, _ in presence.isTyping = false }
  }

  /// Writes a cursor that has not moved for a while to the log, with the counter of its last move.
  mutating func judgeRest(_ session: SessionID, _ room: RoomName) {
    guard let host = hosted[session], let place = host.places[room], !place.isResting,
      let movedAt = place.movedAt
    else { return }
    let due = movedAt + configuration.cursorRest
    guard due <= now, !pending.hasMove(of: session, in: room) else {
      return timers.set(.rest(session, room), at: max(due, now + .milliseconds(1)))
    }
    hosted[session]?.places[room]?.isResting = true
    writeCursor(session, room, host)
  }

  /// Says farewell: the last head of this life.
  private mutating func leaveMesh() {
    hasLeft = true
    sendHead()
    // A farewell that is lost makes the others wait; so it is said twice, in two datagrams.
    if let lastHead { farewell = .head(ageMilliseconds: 0, lastHead) }
    hosted = [:]
  }
}

import MeshCRDT

extension LocalSessions {
  /// Does an operation on a session of this node. Removals, subscriptions, lists and leaving are
  /// not such: nothing happens.
  mutating func perform(
    _ operation: LocalOperation, _ mesh: some MeshReading, _ actions: inout [HostingAction]
  ) throws(OperationError) {
    switch operation {
    case .open(let session, let profile, let device, let lease, let time):
      try Validation.profile(profile)
      try Validation.text(device, "device", atMost: Limits.deviceBytes)
      let value = SessionValue(profile: profile, device: device, joinedAt: time)
      try open(session, value, lease, mesh, &actions)
    case .heartbeat(let session):
      _ = try hosting(session)
      actions.append(.heard(session))
    case .setLease(let session, let lease):
      _ = try hosting(session)
      actions.append(.lease(session, lease))
    case .setProfile(let session, let profile):
      try Validation.profile(profile)
      var value = try hosting(session).value
      value.profile = profile
      try change(session, to: value, &actions)
    case .leave(let session): end(session, mesh, &actions)
    case .enter(let session, let room): try enter(session, room, mesh, &actions)
    case .exit(let session, let room): try exit(session, room, mesh, &actions)
    case .setStatus(let session, let room, let status, let message, let time):
      try setStatus(session, room, status, message, time, mesh, &actions)
    case .setTyping(let session, let room, let isTyping):
      try change(session, room, mesh, &actions) { $0.isTyping = isTyping }
      actions.append(.typing(SessionPlace(session, room), isOn: isTyping))
    case .setData(let session, let room, let data):
      try Validation.data(data, "data", atMost: Limits.presenceDataBytes)
      try change(session, room, mesh, &actions) { $0.data = data }
    case .moveCursor(let session, let room, let cursor):
      if room.isLobby {
        try Validation.text(cursor.anchor ?? "", "anchor", atMost: Limits.anchorBytes)
        try enter(session, room, mesh, &actions)
      }
      try checkMove(of: session, in: room, to: cursor)
      actions.append(.move(SessionPlace(session, room), cursor))
    case .remove, .subscribe, .all, .leaveMesh: break
    }
  }

  /// Throws unless a session is in a room, and its cursor may be moved there.
  func checkMove(
    of session: SessionID, in room: RoomName, to cursor: Cursor
  ) throws(OperationError) {
    try Validation.text(cursor.anchor ?? "", "anchor", atMost: Limits.anchorBytes)
    guard try hosting(session).places[room] != nil else { throw .notInRoom(session, room) }
  }

  /// Ends typing that was not renewed.
  mutating func endTyping(
    _ place: SessionPlace, _ mesh: some MeshReading, _ actions: inout [HostingAction]
  ) {
    guard table[place.session]?.places[place.room] != nil else { return }
    // Only a session without counters is refused: it is about to end.
    try? change(place.session, place.room, mesh, &actions) { $0.isTyping = false }
  }

  func isSameUser(_ value: SessionValue, _ other: SessionValue) -> Bool {
    areSame(value.profile.userID, other.profile.userID)
      || PlantedBug.isActive(.anyUserTakesOver)
  }

  /// Changes profile and device of a session; nothing is written when they are the same.
  mutating func change(
    _ session: SessionID, to value: SessionValue, _ actions: inout [HostingAction]
  ) throws(OperationError) {
    var host = try hosting(session)
    guard isSameUser(host.value, value) else { throw .sessionOfAnotherUser(session) }
    guard host.value != value else { return }
    guard let counter = host.takeCounter() else { throw .sessionRemoved(session) }
    host.value = value
    host.counter = counter
    table.set(session, to: host)
    actions.append(.write(host.change(session)))
  }

  private mutating func setStatus(
    _ session: SessionID, _ room: RoomName, _ status: Status?, _ message: String?,
    _ time: WallTime, _ mesh: some MeshReading, _ actions: inout [HostingAction]
  ) throws(OperationError) {
    if let message { try Validation.text(message, "message", atMost: Limits.messageBytes) }
    let user = UserKey(try hosting(session).value.profile.userID)
    // A status that is set again is the last word again: the user may have said something else
    // through another session.
    let seen = PlantedBug.isActive(.lastStatusLost) ? 0 : mesh.statusCounter(of: user.text)
    let highest = max(seen, statusCounters[user])
    let counter = min(highest, Limits.counterBound - 2) + 1
    try change(session, room, mesh, &actions) { presence in
      presence.status = status.map { StatusValue(status: $0, counter: counter, changedAt: time) }
      if let message { presence.message = message }
    }
    if status != nil { statusCounters.note(user, counter) }
  }

  /// Changes what a session says in a room. The lobby is entered by saying something there.
  private mutating func change(
    _ session: SessionID, _ room: RoomName, _ mesh: some MeshReading,
    _ actions: inout [HostingAction], _ body: (inout PresenceValue) -> Void
  ) throws(OperationError) {
    if room.isLobby { try enter(session, room, mesh, &actions) }
    var host = try hosting(session)
    guard var place = host.places[room] else { throw .notInRoom(session, room) }
    let old = place.presence
    body(&place.presence)
    guard place.presence != old else { return }
    guard let counter = host.takeCounter() else { throw .sessionRemoved(session) }
    place.counter = counter
    host.places[room] = place
    table.set(session, to: host)
    // The occupancy stays as it is.
    actions += host.changes(session, in: room).prefix(1).map { .write($0) }
  }
}

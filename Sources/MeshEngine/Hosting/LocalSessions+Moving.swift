import MeshCRDT
import MeshWire

// Sessions that come from other hosts, or go to them.

/// What a session brings along from where it was.
private struct Belongings {
  var value: SessionValue
  var places: [(room: RoomName, presence: PresenceValue?, cursor: Cursor?)] = []
}

extension LocalSessions {
  /// Opens a session, or takes it up again: one that is hosted here, or one that another origin
  /// has.
  mutating func open(
    _ session: SessionID, _ value: SessionValue, _ lease: Lease, _ mesh: some MeshReading,
    _ actions: inout [HostingAction]
  ) throws(OperationError) {
    if var host = table[session] {
      guard isSameUser(host.value, value) else { throw .sessionOfAnotherUser(session) }
      // It is written again, also unchanged: so it outweighs a removal, or another host, of before that
      // is heard later.
      guard host.open(at: value.joinedAt) else { throw .sessionRemoved(session) }
      host.value.profile = value.profile
      host.value.device = value.device
      table.set(session, to: host)
      actions += [.write(host.change(session)), .lease(session, lease), .emit(.restored(session))]
      return
    }
    let isReturning = table.handedOver(session) != nil
    guard isReturning || table.count < Limits.sessionsPerOrigin else {
      throw .tooManySessions(limit: Limits.sessionsPerOrigin)
    }
    let brought = belongings(of: session, mesh)
    if brought == nil, mesh.isBarred(session, from: .lobby) { throw .sessionRemoved(session) }
    if let brought, !isSameUser(brought.value, value) { throw .sessionOfAnotherUser(session) }
    var host = HostedSession(value: value, highest: endedCounters[session])
    if !PlantedBug.isActive(.counterNotAboveSeen) {
      host.witness(mesh.highestCounter(of: session))
    }
    host.witness(table.handedOver(session)?.host.highest ?? 0)
    guard host.open(at: value.joinedAt) else { throw .sessionRemoved(session) }
    if let brought {
      host.value.joinedAt = brought.value.joinedAt
      try makeRoomLogs(for: brought.places.map(\.room))
      settle(brought, in: &host)
    }
    if isReturning { bury(session, &actions) }
    table.set(session, to: host)
    actions.append(.lease(session, lease))
    for place in brought?.places ?? [] {
      actions += host.changes(session, in: place.room).map { .write($0) }
      let key = SessionPlace(session, place.room)
      if let cursor = place.cursor, !PlantedBug.isActive(.cursorLostOnMove) {
        actions.append(.adoptCursor(key, cursor, counter: host.counter))
      }
      if place.presence?.isTyping == true { actions.append(.typing(key, isOn: true)) }
    }
    actions.append(.write(host.change(session)))
    if brought != nil { actions.append(.emit(.restored(session))) }
  }

  /// Puts a session into the rooms where it was. It enters anew: cursor updates of an earlier stay
  /// do not count any more.
  private func settle(_ brought: Belongings, in host: inout HostedSession) {
    var free = HostingLimits.occupancies - table.occupancies
    for place in brought.places {
      var presence = place.presence ?? PresenceValue(enteredCounter: host.counter)
      presence.enteredCounter = host.counter
      let hasOccupancy = needsOccupancy(place.room, free: free)
      if hasOccupancy { free -= 1 }
      host.places[place.room] = HostedPlace(
        presence: presence, counter: host.counter, hasOccupancy: hasOccupancy)
    }
  }

  /// What a session has where it is, or was last: at a visible host, else here before it was handed
  /// over, else at a hidden one.
  private func belongings(of session: SessionID, _ mesh: some MeshReading) -> Belongings? {
    if let host = mesh.visibleHost(of: session) { return belongings(session, at: host, mesh) }
    if let own = table.handedOver(session)?.host,
      own.counter > mesh.removalCounter(of: session, from: .lobby)
    {
      var brought = Belongings(value: own.value)
      for (room, place) in own.places.sorted(by: { $0.key < $1.key }) {
        let cursor = mesh.cursor(
          of: session, in: room, entered: place.presence.enteredCounter, slot: mesh.ownSlot)
        brought.places.append((room, place.presence, cursor))
      }
      return brought
    }
    return mesh.hiddenHost(of: session).flatMap { belongings(session, at: $0, mesh) }
  }

  /// The same from the records of another origin: no more rooms than a session may be in, those
  /// first where it is known what it says.
  private func belongings(
    _ session: SessionID, at host: ForeignSession, _ mesh: some MeshReading
  ) -> Belongings? {
    guard let value = RecordValues.session(from: host.record.value) else { return nil }
    let slot = host.home.slot
    var known: [(room: RoomName, presence: PresenceValue?, cursor: Cursor?)] = []
    var occupied: [RoomName] = []
    for room in host.home.rooms {
      guard let entered = mesh.enteredCounter(session, room, slot: slot),
        room.isLobby || entered > mesh.removalCounter(of: session, from: room)
      else { continue }
      let presence = mesh.record(EntryKey(.presence, session), in: room, slot: slot)
        .flatMap { RecordValues.presence(from: $0.value) }
      guard let presence else {
        if !room.isLobby { occupied.append(room) }
        continue
      }
      let cursor = mesh.cursor(of: session, in: room, entered: entered, slot: slot)
      known.append((room, presence, cursor))
    }
    var brought = Belongings(value: value)
    var rooms = 0
    for place in known + occupied.map({ ($0, nil, nil) }) {
      if !place.room.isLobby {
        guard rooms < Limits.roomsPerSession else { continue }
        rooms += 1
      }
      brought.places.append(place)
    }
    return brought
  }

  // MARK: Handing over

  /// Evaluates what other origins, and removals, say of a session that is hosted here or was handed
  /// over. To be called when any of that changed, and when the visibility of an origin that has it
  /// did.
  mutating func judge(
    _ session: SessionID, _ mesh: some MeshReading, now: MonotonicTime,
    _ actions: inout [HostingAction]
  ) {
    if table[session] != nil {
      table.witness(mesh.highestCounter(of: session), of: session)
      obeyRemovals(of: session, mesh, &actions)
    }
    let other = mesh.visibleHost(of: session)
    if let host = table[session], let other, !PlantedBug.isActive(.movedSessionKept),
      other.stamp > stamp(of: host)
    {
      handOver(session, host, to: other.origin, now: now, &actions)
    } else if let own = table.handedOver(session)?.host,
      other.map({ $0.stamp < stamp(of: own) }) ?? true
    {
      // It ended where it had moved to, and so here.
      bury(session, &actions)
    }
  }

  /// Hosts a session no longer. Its records stay for a while, so that nobody hears that they are
  /// gone before it hears where the session is.
  private mutating func handOver(
    _ session: SessionID, _ host: HostedSession, to other: OriginID, now: MonotonicTime,
    _ actions: inout [HostingAction]
  ) {
    let due = now + HostingLimits.handOverDelay
    table.set(session, to: nil)
    table.setHandedOver(session, to: HostedTable.HandedOver(host: host, due: due))
    handOvers.set(session, at: due)
    actions += [
      .handOver(session, rooms: host.places.keys.sorted()), .emit(.moved(session, to: other)),
    ]
  }

  /// Removes the records of a session that was handed over: the rooms' first, its own last.
  mutating func bury(_ session: SessionID, _ actions: inout [HostingAction]) {
    guard var host = table.handedOver(session)?.host else { return }
    let counter = host.takeLastCounter()
    endedCounters.note(session, counter)
    for room in host.places.keys.sorted() {
      actions += host.tombstones(session, in: room, counter: counter).map { .write($0) }
      actions.append(
        .write(RoomChange(.cursor, session, room, counter: counter, value: nil)))
    }
    actions.append(.write(RoomChange(.session, session, counter: counter, value: nil)))
    table.setHandedOver(session, to: nil)
    // Its deadline finds nothing.
  }
}

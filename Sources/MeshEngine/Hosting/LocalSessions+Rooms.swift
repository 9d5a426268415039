import MeshCRDT
import MeshWire

// Entering and leaving rooms, and ending.

extension LocalSessions {
  mutating func enter(
    _ session: SessionID, _ room: RoomName, _ mesh: some MeshReading,
    _ actions: inout [HostingAction]
  ) throws(OperationError) {
    var host = try hosting(session)
    guard host.places[room] == nil else { return }
    if !room.isLobby {
      if mesh.isBarred(session, from: room) { throw .removedFromRoom(session, room) }
      guard host.roomCount < Limits.roomsPerSession else {
        throw .tooManyRooms(limit: Limits.roomsPerSession)
      }
      try makeRoomLogs(for: [room])
      // A session enters above what removed it.
      host.witness(mesh.removalCounter(of: session, from: room))
    }
    guard let counter = host.takeCounter() else { throw .sessionRemoved(session) }
    host.places[room] = HostedPlace(
      presence: PresenceValue(enteredCounter: counter), counter: counter,
      hasOccupancy: needsOccupancy(
        room, free: HostingLimits.occupancies - table.occupancies))
    table.set(session, to: host)
    actions += host.changes(session, in: room).map { .write($0) }
  }

  /// Refuses rooms that would be more than a node's sessions may be in.
  func makeRoomLogs(for rooms: some Sequence<RoomName>) throws(OperationError) {
    let new = rooms.reduce(0) { $0 + ($1.isLobby || table.hasSessions(in: $1) ? 0 : 1) }
    guard new == 0 || table.roomCount + new <= roomLogLimit else {
      throw .tooManyRoomLogs(limit: roomLogLimit)
    }
  }

  mutating func exit(
    _ session: SessionID, _ room: RoomName, _ mesh: some MeshReading,
    _ actions: inout [HostingAction]
  ) throws(OperationError) {
    let host = try hosting(session)
    guard host.places[room] != nil else { return }
    let holders = mesh.holders(of: session, in: room, below: stamp(of: host))
    let counter = leave(session, [room], mesh, &actions)
    // The lobby's removal would end the session.
    guard !holders.isEmpty, !room.isLobby else { return }
    actions.append(.depart(SessionPlace(session, room), counter: counter, holders: holders))
  }

  /// Ends a session: removes all its records, and, by a removal, those of other origins that no
  /// removal outweighs yet, so that it does not come back from there. Of an unknown session:
  /// nothing happens.
  mutating func end(
    _ session: SessionID, _ mesh: some MeshReading, _ actions: inout [HostingAction]
  ) {
    guard let host = table[session] else { return }
    let holders = mesh.holders(of: session, in: .lobby, below: stamp(of: host))
    let counter = leave(session, host.places.keys.sorted(), mesh, &actions)
    endedCounters.note(session, counter)
    table.set(session, to: nil)
    actions.append(.write(RoomChange(.session, session, counter: counter, value: nil)))
    actions.append(.end(session))
    guard !holders.isEmpty, !PlantedBug.isActive(.departureNotRemoved) else { return }
    actions.append(.depart(SessionPlace(session, .lobby), counter: counter, holders: holders))
  }

  /// Takes a session out of rooms. Returns the counter of that.
  private mutating func leave(
    _ session: SessionID, _ rooms: [RoomName], _ mesh: some MeshReading,
    _ actions: inout [HostingAction]
  ) -> UInt64 {
    guard var host = table[session] else { return 0 }
    host.witness(mesh.highestCounter(of: session))
    let counter = host.takeLastCounter()
    for room in rooms {
      actions += host.tombstones(session, in: room, counter: counter).map { .write($0) }
      actions.append(.leave(SessionPlace(session, room), counter: counter))
      host.places[room] = nil
    }
    table.set(session, to: host)
    return counter
  }
}

// Removals that were ordered, here or elsewhere.

extension LocalSessions {
  /// Does what removals say of a session of this node: what they outweigh ends. What was written since it
  /// was opened saves it from none, and that it was opened again not from a final one.
  mutating func obeyRemovals(
    of session: SessionID, _ mesh: some MeshReading, _ actions: inout [HostingAction]
  ) {
    guard let host = table[session], !PlantedBug.isActive(.removalNotObeyed) else { return }
    let isRemoved = mesh.removals(of: session, from: .lobby).contains {
      let isFinal = RecordValues.removal(from: $0.record.value)?.isFinal == true
      return (isFinal ? host.firstOpening : host.lastOpening) <= $0.record.counter
    }
    if isRemoved {
      end(session, mesh, &actions)
      actions.append(.emit(.removed(session, from: .lobby)))
      return
    }
    for room in host.places.keys.sorted() where !room.isLobby {
      let removed = mesh.removalCounter(of: session, from: room)
      guard let place = host.places[room], place.presence.enteredCounter <= removed else {
        continue
      }
      _ = leave(session, [room], mesh, &actions)
      actions.append(.emit(.removed(session, from: room)))
    }
  }

  /// What a removal of a session from a room needs: a counter above all that is known of the
  /// session, and who has what it outweighs, the host first.
  func prepareRemoval(
    of session: SessionID, from room: RoomName, _ mesh: some MeshReading
  ) throws(OperationError) -> (counter: UInt64, holders: [OriginID]) {
    let host: OriginID
    let isThere: Bool
    if let own = table[session] {
      host = origin
      isThere = own.places[room] != nil
    } else if let other = mesh.visibleHost(of: session) {
      host = other.origin
      let entered = mesh.enteredCounter(session, room, slot: other.home.slot)
      isThere = entered.map { $0 > mesh.removalCounter(of: session, from: room) } ?? false
    } else {
      throw .unknownSession(session)
    }
    guard room.isLobby || isThere else { throw .notInRoom(session, room) }
    let highest = max(mesh.highestCounter(of: session), table[session]?.highest ?? 0)
    // Whoever orders may end what others host.
    let above = Stamp(counter: .max, origin: host)
    let others = mesh.holders(of: session, in: room, below: above).filter { $0 != host }
    return (min(highest, Limits.counterBound - 2) + 1, [host] + others)
  }
}

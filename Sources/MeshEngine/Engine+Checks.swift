package import MeshCRDT
import MeshTrust
import MeshWire

// For tests and the simulator: what must hold at any time.

extension Engine {
  /// True when an origin is part of the state, shown or hidden.
  package func holds(_ origin: OriginID) -> Bool { state.slot(of: origin) != nil }

  /// What is held of an origin, in words, for a failing simulation.
  package func describe(_ origin: OriginID) -> String {
    guard let slot = state.slot(of: origin) else {
      return graves[origin].map { "in a grave of generation \($0.generation)" } ?? "unknown"
    }
    let log = state.logs[slot]
    let life = liveness[slot]
    let words =
      "\(life.health), left \(now.since(life.leftAt).milliseconds) ms ago, judged by "
      + "\(now.since(life.heardAt).milliseconds) ms"
    let shelves = ([.lobby] + log.rooms.keys.sorted()).map { room in
      let shelf = log.shelf(room)
      let pull =
        pulls[ShelfID(origin, room)].map { "\($0.step) \($0.failures) failures" } ?? "no pull"
      return "\(roomNames[room]?.description ?? "lobby") cut \(shelf.cut.version)/"
        + "\(shelf.cut.count) claim \(shelf.claim.version)/\(shelf.claim.count) live "
        + "\(shelf.liveCount) highest \(shelf.highestVersion), \(pull)"
    }
    return "generation \(log.generation) heartbeat \(life.heartbeat), \(words), "
      + "path \(pathOf[origin].map { "\($0)" } ?? "none") batches \(stores[slot].count)"
      + shelves.map { "\n      \($0)" }.joined()
  }

  /// The origins of the state, in the order of their ids.
  package var origins: [OriginID] { state.sortedSlots.compactMap { state.origins[$0] } }

  /// How many visible origins there are whose heads were missed within the last of their periods, in a
  /// big mesh.
  package var doubtedCount: Int {
    guard isLarge else { return 0 }
    return state.sortedSlots.count { slot in
      guard isVisible(slot), let doubtedAt = liveness[slot].doubtedAt else { return false }
      return now < doubtedAt + liveness[slot].period
    }
  }

  /// What is held of an origin, shelf by shelf, in the order of the rooms.
  package func digestEntries(_ origin: OriginID) -> [DigestEntry] {
    guard let slot = state.slot(of: origin) else { return [] }
    return ([.lobby] + state.liveRooms(slot: slot)).compactMap {
      state.digestEntry(slot: slot, room: $0)
    }
  }

  /// One hash of what this node and another both hold, as far as this one knows what the other follows.
  package mutating func sharedHash(with other: OriginID) -> UInt64 {
    state.digest(of: sharing(with: other)).stateHash(key: state.hashKey)
  }

  /// The same as a list. Cost: the shelves of all origins.
  package mutating func sharedEntries(with other: OriginID) -> [DigestEntry] {
    state.digestEntries(mask: .max, sharing: sharing(with: other))
  }

  /// The counter of the record by which a session is seen here; `nil`: it is not.
  package func recordCounter(of session: SessionID) -> UInt64? {
    winner(session).flatMap { state.logs[$0].live(RecordKey(session: session))?.counter }
  }

  /// The rooms that this node follows; `nil`: all.
  package var followedRooms: Set<RoomName>? { followed }

  /// The bytes of an origin's batches with a live record that is held here and not by another node.
  package func missingBytes(at other: Engine) -> UInt64 {
    let held = other.state.slot(of: origin).map { other.state.logs[$0] }
    return stores[ownSlot].all.reduce(0) { sum, shelf in
      let version = held?.shelf(shelf.room).held.version ?? 0
      return shelf.store.batches.reduce(sum) {
        $1.live > 0 && $1.last > version ? $0 + UInt64($1.envelope.bytes.count) : $0
      }
    }
  }

  /// The Lamport counter.
  package var lamportCounter: UInt64 { state.lamport.counter }

  /// Compares what is kept incrementally with what it is made from, and tables with their bounds.
  /// Cost: the whole state.
  package func invariantViolation() -> String? {
    if let violation = state.invariantViolation() { return violation }
    for slot in state.sortedSlots {
      let log = state.logs[slot]
      for room in [.lobby] + log.rooms.keys.sorted() {
        let shelf = log.shelf(room)
        if shelf.isSettled,
          shelf.liveHash != shelf.cut.hash || shelf.liveCount != shelf.cut.count
        {
          return "a settled shelf does not hash to its cut"
        }
        if shelf.highestVersion > shelf.claim.version { return "a record is above every claim" }
        if slot != ownSlot && !follows(room) { return "a room is held that is not followed" }
      }
      for key in state.moving[slot].moves.keys where slot != ownSlot && !follows(key.room) {
        return "a cursor is held in a room that is not followed"
      }
      for (key, cell) in log.cells()
      where !cell.isTombstone && !stores[slot][key.shelf].covers(cell.version) {
        return "record \(key.lane) \(cell.version) of \(key.session) lives, but its batch is gone"
      }
    }
    if paths.count > PathLimits.paths { return "more paths than the bound" }
    if contacts.count > PathLimits.contacts { return "more contacts than the bound" }
    if pulls.count > Limits.origins { return "more pulls than the bound" }
    for session in shown.sessions where winner(session) != shown.onlySlot(of: session) {
      return "session \(session) is shown by another host than its winner"
    }
    return nil
  }

  /// A batch or head in the state whose signature is not its origin's; `nil`: there is none. Looks at
  /// the newest batches of each origin. Cost: a verification for each.
  package func unverifiedBatch(newest count: Int = .max) -> String? {
    for slot in state.sortedSlots {
      let heads = liveness[slot].head.map { [$0] } ?? []
      let batches = stores[slot].all.flatMap { $0.store.batches.suffix(count) }
      for envelope in batches.map(\.envelope) + heads {
        let signed = envelope.signedBytes(mesh: configuration.mesh.bytes)
        if envelope.origin != state.origins[slot]
          || !crypto.verify(signed, signature: envelope.signature, by: envelope.origin)
        {
          return "a \(envelope.kind) that \(envelope.origin.short) did not sign"
        }
      }
    }
    return nil
  }
}

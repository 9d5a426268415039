package import MeshCRDT
import MeshWire

// The view: a function of the state and of the health of the origins. It is never written back.

extension Engine {
  mutating func markDirty(_ session: SessionID) {
    // What somebody follows changed.
    if session == .nobody {
      frameRoutes = [:]
      knownInterests = nil
      interestsChanged = true
    }
    guard isDirty.insert(session).inserted else { return }
    dirty.append(session)
  }

  /// The slot whose record of a session counts: of those that are visible the one with the highest
  /// stamp. `nil`: the session is not seen, or was removed since.
  func winner(_ session: SessionID, evenHidden: Bool = false) -> Int? {
    if let slot = state.onlyHome(of: session) {
      return (evenHidden || isVisible(slot)) && !isRemoved(session, slot: slot) ? slot : nil
    }
    var best: (slot: Int, stamp: Stamp)?
    for slot in state.homes(of: session) where evenHidden || isVisible(slot) {
      guard let origin = state.origins[slot],
        let cell = state.logs[slot].live(RecordKey(session: session))
      else { continue }
      let stamp = Stamp(counter: cell.counter, origin: origin)
      if best.map({ $0.stamp < stamp }) ?? true { best = (slot, stamp) }
    }
    guard let best, !isRemoved(session, slot: best.slot) else { return nil }
    return best.slot
  }

  /// Tells what changed since the last input.
  mutating func flushEvents() {
    if interestsChanged {
      interestsChanged = false
      noteInterests()
    }
    flushDueBatches()
    while !dirty.isEmpty {
      let sessions = dirty
      dirty = []
      isDirty = []
      var hasBuried = false
      for session in sessions where tell(session) { hasBuried = true }
      // What is shown follows from the state: what ended is written now, not with the next batch.
      if hasBuried { flushBatches() }
      // Giving up a session that moved writes tombstones.
      flushDueBatches()
    }
  }

  /// Tells what is new of a session. True when it ended where it had moved to, and so here.
  private mutating func tell(_ session: SessionID) -> Bool {
    if hosted[session] != nil { obeyRemovals(of: session) }
    let slot = winner(session)
    if let slot, slot != ownSlot, hosted[session] != nil { giveUp(session, to: slot) }
    guard let slot else {
      if shown.remove(session) { emit(.disappeared(session)) }
      return false
    }
    if slot == ownSlot, handedOver[session] != nil {
      buryHandedOver(session)
      return true
    }
    let before = shown.replace(session, by: slot)
    guard configuration.emitsEvents, let snapshot = snapshot(session, slot: slot) else {
      return false
    }
    if before == nil {
      emit(.appeared(snapshot))
    } else if before == slot || !PlantedBug.isActive(.moveNotTold) {
      emit(.changed(snapshot))
    }
    return false
  }

  /// A session of this node is written with a higher stamp by another: it has moved there.
  private mutating func giveUp(_ session: SessionID, to slot: Int) {
    guard let host = hosted[session], let origin = state.origins[slot],
      !PlantedBug.isActive(.movedSessionKept),
      // What is pending has a higher stamp than what is known of the other.
      state.logs[ownSlot].live(RecordKey(session: session))?.counter == host.counter
    else { return }
    handOver(session)
    emit(.moved(session, to: origin))
  }

  /// Tells a move that a host told of a session, if that host is the one that is seen.
  mutating func tellCursor(
    _ key: RecordKey, _ room: RoomName, _ cursor: Cursor, counter: UInt64, slot: Int
  ) {
    let session = key.session
    guard configuration.emitsEvents, shown.onlySlot(of: session) == slot, winner(session) == slot,
      let entered = state.look(
        slot: slot, at: RecordKey(session: session, lane: .presence, room: key.room),
        { $0.enteredCounter }), counter >= entered,
      !state.isRemoved(session, from: key.room, since: entered)
    else { return }
    // A change that is still to be told brings the cursor with it.
    guard !isDirty.contains(session) else { return }
    emit(.cursor(session, room, cursor))
  }

  // MARK: Reading

  /// A session as it is seen; `nil` when it is not.
  package func session(_ id: SessionID) -> SessionSnapshot? {
    winner(id).flatMap { snapshot(id, slot: $0) }
  }

  /// A session as its last host left it, whether or not that host is seen.
  func lastKnown(_ id: SessionID) -> SessionSnapshot? {
    (winner(id) ?? winner(id, evenHidden: true)).flatMap { snapshot(id, slot: $0) }
  }

  /// A session that this node hosts, with what was asked for and is not told yet.
  package func hostedSession(_ id: SessionID) -> SessionSnapshot? {
    hosted[id].map { host in
      SessionSnapshot(
        id: id, host: origin, value: host.value,
        places: host.places.map {
          SessionSnapshot.Place(room: $0.key, presence: $0.value.presence, cursor: $0.value.cursor)
        })
    }
  }

  private func snapshot(_ session: SessionID, slot: Int) -> SessionSnapshot? {
    guard let origin = state.origins[slot],
      let entry = state.entry(of: session, slot: slot), let cell = entry.session,
      case .session(let value) = cell.decoded(.session)
    else { return nil }
    let places = entry.places.compactMap { place -> SessionSnapshot.Place? in
      guard let name = roomNames[place.room],
        case .presence(let presence) = place.presence?.decoded(.presence),
        !state.isRemoved(session, from: place.room, since: presence.enteredCounter)
      else { return nil }
      return SessionSnapshot.Place(
        room: name, presence: presence,
        cursor: cursor(session, place, slot: slot, since: presence.enteredCounter))
    }
    return SessionSnapshot(
      id: session, host: origin, value: value, places: places,
      visits: visits(session, slot: slot))
  }

  /// The rooms that are not followed here, and that a session's host says it is in.
  private func visits(_ session: SessionID, slot: Int) -> [RoomName] {
    guard slot != ownSlot, followedIDs != nil, let entry = state.logs[slot].visits[session] else {
      return []
    }
    return entry.visits.compactMap { visit in
      guard !visit.cell.isTombstone, !follows(visit.room),
        !state.isRemoved(session, from: visit.room, since: visit.cell.counter)
      else { return nil }
      return roomNames[visit.room]
    }
  }

  /// The newest of the moving and the resting cursor, unless it is from an earlier stay.
  private func cursor(
    _ session: SessionID, _ place: SessionEntry.Place, slot: Int, since entered: UInt64
  ) -> Cursor? {
    let key = RecordKey(session: session, lane: .cursor, room: place.room)
    let resting = place.cursor
    if let move = state.moving[slot][key], move.counter >= entered,
      resting.map({ $0.isTombstone || $0.counter < move.counter }) ?? true
    {
      return move.cursor
    }
    guard let resting, resting.counter >= entered,
      case .cursor(let cursor) = resting.decoded(.cursor)
    else { return nil }
    return cursor
  }

  /// Everything that is seen now. Cost: the whole state.
  package func snapshot() -> MeshSnapshot {
    var sessions: Set<SessionID> = []
    var nodes: [OriginID: NodeHealth] = [:]
    for slot in state.sortedSlots {
      guard let origin = state.origins[slot] else { continue }
      nodes[origin] = liveness[slot].health
      guard isVisible(slot) else { continue }
      sessions.formUnion(state.logs[slot].entries.keys)
    }
    return MeshSnapshot(
      sessions: sessions.sorted().compactMap { session($0) }, nodes: nodes, isStale: isStale)
  }

  /// The other origins, in the order of their ids.
  package func peers(now: MonotonicTime) -> [PeerStatus] {
    state.sortedSlots.filter { $0 != ownSlot }.compactMap { slot in
      guard let origin = state.origins[slot] else { return nil }
      let log = state.logs[slot]
      let address = pathOf[origin]
      return PeerStatus(
        origin: origin, health: liveness[slot].health, generation: log.generation,
        ageMilliseconds: now.since(liveness[slot].leftAt).milliseconds, address: address,
        roundTripMicroseconds: address.flatMap { paths[$0]?.roundTrip }.map {
          $0.nanoseconds / 1000
        },
        sessions: log.entries.values.count { $0.session?.isTombstone == false },
        version: log.lobby.cut.version, isSettled: log.isSettled,
        isUnverified: liveness[slot].isUnverified,
        differsMilliseconds: address.flatMap { differsFor($0) })
    }
  }

  /// For how long comparisons with an address have differed: from the first to the last of them.
  private func differsFor(_ address: PeerAddress) -> UInt64? {
    guard let path = paths[address], let since = path.differsSince, let last = path.differedAt
    else { return nil }
    return last.since(since).milliseconds
  }
}

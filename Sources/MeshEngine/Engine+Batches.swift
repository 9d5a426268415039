import MeshCRDT
import MeshTrust
import MeshWire

extension Engine {
  /// Hears a batch: is it news, is it signed, then join, settle and tell others.
  mutating func hear(batch envelope: Envelope, from address: PeerAddress) {
    counters.count(.batchesReceived)
    guard let (generation, first, last) = try? BatchBody.peek(envelope.body) else {
      return counters.count(.messagesMalformed)
    }
    let origin = envelope.origin
    prolongPull(origin, from: address)
    if origin == self.origin {
      // The own log holds every batch of this life that lives: another one is somebody else's.
      guard
        generation > self.generation
          || generation == self.generation
            && (last > state.logs[ownSlot].cut.version
              || last == state.logs[ownSlot].cut.version
                && !stores[ownSlot].contains(envelope, first: first))
      else { return }
    } else if let grave = graves[origin], generation <= grave.generation {
      return counters.count(.batchesKnown)
    }
    if let slot = state.slot(of: origin), origin != self.origin {
      guard state.logs[slot].mayBeNews(version: last, of: generation),
        generation > state.logs[slot].generation
          || !stores[slot].contains(envelope, first: first)
      else { return counters.count(.batchesKnown) }
    }
    guard let batch = verified(envelope, as: BatchBody.self) else { return }
    guard origin != self.origin else { return hearOwnWord(generation: generation) }
    guard batch.body.records.allSatisfy({ state.lamport.isPlausible($0.counter) }) else {
      return counters.count(.countersImplausible)
    }
    guard let slot = open(origin, generation: generation) else { return }
    join(batch, slot: slot)
    if liveness[slot].head == nil {
      let known = HeadKnown(origin: origin, generation: generation, heartbeat: 0)
      send(.headQuery([known]), to: address)
    }
    let isAnswer = isPulling(origin, from: address)
    settle(slot, claim: batch.body.claim, from: address)
    // What is pulled is offered when it is complete: many have it already.
    if !isAnswer { forward(.batch(envelope), from: address) }
  }

  /// Joins the records of a batch and keeps it. Own batches and those of others take this way.
  mutating func join(_ batch: Verified<BatchBody>, slot: Int) {
    let bytes = batch.envelope.bytes
    var live = 0
    // Records of one room mostly stand together.
    var last = (name: RoomName.lobby, id: state.lobby)
    for (index, record) in batch.body.records.enumerated() {
      if record.lane != .session && record.room != last.name {
        last = (record.room, state.room(record.room))
      }
      let room = record.lane == .session ? RoomID(bits: 0) : last.id
      let key = RecordKey(session: record.session, lane: record.lane, room: room)
      let cell = Cell(
        key: key, version: batch.body.first + UInt64(index), counter: record.counter,
        isTombstone: record.value == nil, storage: bytes, range: batch.body.valueRanges[index],
        hashKey: state.hashKey)
      state.witness(counter: record.counter)
      let wasMoving = record.lane == .cursor ? state.moving[slot][key] : nil
      switch state.join(slot: slot, key, cell) {
      case .known: break
      case .refused: counters.count(.recordsRefused)
      case .replaced(let old):
        counters.count(.recordsJoined)
        if !cell.isTombstone {
          live += 1
          if record.lane == .presence || record.lane == .cursor, roomNames[room] == nil {
            roomNames[room] = record.room
          }
        }
        if let old, !old.isTombstone { stores[slot].release(old) }
        noteChange(record, key: key, slot: slot, old: old, new: cell, wasMoving: wasMoving)
      }
    }
    state.sum(slot: slot)
    reserveCounters()
    stores[slot].insert(
      batch.envelope, first: batch.body.first, last: batch.body.last, live: live,
      hasTombstone: batch.body.records.contains { $0.value == nil })
    sweepRoomNames()
  }

  /// Marks what a record changes in the view: nothing, if it was only packed anew.
  private mutating func noteChange(
    _ record: Record, key: RecordKey, slot: Int, old: Cell?, new: Cell,
    wasMoving: MovingCursors.Move?
  ) {
    if let old, old.saysTheSame(as: new) { return }
    guard case .cursor(let cursor) = record.value,
      // Two processes with one key: a later version with an older position takes the newer one back.
      old.map({ $0.isTombstone || $0.counter <= new.counter }) ?? true
    else { return markDirty(record.session) }
    // The last position of a cursor that came to rest: told only to those who missed the move.
    guard wasMoving.map({ $0.counter < new.counter }) ?? true else { return }
    if !isDirty.contains(record.session) {
      tellCursor(key, record.room, cursor, counter: new.counter, slot: slot)
    }
  }

  /// Takes an origin's word about its log, and asks for what is missing.
  mutating func settle(_ slot: Int, claim: Cut, from address: PeerAddress) {
    guard let origin = state.origins[slot] else { return }
    let cut = state.logs[slot].cut
    if claim.version == cut.version && claim > cut && claim > state.logs[slot].claim {
      // The origin signed two words about one version; the higher one counts everywhere.
      startOver(slot, claim: claim)
    }
    if PlantedBug.isActive(.tombstoneCollectedByTime) && slot != ownSlot {
      state.dropTombstonesUncovered(slot: slot)
    }
    if state.settle(slot: slot, claim: claim) {
      // A part of an answer may be complete in itself.
      if !isAwaitingEnd(origin) { finishPull(slot) }
    } else if slot != ownSlot {
      pull(slot, from: address)
    }
  }

  /// Forgets the names of rooms that nobody is in, when they have doubled. Cost: the whole state,
  /// but rarely.
  private mutating func sweepRoomNames() {
    guard roomNames.count > max(1024, 2 * roomNamesSwept) else { return }
    var used: Set<RoomID> = []
    for slot in state.sortedSlots {
      for entry in state.logs[slot].entries.values {
        for place in entry.places { used.insert(place.room) }
      }
    }
    roomNames = roomNames.filter { used.contains($0.key) }
    roomNamesSwept = roomNames.count
  }
}

// MARK: - Frames

extension Engine {
  /// Hears the moves of cursors. Known ones cost no verification.
  mutating func hear(frame envelope: Envelope, from address: PeerAddress) {
    counters.count(.framesReceived)
    guard let unverified = try? Unverified<FrameBody>(envelope) else {
      return counters.count(.messagesMalformed)
    }
    let body = unverified.body
    let origin = envelope.origin
    // A life that is not known yet: its heads and batches come first.
    guard origin != self.origin, let slot = state.slot(of: origin),
      state.logs[slot].generation == body.generation
    else { return counters.count(.framesKnown) }
    let room = state.room(body.room)
    let isNews = state.hasNews(slot: slot, body.moves, in: room, counter: body.counter)
    guard isNews else { return counters.count(.framesKnown) }
    guard state.lamport.isPlausible(body.counter) else {
      return counters.count(.countersImplausible)
    }
    guard let frame = try? verifier.verify(unverified) else {
      return counters.count(.signaturesWrong)
    }
    counters.count(.signaturesVerified)
    // What is not remembered here would go round for ever.
    if join(frame, slot: slot) { forward(frame: envelope, in: room, from: address) }
  }

  /// Joins the moves of a frame and tells of those that are news. True when one is.
  @discardableResult
  mutating func join(_ frame: Verified<FrameBody>, slot: Int) -> Bool {
    state.witness(counter: frame.body.counter)
    reserveCounters()
    let room = state.room(frame.body.room)
    let outcome = state.join(
      slot: slot, frame.body.moves, in: room, counter: frame.body.counter)
    counters.count(.recordsJoined, outcome.news.nonzeroBitCount)
    counters.count(.movesRefused, outcome.refused)
    let hasNews = outcome.news != 0
    guard configuration.emitsEvents else { return hasNews }
    for (index, move) in frame.body.moves.enumerated()
    where outcome.news & 1 << UInt64(index) != 0 {
      let key = RecordKey(session: move.session, lane: .cursor, room: room)
      tellCursor(key, frame.body.room, move.cursor, counter: frame.body.counter, slot: slot)
    }
    return hasNews
  }
}

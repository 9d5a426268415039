import MeshCRDT
import MeshTrust
import MeshWire

extension Engine {
  /// Hears a batch: is it news, is it signed, then join, settle and tell others.
  mutating func hear(batch envelope: Envelope, from address: PeerAddress) {
    counters.count(.batchesReceived)
    guard let peek = try? BatchBody.peek(envelope.body) else {
      return counters.count(.messagesMalformed)
    }
    let (generation, first, last) = (peek.generation, peek.first, peek.last)
    let origin = envelope.origin
    let room = state.room(peek.room)
    prolongPull(ShelfID(origin, room), from: address)
    if origin == self.origin {
      // The own log holds every batch of this life that lives: another one is somebody else's.
      guard
        generation > self.generation
          || generation == self.generation
            && (last > state.logs[ownSlot].shelf(room).cut.version
              || last == state.logs[ownSlot].shelf(room).cut.version
                && !stores[ownSlot][room].contains(envelope, first: first))
      else { return }
    } else if !follows(room) {
      return counters.count(.batchesUnwanted)
    } else if let grave = graves[origin], generation <= grave.generation {
      return counters.count(.batchesKnown)
    }
    var isOtherWord = false
    if let slot = state.slot(of: origin), origin != self.origin {
      isOtherWord =
        generation == state.logs[slot].generation
        && isHigherWord(peek.claim, about: state.logs[slot].shelf(room))
      guard isOtherWord || state.logs[slot].mayBeNews(version: last, on: room, of: generation),
        generation > state.logs[slot].generation
          || !stores[slot][room].contains(envelope, first: first)
      else { return counters.count(.batchesKnown) }
    }
    guard let batch = verified(envelope, as: BatchBody.self) else { return }
    guard origin != self.origin else { return hearOwnWord(generation: generation) }
    guard batch.body.records.allSatisfy({ state.lamport.isPlausible($0.counter) }) else {
      return counters.count(.countersImplausible)
    }
    guard let slot = open(origin, generation: generation) else { return }
    if isOtherWord { startOver(slot, room, claim: peek.claim) }
    guard join(batch, slot: slot, room: room) else { return }
    if liveness[slot].head == nil {
      let known = HeadKnown(origin: origin, generation: generation, heartbeat: 0)
      send(.headQuery([known]), to: address)
    }
    let isAnswer = isPulling(ShelfID(origin, room), from: address)
    settle(slot, room, claim: batch.body.claim, from: address)
    // What is pulled is offered when it is complete: many have it already.
    if !isAnswer { forward(.batch(envelope), in: room, from: address) }
  }

  /// Joins the records of a batch and keeps it. Own batches and those of others take this way. False:
  /// its shelf would be one too many, and nothing was kept.
  @discardableResult
  mutating func join(_ batch: Verified<BatchBody>, slot: Int, room shelf: RoomID) -> Bool {
    let bytes = batch.envelope.bytes
    var live = 0
    // Records of one room mostly stand together.
    var last = (name: batch.body.room, id: shelf)
    for (index, record) in batch.body.records.enumerated() {
      if record.room != last.name { last = (record.room, state.room(record.room)) }
      let room = last.id
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
          if record.lane != .session, roomNames[room] == nil { roomNames[room] = record.room }
        }
        if let old, !old.isTombstone { stores[slot].change(shelf) { $0.release(old) } }
        noteChange(record, key: key, slot: slot, old: old, new: cell, wasMoving: wasMoving)
      }
    }
    reserveCounters()
    guard shelf.isLobby || state.logs[slot].rooms.row(of: shelf) != nil else { return false }
    state.sum(slot: slot, room: shelf)
    stores[slot].change(shelf) {
      $0.insert(
        batch.envelope, first: batch.body.first, last: batch.body.last, live: live,
        hasTombstone: batch.body.records.contains { $0.value == nil })
    }
    sweepRoomNames()
    return true
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

  /// Takes an origin's word about a shelf, and asks for what is missing.
  mutating func settle(_ slot: Int, _ room: RoomID, claim: Cut, from address: PeerAddress) {
    guard let origin = state.origins[slot] else { return }
    let shelf = state.logs[slot].shelf(room)
    if isHigherWord(claim, about: shelf) { startOver(slot, room, claim: claim) }
    if PlantedBug.isActive(.tombstoneCollectedByTime) && slot != ownSlot {
      state.dropTombstonesUncovered(slot: slot, room: room)
    }
    if state.settle(slot: slot, room: room, claim: claim) {
      // A part of an answer may be complete in itself.
      if !isAwaitingEnd(ShelfID(origin, room)) { finishPull(slot, room) }
    } else if slot != ownSlot, !isFetching(room, from: address) {
      pull(slot, room, from: address)
    }
  }

  /// True when the origin signed two words about the version that is held, and this is the higher one:
  /// it counts everywhere.
  private func isHigherWord(_ claim: Cut, about shelf: Shelf) -> Bool {
    claim.version == shelf.cut.version && claim > shelf.cut && claim > shelf.claim
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
      for entry in state.logs[slot].visits.values {
        for visit in entry.visits { used.insert(visit.room) }
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
    guard follows(room) else { return counters.count(.framesUnwanted) }
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
    if join(frame, slot: slot) { forward(.frame(envelope), in: room, from: address) }
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

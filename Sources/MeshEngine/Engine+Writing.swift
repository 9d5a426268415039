import MeshCRDT
import MeshTrust
import MeshWire

extension Engine {
  // MARK: What is to be written

  mutating func write(_ record: Record) {
    let room = state.room(record.room)
    pending.set(RecordKey(session: record.session, lane: record.lane, room: room), record)
    scheduleBatch()
  }

  mutating func write(_ session: SessionID, _ host: HostedSession) {
    write(
      Record(
        session: session, lane: .session, room: .lobby, counter: host.counter,
        value: .session(host.value)))
  }

  mutating func write(
    _ session: SessionID, _ room: RoomName, _ host: HostedSession, counter: UInt64? = nil
  ) {
    guard let place = host.places[room] else { return }
    write(
      Record(
        session: session, lane: .presence, room: room, counter: counter ?? host.counter,
        value: .presence(place.presence)))
  }

  mutating func writeCursor(_ session: SessionID, _ room: RoomName, _ host: HostedSession) {
    guard let place = host.places[room], let cursor = place.cursor else { return }
    write(
      Record(
        session: session, lane: .cursor, room: room, counter: place.cursorCounter,
        value: .cursor(cursor)))
  }

  /// A first change is told at once; more that come close behind it together.
  private mutating func scheduleBatch() {
    let due = lastBatchAt.map { $0 + configuration.batchInterval } ?? now
    timers.set(.flushBatch, at: max(due, now))
  }

  /// A move of a session that was at rest is told at once, or nearly so where others moved just now.
  /// Further moves go together with those of others, in the next tick.
  mutating func scheduleFrame(isFirst: Bool) {
    let interval = configuration.frameInterval
    let last = isFirst ? lastFrameAt : lastTickAt
    let due = last.map { $0 + (isFirst ? interval.scaled(1, over: 2) : interval) } ?? now
    guard due > now else { return flushFrames() }
    timers.set(.flushFrame, at: due)
  }

  /// Writes what is due now. Called at the end of each input.
  mutating func flushDueBatches() {
    guard pending.hasRecords else { return }
    let due = lastBatchAt.map { $0 + configuration.batchInterval } ?? now
    if due <= now { flushBatches() }
  }

  // MARK: Batches

  /// Signs everything that is pending, joins it here and tells everybody.
  mutating func flushBatches() {
    guard pending.hasRecords else { return }
    lastBatchAt = now
    // Shelf by shelf, in the order of their first records; the lobby's last: where a session is heard
    // of, what it says in its rooms is there.
    var rooms: [RoomID] = []
    var shelves: [RoomID: [(key: RecordKey, record: Record)]] = [:]
    for write in pending.takeRecords() {
      let room = write.key.shelf
      if shelves[room] == nil { rooms.append(room) }
      shelves[room, default: []].append(write)
    }
    let others = rooms.filter { !$0.isLobby }
    for room in others + rooms.filter(\.isLobby) {
      writeBatches(shelves[room] ?? [], on: room)
      repack(room)
    }
  }

  private mutating func writeBatches(
    _ writes: [(key: RecordKey, record: Record)], on room: RoomID
  ) {
    var writes = writes[...]
    while !writes.isEmpty {
      var bytes = BatchBody.headerBytes
      var chosen: [(key: RecordKey, record: Record)] = []
      while let write = writes.first, chosen.count < Int(BatchBody.recordBound) {
        let size = write.record.encoded.count
        guard bytes + size <= DatagramLayout.bodyBytes else { break }
        bytes += size
        chosen.append(write)
        writes.removeFirst()
      }
      precondition(!chosen.isEmpty, "a record is longer than a batch")
      writeBatch(chosen, on: room)
    }
    hintSoon(of: room)
  }

  /// Whoever missed the last batch learns of it soon, and pulls: in a small mesh, where a batch comes by
  /// one way only. Of the lobby a head tells it, of other rooms an entry of a list.
  private mutating func hintSoon(of room: RoomID) {
    guard !isLarge else { return }
    guard room.isLobby else {
      hinted.insert(room)
      return timers.set(.hint, at: now + Self.hintDelay)
    }
    let least = lastHeadAt + headPeriod.scaled(1, over: 8)
    timers.set(.head, at: max(now + Self.hintDelay, least))
  }

  /// Lists what this node holds of its own, to those who follow the rooms in which it wrote.
  mutating func hint() {
    let rooms = hinted.sorted()
    hinted = []
    for room in rooms {
      guard let entry = state.digestEntry(slot: ownSlot, room: room) else { continue }
      let list = pages(
        of: [entry], mask: 1 << UInt32(Digest.bucket(of: entry.shelf)), nonce: 0,
        wantsAnswer: false)
      for address in route(in: room).addresses { send(list, to: address) }
    }
  }

  /// How long after a batch somebody is told that it was told.
  private static let hintDelay = Span.milliseconds(40)

  private mutating func writeBatch(
    _ writes: [(key: RecordKey, record: Record)], on room: RoomID
  ) {
    let log = state.logs[ownSlot]
    let shelf = log.shelf(room)
    let first = shelf.cut.version + 1
    guard first + UInt64(writes.count) < Limits.counterBound else {
      // The versions of this life are used up: begin another.
      return raiseGeneration(above: generation)
    }
    var liveHash = shelf.liveHash
    var liveCount = shelf.liveCount
    for (index, (key, record)) in writes.enumerated() {
      if let old = log.live(key) {
        liveHash &-= old.hash
        liveCount &-= 1
      }
      guard let value = record.value else { continue }
      var writer = ByteWriter()
      value.write(to: &writer)
      let cell = Cell(
        key: key, version: first + UInt64(index), counter: record.counter, isTombstone: false,
        storage: writer.bytes, range: 0..<writer.count, hashKey: state.hashKey)
      liveHash &+= cell.hash
      liveCount &+= 1
    }
    var writer = ByteWriter(reserving: Limits.datagramBytes)
    _ = BatchBody.write(
      generation: generation, room: writes.first?.record.shelf ?? .lobby, first: first,
      records: writes.map(\.record), liveCount: liveCount, liveHash: liveHash, to: &writer)
    var reader = ByteReader(
      [UInt8](repeating: 0, count: Envelope.overheadBytes) + writer.bytes,
      range: Envelope.overheadBytes..<Envelope.overheadBytes + writer.count)
    guard let body = try? BatchBody.read(&reader) else {
      preconditionFailure("a batch of this node is malformed")
    }
    let batch = verifier.sign(body, bytes: writer.bytes)
    join(batch, slot: ownSlot, room: room)
    let isSettled = state.settle(slot: ownSlot, room: room, claim: body.claim)
    precondition(isSettled, "an own shelf does not hash to its own claim")
    counters.count(.batchesSent)
    disseminate(.batch(batch.envelope), in: room)
  }

  /// Writes the records of batches that are mostly dead anew, a few at a time, so that the dead ones
  /// need not be kept and pulled for their sake.
  private mutating func repack(_ shelf: RoomID) {
    let store = stores[ownSlot][shelf]
    guard store.recordCount > 256,
      UInt64(store.recordCount) > 4 * state.logs[ownSlot].shelf(shelf).liveCount
    else { return }
    for batch in store.mostlyDead(atMost: 2) {
      var reader = batch.envelope.body
      guard let body = try? BatchBody.read(&reader) else { continue }
      for (index, record) in body.records.enumerated() where record.value != nil {
        let room = state.room(record.room)
        let key = RecordKey(session: record.session, lane: record.lane, room: room)
        guard state.logs[ownSlot].live(key)?.version == body.first + UInt64(index),
          pending.records[key] == nil
        else { continue }
        write(record)
      }
    }
  }

  // MARK: Frames

  /// Signs the moves of cursors that are pending, one frame for each room, and tells everybody: of each
  /// session in each room, no more than one in each interval.
  mutating func flushFrames() {
    guard pending.hasMoves else { return }
    let (now, interval) = (now, configuration.frameInterval)
    if lastTickAt.map({ $0 + interval <= now }) ?? true { lastTickAt = now }
    let ready = pending.takeMoves(by: now)
    if pending.hasMoves, let lastTickAt { timers.set(.flushFrame, at: lastTickAt + interval) }
    guard !ready.isEmpty else { return }
    lastFrameAt = now
    for (room, moves) in ready {
      guard let counter = state.nextCounter() else { return }
      reserveCounters()
      var rest = moves[...]
      while !rest.isEmpty {
        var bytes = 5 + 7 + 1 + 1 + room.text.utf8.count
        var chosen: [FrameBody.Move] = []
        while let (session, cursor) = rest.first, chosen.count < Int(FrameBody.moveBound) {
          let size = SessionID.byteCount + 5 + (cursor.anchor.map { $0.utf8.count + 1 } ?? 0)
          guard bytes + size <= DatagramLayout.bodyBytes else { break }
          bytes += size
          chosen.append(FrameBody.Move(session: session, cursor: cursor))
          noteTold(session, room, counter: counter)
          rest.removeFirst()
        }
        tellFrame(
          FrameBody(generation: generation, counter: counter, room: room, moves: chosen))
      }
    }
  }

  private mutating func noteTold(_ session: SessionID, _ room: RoomName, counter: UInt64) {
    guard let index = hosted.index(forKey: session) else { return }
    hosted.values[index].noteTold(in: room, counter: counter, now: now)
  }

  private mutating func tellFrame(_ body: FrameBody) {
    var writer = ByteWriter(reserving: Limits.datagramBytes)
    body.write(to: &writer)
    let frame = verifier.sign(body, bytes: writer.bytes)
    counters.count(.framesSent)
    disseminate(.frame(frame.envelope), in: state.room(body.room))
    ownFrames.append(frame)
  }

  /// Joins the frames that this node has told.
  mutating func joinOwnFrames() {
    guard !ownFrames.isEmpty else { return }
    let frames = ownFrames
    ownFrames.removeAll(keepingCapacity: true)
    for frame in frames { join(frame, slot: ownSlot) }
  }

  // MARK: Counters and generations

  /// Sees to it that the counters in use are reserved on the disk.
  mutating func reserveCounters() {
    guard state.lamport.counter + Self.lamportReserve / 2 > lamportCeiling else { return }
    lamportCeiling = min(
      state.lamport.counter + Self.lamportReserve, Limits.counterBound - 1)
    durable = DurableState(generation: generation, lamportCeiling: lamportCeiling)
  }

  /// True for a word in this node's name that this life has not said.
  func isNewOwnWord(generation: UInt64, heartbeat: UInt64) -> Bool {
    generation > self.generation
      || generation == self.generation && heartbeat > self.heartbeat
  }

  /// Somebody holds words of this node that this life has not said: an earlier life whose end was
  /// not on the disk, or another process with the same key. Both are outlived by a new generation.
  mutating func hearOwnWord(generation: UInt64) {
    guard generation >= self.generation else { return }
    if let lastRaiseAt, now < lastRaiseAt + configuration.headPeriod { return }
    lastRaiseAt = now
    emit(.cloned(generation: generation))
    raiseGeneration(above: generation)
  }

  /// Begins a new life in the same process: everything that is hosted is written again.
  mutating func raiseGeneration(above generation: UInt64) {
    guard generation + 1 < Limits.generationBound else { return }
    configuration.generation = generation + 1
    durable = DurableState(generation: generation + 1, lamportCeiling: lamportCeiling)
    var dropped: [SessionID] = []
    _ = state.open(origin, generation: self.generation, dropped: &dropped)
    for session in dropped { markDirty(session) }
    stores[ownSlot] = BatchStores()
    handedOver = [:]
    heartbeat = 0
    for (room, moves) in pending.takeMoves(by: MonotonicTime(nanoseconds: .max)) {
      // Moves that were not told yet are told by the log.
      guard let counter = state.nextCounter() else { break }
      for (session, _) in moves { hosted[session]?.places[room]?.cursorCounter = counter }
    }
    pending = PendingWrites()
    for (session, host) in hosted.sorted(by: { $0.key < $1.key }) {
      write(session, host)
      for room in host.places.keys.sorted() {
        write(session, room, host)
        writeVisit(session, room, host)
        writeCursor(session, room, host)
      }
    }
    writeInterest()
    for (session, rooms) in orders.sorted(by: { $0.key < $1.key }) {
      for (room, order) in rooms.sorted(by: { $0.key < $1.key }) {
        write(order, session, room)
      }
    }
    proveAllPaths()
    flushBatches()
    sendHead()
  }
}

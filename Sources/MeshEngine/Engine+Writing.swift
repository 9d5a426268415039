import MeshCRDT
import MeshTrust
import MeshWire

extension Engine {
  // MARK: What is to be written

  mutating func write(_ record: Record) {
    let room = record.lane == .session ? RoomID(bits: 0) : state.room(record.room)
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
    var writes = pending.takeRecords()[...]
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
      writeBatch(chosen)
    }
    repack()
    // Whoever missed the last batch learns of it from the head, and pulls. In a large mesh somebody
    // else tells the batch once more.
    if !isLarge {
      let least = lastHeadAt + headPeriod.scaled(1, over: 8)
      timers.set(.head, at: max(now + Self.headDelay, least))
    }
  }

  /// How long after a batch a head says that it was told.
  private static let headDelay = Span.milliseconds(40)

  private mutating func writeBatch(_ writes: [(key: RecordKey, record: Record)]) {
    let log = state.logs[ownSlot]
    let first = log.cut.version + 1
    guard first + UInt64(writes.count) < Limits.counterBound else {
      // The versions of this life are used up: begin another.
      return raiseGeneration(above: generation)
    }
    var liveHash = log.liveHash
    var liveCount = log.liveCount
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
      generation: generation, first: first, records: writes.map(\.record), liveCount: liveCount,
      liveHash: liveHash, to: &writer)
    var reader = ByteReader(
      [UInt8](repeating: 0, count: Envelope.overheadBytes) + writer.bytes,
      range: Envelope.overheadBytes..<Envelope.overheadBytes + writer.count)
    guard let body = try? BatchBody.read(&reader) else {
      preconditionFailure("a batch of this node is malformed")
    }
    let batch = verifier.sign(body, bytes: writer.bytes)
    join(batch, slot: ownSlot)
    state.settle(slot: ownSlot, claim: body.claim)
    precondition(state.logs[ownSlot].isSettled, "the own log does not hash to its own claim")
    counters.count(.batchesSent)
    disseminate(.batch(batch.envelope))
  }

  /// Writes the records of batches that are mostly dead anew, a few at a time, so that the dead ones
  /// need not be kept and pulled for their sake.
  private mutating func repack() {
    let store = stores[ownSlot]
    guard store.recordCount > 256, UInt64(store.recordCount) > 4 * state.logs[ownSlot].liveCount
    else { return }
    for batch in store.mostlyDead(atMost: 2) {
      var reader = batch.envelope.body
      guard let body = try? BatchBody.read(&reader) else { continue }
      for (index, record) in body.records.enumerated() where record.value != nil {
        let room = record.lane == .session ? RoomID(bits: 0) : state.room(record.room)
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
    disseminate(frame: frame.envelope, in: state.room(body.room))
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
  private mutating func raiseGeneration(above generation: UInt64) {
    guard generation + 1 < Limits.generationBound else { return }
    configuration.generation = generation + 1
    durable = DurableState(generation: generation + 1, lamportCeiling: lamportCeiling)
    var dropped: [SessionID] = []
    _ = state.open(origin, generation: self.generation, dropped: &dropped)
    for session in dropped { markDirty(session) }
    stores[ownSlot].removeAll()
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

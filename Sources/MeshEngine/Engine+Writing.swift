import MeshCRDT
import MeshWire

// What this node signs and sends.

extension Engine {
  /// Writes, signs, applies and sends what is due of this node's own records, cursors and checkpoints.
  mutating func commit() {
    if hosting.isExhausted { raiseIncarnation(above: incarnation.counter) }
    while let due = hosting.batchDeadline, due <= context.now {
      let batches = hosting.takeBatches(mesh, now: context.now)
      guard !batches.isEmpty else { break }
      for batch in batches { write(batch) }
    }
    sendFrames()
    if let due = hosting.checkpointDeadline, due <= context.now { signCheckpoint() }
  }

  /// Signs, shows and sends the cursor frames that are due.
  mutating func sendFrames() {
    guard let due = hosting.frameDeadline, due <= context.now else { return }
    for frame in hosting.takeFrames(now: context.now) { send(frame) }
  }

  private mutating func write(_ written: WrittenBatch) {
    // The writer keeps the bounds of a batch.
    guard let batch = context.verifier.sign(written.batch) else { return }
    let result = records.ingest(batch, slot: ownSlot)
    noteChanges(result.changes, slot: ownSlot)
    send(.batch(batch.message), .batchesSent, in: batch.body.room)
  }

  private mutating func send(_ frame: CursorFrame) {
    guard let signed = context.verifier.sign(frame) else { return }
    let outcome = view.move(frame.updates, in: frame.room, slot: ownSlot, records)
    for event in outcome.events { context.emit(event) }
    send(.cursorFrame(signed), .cursorFramesSent, in: frame.room)
  }

  private mutating func signCheckpoint() {
    let beat = beats.current(context)
    let schedule = beats.schedule
    let draft = hosting.takeCheckpoint()
    let body = Checkpoint(
      incarnation: draft.incarnation, sequence: draft.sequence, version: draft.version,
      root: records.root(slot: ownSlot), value: beat.value, chain: schedule.chain,
      schedule: schedule.schedule, offsetMilliseconds: schedule.offset.milliseconds,
      beat: beat.index, periodMilliseconds: schedule.period.milliseconds,
      isLeaving: draft.isLeaving
    ).naming(draft.changed)
    guard let checkpoint = context.verifier.sign(body) else { return }
    records.ingest(checkpoint, slot: ownSlot)
    _ = records.need(slot: ownSlot)
    beats.noteSigned(beat)
    for address in receivers() { send(checkpoint, to: address) }
    if body.isLeaving { setLeft(checkpoint) }
  }

  /// Sends what was written of a room to those who subscribe to it, or to those who send it on to them.
  private mutating func send(
    _ message: OutgoingMessage, _ counter: Counters.Name, in room: RoomName
  ) {
    for address in receivers(in: room) {
      context.counters.count(counter)
      context.send(message, to: address)
    }
  }
}

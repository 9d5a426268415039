import MeshCRDT
import MeshCrypto

/// A batch as it goes from one replica to another.
struct TestBatch: Hashable {
  let place: BatchPlace
  let changes: [RecordChange]
}

/// An origin that writes: what it says, and what it signs.
struct Author {
  private(set) var replica: OriginReplica
  private(set) var version: UInt64 = 0
  private(set) var sequence: UInt64 = 0
  private(set) var batches: [TestBatch] = []
  private(set) var checkpoints: [CheckpointFacts] = []
  /// The rooms that each checkpoint names.
  private(set) var changed: [[RoomName: UInt64]] = []

  init(counter: UInt64 = 1, nonce: UInt64 = 7, bounds: OriginBounds = OriginBounds()) {
    guard let incarnation = Incarnation(counter: counter, nonce: nonce) else {
      fatalError("counter")
    }
    replica = OriginReplica(incarnation: incarnation, hashKey: meshKey, bounds: bounds)
  }

  var incarnation: Incarnation { replica.incarnation }

  @discardableResult
  mutating func write(_ changes: [RecordChange], in room: RoomName) -> TestBatch {
    let log = replica.logs[room]
    let isEmpty = log?.tree.isEmpty ?? true
    guard
      let place = BatchPlace(
        incarnation: incarnation, room: room, previous: isEmpty ? 0 : log?.version ?? 0,
        first: version + 1, count: UInt64(changes.count))
    else { fatalError("place") }
    version += UInt64(changes.count)
    let batch = TestBatch(place: place, changes: changes)
    let outcome = replica.apply(place, changes)
    guard case .applied = outcome else { fatalError("an author's own batch is applied") }
    batches.append(batch)
    return batch
  }

  @discardableResult
  mutating func checkpoint() -> CheckpointFacts {
    sequence += 1
    let written = replica.written.map { room in
      (room, replica.logs[room].map { $0.tree.isEmpty ? 0 : $0.version } ?? 0)
    }
    changed.append(Dictionary(uniqueKeysWithValues: written))
    let facts = CheckpointFacts(
      incarnation: incarnation, sequence: sequence, version: version, root: replica.root(blake))
    let evaluation = replica.evaluate(facts, blake)
    guard evaluation == .complete else { fatalError("an author holds what it signs") }
    checkpoints.append(facts)
    return facts
  }

  /// Signs a checkpoint with the number of another author's.
  mutating func complete(_ facts: CheckpointFacts) -> Bool {
    replica.evaluate(facts, blake) == .complete
  }

  /// Opens, moves and ends sessions in some rooms.
  mutating func live(_ steps: Int, rooms: Int, _ random: inout SplitMix64) {
    for _ in 0..<steps {
      let room = random.below(3) == 0 ? RoomName.lobby : room("room \(random.below(rooms))")
      let changes = (0..<(1 + random.below(4))).map { _ in
        let session = SessionID(UInt64(random.below(60)), 1)
        let kind: RecordKind = room.isLobby ? .session : random.below(2) == 0 ? .presence : .cursor
        return RecordChange(
          EntryKey(kind, session), counter: random.next() % 1000,
          value: random.below(3) == 0 ? nil : random.bytes(random.below(70)))
      }
      write(changes, in: room)
      if random.below(9) == 0 { checkpoint() }
    }
  }
}

/// Everything that a replica shows of an origin.
func contents(_ replica: OriginReplica) -> [String: [UInt8]] {
  var result: [String: [UInt8]] = [:]
  for (room, log) in replica.logs {
    log.tree.visit { result["\(room.text)/\(Array($0))"] = Array($1) }
  }
  return result
}

/// Answers a fetch from a replica's complete checkpoint, and counts the bytes.
func fetchAll(
  _ fetch: inout OriginFetch, from source: OriginReplica, bytes: inout Int, stopAfter: Int = .max
) -> Bool {
  var answers = 0
  while !fetch.isDone {
    let wants = fetch.wants(atMost: 64)
    guard !wants.isEmpty else { return false }
    for want in wants {
      let content = source.completeContent(want.tree, want.path)
      bytes += content?.count ?? 0
      guard fetch.accept(want.tree, want.path, content, blake) == .progress else { return false }
      answers += 1
      if answers >= stopAfter { return true }
    }
  }
  return true
}

import MeshCRDT
import MeshWire
import Testing

/// Batches of one incarnation, in the order in which they come, and what is held after each.
struct LogVectors {
  private let name: String
  private var steps: [[String: Any]] = []
  private var replica: OriginReplica

  private init(_ name: String) throws {
    self.name = name
    let incarnation = try #require(Incarnation(counter: 1, nonce: 1))
    replica = OriginReplica(incarnation: incarnation, hashKey: BehaviourFile.hashKey)
  }

  static func session(_ number: Int) -> SessionID { SessionID(UInt64(number), 7) }

  static func presence(_ number: Int, counter: UInt64, data: Int = 0) -> RecordChange {
    RecordChange(
      EntryKey(.presence, session(number)), counter: counter,
      value: RecordValues.bytes(
        PresenceValue(
          enteredCounter: counter, status: nil, message: "m\(number)",
          data: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: data))))
  }

  static func tombstone(_ number: Int, counter: UInt64) -> RecordChange {
    RecordChange(EntryKey(.presence, session(number)), counter: counter, value: nil)
  }

  /// A batch comes.
  private mutating func batch(
    _ room: String, previous: UInt64, first: UInt64, _ changes: [RecordChange]
  ) throws {
    let name = try #require(RoomName(room))
    let place = try #require(
      BatchPlace(
        incarnation: replica.incarnation, room: name, previous: previous, first: first,
        count: UInt64(changes.count)))
    let outcome =
      switch replica.apply(place, changes) {
      case .applied: "applied"
      case .known: "known"
      case .gap: "waits"
      case .refused, .otherIncarnation: "refused"
      }
    note([
      "room": room, "previous": previous, "first": first, "outcome": outcome,
      "records": changes.map { change in
        var record: [String: Any] = ["key": hex(change.key.bytes), "counter": change.counter]
        record["value"] = change.value.map { hex($0) }
        return record
      } as [[String: Any]],
    ])
  }

  /// A checkpoint comes that signs a root.
  private mutating func checkpoint(
    _ sequence: UInt64, version: UInt64, root: Hash256
  ) {
    let facts = CheckpointFacts(
      incarnation: replica.incarnation, sequence: sequence, version: version, root: root)
    var step: [String: Any] = [
      "checkpoint": ["sequence": sequence, "version": version, "root": hex(root)]
        as [String: Any]
    ]
    switch replica.evaluate(facts, BehaviourFile.hash) {
    case .complete: step["outcome"] = "complete"
    case .overtaken: step["outcome"] = "overtaken"
    case .differs: step["outcome"] = "differs"
    case .otherIncarnation, .excessive: step["outcome"] = "refused"
    case .missing(let ranges):
      step["outcome"] = "missing"
      step["missing"] = ranges.map { [$0.versions.lowerBound, $0.versions.upperBound] }
    }
    note(step)
  }

  private mutating func revert() {
    _ = replica.revert()
    note(["hidden": true])
  }

  private mutating func note(_ step: [String: Any]) {
    var step = step
    step["root_after"] = hex(replica.root(BehaviourFile.hash))
    steps.append(step)
  }

  /// The root of what a whole replica of these batches would have.
  private mutating func root() -> Hash256 { replica.root(BehaviourFile.hash) }

  private var described: [String: Any] { ["name": name, "steps": steps] }

  static func cases() throws -> [Any] {
    var result: [Any] = []
    func add(_ name: String, _ body: (inout LogVectors) throws -> Void) throws {
      var one = try LogVectors(name)
      try body(&one)
      result.append(one.described)
    }
    try add("batches in order, a record written again, one removed, a checkpoint") {
      try $0.batch("a", previous: 0, first: 1, [presence(1, counter: 1), presence(2, counter: 1)])
      try $0.batch("b", previous: 0, first: 3, [presence(1, counter: 2)])
      try $0.batch("a", previous: 2, first: 4, [presence(1, counter: 5), tombstone(2, counter: 2)])
      $0.checkpoint(1, version: 5, root: $0.root())
      try $0.batch("a", previous: 5, first: 6, [presence(3, counter: 1)])
      $0.checkpoint(1, version: 5, root: .empty)
      $0.revert()
    }
    try add("a batch with a gap before it waits; a known one is not applied again") {
      try $0.batch("a", previous: 0, first: 1, [presence(1, counter: 1)])
      try $0.batch("a", previous: 3, first: 4, [presence(2, counter: 1)])
      $0.checkpoint(1, version: 4, root: .empty)
      try $0.batch("a", previous: 1, first: 2, [presence(3, counter: 1), tombstone(1, counter: 2)])
      try $0.batch("a", previous: 3, first: 4, [presence(2, counter: 1)])
      try $0.batch("a", previous: 0, first: 1, [presence(1, counter: 1)])
      $0.checkpoint(2, version: 4, root: $0.root())
    }
    try add("a log that became empty begins anew, with previous 0") {
      try $0.batch("a", previous: 0, first: 1, [presence(1, counter: 1)])
      try $0.batch("a", previous: 1, first: 2, [tombstone(1, counter: 2)])
      try $0.batch("b", previous: 0, first: 3, [presence(1, counter: 3)])
      try $0.batch("a", previous: 0, first: 4, [presence(4, counter: 1)])
      try $0.batch("a", previous: 1, first: 2, [tombstone(1, counter: 2)])
      $0.checkpoint(1, version: 4, root: $0.root())
    }
    try add(
      "a batch that begins a log anew drops what is there, also when what was before it is missing"
    ) {
      try $0.batch("a", previous: 0, first: 1, [presence(1, counter: 1), presence(2, counter: 1)])
      try $0.batch("a", previous: 0, first: 7, [presence(3, counter: 1)])
      try $0.batch("a", previous: 2, first: 3, [tombstone(1, counter: 2)])
      $0.checkpoint(1, version: 7, root: .empty)
    }
    try add("another root at the same version differs") {
      try $0.batch("a", previous: 0, first: 1, [presence(1, counter: 1)])
      $0.checkpoint(1, version: 1, root: Hash256(Hash128(1, 2), Hash128(3, 4)))
      $0.checkpoint(2, version: 0, root: .empty)
    }
    try add("more than a bucket holds: records of 40 sessions") {
      for number in 0..<40 {
        try $0.batch(
          "big", previous: UInt64(number), first: UInt64(number + 1),
          [presence(number, counter: 1, data: 60)])
      }
      for number in 0..<36 {
        try $0.batch(
          "big", previous: UInt64(40 + number), first: UInt64(41 + number),
          [tombstone(number, counter: 2)])
      }
      $0.checkpoint(1, version: 76, root: $0.root())
    }
    return result
  }
}

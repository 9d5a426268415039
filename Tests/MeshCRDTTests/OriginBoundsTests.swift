import MeshCRDT
import MeshCrypto
import Testing

@Suite("What one origin may have")
struct OriginBoundsTests {
  /// Bounds so low that a few records reach them, one kind at a time.
  enum Kind: CaseIterable { case sessions, rooms, removals, records, bytes }

  private func bounds(_ kind: Kind) -> OriginBounds {
    var bounds = OriginBounds()
    switch kind {
    case .sessions: bounds.sessions = 6
    case .rooms: bounds.rooms = 6
    case .removals: bounds.removals = 6
    case .records: bounds.records = 6
    case .bytes: bounds.bytes = 6 * 27
    }
    return bounds
  }

  private func change(_ kind: Kind, _ number: Int, isThere: Bool = true) -> (
    RecordChange, RoomName
  ) {
    let session = SessionID(UInt64(number), 1)
    let key =
      switch kind {
      case .sessions, .bytes: EntryKey(.session, session)
      case .removals: EntryKey(.removal, session, room: .lobby)
      case .rooms, .records: EntryKey(.presence, session)
      }
    let change = RecordChange(
      key, counter: 1, value: isThere ? [UInt8](repeating: 1, count: 10) : nil)
    return (change, kind == .rooms ? room("room \(number)") : .lobby)
  }

  /// An origin that says more than it may for a while.
  private func author(_ kind: Kind, peak: Int, rest: Int) -> (Author, [CheckpointFacts]) {
    var author = Author()
    var checkpoints: [CheckpointFacts] = []
    for number in 0..<4 {
      let (change, room) = change(kind, number)
      author.write([change], in: kind == .records ? .lobby : room)
    }
    checkpoints.append(author.checkpoint())
    for number in 4..<peak {
      let (change, room) = change(kind, number)
      author.write([change], in: room)
    }
    checkpoints.append(author.checkpoint())
    for number in rest..<peak {
      let (change, room) = change(kind, number, isThere: false)
      author.write([change], in: room)
    }
    checkpoints.append(author.checkpoint())
    return (author, checkpoints)
  }

  /// Takes in what an author signed, batches in some order, and fetches what it then lacks.
  private func reader(
    _ author: Author, _ checkpoints: [CheckpointFacts], _ bounds: OriginBounds, seed: UInt64
  ) -> OriginReplica {
    var random = SplitMix64(seed: seed)
    var replica = OriginReplica(
      incarnation: author.incarnation, hashKey: meshKey, bounds: bounds)
    var waiting = author.batches
    if random.below(3) == 0 { waiting.shuffle(using: &random) }
    for checkpoint in checkpoints {
      let (due, later) = (
        waiting.filter { $0.place.versions.upperBound <= checkpoint.version },
        waiting.filter { $0.place.versions.upperBound > checkpoint.version }
      )
      waiting = later
      if random.below(4) == 0 { continue }
      for _ in 0..<3 { for batch in due { _ = replica.apply(batch.place, batch.changes) } }
      switch replica.evaluate(checkpoint, blake) {
      case .missing, .differs:
        // Whoever it is fetched of holds it whatever it is: the origin itself.
        var source = Author()
        source.replay(author.batches.filter { $0.place.versions.upperBound <= checkpoint.version })
        source.checkpoint(as: checkpoint)
        var fetch = OriginFetch(checkpoint, from: &replica, blake)
        var bytes = 0
        _ = fetchAll(&fetch, from: source.replica, bytes: &bytes)
        let fetched = fetch.result.flatMap { replica.adopt($0) }
        if fetched == nil { _ = replica.revert() }
      case .excessive: _ = replica.revert()
      case .complete, .overtaken, .otherIncarnation: break
      }
    }
    _ = replica.revert()
    return replica
  }

  @Test(
    "A checkpoint of more than an origin may have is complete nowhere, in whatever order it came",
    arguments: Kind.allCases)
  func excessive(kind: Kind) {
    let (author, checkpoints) = author(kind, peak: 7, rest: 7)
    for seed: UInt64 in 0..<60 {
      let replica = reader(author, Array(checkpoints.prefix(2)), bounds(kind), seed: seed)
      #expect(replica.complete != checkpoints[1], "seed \(seed)")
      #expect(replica.usage.records <= 4)
    }
  }

  @Test(
    "Once an origin has no more than it may, all have the same, whatever it had in between",
    arguments: Kind.allCases, [7, 40])
  func recovers(kind: Kind, peak: Int) {
    let (author, checkpoints) = author(kind, peak: peak, rest: 5)
    var complete: Set<CheckpointFacts?> = []
    for seed: UInt64 in 0..<60 where seed % 4 != 0 || peak == 7 {
      let replica = reader(author, checkpoints, bounds(kind), seed: seed)
      guard replica.complete?.sequence == 3 else { continue }
      complete.insert(replica.complete)
      let isEqual = contents(replica) == contents(author.replica)
      #expect(isEqual, "seed \(seed)")
      let total = contents(replica).count
      #expect(replica.usage.records == total)
    }
    #expect(complete == [checkpoints[2]])
  }

  @Test("However much an origin sends, no more than twice of what it may have is kept of it")
  func memory() {
    for kind in Kind.allCases {
      var author = Author()
      for number in 0..<100 {
        let (change, room) = change(kind, number)
        author.write([change], in: room)
      }
      var replica = OriginReplica(
        incarnation: author.incarnation, hashKey: meshKey, bounds: bounds(kind))
      var refused = 0
      for batch in author.batches {
        if case .refused = replica.apply(batch.place, batch.changes) { refused += 1 }
      }
      #expect(refused > 0)
      #expect(replica.usage.records <= 13)
      // Nor by a fetch.
      let checkpoint = author.checkpoint()
      var fetch = OriginFetch(checkpoint, from: &replica, blake)
      var bytes = 0
      _ = fetchAll(&fetch, from: author.replica, bytes: &bytes)
      let adopted = fetch.result.flatMap { replica.adopt($0) }
      #expect(adopted == nil)
      #expect(bytes < 30_000)
    }
  }
}

extension Author {
  fileprivate mutating func replay(_ batches: [TestBatch]) {
    for batch in batches { write(batch.changes, in: batch.place.room) }
  }

  fileprivate mutating func checkpoint(as facts: CheckpointFacts) { _ = complete(facts) }
}

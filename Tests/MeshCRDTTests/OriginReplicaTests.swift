import MeshCRDT
import MeshCrypto
import Testing

@Suite("What is held of one origin")
struct OriginReplicaTests {
  /// Applies batches until none goes in any more.
  private func applyAll(_ batches: [TestBatch], to replica: inout OriginReplica) {
    var waiting = batches
    var isProgress = true
    while isProgress {
      isProgress = false
      waiting = waiting.filter { batch in
        switch replica.apply(batch.place, batch.changes) {
        case .applied, .known:
          isProgress = true
          return false
        case .gap, .refused, .otherIncarnation: return true
        }
      }
    }
    #expect(waiting.isEmpty)
  }

  @Test("Batches in any order, doubled, lead to what the origin has", arguments: 1...60)
  func anyOrder(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var author = Author()
    author.live(80, rooms: 5, &random)
    let checkpoint = author.checkpoint()
    var replica = OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    var batches = author.batches + author.batches.filter { _ in random.below(3) == 0 }
    batches.shuffle(using: &random)
    applyAll(batches, to: &replica)
    let isEqual = contents(replica) == contents(author.replica)
    #expect(isEqual)
    let evaluation = replica.evaluate(checkpoint, blake)
    #expect(evaluation == .complete)
    #expect(replica.applied == author.replica.applied)
  }

  @Test(
    "Where a batch is missing the checkpoint names its versions, and no later one of its room is applied"
  )
  func gaps() throws {
    var author = Author()
    let design = room("design")
    func change(_ session: UInt64) -> [RecordChange] {
      [RecordChange(EntryKey(.presence, SessionID(session, 1)), counter: 1, value: [1])]
    }
    let first = author.write(change(1), in: design)
    let second = author.write(change(2), in: design)
    let third = author.write(change(3), in: design)
    let other = author.write(change(3), in: room("other"))
    let checkpoint = author.checkpoint()
    var replica = OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    let outcomes = [first, third, other].map { replica.apply($0.place, $0.changes) }
    guard case .applied = outcomes[0], outcomes[1] == .gap, case .applied = outcomes[2] else {
      Issue.record("\(outcomes)")
      return
    }
    var evaluation = replica.evaluate(checkpoint, blake)
    #expect(evaluation == .missing([.init(2...3)]))
    for batch in [second, third] { _ = replica.apply(batch.place, batch.changes) }
    evaluation = replica.evaluate(checkpoint, blake)
    #expect(evaluation == .complete)
  }

  @Test("Who applied later versions already waits for a later checkpoint")
  func overtaken() {
    var random = SplitMix64(seed: 3)
    var author = Author()
    author.live(10, rooms: 2, &random)
    let early = author.checkpoint()
    author.live(10, rooms: 2, &random)
    let late = author.checkpoint()
    var replica = OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    applyAll(author.batches, to: &replica)
    let evaluations = [early, late, early].map { replica.evaluate($0, blake) }
    #expect(evaluations == [.overtaken, .complete, .overtaken])
  }

  @Test("A room that was emptied begins anew, also for who missed its end")
  func roomsBeginAnew() {
    var author = Author()
    let design = room("design")
    let key = EntryKey(.presence, SessionID(1, 1))
    let first = author.write([RecordChange(key, counter: 1, value: [1])], in: design)
    let end = author.write([RecordChange(key, counter: 2, value: nil)], in: design)
    let again = author.write(
      [RecordChange(EntryKey(.presence, SessionID(2, 1)), counter: 3, value: [2])], in: design)
    #expect(again.place.previous == 0)
    let checkpoint = author.checkpoint()
    for order in [
      [first, again, end], [again, first, end], [again, end, first], [first, end, again],
    ] {
      var replica = OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
      applyAll(order, to: &replica)
      let isEqual = contents(replica) == contents(author.replica)
      #expect(isEqual)
      let evaluation = replica.evaluate(checkpoint, blake)
      #expect(evaluation == .complete)
    }
  }

  @Test("Rooms that come and go leave nothing behind")
  func noTrace() {
    var author = Author()
    for index in 0..<500 {
      let key = EntryKey(.presence, SessionID(1, 1))
      author.write([RecordChange(key, counter: 1, value: [1])], in: room("r\(index)"))
      author.write([RecordChange(key, counter: 2, value: nil)], in: room("r\(index)"))
      if index % 50 == 49 { author.checkpoint() }
    }
    #expect(author.replica.logs.isEmpty)
    #expect(author.checkpoints.last?.root == .empty)
  }

  @Test(
    "Going back leaves exactly the complete checkpoint, and says what changed", arguments: 1...20)
  func revert(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var author = Author()
    author.live(40, rooms: 4, &random)
    author.checkpoint()
    let before = author.replica
    let known = contents(before)
    author.live(15, rooms: 4, &random)
    // No checkpoint since: the author drew one now and then, so that only the last part counts.
    let complete = author.checkpoints.last
    var replica = author.replica
    let changes = replica.revert()
    #expect(replica.complete == complete)
    #expect(replica.isAtCheckpoint)
    if complete == before.complete { #expect(contents(replica) == known) }
    var told = contents(author.replica)
    for change in changes {
      told["\(change.room.text)/\(change.key.bytes)"] = change.new?.bytes
    }
    #expect(told == contents(replica))
    var twin = replica
    let root = twin.root(blake)
    #expect(root == complete?.root)
  }

  @Test("A root that is not that of the batches is seen")
  func differs() {
    var random = SplitMix64(seed: 8)
    var author = Author()
    author.live(10, rooms: 2, &random)
    var replica = OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    applyAll(author.batches, to: &replica)
    let lie = CheckpointFacts(
      incarnation: author.incarnation, sequence: 99, version: author.version,
      root: blake.hash256([1, 2, 3]))
    let evaluation = replica.evaluate(lie, blake)
    #expect(evaluation == .differs)
    #expect(replica.complete == nil)
  }

  @Test("Bounds refuse a batch whole")
  func bounds() throws {
    let author = Author()
    var replica = OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    let change = [RecordChange(EntryKey(.presence, SessionID(1, 1)), counter: 1, value: [1])]
    // Each third version, so that no ranges join.
    for index in 0..<UInt64(VersionSet.rangeBound) {
      let place = try #require(
        BatchPlace(
          incarnation: author.incarnation, room: room("r\(index)"), previous: 0,
          first: 3 * index + 2, count: 1))
      _ = replica.apply(place, change)
    }
    let place = try #require(
      BatchPlace(
        incarnation: author.incarnation, room: room("more"), previous: 0, first: 10_000, count: 1))
    let outcome = replica.apply(place, change)
    #expect(outcome == .refused)
    #expect(replica.logs[room("more")] == nil)
  }
}

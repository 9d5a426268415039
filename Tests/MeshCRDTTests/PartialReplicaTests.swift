import MeshCrypto
import Testing

@testable import MeshCRDT

/// The contents of some rooms, the lobby among them.
private func contents(
  _ replica: OriginReplica, of scope: RoomScope
) -> [String: [UInt8]] {
  contents(replica).filter { entry in
    let name = entry.key.prefix { $0 != "/" }
    return RoomName(String(name)).map(scope.contains) ?? true
  }
}

@Suite("Replicas of some rooms")
struct PartialReplicaTests {
  private func scope(_ rooms: RoomName...) -> RoomScope { RoomScope(Set(rooms), hashKey: meshKey) }

  private func partial(_ author: Author, _ scope: RoomScope) -> OriginReplica {
    OriginReplica(incarnation: author.incarnation, hashKey: meshKey, scope: scope)
  }

  /// Fetches a checkpoint, and takes it over.
  @discardableResult
  private func fetch(
    _ replica: inout OriginReplica, from author: Author
  ) throws -> (changes: [AppliedChange], bytes: Int) {
    var bytes = 0
    let target = try #require(author.checkpoints.last)
    var fetch = OriginFetch(target, from: &replica, blake)
    while !fetch.isDone {
      let wants = fetch.wants(atMost: 64)
      try #require(!wants.isEmpty)
      for want in wants {
        let content = author.replica.completeContent(want.tree, want.path)
        bytes += content?.count ?? 0
        let outcome = fetch.accept(want.tree, want.path, content, blake)
        try #require(outcome != .wrong)
        // Whoever is asked for a node that the asker says it has answers nothing.
        let hash = content.map { blake.hash128($0) }
        #expect(outcome != .progress || want.held != hash)
      }
    }
    let fetched = try #require(fetch.result)
    let changes = replica.adopt(fetched)
    return (try #require(changes), bytes)
  }

  @Test("A fetch brings the rooms that are held, and the nodes on the way to them alone")
  func fetchOfSome() throws {
    var author = Author()
    for index in 0..<500 {
      author.write(
        [RecordChange(EntryKey(.presence, SessionID(1, 1)), counter: 1, value: [1, 2, 3])],
        in: room("room \(index)"))
    }
    author.checkpoint()
    var whole = OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    let all = try fetch(&whole, from: author).bytes
    let scope = scope(room("room 7"), room("room 99"), room("nobody is here"))
    var replica = partial(author, scope)
    let some = try fetch(&replica, from: author).bytes
    #expect(contents(replica) == contents(author.replica, of: scope))
    #expect(Set(replica.logs.keys) == [room("room 7"), room("room 99")])
    #expect(replica.complete == author.checkpoints.last && replica.isProven)
    #expect(some < all / 8, "\(some) of \(all) bytes")
    // Nodes of other rooms that somebody sends along are not taken in.
    var other = partial(author, scope)
    var fetch = OriginFetch(try #require(author.checkpoints.last), from: &other, blake)
    let top = fetch.accept(
      .rooms, .top, author.replica.completeContent(.rooms, .top), blake)
    #expect(top == .progress)
    for digit in 0..<16 {
      let path = TreePath.top.child(digit)
      let outcome = fetch.accept(
        .rooms, path, author.replica.completeContent(.rooms, path), blake)
      #expect(outcome == (scope.reaches(path) ? .progress : .notWanted))
    }
    let records = fetch.accept(
      .records(room("room 1")), .top,
      author.replica.completeContent(.records(room("room 1")), .top), blake)
    #expect(records == .notWanted)
  }

  @Test(
    "Whatever batches and checkpoints come, a complete checkpoint has what the origin said in the rooms",
    arguments: 1...40 as ClosedRange<UInt64>)
  func followsLikeTheOrigin(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var author = Author()
    let scope = scope(room("room 1"), room("room 4"))
    var replica = partial(author, scope)
    var (completed, fetched, chained) = (0, 0, 0)
    for _ in 0..<80 {
      let first = author.batches.count
      author.live(1 + random.below(4), rooms: 6, &random)
      var sent = Array(author.batches[first...])
      if random.below(3) == 0 { sent.reverse() }
      let lost = random.below(4) == 0 ? random.below(sent.count) : -1
      for (index, batch) in sent.enumerated() where index != lost {
        // A batch that comes too early waits in the engine; here it is lost.
        _ = replica.apply(batch.place, batch.changes)
        if random.below(5) == 0 { _ = replica.apply(batch.place, batch.changes) }
      }
      let checkpoint = author.checkpoint()
      if random.below(8) == 0 { continue }
      let names = random.below(8) != 0
      replica.follow(checkpoint, changed: names ? author.changed.last : nil)
      var evaluation = replica.evaluate(checkpoint, blake)
      if case .missing(let gaps) = evaluation, random.below(2) == 0 {
        for gap in gaps {
          #expect(gap.room.map(scope.contains) == true)
          for batch in author.batches
          where batch.place.room == gap.room && batch.place.versions.overlaps(gap.versions) {
            _ = replica.apply(batch.place, batch.changes)
          }
        }
        evaluation = replica.evaluate(checkpoint, blake)
        #expect(evaluation == .complete)
      }
      if evaluation == .complete {
        chained += 1
      } else if random.below(3) > 0 {
        try fetch(&replica, from: author)
        fetched += 1
      } else {
        continue
      }
      completed += 1
      try #require(replica.complete == checkpoint)
      #expect(contents(replica) == contents(author.replica, of: scope))
      for name in ["room 1", "room 4"] {
        #expect(
          replica.completeEntry(room(name), blake)
            == author.replica.completeEntry(room(name), blake))
      }
      if replica.isProven {
        let top = replica.completeTree(.rooms)?.content(at: .top)
        #expect(top.map { blake.hash256($0) } ?? .empty == checkpoint.root)
      }
    }
    #expect(completed > 30 && fetched > 3 && chained > 10, "\(completed) \(fetched) \(chained)")
  }

  @Test("Where only rooms that are held change, the root is verified without a fetch")
  func proofGoesOn() throws {
    var random = SplitMix64(seed: 5)
    var author = Author()
    author.live(60, rooms: 12, &random)
    author.checkpoint()
    var replica = partial(author, scope(room("room 1"), room("room 2")))
    try fetch(&replica, from: author)
    func write(_ name: String) -> (CheckpointFacts, OriginReplica.Evaluation) {
      let batch = author.write(
        [RecordChange(EntryKey(.presence, SessionID(9, 9)), counter: 1, value: [7])],
        in: room(name))
      _ = replica.apply(batch.place, batch.changes)
      let checkpoint = author.checkpoint()
      replica.follow(checkpoint, changed: author.changed.last)
      return (checkpoint, replica.evaluate(checkpoint, blake))
    }
    let one = write("room 1")
    #expect(one.1 == .complete && replica.isProven)
    let other = write("room 5")
    #expect(other.1 == .complete && !replica.isProven && replica.complete == other.0)
    // The nodes that are held are not asked for again.
    let bytes = try fetchAgain(&replica, author)
    #expect(bytes < 1900 && replica.isProven, "\(bytes) bytes")
  }

  private func fetchAgain(_ replica: inout OriginReplica, _ author: Author) throws -> Int {
    try fetch(&replica, from: author).bytes
  }

  @Test(
    "Rooms that are not wanted any more go at once, new ones need a fetch unless they are empty")
  func otherRooms() throws {
    var random = SplitMix64(seed: 8)
    var author = Author()
    author.live(400, rooms: 60, &random)
    author.checkpoint()
    var replica = OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    try fetch(&replica, from: author)
    let before = contents(replica)
    let one = scope(room("room 1"))
    let changes = replica.setScope(one, blake)
    let gone = before.count - contents(author.replica, of: one).count
    #expect(changes.count == gone && changes.allSatisfy { $0.new == nil && !one.contains($0.room) })
    #expect(contents(replica) == contents(author.replica, of: one))
    #expect(replica.complete == author.checkpoints.last)
    // It is proven that nobody is there.
    _ = replica.setScope(scope(room("room 1"), room("elsewhere")), blake)
    #expect(replica.complete == nil || replica.isProven)
    let two = scope(room("room 1"), room("room 3"))
    _ = replica.setScope(two, blake)
    let checkpoint = try #require(author.checkpoints.last)
    #expect(replica.complete == nil)
    let evaluation = replica.evaluate(checkpoint, blake)
    #expect(evaluation == .differs)
    try fetch(&replica, from: author)
    #expect(contents(replica) == contents(author.replica, of: two))
    _ = replica.setScope(.all, blake)
    #expect(replica.complete == nil)
    try fetch(&replica, from: author)
    #expect(contents(replica) == before && replica.complete == checkpoint)
    let batch = author.write(
      [RecordChange(EntryKey(.presence, SessionID(9, 9)), counter: 1, value: [7])],
      in: room("room 2"))
    _ = replica.apply(batch.place, batch.changes)
    let next = replica.evaluate(author.checkpoint(), blake)
    #expect(next == .complete)
  }

  @Test("A hidden origin goes back to its complete checkpoint, and the next one may follow")
  func revert() throws {
    var random = SplitMix64(seed: 9)
    var author = Author()
    author.live(50, rooms: 5, &random)
    author.checkpoint()
    let scope = scope(room("alone"))
    var replica = partial(author, scope)
    try fetch(&replica, from: author)
    let before = contents(replica)
    let batch = author.write(
      [RecordChange(EntryKey(.presence, SessionID(9, 9)), counter: 1, value: [7])],
      in: room("alone"))
    _ = replica.apply(batch.place, batch.changes)
    #expect(contents(replica) != before)
    _ = replica.revert()
    #expect(contents(replica) == before)
    let outcome = replica.apply(batch.place, batch.changes)
    guard case .applied = outcome else {
      Issue.record("the batch is applied again")
      return
    }
    let checkpoint = author.checkpoint()
    replica.follow(checkpoint, changed: author.changed.last)
    let evaluation = replica.evaluate(checkpoint, blake)
    #expect(evaluation == .complete)
    // A batch that is in a complete checkpoint is not applied again, also in a room that is empty by now.
    let end = author.write(
      [RecordChange(EntryKey(.presence, SessionID(9, 9)), counter: 2, value: nil)],
      in: room("alone"))
    _ = replica.apply(end.place, end.changes)
    let last = author.checkpoint()
    replica.follow(last, changed: author.changed.last)
    let complete = replica.evaluate(last, blake)
    #expect(complete == .complete)
    let again = replica.apply(batch.place, batch.changes)
    #expect(again == .known)
  }
}

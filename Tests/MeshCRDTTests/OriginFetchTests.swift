import MeshCRDT
import MeshCrypto
import Testing

@Suite("Fetching an origin")
struct OriginFetchTests {
  @Test("Who has nothing gets everything of a checkpoint", arguments: [1, 3, 40, 700])
  func fromNothing(rooms: Int) throws {
    var random = SplitMix64(seed: 11)
    var author = Author()
    author.live(rooms * 4, rooms: rooms, &random)
    let checkpoint = author.checkpoint()
    var replica = OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    var fetch = OriginFetch(checkpoint, from: &replica, blake)
    var bytes = 0
    let isThere = fetchAll(&fetch, from: author.replica, bytes: &bytes)
    #expect(isThere)
    let result = fetch.result
    let fetched = try #require(result)
    let adopted = replica.adopt(fetched)
    let changes = try #require(adopted)
    let isEqual = contents(replica) == contents(author.replica)
    #expect(isEqual)
    #expect(changes.count == replica.recordCount)
    #expect(replica.complete == checkpoint)
    #expect(replica.recordCount == author.replica.recordCount)
    // It goes on from there like anybody else.
    let batch = author.write(
      [RecordChange(EntryKey(.session, SessionID(9, 9)), counter: 1, value: [5])], in: .lobby)
    let next = author.checkpoint()
    _ = replica.apply(batch.place, batch.changes)
    let evaluation = replica.evaluate(next, blake)
    #expect(evaluation == .complete)
  }

  @Test("An empty origin needs no node")
  func emptyOrigin() throws {
    var author = Author()
    let checkpoint = author.checkpoint()
    var replica = OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    let fetch = OriginFetch(checkpoint, from: &replica, blake)
    let result = fetch.result
    _ = replica.adopt(try #require(result))
    #expect(replica.complete == checkpoint)
  }

  @Test("What changed while two were apart costs about what changed", arguments: 1...10)
  func afterACut(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var author = Author()
    // 1,000 rooms, of which 100 change.
    for index in 0..<1000 {
      author.write(
        [
          RecordChange(
            EntryKey(.presence, SessionID(UInt64(index), 1)), counter: 1, value: random.bytes(30))
        ],
        in: room("room \(index)"))
    }
    author.checkpoint()
    var replica = author.replica
    for index in 0..<100 {
      author.write(
        [
          RecordChange(
            EntryKey(.presence, SessionID(5, UInt64(index))), counter: 1, value: random.bytes(30))
        ],
        in: room("room \(index * 10)"))
    }
    let checkpoint = author.checkpoint()
    var fetch = OriginFetch(checkpoint, from: &replica, blake)
    var bytes = 0
    let isThere = fetchAll(&fetch, from: author.replica, bytes: &bytes)
    #expect(isThere)
    let result = fetch.result
    let fetched = try #require(result)
    let adopted = replica.adopt(fetched)
    let changes = try #require(adopted)
    #expect(changes.count == 100)
    let isEqual = contents(replica) == contents(author.replica)
    #expect(isEqual)
    var (everything, nothing) = (
      0, OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    )
    var whole = OriginFetch(checkpoint, from: &nothing, blake)
    _ = fetchAll(&whole, from: author.replica, bytes: &everything)
    #expect(bytes < everything / 2, "\(bytes) of \(everything) bytes")
  }

  @Test(
    "While the origin writes on, a fetch goes over to the later checkpoint and keeps what is equal",
    arguments: 1...20)
  func movingTarget(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var author = Author()
    author.live(900, rooms: 60, &random)
    author.checkpoint()
    var replica = OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    var fetch = OriginFetch(author.checkpoint(), from: &replica, blake)
    var (bytes, rounds) = (0, 0)
    while !fetch.isDone && rounds < 200 {
      rounds += 1
      let isSound = fetchAll(&fetch, from: author.replica, bytes: &bytes, stopAfter: 40)
      #expect(isSound)
      guard !fetch.isDone else { break }
      author.live(2, rooms: 60, &random)
      fetch.retarget(author.checkpoint(), blake)
    }
    let result = fetch.result
    _ = replica.adopt(try #require(result))
    let isEqual = contents(replica) == contents(author.replica)
    #expect(isEqual)
    let root = replica.root(blake)
    #expect(root == author.checkpoints.last?.root)
  }

  @Test(
    "A fetch that ends late puts no room back, and the next checkpoint is complete all the same")
  func laterWordsStay() throws {
    var author = Author()
    func write(_ value: UInt8, _ name: String) -> TestBatch {
      author.write(
        [
          RecordChange(EntryKey(.presence, SessionID(1, 1)), counter: UInt64(value), value: [value])
        ],
        in: room(name))
    }
    var replica = OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    _ = write(1, "lost")
    var batches = [write(1, "kept"), write(1, "emptied")]
    let early = author.checkpoint()
    let source = author.replica
    batches.append(write(2, "kept"))
    batches.append(
      author.write(
        [RecordChange(EntryKey(.presence, SessionID(1, 1)), counter: 2, value: nil)],
        in: room("emptied")))
    for batch in batches { _ = replica.apply(batch.place, batch.changes) }
    var fetch = OriginFetch(early, from: &replica, blake)
    var bytes = 0
    _ = fetchAll(&fetch, from: source, bytes: &bytes)
    let result = fetch.result
    let adopted = replica.adopt(try #require(result))
    let changes = try #require(adopted)
    // Only what was lost changes on the screen.
    #expect(changes.map(\.room) == [room("lost")])
    let key = EntryKey(.presence, SessionID(1, 1))
    #expect(replica.record(key, in: room("kept"))?.counter == 2)
    #expect(replica.record(key, in: room("emptied")) == nil)
    #expect(replica.complete == early)
    let last = author.checkpoint()
    let evaluation = replica.evaluate(last, blake)
    #expect(evaluation == .complete)
    // And what is above the checkpoint goes when the origin is hidden.
    var second = OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    for batch in batches { _ = second.apply(batch.place, batch.changes) }
    _ = second.adopt(try #require(result))
    _ = second.revert()
    #expect(contents(second) == contents(source))
  }

  @Test("Nodes that come before those above them need not come again", arguments: 1...10)
  func anyOrder(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var author = Author()
    author.live(400, rooms: 40, &random)
    let checkpoint = author.checkpoint()
    var (first, second) = (
      OriginReplica(incarnation: author.incarnation, hashKey: meshKey),
      OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    )
    var nodes: [(OriginFetch.Tree, TreePath, [UInt8])] = []
    var fetch = OriginFetch(checkpoint, from: &first, blake)
    while !fetch.isDone {
      for want in fetch.wants(atMost: 64) {
        let content = try #require(author.replica.completeContent(want.tree, want.path))
        _ = fetch.accept(want.tree, want.path, content, blake)
        nodes.append((want.tree, want.path, content))
      }
    }
    nodes.shuffle(using: &random)
    fetch = OriginFetch(checkpoint, from: &second, blake)
    for node in nodes {
      let outcome = fetch.accept(node.0, node.1, node.2, blake)
      #expect(outcome != .wrong)
    }
    let isDone = fetch.isDone
    #expect(isDone)
  }

  @Test("Nodes of another checkpoint, of another place, or made up are wrong")
  func liars() throws {
    var random = SplitMix64(seed: 12)
    var author = Author()
    author.live(300, rooms: 30, &random)
    let old = author.replica
    author.live(30, rooms: 30, &random)
    let checkpoint = author.checkpoint()
    var replica = OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    var fetch = OriginFetch(checkpoint, from: &replica, blake)
    #expect(fetch.accept(.rooms, .top, old.completeContent(.rooms, .top), blake) == .wrong)
    #expect(fetch.accept(.rooms, .top, nil, blake) == .wrong)
    #expect(fetch.accept(.records(.lobby), .top, [0], blake) == .notWanted)
    #expect(
      fetch.accept(.rooms, .top, author.replica.completeContent(.rooms, .top), blake) == .progress)
    let want = try #require(fetch.wants(atMost: 1).first)
    let content = try #require(author.replica.completeContent(want.tree, want.path))
    #expect(fetch.accept(want.tree, want.path, nil, blake) == .wrong)
    #expect(fetch.accept(want.tree, want.path, content + [0], blake) == .wrong)
    #expect(fetch.accept(want.tree, want.path, content, blake) == .progress)
    var bytes = 0
    let isThere = fetchAll(&fetch, from: author.replica, bytes: &bytes)
    #expect(isThere)
  }

  @Test("Records that no batch brings into a room are not taken in, though they are signed")
  func unsoundRecords() throws {
    var author = Author()
    author.write(
      [RecordChange(EntryKey(.session, SessionID(1, 1)), counter: 1, value: [1])],
      in: room("design"))
    let checkpoint = author.checkpoint()
    var replica = OriginReplica(incarnation: author.incarnation, hashKey: meshKey)
    var fetch = OriginFetch(checkpoint, from: &replica, blake)
    let rooms = author.replica.completeContent(.rooms, .top)
    let records = author.replica.completeContent(.records(room("design")), .top)
    let outcomes = [
      fetch.accept(.rooms, .top, rooms, blake),
      fetch.accept(.records(room("design")), .top, records, blake),
    ]
    #expect(outcomes == [.progress, .notWanted])
    #expect(!fetch.isDone)
  }
}

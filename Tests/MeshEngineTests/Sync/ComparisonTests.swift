import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Comparisons")
struct ComparisonTests {
  private var context: EngineContext
  private var comparison = Comparison()
  private let peers = (1...4).map { PeerAddress(ipv4: 0x0A00_0000 | UInt32($0), port: 7000) }

  init() throws {
    let configuration = EngineConfiguration(
      mesh: try #require(MeshID(bytes: [UInt8](repeating: 7, count: 16))),
      incarnation: try #require(Incarnation(counter: 1, nonce: 1)), seed: (1, 2, 3, 4))
    context = EngineContext(
      configuration: configuration, crypto: TestCrypto(secret: 1), treeHash: TestTreeHash(),
      now: MonotonicTime(nanoseconds: 1_000_000_000))
  }

  private func origin(_ number: UInt64) -> OriginID { OriginID(number, 1, 1, 1) }

  private func position(_ sequence: UInt64 = 5) throws -> Checkpoint.Position {
    .init(incarnation: try #require(Incarnation(counter: 3, nonce: 9)), sequence: sequence)
  }

  private mutating func want(_ number: UInt64, from address: PeerAddress) throws {
    var source = EmptySource()
    _ = comparison.want(
      origin(number), try position(), from: address, timeout: .milliseconds(400),
      first: [OriginFetch.Want(tree: .rooms, path: .top, held: .empty)],
      newest: nil, &source, &context)
  }

  /// The requests that went out since the last call, with where they went.
  private mutating func requests() throws -> [(address: PeerAddress, request: CompareRequest)] {
    var result: [(address: PeerAddress, request: CompareRequest)] = []
    while let departure = context.nextDeparture() {
      for bytes in departure.messages {
        var reader = MessageReader(bytes)
        guard case .compare(let request) = try reader.next(), let address = departure.address
        else { continue }
        result.append((address, request))
      }
    }
    return result
  }

  @Test("Origins beyond a peer's share wait, and begin when others are done")
  mutating func sharesOfPeers() throws {
    for number in 0..<100 as Range<UInt64> { try want(number, from: peers[0]) }
    let begun = try requests().count
    #expect(begun == EngineLimits.fetchesPerPeer)
    // Nobody else can begin: that is found out, and not tried without end.
    let none = comparison.nextWaiting()
    #expect(none == nil)
    try want(1000, from: peers[1])
    let asked = try requests().map(\.address)
    #expect(asked == [peers[1]])
    comparison.complete(origin(0), try position())
    let waiting = comparison.nextWaiting()
    let next = try #require(waiting)
    #expect(next.0 == origin(16) && next.2 == peers[0])
    try want(16, from: next.2)
    let noneAgain = comparison.nextWaiting()
    #expect(noneAgain == nil)
    #expect(comparison.fetchCount == 100)
  }

  @Test("A peer that answers without bringing anything is asked twice, then another one is")
  mutating func emptyAnswers() throws {
    try want(1, from: peers[0])
    var asked: [PeerAddress] = []
    var source = EmptySource()
    for _ in 0..<20 {
      guard let (address, request) = try requests().last else { break }
      asked.append(address)
      let answer = NodesAnswer(
        place: request.place, request: request.request, page: 0, isLast: true, nodes: [])
      _ = comparison.receive(
        answer, from: address, peers: { [peers] _ in [peers] }, &source, &context)
    }
    #expect(asked.count == 8)
    #expect(Set(asked) == Set(peers))
    #expect(asked.allSatisfy { address in asked.count { $0 == address } == 2 })
    #expect(!comparison.isFetching(origin(1)))
    // And it rests then.
    try want(1, from: peers[0])
    let resting = try requests().count
    context.advance(to: context.now + .seconds(40))
    try want(1, from: peers[0])
    let rested = try requests().count
    #expect(resting == 0 && rested == 1)
  }

  @Test(
    "A fetch that brought something is begun again after a second, however often it was not ended")
  mutating func fruitfulFetchesRestShortly() throws {
    let (checkpoint, top) = try manyRooms()
    var source = EmptySource(incarnation: checkpoint.body.incarnation)
    for _ in 0..<4 {
      _ = comparison.want(
        checkpoint.origin, checkpoint.body.position, from: peers[0], timeout: .milliseconds(400),
        first: [], newest: checkpoint, &source, &context)
      try #require(comparison.isFetching(checkpoint.origin))
      var nodes = [NodesAnswer.Node(tree: .rooms, path: .top, bytes: top)]
      while let (address, request) = try requests().last {
        let answer = NodesAnswer(
          place: request.place, request: request.request, page: 0, isLast: true, nodes: nodes)
        nodes = []
        _ = comparison.receive(
          answer, from: address, peers: { [peers] _ in [peers] }, &source, &context)
      }
      try #require(!comparison.isFetching(checkpoint.origin))
      context.advance(to: context.now + .milliseconds(1001))
    }
  }

  /// Begins to fetch what a checkpoint tells of from the first peer. Returns what is asked for.
  private mutating func fetch(
    _ checkpoint: Authentic<Checkpoint>, _ source: inout EmptySource
  ) throws -> [(address: PeerAddress, request: CompareRequest)] {
    _ = comparison.want(
      checkpoint.origin, checkpoint.body.position, from: peers[0], timeout: .milliseconds(400),
      first: [], newest: checkpoint, &source, &context)
    return try requests()
  }

  /// The top of the tree of rooms of an origin with many rooms, and its checkpoint.
  private func manyRooms() throws -> (checkpoint: Authentic<Checkpoint>, top: [UInt8]) {
    var world = World()
    world.start()
    for index in 0..<40 {
      let room = RoomName("room \(index)") ?? .lobby
      try world.open(0, SessionID(1, UInt64(index)), user: "ada", in: room)
    }
    world.run(milliseconds: 2000)
    let held = world.nodes[0].engine.records.completed(world.origin(0))
    let (checkpoint, replica) = try #require(held)
    return (checkpoint, try #require(replica.completeContent(.rooms, .top)))
  }

  /// Lets an answer of one page come to a request, with the top of a tree of rooms.
  private mutating func receive(
    top: [UInt8], to request: CompareRequest, isLast: Bool, from address: PeerAddress,
    _ source: inout EmptySource
  ) {
    let nodes = [NodesAnswer.Node(tree: .rooms, path: .top, bytes: top)]
    let answer = NodesAnswer(
      place: request.place, request: request.request, page: 0, isLast: isLast, nodes: nodes)
    _ = comparison.receive(
      answer, from: address, peers: { [peers] _ in [peers] }, &source, &context)
  }

  private mutating func pass(_ milliseconds: UInt64, of origin: OriginID) -> [ComparisonEvent] {
    context.advance(to: context.now + .milliseconds(milliseconds))
    return comparison.handle(.fetch(origin), peers: { [peers] _ in [peers] }, &context)
  }

  @Test(
    "An answer of which a part was lost is no silence, and the rest is asked for after its round trip"
  )
  mutating func partsOfAnswers() throws {
    let (checkpoint, top) = try manyRooms()
    var source = EmptySource(incarnation: checkpoint.body.incarnation)
    _ = comparison.want(
      checkpoint.origin, checkpoint.body.position, from: peers[0], timeout: .seconds(2),
      first: [], newest: checkpoint, &source, &context)
    let first = try requests()
    context.advance(to: context.now + .milliseconds(10))
    receive(
      top: top, to: try #require(first.last).request, isLast: false, from: peers[0], &source)
    var events = pass(2000, of: checkpoint.origin)
    let second = try requests().map(\.address)
    // 4 × 10 + 50 ms.
    events += pass(91, of: checkpoint.origin)
    let third = try requests().map(\.address)
    #expect(second == [peers[0]] && third == [peers[0]])
    let roundTrips = events.compactMap { event -> Span? in
      if case .roundTrip(_, let span) = event { span } else { nil }
    }
    #expect(roundTrips == [.milliseconds(10)])
  }

  @Test("What an earlier request brings late is taken in")
  mutating func lateAnswers() throws {
    let (checkpoint, top) = try manyRooms()
    var source = EmptySource(incarnation: checkpoint.body.incarnation)
    let first = try fetch(checkpoint, &source)
    _ = pass(400, of: checkpoint.origin)
    let second = try requests()
    receive(top: top, to: try #require(first.last).request, isLast: true, from: peers[0], &source)
    // The second silence is twice as long.
    _ = pass(800, of: checkpoint.origin)
    let third = try requests()
    #expect(second.last?.request.nodes.map(\.path) == [.top])
    #expect(third.map(\.address) == [peers[0]])
    #expect(third.last?.request.nodes.contains { $0.path == .top } == false)
  }

  @Test("An origin that nobody had is looked after again when it has rested")
  mutating func restsEnd() throws {
    try want(1, from: peers[0])
    var source = EmptySource()
    while let (address, request) = try requests().last {
      let answer = NodesAnswer(
        place: request.place, request: request.request, page: 0, isLast: true, nodes: [])
      _ = comparison.receive(
        answer, from: address, peers: { [peers] _ in [peers] }, &source, &context)
    }
    let early = pass(999, of: origin(1))
    let due = pass(1, of: origin(1))
    #expect(early.isEmpty && due.count == 1)
    let isRested = if case .rested(let rested)? = due.first { rested == origin(1) } else { false }
    #expect(isRested)
  }

  @Test("A fetch waits for an answer by how long the answers before it took, and not as at first")
  mutating func patienceOfFetches() throws {
    let (checkpoint, top) = try manyRooms()
    var source = EmptySource(incarnation: checkpoint.body.incarnation)
    let first = try fetch(checkpoint, &source)
    context.advance(to: context.now + .milliseconds(10))
    receive(top: top, to: try #require(first.last).request, isLast: true, from: peers[0], &source)
    let second = try requests().count
    // 4 × 10 + 50 ms.
    _ = pass(89, of: checkpoint.origin)
    let early = try requests().count
    _ = pass(1, of: checkpoint.origin)
    let third = try requests().count
    #expect(second == 1 && early == 0 && third == 1)
  }

  @Test("A walk asks twice again for what did not come, and goes on where it was")
  mutating func lostStepsOfWalks() throws {
    var source = EmptySource()
    for number in 0..<200 as Range<UInt64> { source.tree.set(origin(number).bytes, to: [1]) }
    comparison.begin(with: peers[0], timeout: .milliseconds(100), &source, &context)
    let top = try #require(try requests().first).request
    // The peer has something else below its third child.
    let branch: [UInt8] = [1, 0, 4] + [UInt8](repeating: 1, count: 16)
    let answer = NodesAnswer(
      place: .replica, request: top.request, page: 0, isLast: true,
      nodes: [.init(tree: .rooms, path: .top, bytes: branch)])
    _ = comparison.receive(answer, from: peers[0], peers: { _ in [] }, &source, &context)
    var asked: [[TreePath]] = [try requests().flatMap(\.request.nodes).map(\.path)]
    // Each time it waits for twice as long.
    for span in [100, 200, 400, 800] as [UInt64] {
      context.advance(to: context.now + .milliseconds(span))
      _ = comparison.handle(.walk(peers[0]), peers: { _ in [] }, &context)
      asked.append(try requests().flatMap(\.request.nodes).map(\.path))
    }
    let child = [TreePath.top.child(2)]
    #expect(asked == [child, child, child, [], []])
  }

  @Test("Nodes that a walk did not ask about are passed over, and an origin is pushed once")
  mutating func unaskedNodes() throws {
    var source = EmptySource()
    for number in 0..<200 as Range<UInt64> {
      source.tree.set(origin(number).bytes, to: [1])
    }
    comparison.begin(with: peers[0], timeout: .seconds(1), &source, &context)
    let sent = try requests()
    let request = try #require(sent.first).request
    let nothing = (0..<255).map { _ in
      NodesAnswer.Node(tree: .rooms, path: .top, bytes: [])
    }
    let answer = NodesAnswer(
      place: .replica, request: request.request, page: 0, isLast: false, nodes: nothing)
    let first = comparison.receive(
      answer, from: peers[0], peers: { _ in [] }, &source, &context)
    let second = comparison.receive(
      answer, from: peers[0], peers: { _ in [] }, &source, &context)
    #expect(first.count <= 200 && second.isEmpty)
    // A branch at a place that was not asked about leads to no request.
    let branch: [UInt8] = [1, 0, 1] + [UInt8](repeating: 1, count: 16)
    let unasked = NodesAnswer(
      place: .replica, request: request.request, page: 2, isLast: true,
      nodes: [.init(tree: .rooms, path: TreePath.top.child(2), bytes: branch)])
    _ = comparison.receive(unasked, from: peers[0], peers: { _ in [] }, &source, &context)
    let more = try requests()
    #expect(more.isEmpty)
  }
}

/// Holds summaries alone.
private struct EmptySource: ComparisonSource {
  var tree = HashTree(hashKey: HashKey(1, 2))
  /// That of which it fetches; `nil`: it fetches nothing.
  var incarnation: Incarnation?

  mutating func summaries() -> HashTree {
    _ = tree.hash(TestTreeHash())
    return tree
  }

  mutating func fetch(of checkpoint: Authentic<Checkpoint>) -> OriginFetch? {
    guard let incarnation, let mesh = World.mesh else { return nil }
    var replica = OriginReplica(incarnation: incarnation, hashKey: mesh.hashKey)
    return OriginFetch(checkpoint.body.facts, from: &replica, TestTreeHash())
  }

  func completed(
    _ origin: OriginID
  ) -> (checkpoint: Authentic<Checkpoint>, replica: OriginReplica)? { nil }
}

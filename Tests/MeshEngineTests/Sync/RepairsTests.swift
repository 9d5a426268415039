import MeshCRDT
import Testing

@testable import MeshEngine

@Suite("Repairs")
struct RepairsTests {
  private static let room = RoomName("design") ?? .lobby

  /// Two nodes, the first of which has written so many sessions.
  private func pair(sessions: Int) throws -> World {
    var world = World()
    world.start()
    world.start(peers: [0])
    for number in 0..<sessions {
      let session = SessionID(1, UInt64(number))
      try world.open(0, session, user: "user \(number)", in: Self.room)
    }
    let time = world.run(atMost: 5000) { world in
      world.nodes[1].sessions.count == sessions && world.agree()
    }
    try #require(time != nil)
    return world
  }

  /// Lets the second node miss this many batches, one after the other, and hear the next checkpoint.
  private func miss(_ batches: Int, _ world: inout World) throws -> (repairs: Int, fetches: Int) {
    let before = world.nodes[1].engine.counters
    world.groups = [1: 1]
    for number in 0..<batches {
      try world.perform(0, .setData(SessionID(1, 0), Self.room, [UInt8(number)]))
      world.run(milliseconds: 11)
    }
    world.groups = [:]
    // The checkpoint.
    world.run(milliseconds: 50)
    let time = world.run(atMost: 3000) { $0.agree() }
    try #require(time != nil)
    let after = world.nodes[1].engine.counters
    return (
      Int(after[.repairsSent] - before[.repairsSent]),
      Int(after[.fetchesCompleted] - before[.fetchesCompleted])
    )
  }

  @Test("More missing versions than an origin has records are fetched, in one question")
  func fewRecords() throws {
    var world = try pair(sessions: 2)
    let before = world.nodes[1].engine.counters[.comparisonsSent]
    let missed = try miss(12, &world)
    #expect(missed == (0, 1))
    #expect(world.nodes[1].engine.counters[.comparisonsSent] - before <= 2)
  }

  @Test("Fewer are asked for one by one")
  func manyRecords() throws {
    var world = try pair(sessions: 20)
    let missed = try miss(12, &world)
    #expect(missed.repairs > 0 && missed.fetches == 0)
  }

  @Test("A batch or two that are missing are asked for, however little there is")
  func fewBatches() throws {
    var world = try pair(sessions: 1)
    let missed = try miss(3, &world)
    #expect(missed.repairs > 0 && missed.fetches == 0)
  }

  @Test("What is missing is asked for again when the peer's answer is late")
  func patience() throws {
    let world = try pair(sessions: 1)
    let patience = world.nodes[1].engine.patience(world.nodes[0].address)
    #expect(patience < .milliseconds(60))
    var context = world.nodes[1].engine.context
    var repairs = Repairs()
    let (origin, peers) = (world.origin(0), [world.nodes[0].address])
    repairs.want(origin, from: peers[0], &context)
    var asked: [UInt64] = []
    for millisecond in 0..<1000 as Range<UInt64> {
      let due = repairs.handle(
        origin, through: 7, ownPath: nil, peers: peers, patience: { _ in patience }, &context)
      if case .ask = due { asked.append(millisecond) }
      context.advance(to: context.now + .milliseconds(1))
    }
    let step = (patience.nanoseconds + 999_999) / 1_000_000
    #expect(asked.count == EngineLimits.repairAttempts)
    #expect(asked.dropFirst().first.map { $0 <= asked[0] + step } == true)
  }

  @Test("What a peer sends above what it was asked for is no answer")
  func answers() throws {
    var world = try pair(sessions: 1)
    let (origin, peer) = (world.origin(0), world.nodes[0].address)
    var repairs = Repairs()
    repairs.want(origin, from: peer, &world.nodes[1].engine.context)
    world.nodes[1].engine.context.advance(to: world.now + .milliseconds(5))
    _ = repairs.handle(
      origin, through: 7, ownPath: nil, peers: [peer], patience: { _ in .seconds(1) },
      &world.nodes[1].engine.context)
    #expect(repairs.isAsked(peer, for: 7, of: origin))
    #expect(!repairs.isAsked(peer, for: 8, of: origin))
    #expect(!repairs.isAsked(world.nodes[1].address, for: 7, of: origin))
  }
}

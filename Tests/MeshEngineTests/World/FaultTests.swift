import MeshCRDT
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Faults of networks and machines")
struct FaultTests {
  private func room(_ name: String) -> RoomName { RoomName(name) ?? .lobby }

  private func mesh(_ count: Int, seed: UInt64 = 1) throws -> World {
    var world = World(seed: seed)
    for index in 0..<count {
      world.start(peers: index == 0 ? [] : [0])
      try world.open(
        index, SessionID(UInt64(index + 1), 1), user: "user \(index)", in: room("design"))
    }
    let time = world.run(atMost: 10_000) { world in
      world.agree() && world.nodes.allSatisfy { $0.sessions.count == count }
    }
    try #require(time != nil, "the mesh comes together")
    return world
  }

  @Test("Nodes agree while a fifth of the datagrams is lost", arguments: 1...5)
  func loss(seed: UInt64) throws {
    var world = World(seed: seed)
    world.loss = 200
    for index in 0..<5 { world.start(peers: index == 0 ? [] : [0]) }
    for step in 0..<40 {
      let node = step % 5
      let session = SessionID(UInt64(node + 1), UInt64(step / 5 + 1))
      try world.open(node, session, user: "user \(node)", in: room("room \(step % 7)"))
      world.run(milliseconds: 100)
    }
    let time = world.run(atMost: 20_000) { world in
      world.agree() && world.nodes.allSatisfy { $0.sessions.count == 40 }
    }
    #expect(time != nil)
  }

  @Test("What differs is fetched over a way that has become much longer, too")
  func longerWay() throws {
    var world = try mesh(2)
    world.run(milliseconds: 10_000)
    // A round trip took a millisecond or two; now it takes 600, and no path is lost.
    world.delay = 300_000_000...310_000_000
    world.groups = [1: 1]
    for number: UInt64 in 0..<400 {
      try world.open(0, SessionID(9, number), user: "ada", in: room("room \(number % 40)"))
    }
    world.run(milliseconds: 2000)
    world.groups = [:]
    let time = world.run(atMost: 12_000) { $0.agree() }
    #expect(time != nil)
    #expect(world.nodes[1].engine.counters[.fetchesCompleted] == 1)
    #expect(world.nodes.allSatisfy { $0.engine.counters[.pathsSilent] == 0 })
  }

  @Test("A node that slept hides nobody who lives, and soon whoever died meanwhile")
  func sleep() throws {
    var world = try mesh(3)
    world.nodes[0].events = []
    // Nothing reaches it, and its timers stand still.
    world.kill(0)
    world.kill(2)
    world.run(milliseconds: 20_000)
    world.nodes[0].isRunning = true
    world.run(milliseconds: 100)
    #expect(
      !world.nodes[0].events.contains {
        if case .disappeared = $0 { true } else { false }
      })
    world.run(milliseconds: 7000)
    #expect(world.nodes[0].health[world.origin(1)] == .online)
    #expect(world.nodes[0].health[world.origin(2)] == .offline)
    #expect(world.nodes[0].sessions.keys.sorted() == [SessionID(1, 1), SessionID(2, 1)])
  }

  @Test("A batch that is lost is asked for, and a cursor does not go back")
  func lostBatch() throws {
    var world = try mesh(3)
    let fetches = world.nodes[1].engine.counters[.fetchesCompleted]
    // Whatever the first node sends to the second for a moment is lost.
    world.filter = { _, from, to in !(from == 0 && to == 1) }
    try world.perform(
      0,
      .setStatus(
        SessionID(1, 1), room("design"), .busy, message: nil, at: WallTime(milliseconds: 1)))
    world.run(milliseconds: 10)
    world.filter = nil
    let time = world.run(atMost: 5000) { world in
      world.nodes[1].sessions[SessionID(1, 1)]?.place(in: RoomName("design") ?? .lobby)?.presence
        .status?.status == .busy
    }
    #expect(time.map { $0 <= 1000 } == true, "after \(String(describing: time)) ms")
    // The batch itself was asked for, and no trees.
    #expect(world.nodes[1].engine.counters[.repairsSent] > 0)
    #expect(world.nodes[1].engine.counters[.fetchesCompleted] == fetches)
  }

  @Test("What an origin said last, and only some heard, is dropped by all when it is hidden")
  func lastWords() throws {
    var world = try mesh(3)
    world.filter = { _, from, to in !(from == 2 && to == 1) }
    try world.perform(
      2,
      .setStatus(
        SessionID(3, 1), room("design"), .busy, message: nil, at: WallTime(milliseconds: 1)))
    world.run(milliseconds: 10)
    // No checkpoint speaks of it.
    world.kill(2)
    let before = roots(of: 2, &world)
    #expect(before[0] != before[1])
    world.run(milliseconds: 30_000)
    let after = roots(of: 2, &world)
    #expect(after[0] == after[1] && after[0] != .empty)
  }

  /// The roots of what the first two nodes hold of another.
  private func roots(of node: Int, _ world: inout World) -> [Hash256] {
    let origin = world.origin(node)
    return (0..<2).map { index in
      world.nodes[index].engine.records.slot(of: origin).map {
        world.nodes[index].engine.records.root(slot: $0)
      } ?? .empty
    }
  }

  @Test(
    "The crash of a node is seen in its time to live, and that of the only other node a little later"
  )
  func crash() throws {
    var three = try mesh(3)
    three.kill(2)
    var time = three.run(atMost: 30_000) { world in
      (0..<2).allSatisfy { world.nodes[$0].sessions[SessionID(3, 1)] == nil }
    }
    #expect(time.map { (2500...5500).contains($0) } == true, "after \(String(describing: time)) ms")
    var two = try mesh(2)
    two.kill(1)
    time = two.run(atMost: 60_000) { $0.nodes[0].sessions[SessionID(2, 1)] == nil }
    #expect(
      time.map { (5000...17_000).contains($0) } == true, "after \(String(describing: time)) ms")
    #expect(two.nodes[0].engine.isStale)
  }

  @Test("A node whose timers come late again and again hides who is dead all the same")
  func lateTimers() throws {
    var world = try mesh(4)
    world.kill(3)
    for _ in 0..<60 {
      world.nodes[0].stalledUntil = world.now + .milliseconds(700)
      world.run(milliseconds: 2400)
    }
    #expect(world.nodes[0].sessions[SessionID(4, 1)] == nil)
    // And those who live stay.
    #expect(world.nodes[0].sessions[SessionID(2, 1)] != nil)
  }

  @Test("A node that was put back to an old disk hears of its word that nobody has completely")
  func oldDiskBelowIncompleteWord() throws {
    var world = World()
    world.start(counter: 3)
    try world.open(0, SessionID(1, 1), user: "ada", in: room("design"))
    world.run(milliseconds: 1000)
    world.start(peers: [0])
    // It dies when its checkpoint is there, and its records are not.
    let origin = world.origin(0)
    let time = world.run(atMost: 1000) { world in
      world.nodes[1].engine.newestBeat(of: origin, at: world.now) != nil
    }
    try #require(time != nil && world.nodes[1].engine.summary(of: origin) == nil)
    world.kill(0)
    world.run(milliseconds: 2000)
    world.restart(0, peers: [1], disk: 0)
    try world.open(0, SessionID(2, 1), user: "ada", in: room("design"))
    world.run(milliseconds: 3000)
    let isEqual = world.agree()
    #expect(world.nodes[0].engine.incarnation.counter == 4)
    #expect(isEqual)
    #expect(world.nodes[1].sessions.keys.sorted() == [SessionID(2, 1)])
  }

  @Test("A node that was put back to an old disk is seen at once")
  func oldDisk() throws {
    var world = try mesh(3)
    world.run(milliseconds: 3_600_000)
    let disk = world.nodes[2].disk
    world.kill(2)
    world.run(milliseconds: 20_000)
    // It has been started many times since its disk was copied.
    world.restart(2, peers: [0], disk: disk)
    world.run(milliseconds: 5000)
    world.kill(2)
    world.run(milliseconds: 20_000)
    world.restart(2, peers: [0], disk: disk - 1)
    try world.open(2, SessionID(3, 9), user: "again", in: room("design"))
    let time = world.run(atMost: 60_000) { world in
      (0..<2).allSatisfy { world.nodes[$0].sessions[SessionID(3, 9)] != nil } && world.agree()
    }
    #expect(time.map { $0 <= 3000 } == true, "after \(String(describing: time)) ms")
  }

  @Test("A node that was put back to an old disk after it was forgotten is seen at once")
  func oldDiskOfForgotten() throws {
    var world = World { $0.forgetAfter = .seconds(60) }
    for index in 0..<3 { world.start(peers: index == 0 ? [] : [0]) }
    world.run(milliseconds: 2000)
    let disk = world.nodes[2].disk
    for _ in 0..<3 {
      world.kill(2)
      world.restart(2, peers: [0])
      world.run(milliseconds: 5000)
    }
    world.kill(2)
    world.run(milliseconds: 120_000)
    #expect((0..<2).allSatisfy { !world.nodes[$0].engine.holds(world.origin(2)) })
    world.restart(2, peers: [0], disk: disk - 1)
    try world.open(2, SessionID(3, 9), user: "again", in: room("design"))
    let time = world.run(atMost: 60_000) { world in
      (0..<2).allSatisfy { world.nodes[$0].sessions[SessionID(3, 9)] != nil } && world.agree()
    }
    #expect(time.map { $0 <= 3000 } == true, "after \(String(describing: time)) ms")
    #expect(world.nodes[2].engine.incarnation.counter > disk)
  }

  @Test("A session that moved and left stays gone when its old host heals")
  func movedAndLeft() throws {
    var world = try mesh(3)
    world.groups = [0: 1]
    try world.open(1, SessionID(1, 1), user: "user 0", in: room("design"))
    world.run(milliseconds: 2000)
    #expect(world.nodes[2].sessions[SessionID(1, 1)]?.host == world.origin(1))
    try world.perform(1, .leave(SessionID(1, 1)))
    world.run(milliseconds: 30_000)
    #expect(world.nodes[2].sessions[SessionID(1, 1)] == nil)
    world.groups = [:]
    let time = world.run(atMost: 30_000) { world in
      world.agree()
        && world.nodes.allSatisfy { node in
          node.health.values.allSatisfy { $0 == .online }
        }
    }
    #expect(time != nil)
    world.run(milliseconds: 5000)
    for node in world.nodes { #expect(node.sessions[SessionID(1, 1)] == nil) }
  }

  @Test("Farewells are seen at once")
  func farewell() throws {
    var world = try mesh(4)
    try world.perform(3, .leaveMesh)
    let time = world.run(atMost: 5000) { world in
      (0..<3).allSatisfy { world.nodes[$0].sessions[SessionID(4, 1)] == nil }
    }
    #expect(time.map { $0 <= 50 } == true, "after \(String(describing: time)) ms")
    #expect(world.nodes[0].health[world.origin(3)] == .left)
  }

  @Test("A farewell is said twice, in two datagrams, and nothing behind it")
  func farewellTwice() throws {
    var world = try mesh(3)
    var seen = [0, 0, 0]
    // The first datagram that the node that leaves sends to each other one is lost.
    world.filter = { _, from, to in
      guard from == 2 else { return true }
      seen[to] += 1
      return seen[to] > 1
    }
    try world.perform(2, .leaveMesh)
    let sent = seen
    let time = world.run(atMost: 5000) { world in
      (0..<2).allSatisfy { world.nodes[$0].health[world.origin(2)] == .left }
    }
    #expect(time.map { $0 <= 50 } == true, "after \(String(describing: time)) ms")
    world.run(milliseconds: 5000)
    #expect(seen == sent && sent[0] == 2 && sent[1] == 2)
  }

  @Test("Who missed a farewell has it of others soon, and who hears nobody else hides in time")
  func missedFarewell() throws {
    var four = try mesh(4)
    four.filter = { _, from, to in from != 3 || to != 0 }
    try four.open(3, SessionID(4, 2), user: "late", in: room("last"))
    try four.perform(3, .leaveMesh)
    var time = four.run(atMost: 20_000) { world in world.nodes[0].sessions[SessionID(4, 1)] == nil }
    #expect(time.map { $0 <= 3000 } == true, "after \(String(describing: time)) ms")
    // Of the two others one knows no more than the one that missed it.
    var three = try mesh(3)
    three.filter = { _, from, to in from != 2 }
    try three.perform(2, .leaveMesh)
    time = three.run(atMost: 20_000) { world in
      (0..<2).allSatisfy { world.nodes[$0].sessions[SessionID(3, 1)] == nil }
    }
    #expect(time.map { $0 <= 5500 } == true, "after \(String(describing: time)) ms")
  }

  @Test("A node that is alone is not stale: neither at first, nor when all others have left")
  func aloneIsNotStale() throws {
    var world = World()
    world.start()
    world.run(milliseconds: 60_000)
    #expect(!world.nodes[0].engine.isStale)
    world = try mesh(3)
    try world.perform(1, .leaveMesh)
    try world.perform(2, .leaveMesh)
    world.run(milliseconds: 60_000)
    #expect(!world.nodes[0].engine.isStale)
    // Who is cut off is, also when it has hidden the others, and until they are forgotten.
    world = try mesh(3)
    world.groups = [0: 1]
    world.run(milliseconds: 60_000)
    #expect(world.nodes[0].engine.isStale)
    #expect(world.nodes[0].sessions.count == 1)
    world.run(milliseconds: 40 * 60_000)
    #expect(!world.nodes[0].engine.isStale)
    let told = world.nodes[0].events.compactMap { event in
      if case .stale(let isStale) = event { isStale } else { Bool?.none }
    }
    #expect(told == [true, false])
    #expect(world.nodes[0].engine.snapshot().isStale == false)
  }

  @Test("A node compares with somebody once a second")
  func comparisonsHavePauses() throws {
    var world = try mesh(2)
    let before = world.nodes[0].engine.counters[.comparisonsSent]
    world.run(milliseconds: 5000)
    // Shortened by up to a fifth.
    let count = world.nodes[0].engine.counters[.comparisonsSent] - before
    #expect((5...7).contains(count))
  }

  @Test("A mesh in which nothing happens suspects nobody, and costs next to nothing")
  func idle() throws {
    var world = try mesh(8)
    world.run(milliseconds: 10_000)
    for index in world.nodes.indices { world.nodes[index].events = [] }
    let (bytes, verified) = (
      world.bytes, world.nodes.reduce(0) { $0 + $1.engine.counters[.signaturesVerified] }
    )
    world.run(milliseconds: 60_000)
    for node in world.nodes { #expect(node.events.isEmpty, "\(node.events)") }
    let rate = (world.bytes - bytes) / 60 / 8
    #expect(rate < 2000, "\(rate) bytes a second and node")
    let after = world.nodes.reduce(0) { $0 + $1.engine.counters[.signaturesVerified] }
    #expect(after == verified)
  }

  @Test("A forgotten origin goes in slices, and may come back before all of it is gone")
  func forgottenInSlices() throws {
    var world = World()
    for index in 0..<3 { world.start(peers: index == 0 ? [] : [0]) }
    for index in 0..<700 {
      try world.open(
        2, SessionID(3, UInt64(index)), user: "user \(index)", in: room("room \(index % 9)"))
    }
    world.run(milliseconds: 3000)
    #expect(world.nodes[0].engine.size.sessions == 700)
    world.kill(2)
    let isBegun = world.run(atMost: 40 * 60_000) { !$0.nodes[0].engine.leavers.isEmpty }
    #expect(isBegun != nil)
    #expect(world.nodes[0].engine.size.sessions > 300)
    // Another process of it, with one session.
    world.restart(2, peers: [0])
    try world.open(2, SessionID(3, 5), user: "again", in: room("room 1"))
    world.run(milliseconds: 5000)
    for index in 0..<2 {
      #expect(world.nodes[index].engine.leavers.isEmpty)
      #expect(world.nodes[index].engine.size.sessions == 1)
      #expect(world.nodes[index].engine.size.origins == 3)
      #expect(world.nodes[index].sessions.keys.sorted() == [SessionID(3, 5)])
      #expect(world.nodes[index].engine.records.replica.invariantViolation() == nil)
    }
    let isEqual = world.agree()
    #expect(isEqual)
  }

  @Test("A freshly booted node does not believe that somebody who died long ago is alive")
  func deadLongAgo() throws {
    var world = try mesh(3)
    world.kill(2)
    world.run(milliseconds: 20 * 60_000)
    let late = world.start(peers: [0])
    world.run(milliseconds: 10_000)
    #expect(
      !world.nodes[late].events.contains { event in
        if case .appeared(let snapshot) = event { snapshot.id == SessionID(3, 1) } else { false }
      })
    #expect(world.nodes[late].sessions.count == 2)
    let isEqual = world.agree()
    #expect(isEqual)
  }

  @Test(
    "The last position of a cursor arrives, also where half of the datagrams is lost",
    arguments: 1...3)
  func cursors(seed: UInt64) throws {
    var world = try mesh(3, seed: seed)
    world.loss = 500
    for step in 0..<50 {
      try world.perform(
        0, .moveCursor(SessionID(1, 1), room("design"), Cursor(x: Double(step) / 50, y: 0.5)))
      world.run(milliseconds: 20)
    }
    world.loss = 0
    let last = Cursor(x: 49.0 / 50, y: 0.5)
    let time = world.run(atMost: 10_000) { world in
      (1..<3).allSatisfy {
        world.nodes[$0].sessions[SessionID(1, 1)]?.place(in: RoomName("design") ?? .lobby)?.cursor
          == last
      }
    }
    #expect(time != nil)
    for node in world.nodes {
      let columns = node.events.compactMap { event in
        if case .cursor(_, _, let cursor) = event { cursor.column } else { UInt16?.none }
      }
      #expect(columns == columns.sorted())
    }
  }
}

import MeshCRDT
import Testing

@testable import MeshEngine

@Suite("Large meshes")
struct LargeMeshTests {
  private static let room = RoomName("design") ?? .lobby

  private static func session(_ node: Int) -> SessionID { SessionID(UInt64(node + 1), 1) }

  /// A mesh in which each node knows one other at first, and has a session.
  private func mesh(_ count: Int, seed: UInt64 = 1) throws -> World {
    var world = World(seed: seed) { $0.directPeers = 4 }
    for index in 0..<count { try join(&world, index) }
    let time = world.run(atMost: 20_000) { $0.isWhole(sessions: count) }
    try #require(time != nil, "the mesh comes together")
    // What was needed to join has an end.
    world.run(milliseconds: 12_000)
    for index in world.nodes.indices { world.nodes[index].events = [] }
    return world
  }

  private func join(_ world: inout World, _ index: Int) throws {
    world.start(peers: index == 0 ? [] : [world.random.below(index)])
    try world.open(index, Self.session(index), user: "user \(index)", in: Self.room)
    world.run(milliseconds: 50)
  }

  /// The nodes of which a node that runs has said that they are suspect or offline.
  private func doubted(_ world: World) -> Set<OriginID> {
    var doubted: Set<OriginID> = []
    for node in world.nodes where node.isRunning {
      for case .node(let origin, let health) in node.events where health != .online {
        doubted.insert(origin)
      }
    }
    return doubted
  }

  @Test("Where nothing is lost beats go over trees, and nobody is suspected or probed")
  func idle() throws {
    var world = try mesh(24)
    let before = world.totals
    world.run(milliseconds: 20_000)
    #expect(doubted(world).isEmpty)
    let (received, known) = (
      world.total(.beatsReceived) - before(.beatsReceived),
      world.total(.beatsKnown) - before(.beatsKnown)
    )
    // Each node hears each other's beat once in a period of 2 s.
    #expect((24 * 23 * 9...24 * 23 * 11).contains(received), "\(received) beats")
    #expect(known * 50 < received, "\(known) of \(received) were known")
    #expect(world.total(.prunesReceived) > 0)
    #expect(world.total(.probesSent) == before(.probesSent))
    for node in world.nodes {
      // The neighbours, those whose neighbour it is, and a few that are looked at now and then.
      #expect(node.engine.pathCount <= 12, "\(node.engine.pathCount) paths")
    }
  }

  @Test("What one node writes comes to all at once, each copy over few edges")
  func batches() throws {
    var world = try mesh(24)
    let before = world.totals
    let datagrams = world.datagrams
    try world.perform(
      7,
      .setStatus(Self.session(7), Self.room, .busy, message: nil, at: WallTime(milliseconds: 1)))
    let time = world.run(atMost: 1000) { world in
      world.nodes.allSatisfy {
        $0.sessions[Self.session(7)]?.place(in: Self.room)?.presence.status?.status == .busy
      }
    }
    #expect(time.map { $0 <= 20 } == true, "after \(String(describing: time)) ms")
    world.run(milliseconds: 400)
    let isEqual = world.agree()
    #expect(isEqual)
    #expect(world.total(.batchesReceived) - before(.batchesReceived) <= 24 * 5)
    #expect(world.total(.checkpointsReceived) - before(.checkpointsReceived) <= 24 * 6)
    #expect(world.datagrams - datagrams <= 24 * 30, "\(world.datagrams - datagrams) datagrams")
  }

  @Test("Cursors come to all, and each frame is sent on once")
  func cursors() throws {
    var world = try mesh(24)
    let before = world.totals
    for step in 1...30 {
      try world.perform(
        3, .moveCursor(Self.session(3), Self.room, Cursor(x: Double(step) / 30, y: 0.5)))
      world.run(milliseconds: 20)
    }
    let last = Cursor(x: 1, y: 0.5)
    let time = world.run(atMost: 1000) { world in
      world.nodes.allSatisfy {
        $0.sessions[Self.session(3)]?.place(in: Self.room)?.cursor == last
      }
    }
    #expect(time.map { $0 <= 20 } == true, "after \(String(describing: time)) ms")
    #expect(world.total(.cursorFramesReceived) - before(.cursorFramesReceived) <= 24 * 30 * 5)
  }

  @Test("All write at once: everybody has everything soon, and no storm comes of it")
  func allAtOnce() throws {
    var world = try mesh(24)
    let datagrams = world.datagrams
    for index in 0..<24 {
      try world.perform(index, .setData(Self.session(index), Self.room, [UInt8(index)]))
    }
    let time = world.run(atMost: 3000) { world in
      world.nodes.allSatisfy { node in
        (0..<24).allSatisfy {
          node.sessions[Self.session($0)]?.place(in: Self.room)?.presence.data == [UInt8($0)]
        }
      } && world.agree()
    }
    #expect(time.map { $0 <= 1500 } == true, "after \(String(describing: time)) ms")
    world.run(milliseconds: 5000)
    let each = (world.datagrams - datagrams) / 24
    #expect(each <= 800, "\(each) datagrams a node")
  }

  @Test("A node that is killed is hidden by all in its time to live, and beats go around it")
  func kill() throws {
    var world = try mesh(24, seed: 2)
    let victims = [11, 12]
    for victim in victims { world.kill(victim) }
    let time = world.run(atMost: 20_000) { world in
      world.nodes.allSatisfy { node in
        !node.isRunning || victims.allSatisfy { node.sessions[Self.session($0)] == nil }
      }
    }
    #expect(time.map { (2500...6000).contains($0) } == true, "after \(String(describing: time)) ms")
    world.run(milliseconds: 20_000)
    #expect(doubted(world) == Set(victims.map { world.origin($0) }))
    let isEqual = world.agree()
    #expect(isEqual)
  }

  @Test("A newcomer is known to all at once, and soon has paths to those beside it")
  func newcomer() throws {
    var world = try mesh(24)
    try join(&world, 24)
    let time = world.run(atMost: 5000) { $0.isWhole(sessions: 25) }
    #expect(time.map { $0 <= 1500 } == true, "after \(String(describing: time)) ms")
    world.run(milliseconds: 5000)
    let missing = world.nodes[24].engine.router.missing()
    #expect(missing.isEmpty)
    // It may have doubts itself, until it has heard a beat of each.
    world.nodes[24].events = []
    #expect(doubted(world).isEmpty)
  }

  @Test("Two halves that were apart for long come together")
  func partition() throws {
    var world = try mesh(24)
    world.groups = Dictionary(uniqueKeysWithValues: (0..<12).map { ($0, 1) })
    world.run(milliseconds: 60_000)
    for index in [0, 23] {
      #expect(world.nodes[index].sessions.count == 12)
      try world.open(index, SessionID(UInt64(index + 1), 2), user: "new", in: Self.room)
    }
    world.groups = [:]
    let time = world.run(atMost: 60_000) { $0.isWhole(sessions: 26) }
    #expect(time.map { $0 <= 30_000 } == true, "after \(String(describing: time)) ms")
  }

  /// Heals a mesh of which both halves have written so often, and returns how often the counters rose.
  private func heal(writes: Int) throws -> (Counters.Name) -> Int {
    var world = try mesh(24)
    world.groups = Dictionary(uniqueKeysWithValues: (0..<12).map { ($0, 1) })
    for step in 0..<writes {
      for index in 0..<24 {
        try world.perform(index, .setData(Self.session(index), Self.room, [UInt8(step)]))
      }
      world.run(milliseconds: 200)
    }
    world.run(milliseconds: 12_000)
    let before = world.totals
    world.groups = [:]
    let time = world.run(atMost: 20_000) { $0.isWhole(sessions: 24) }
    #expect(time.map { $0 <= 10_000 } == true, "after \(String(describing: time)) ms")
    let after = world.totals
    return { after($0) - before($0) }
  }

  @Test("Halves that come together fetch what they missed from who has it, told of it a few times")
  func healing() throws {
    let rise = try heal(writes: 20)
    let missed = 2 * 12 * 12
    #expect(rise(.fetchesCompleted) >= missed)
    #expect(rise(.fetchesMoved) * 50 <= missed, "\(rise(.fetchesMoved)) went to another peer")
    #expect(rise(.checkpointsReceived) <= 7 * missed, "\(rise(.checkpointsReceived)) checkpoints")
    #expect(rise(.batchesReceived) <= missed, "\(rise(.batchesReceived)) batches")
  }

  @Test("Batches that were asked for are not sent on")
  func repairedBatches() throws {
    let rise = try heal(writes: 3)
    // Three batches of twelve origins are missing at twelve nodes of each half.
    let missed = 2 * 3 * 12 * 12
    #expect(rise(.repairsSent) > 0)
    #expect(rise(.batchesReceived) <= missed * 3 / 2, "\(rise(.batchesReceived)) batches")
  }

  @Test("Whoever joins a large mesh does not tell its neighbours what they have")
  func newcomersAreSilent() throws {
    var world = try mesh(24)
    let before = world.totals
    try join(&world, 24)
    let time = world.run(atMost: 5000) { $0.isWhole(sessions: 25) }
    try #require(time != nil)
    let sent = Int(world.nodes[24].engine.counters[.checkpointsSent])
    #expect(sent <= 40, "\(sent) checkpoints")
    #expect(world.total(.fetchesMoved) - before(.fetchesMoved) <= 2)
  }

  @Test("Who fetches again what it knows tells nobody of it")
  func knownCheckpointsAreNotSentOn() throws {
    var world = try mesh(24)
    try world.perform(5, .subscribe([Self.room]))
    world.run(milliseconds: 3000)
    let counters = world.nodes[5].engine.counters
    try world.perform(5, .subscribe(nil))
    world.run(milliseconds: 3000)
    let after = world.nodes[5].engine.counters
    // Beside what is fetched, it sends checkpoints of its own, which its change of subscription made.
    #expect(after[.fetchesCompleted] - counters[.fetchesCompleted] >= 20)
    let sent = after[.checkpointsSent] - counters[.checkpointsSent]
    #expect(sent <= 40, "\(sent) checkpoints")
  }

  @Test("With a loss of 5 % everything comes to all, and nobody who lives is hidden")
  func loss() throws {
    var world = try mesh(24)
    world.loss = 50
    for step in 0..<20 {
      try world.perform(step, .setData(Self.session(step), Self.room, [UInt8(step)]))
      world.run(milliseconds: 1000)
    }
    let time = world.run(atMost: 10_000) { world in
      world.nodes.allSatisfy { node in
        (0..<20).allSatisfy {
          node.sessions[Self.session($0)]?.place(in: Self.room)?.presence.data == [UInt8($0)]
        }
      } && world.agree()
    }
    #expect(time != nil)
    for node in world.nodes { #expect(node.sessions.count == 24) }
    for node in world.nodes {
      #expect(
        !node.events.contains { event in
          if case .node(_, .offline) = event { true } else { false }
        })
    }
    // Pruned edges were grafted where beats were missed.
    #expect(world.total(.probesSent) > 0)
  }

  @Test("What is said in a room comes to its subscribers over each other, and to nobody else")
  func rooms() throws {
    var world = World { $0.directPeers = 4 }
    let other = RoomName("other") ?? .lobby
    for index in 0..<24 {
      world.start(peers: index == 0 ? [] : [world.random.below(index)])
      try world.perform(index, .subscribe(index % 3 == 0 ? [Self.room] : [other]))
      try world.open(
        index, Self.session(index), user: "u\(index)", in: index % 3 == 0 ? Self.room : other)
      world.run(milliseconds: 50)
    }
    world.run(milliseconds: 20_000)
    let before = world.nodes.map { $0.engine.counters[.cursorFramesReceived] }
    for step in 1...20 {
      try world.perform(
        3, .moveCursor(Self.session(3), Self.room, Cursor(x: Double(step) / 20, y: 0.5)))
      world.run(milliseconds: 20)
    }
    world.run(milliseconds: 300)
    let last = Cursor(x: 1, y: 0.5)
    for (index, node) in world.nodes.enumerated() {
      let frames = node.engine.counters[.cursorFramesReceived] - before[index]
      if index % 3 == 0 {
        #expect(node.sessions[Self.session(3)]?.place(in: Self.room)?.cursor == last)
      } else {
        #expect(frames == 0, "node \(index): \(frames) frames")
      }
    }
  }
}

extension World {
  /// True when all running nodes see so many sessions, and hold the same.
  fileprivate mutating func isWhole(sessions: Int) -> Bool {
    nodes.allSatisfy { !$0.isRunning || $0.sessions.count == sessions } && agree()
  }

  /// A counter of all nodes.
  fileprivate func total(_ name: Counters.Name) -> Int {
    nodes.reduce(0) { $0 + Int($1.engine.counters[name]) }
  }

  /// The counters of all nodes as they are now.
  fileprivate var totals: (Counters.Name) -> Int {
    let copy = self
    return { copy.total($0) }
  }
}

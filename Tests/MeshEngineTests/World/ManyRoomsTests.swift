import MeshCRDT
import Testing

@testable import MeshEngine

@Suite("Meshes of many rooms")
struct ManyRoomsTests {
  /// Opens a user's session in each of some rooms.
  private func fill(_ world: inout World, _ node: Int, rooms: Range<Int>) throws {
    for index in rooms {
      let session = SessionID(UInt64(node + 1), UInt64(index + 1))
      try world.open(node, session, user: "user \(node)", in: room(index))
      if index % 50 == 0 { world.run(milliseconds: 20) }
    }
  }

  private func room(_ index: Int) -> RoomName { RoomName("room \(index)") ?? .lobby }

  @Test("A third node that joins two with 150 rooms each gets everything")
  func thirdNodeJoins() throws {
    var world = World()
    world.start()
    world.start(peers: [0])
    for node in 0..<2 { try fill(&world, node, rooms: 0..<150) }
    world.run(milliseconds: 3000)
    let isEqual = world.agree()
    #expect(isEqual)
    world.start(peers: [0])
    let time = world.run(atMost: 10_000) { $0.nodes[2].sessions.count == 300 && $0.agree() }
    #expect(time.map { $0 <= 2000 } == true, "after \(String(describing: time)) ms")
  }

  @Test("A node that joins one with 5,000 rooms gets everything")
  func fiveThousandRooms() throws {
    var world = World()
    world.start()
    try fill(&world, 0, rooms: 0..<5000)
    world.run(milliseconds: 3000)
    world.start(peers: [0])
    let before = world.bytes
    let time = world.run(atMost: 10_000) { $0.nodes[1].sessions.count == 5000 && $0.agree() }
    #expect(time.map { $0 <= 2000 } == true, "after \(String(describing: time)) ms")
    #expect(world.bytes - before < 1_500_000, "\(world.bytes - before) bytes")
  }

  @Test(
    "Three nodes with 400 rooms each that are cut while 100 rooms change agree when they meet again"
  )
  func cutAndHeal() throws {
    var world = World()
    world.start()
    world.start(peers: [0])
    world.start(peers: [0, 1])
    for node in 0..<3 { try fill(&world, node, rooms: 0..<400) }
    world.run(milliseconds: 3000)
    let isEqual = world.agree()
    #expect(isEqual)
    world.groups = [2: 1]
    for index in 0..<100 {
      for node in [0, 2] {
        let session = SessionID(UInt64(node + 1), UInt64(4 * index + 1))
        try world.perform(
          node,
          .setStatus(
            session, room(4 * index), .busy, message: "away", at: WallTime(milliseconds: 5)))
      }
    }
    world.run(milliseconds: 60_000)
    #expect(world.nodes[0].health[world.origin(2)] == .offline)
    world.groups = [:]
    let before = world.bytes
    let time = world.run(atMost: 30_000) { world in
      world.nodes.allSatisfy { $0.sessions.count == 1200 } && world.agree()
    }
    // Lost paths are tried every eight seconds.
    #expect(time.map { $0 <= 10_000 } == true, "after \(String(describing: time)) ms")
    #expect(world.bytes - before < 1_000_000, "\(world.bytes - before) bytes")
    let status = world.nodes[1].sessions[SessionID(3, 1)]?.place(in: room(0))?.presence.status
    #expect(status?.status == .busy)
  }

  @Test(
    "Four nodes with a thousand rooms each that are cut in two and heal agree in two seconds",
    arguments: 1...3)
  func fourThousandRooms(seed: UInt64) throws {
    var world = World(seed: seed)
    world.start()
    for _ in 0..<3 { world.start(peers: [0]) }
    for node in 0..<4 { try fill(&world, node, rooms: 0..<1000) }
    world.run(milliseconds: 5000)
    // The cut is shorter than the silence that loses a path.
    world.groups = [2: 1, 3: 1]
    for node in 0..<4 {
      for index in 0..<100 {
        try world.perform(
          node,
          .setData(
            SessionID(UInt64(node + 1), UInt64(index * 10 + 1)), room(index * 10), [1, 2, 3]))
      }
    }
    world.run(milliseconds: 4000)
    world.groups = [:]
    let time = world.run(atMost: 30_000) { $0.agree() }
    #expect(time.map { $0 <= 2000 } == true, "after \(String(describing: time)) ms")
    // They agree on everything, and a moment later they have told so.
    // A node that was hidden meanwhile is shown with its next beat.
    world.run(milliseconds: 4000)
    for node in 0..<4 {
      for other in 0..<4 {
        let place = world.nodes[node].sessions[SessionID(UInt64(other + 1), 1)]?.place(in: room(0))
        #expect(place?.presence.data == [1, 2, 3])
      }
    }
  }

  @Test(
    "A node that joins forty others gets all of them, more than it fetches from one peer at a time")
  func fortyOrigins() throws {
    var world = World()
    for index in 0..<40 {
      world.start(peers: index == 0 ? [] : [0])
      try world.open(
        index, SessionID(UInt64(index + 1), 1), user: "user \(index)", in: room(index % 3))
    }
    world.run(milliseconds: 12_000)
    world.start(peers: [0])
    let time = world.run(atMost: 20_000) { $0.nodes[40].sessions.count == 40 && $0.agree() }
    #expect(time.map { $0 <= 3000 } == true, "after \(String(describing: time)) ms")
  }
}

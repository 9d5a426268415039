import MeshCRDT
import MeshCRDT2
import MeshWire2
import Testing

@testable import MeshEngine2

/// Removals and openings that do not know of each other, on three nodes.
@Suite("Removals and openings that cross")
struct RemovalOrderTests {
  private let session = SessionID(7, 7)
  private let room = RoomName("design") ?? .lobby

  private func mesh() throws -> World {
    var world = World()
    for index in 0..<3 { world.start(peers: index == 0 ? [] : [0]) }
    let time = world.run(atMost: 10_000) { world in
      world.agree() && world.nodes.allSatisfy { $0.health.count == 2 }
    }
    try #require(time != nil)
    return world
  }

  private func open(_ node: Int, at milliseconds: UInt64, _ world: inout World) throws {
    try world.perform(
      node,
      .all([
        .open(
          session, Profile(userID: "ada"), device: "test", .attached,
          at: WallTime(milliseconds: milliseconds)),
        .enter(session, room),
      ]))
  }

  private func expect(host: Int?, _ world: inout World) {
    world.groups = [:]
    world.run(milliseconds: 40_000)
    let isEqual = world.agree()
    #expect(isEqual)
    for node in world.nodes {
      #expect(node.sessions[session]?.host == host.map { world.origin($0) })
      #expect((node.sessions[session]?.place(in: room) != nil) == (host != nil))
    }
  }

  @Test(
    "A session that was opened anew where an older removal was not heard stays",
    arguments: [false, true])
  func olderRemoval(isRestarted: Bool) throws {
    var world = try mesh()
    try open(0, at: 1_000_000, &world)
    world.run(milliseconds: 1000)
    // The third node hears neither the removal nor that it was obeyed.
    world.groups = [2: 1]
    try world.perform(1, .remove(session, from: .lobby, isFinal: false))
    world.run(milliseconds: 1000)
    #expect(world.nodes[0].sessions[session] == nil)
    if isRestarted {
      world.kill(2)
      world.restart(2)
    }
    world.run(milliseconds: 20_000)
    try open(2, at: 1_030_000, &world)
    world.run(milliseconds: 1000)
    expect(host: 2, &world)
  }

  @Test("The same, when the others hear of the opening before the removal is ordered")
  func removalByOneWhoHasNotHeard() throws {
    var world = try mesh()
    try open(0, at: 1_000_000, &world)
    world.run(milliseconds: 1000)
    // The second node hears nobody: it knows of the first stay alone.
    world.groups = [1: 1]
    try world.perform(0, .leave(session))
    world.run(milliseconds: 500)
    try open(2, at: 1_002_000, &world)
    world.run(milliseconds: 500)
    try world.perform(1, .remove(session, from: .lobby, isFinal: false))
    world.run(milliseconds: 1000)
    #expect(world.nodes[0].sessions[session]?.host == world.origin(2))
    expect(host: 2, &world)
  }

  @Test("A removal by one who has heard of the opening ends the session, whoever hears it first")
  func newerRemoval() throws {
    for late in [0, 2] {
      var world = try mesh()
      try open(0, at: 1_000_000, &world)
      world.run(milliseconds: 1000)
      try world.perform(0, .leave(session))
      try open(2, at: 1_002_000, &world)
      world.run(milliseconds: 1000)
      world.groups = [late: 1]
      try world.perform(1, .remove(session, from: .lobby, isFinal: false))
      world.run(milliseconds: 1000)
      expect(host: nil, &world)
    }
  }

  @Test("A removal from a room by one who knows an earlier stay alone does not end the present one")
  func roomOfAnEarlierStay() throws {
    var world = try mesh()
    try open(0, at: 1_000_000, &world)
    world.run(milliseconds: 1000)
    world.groups = [1: 1]
    try world.perform(0, .leave(session))
    world.run(milliseconds: 500)
    try open(2, at: 1_002_000, &world)
    world.run(milliseconds: 500)
    try world.perform(1, .remove(session, from: room, isFinal: false))
    expect(host: 2, &world)
  }
}

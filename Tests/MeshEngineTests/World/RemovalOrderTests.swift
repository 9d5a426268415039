import MeshCRDT
import MeshWire
import Testing

@testable import MeshEngine

/// Removals and openings that do not know of each other, on three nodes.
@Suite("Removals and openings that cross")
struct RemovalOrderTests {
  private let session = SessionID(7, 7)
  private let room = RoomName("design") ?? .lobby

  private func mesh(
    _ configure: @escaping (inout EngineConfiguration) -> Void = { _ in }
  ) throws -> World {
    var world = World(configure: configure)
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

  @Test(
    "A removal waits for a host that writes the session again before it hears of it",
    arguments: [false, true])
  func hostHearsLate(isFinal: Bool) throws {
    var world = try mesh { $0.removalHold = .seconds(1) }
    try open(0, at: 1_000_000, &world)
    world.run(milliseconds: 1000)
    // The host is heard, and hears nobody.
    world.filter = { _, _, to in to != 0 }
    try world.perform(1, .remove(session, from: .lobby, isFinal: isFinal))
    world.run(milliseconds: 100)
    // The first has the removal's counter.
    for name in ["A", "Ada"] {
      try world.perform(0, .setProfile(session, Profile(userID: "ada", name: name)))
    }
    world.run(milliseconds: 4000)
    #expect(world.nodes[1].sessions[session]?.value.profile.name == "Ada")
    world.filter = nil
    world.run(milliseconds: 3000)
    #expect(world.nodes.allSatisfy { $0.sessions[session] == nil })
    // Once it has ended, and begins anew, the removal is taken back.
    try open(0, at: 1_020_000, &world)
    world.run(milliseconds: 3000)
    #expect(world.nodes.allSatisfy { $0.sessions[session] != nil })
    for node in world.nodes {
      #expect(node.engine.records.removals(of: session, from: .lobby).isEmpty)
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

  @Test(
    "A removal that is heard after the session was opened again at its host ends it when it is final",
    arguments: [false, true], [true, false])
  func heardLate(isFinal: Bool, isReopenedFirst: Bool) throws {
    var world = try mesh()
    try open(0, at: 1_000_000, &world)
    world.run(milliseconds: 1000)
    world.groups = [0: 1]
    for isReopening in [isReopenedFirst, !isReopenedFirst] {
      if isReopening {
        try open(0, at: 1_001_000, &world)
      } else {
        try world.perform(1, .remove(session, from: .lobby, isFinal: isFinal))
      }
      world.run(milliseconds: 500)
    }
    #expect(world.nodes[2].sessions[session] == nil)
    expect(host: isFinal ? nil : 0, &world)
    #expect(world.nodes[0].engine.hostedSessions == (isFinal ? [] : [session]))
  }

  @Test(
    "A session that is opened again while another node takes it over is where that was done later",
    arguments: [UInt64(999_000), 1_003_000], [true, false])
  func takeOverCrosses(reopenedAt: UInt64, isReopenedFirst: Bool) throws {
    var world = try mesh()
    try open(0, at: 998_000, &world)
    world.run(milliseconds: 1000)
    world.groups = [0: 1]
    for isReopening in [isReopenedFirst, !isReopenedFirst] {
      try open(isReopening ? 0 : 1, at: isReopening ? reopenedAt : 1_002_000, &world)
      world.run(milliseconds: 500)
    }
    let host = reopenedAt > 1_002_000 ? 0 : 1
    expect(host: host, &world)
    #expect(world.nodes.map(\.engine.hostedSessions.count) == [host == 0 ? 1 : 0, host, 0])
  }

  @Test("That a session is opened again at its host is told to nobody")
  func isQuiet() throws {
    var world = try mesh()
    try open(0, at: 1_000_000, &world)
    world.run(milliseconds: 1000)
    let before = world.nodes.map(\.events)
    try open(0, at: 1_001_000, &world)
    world.run(milliseconds: 1000)
    #expect(world.nodes[0].events == before[0] + [.restored(session)])
    #expect(world.nodes[1].events == before[1] && world.nodes[2].events == before[2])
  }

  @Test("A cursor that was seen to move goes along with its session", arguments: [false, true])
  func cursorMoves(isBack: Bool) throws {
    var world = try mesh()
    try open(0, at: 1_000_000, &world)
    try world.perform(0, .moveCursor(session, room, Cursor(x: 0.25, y: 0.5)))
    world.run(milliseconds: 1500)
    try world.perform(0, .moveCursor(session, room, Cursor(x: 0.75, y: 0.5)))
    world.run(milliseconds: 100)
    try open(1, at: 1_002_000, &world)
    world.run(milliseconds: 100)
    if isBack { try open(0, at: 1_003_000, &world) }
    world.run(milliseconds: 2000)
    for node in world.nodes {
      let session = node.sessions[session]
      #expect(session?.host == world.origin(isBack ? 0 : 1))
      #expect(session?.place(in: room)?.cursor == Cursor(x: 0.75, y: 0.5))
    }
  }
}

import MeshCRDT
import Testing

@testable import MeshEngine

@Suite("Small meshes")
struct SmallMeshTests {
  private func room(_ name: String) -> RoomName { RoomName(name) ?? .lobby }

  @Test("Two nodes meet, and each sees the other's session")
  func twoMeet() throws {
    var world = World()
    world.start()
    world.start(peers: [0])
    try world.open(0, SessionID(1, 1), user: "ada", in: room("design"))
    try world.open(1, SessionID(2, 2), user: "bob", in: room("design"))
    let time = world.run(atMost: 5000) { world in
      world.nodes.allSatisfy { $0.sessions.count == 2 } && world.agree()
    }
    #expect(time != nil)
    #expect(world.nodes[1].sessions[SessionID(1, 1)]?.value.profile.userID == "ada")
    #expect(world.nodes[1].sessions[SessionID(1, 1)]?.isIn(room("design")) == true)
    #expect(world.nodes[0].health[world.origin(1)] == .online)
  }

  @Test("Whoever meets a node knows its newest beat at once, however old its checkpoint is")
  func newestBeatIsGreeted() throws {
    var world = World()
    world.start()
    world.run(milliseconds: 61_000)
    world.start(peers: [0])
    let time = world.run(atMost: 900) { world in
      world.nodes[1].engine.newestBeat(of: world.origin(0), at: world.now)?.index == 30
    }
    #expect(time != nil)
    // Nothing says when its moment was: until a beat comes in time, it may be older by less than a period.
    let age = world.nodes[1].engine.newestBeat(of: world.origin(0), at: world.now)?.age
    #expect(age.map { $0 < ms(100) } == true)
  }
}

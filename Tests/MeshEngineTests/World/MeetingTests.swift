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

  @Test("Whoever hears of a dead node through others knows its newest beat with its checkpoint")
  func newestBeatOfOthers() throws {
    var world = World()
    world.start()
    world.start(peers: [0])
    world.run(milliseconds: 61_000)
    world.kill(0)
    world.run(milliseconds: 20_000)
    world.start(peers: [1])
    let origin = world.origin(0)
    let time = world.run(atMost: 5000) { world in
      world.nodes[2].engine.newestBeat(of: origin, at: world.now) != nil
    }
    // A later beat would be a new sign of life, and 2.5 periods later end the age that was told.
    let newest = world.nodes[2].engine.newestBeat(of: origin, at: world.now)?.index
    #expect(time != nil && newest == 30)
    #expect(world.nodes[2].health[origin] == .offline)
  }

  @Test("Whoever may send little sends the front of a long answer first, and no more than can wait")
  func longAnswersOfSlowNodes() throws {
    var world = World(configure: { $0.sendRate = 20_000 })
    world.start()
    for index in 0..<1500 {
      try world.open(
        0, SessionID(1, UInt64(index)), user: "user \(index)", in: room("\(index % 300)"))
    }
    world.run(milliseconds: 2000)
    world.start(peers: [0])
    let time = world.run(atMost: 20_000) { world in
      world.agree() && world.nodes[1].sessions.count == 1500
    }
    #expect(time != nil)
  }
}

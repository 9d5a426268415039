import MeshCRDT
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Comparisons that somebody holds up")
struct HoldingTests {
  private func room(_ name: String) -> RoomName { RoomName(name) ?? .lobby }

  @Test("A checkpoint that nobody can complete makes no storm, and others are fetched beside it")
  func neverComplete() throws {
    var world = World()
    for index in 0..<4 { world.start(peers: index == 0 ? [] : [0]) }
    for index in 0..<4 {
      try world.open(index, SessionID(UInt64(index + 1), 1), user: "u\(index)", in: room("design"))
    }
    world.run(milliseconds: 3000)
    // An origin whose root belongs to nothing, told to two of them.
    let crypto = TestCrypto(secret: 99)
    let verifier = SignatureVerifier(
      mesh: try #require(World.mesh), crypto: crypto, hash: TestTreeHash())
    let incarnation = try #require(Incarnation(counter: 1, nonce: 7))
    for sequence in 1...40 as ClosedRange<UInt64> {
      let body = Checkpoint(
        incarnation: incarnation, sequence: sequence, version: 100 * sequence,
        root: Hash256(Hash128(1, sequence), Hash128(2, 3)), value: Hash128(1, 1), chain: 1,
        schedule: 1, offsetMilliseconds: 0, beat: sequence, periodMilliseconds: 2000)
      let message = try #require(verifier.sign(body)).message
      for node in 1...2 {
        world.inject(.checkpoint(ageMilliseconds: 0, message), at: node, from: 0)
      }
      world.run(milliseconds: 250)
    }
    let before = world.datagrams
    world.run(milliseconds: 10_000)
    #expect(world.datagrams - before < 1500, "\(world.datagrams - before) datagrams in 10 s")
    // A node that comes now gets all that is there.
    world.start(peers: [1, 2])
    let time = world.run(atMost: 5000) { $0.nodes[4].sessions.count == 4 }
    #expect(time != nil)
  }

  @Test("A lost batch beside a lost checkpoint is mended, also when the origin goes on writing")
  func lossesWhileWriting() throws {
    var world = World()
    for index in 0..<3 { world.start(peers: index == 0 ? [] : [0]) }
    try world.open(0, SessionID(1, 1), user: "ada", in: room("design"))
    world.run(milliseconds: 2000)
    for step in 0..<100 {
      world.loss = step % 10 < 3 ? 800 : 0
      try world.perform(
        0, .setData(SessionID(1, 1), room("design"), [UInt8(step)]))
      world.run(milliseconds: 37)
    }
    world.loss = 0
    let time = world.run(atMost: 3000) { $0.agree() }
    #expect(time != nil)
    world.run(milliseconds: 100)
    for node in world.nodes {
      #expect(node.sessions[SessionID(1, 1)]?.place(in: room("design"))?.presence.data == [99])
    }
  }

  @Test("Whoever missed a farewell learns of it from others")
  func missedFarewell() throws {
    var world = World()
    for index in 0..<4 { world.start(peers: index == 0 ? [] : [0]) }
    for index in 0..<4 {
      try world.open(index, SessionID(UInt64(index + 1), 1), user: "u\(index)", in: room("design"))
    }
    world.run(milliseconds: 3000)
    world.filter = { _, from, to in !(from == 3 && to == 0) }
    try world.perform(3, .leaveMesh)
    let time = world.run(atMost: 4000) { $0.nodes[0].health[$0.origin(3)] == .left }
    #expect(time != nil)
  }
}

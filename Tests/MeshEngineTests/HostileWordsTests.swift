import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Words of members that stop no node")
struct HostileWordsTests {
  @Test("A list of live records of which two have one version can wait, and be read")
  func manifestOfEqualVersions() throws {
    var wire = try Wire(2) { $0.peerRate = 20_000 }
    wire.pass(milliseconds: 200)
    // Little may be sent to the other node, and that is used up.
    try wire.enter(0..<100, at: 0)
    wire.pass(milliseconds: 20)
    let member = try Member(secret: 99)
    let (first, second) = (member.session(1), member.session(2))
    let third = member.session(3)
    let all = member.claim(2, [(1, first), (1, second), (2, third)])
    try wire.drive(0) { engine, _ in
      let address = Wire.address(1)
      // Neither of the two is complete by itself.
      for record in [first, second] {
        engine.hear(batch: try member.batch(1, record, claim: all), from: address)
      }
      engine.hear(batch: try member.batch(2, third, claim: all), from: address)
      let slot = try #require(engine.state.slot(of: member.origin))
      try #require(engine.state.logs[slot].lobby.isSettled)
      engine.answer(
        ManifestRequest(shelf: ShelfID(member.origin, .lobby), generation: 1, after: 0),
        to: address)
    }
    wire.pass(milliseconds: 2000)
    #expect(wire.engines[0].counters[.manifestsSent] > 0)
    #expect(wire.engines[1].counters[.messagesMalformed] == 0)
  }

  @Test("A node of a large mesh compares on when its address book is empty")
  func emptyBook() throws {
    var wire = try Wire(4) { $0.directPeers = 1 }
    wire.pass(milliseconds: 5000)
    try #require(wire.engines[0].isLarge)
    for _ in 0..<200 {
      wire.drive(0) { engine, _ in
        // Others fill it with what is not there, and each of these goes when it is tried.
        engine.book = [:]
        engine.sendDigest()
      }
    }
    #expect(wire.engines[0].counters[.digestsSent] > 100)
  }

  @Test("A node whose counter a member has led astray stays online for all")
  func counterLedAstray() throws {
    var wire = try Wire(3)
    try wire.enter(0..<1, at: 0)
    wire.pass(milliseconds: 3000)
    let member = try Member(secret: 99)
    for step in 1...3 as ClosedRange<UInt64> {
      let counter = min(step * (Limits.counterLeap - 1000), 2 * Limits.counterLeap)
      // The other two are out of reach for a moment.
      wire.drive(0) { engine, _ in
        engine.hear(head: member.head(step, counter: counter), age: 0, from: Wire.address(1))
      }
    }
    try #require(wire.engines[0].lamportCounter == 2 * Limits.counterLeap)
    wire.pass(milliseconds: 20_000)
    for index in 1..<3 {
      #expect(wire.engines[index].snapshot().nodes[wire.engines[0].origin] == .online)
      #expect(wire.engines[index].counters[.countersImplausible] > 0)
      #expect(wire.engines[index].lamportCounter < Limits.counterLeap)
      #expect(wire.engines[index].session(SessionID(1, 1)) != nil)
    }
  }
}

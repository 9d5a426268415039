import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Origins that sign two words about one version")
struct ContradictionTests {
  /// Two nodes of which each hears another of two words, with the head that belongs to it, or that
  /// belongs to the first.
  private static func contradicted(
    _ members: [Member], in room: RoomName, byHeads: Bool = true
  ) throws -> Wire {
    var wire = try Wire(2)
    wire.pass(milliseconds: 3000)
    let areEqual = Wire.areEqual(wire.engines)
    try #require(areEqual)
    for member in members {
      func record(_ index: Int) -> Record {
        room.isLobby
          ? member.session(UInt64(index))
          : member.presence(UInt64(index), in: room, message: "word \(index)")
      }
      for index in 0..<2 {
        let batch = try member.batch(1, record(index), in: room)
        let said = record(byHeads ? index : 0)
        let claim = room.isLobby ? member.claim(1, [(1, said)]) : .empty
        wire.drive(index) { engine, _ in
          let other = Wire.address(1 - index)
          engine.hear(batch: batch, from: other)
          engine.hear(head: member.head(1, claim: claim), age: 0, from: other)
        }
      }
    }
    return wire
  }

  /// Datagrams in the second in which most were sent.
  private static func busiest(_ wire: inout Wire, seconds: Int) -> Int {
    (0..<seconds).map { _ in
      let before = wire.datagrams
      wire.pass(milliseconds: 1000)
      return wire.datagrams - before
    }.max() ?? 0
  }

  @Test("Two words about one version of a room make no storm, and the higher one is held by all")
  func room() throws {
    var wire = try Self.contradicted([try Member(secret: 99)], in: Wire.room(1))
    let most = Self.busiest(&wire, seconds: 30)
    #expect(most < 40, "\(most) datagrams in a second")
    let areEqual = Wire.areEqual(wire.engines)
    #expect(areEqual)
  }

  @Test("Two words about one version of the lobby make no storm, under one key and under two")
  func lobby() throws {
    for (secrets, byHeads) in [([99] as [UInt64], true), ([98, 99], true), ([97, 98, 99], false)] {
      var wire = try Self.contradicted(
        try secrets.map { try Member(secret: $0) }, in: .lobby, byHeads: byHeads)
      let most = Self.busiest(&wire, seconds: 30)
      #expect(most < 40, "\(most) datagrams in a second")
      let areEqual = Wire.areEqual(wire.engines)
      #expect(areEqual)
    }
  }

  @Test("Another word that nobody has is asked for once in a while only")
  func wordThatNobodyHas() throws {
    var wire = try Wire(2)
    try wire.enter(0..<1, at: 0)
    wire.pass(milliseconds: 3000)
    let engine = wire.engines[1]
    let slot = try #require(engine.state.slot(of: wire.engines[0].origin))
    let room = try #require(engine.state.logs[slot].rooms.keys.first)
    let held = engine.state.logs[slot].shelf(room).cut
    let lie = DigestEntry(
      shelf: ShelfID(wire.engines[0].origin, room), generation: 1,
      held: Cut(version: held.version, count: held.count, hash: .max))
    let before = wire.engines[1].counters[.pullsSent]
    for _ in 0..<500 {
      wire.drive(1) { engine, _ in
        engine.hear(
          Entries(
            nonce: 1, wantsAnswer: false, hasMore: false, mask: .max, after: .first, entries: [lie]),
          from: Wire.address(0))
      }
      wire.pass(milliseconds: 10)
    }
    #expect(wire.engines[1].counters[.pullsSent] - before <= 1)
    #expect(wire.engines[1].state.logs[slot].shelf(room).cut == held)
  }

  @Test("A node tells for how long its digests have differed from a peer's")
  func differing() throws {
    var wire = try Wire(2)
    try wire.enter(0..<1, at: 0)
    wire.pass(milliseconds: 5000)
    for index in 0..<2 {
      #expect(wire.engines[index].peers(now: wire.now).map(\.differsMilliseconds) == [nil])
    }
    // What the first says from now on is not believed by the other.
    let member = try Member(secret: 99)
    for step in 1...2 as ClosedRange<UInt64> {
      wire.drive(0) { engine, _ in
        let head = member.head(step, counter: step * (Limits.counterLeap - 1000))
        engine.hear(head: head, age: 0, from: Wire.address(1))
      }
    }
    try wire.say("changed", in: 0, at: 0)
    let before = wire.datagrams
    wire.pass(milliseconds: 20_000)
    #expect(wire.datagrams - before < 400)
    for index in 0..<2 {
      let peers = wire.engines[index].peers(now: wire.now)
      let other = try #require(peers.first { $0.origin == wire.engines[1 - index].origin })
      #expect(other.health == .online && other.isSettled)
      #expect(try #require(other.differsMilliseconds) > 15_000)
    }
  }
}

import MeshCRDT
import MeshTrust
import Testing

@testable import MeshEngine

@Suite("Nodes that are not heard any more")
struct SilenceTests {
  /// When a node took another one for offline, in milliseconds after a moment.
  private static func hidden(
    _ wire: Wire, _ other: Int, at index: Int, since: MonotonicTime
  ) -> UInt64? {
    let origin = wire.engines[other].origin
    return wire.events[index]?.last { $0.event == .node(origin, .offline) && $0.at > since }
      .map { $0.at.since(since).milliseconds }
  }

  @Test("A node whose ticks are late again and again sees that another one died")
  func lateTicks() throws {
    var wire = try Wire(12)
    wire.slowness = [0: 550]
    wire.pass(milliseconds: 10_000)
    for other in 1..<12 {
      #expect(wire.engines[0].snapshot().nodes[wire.engines[other].origin] == .online)
    }
    let start = wire.now
    wire.dead = [2]
    wire.pass(milliseconds: 120_000)
    #expect(wire.engines[0].counters[.pausesForgiven] > 0)
    let hidden = try #require(Self.hidden(wire, 2, at: 0, since: start))
    // The time to live, half of it again for one pause, and what the ticks are late.
    #expect(hidden <= 9000)
    #expect(wire.engines[0].snapshot().nodes[wire.engines[1].origin] == .online)
  }

  @Test("In a mesh of two the survivor takes the other for offline in the end, unverified")
  func survivorOfTwo() throws {
    var wire = try Wire(2)
    wire.pass(milliseconds: 5000)
    try wire.enter(0..<1, at: 1)
    wire.pass(milliseconds: 100)
    let start = wire.now
    wire.dead = [1]
    wire.pass(milliseconds: 15_000)
    // It may be cut off itself.
    #expect(wire.engines[0].snapshot().isStale)
    #expect(wire.engines[0].session(SessionID(2, 1)) != nil)
    wire.pass(milliseconds: 15_000)
    let hidden = try #require(Self.hidden(wire, 1, at: 0, since: start))
    #expect((18_000...23_000).contains(hidden))
    #expect(wire.engines[0].session(SessionID(2, 1)) == nil)
    #expect(wire.engines[0].snapshot().isStale)
    #expect(wire.engines[0].peers(now: wire.now).map(\.isUnverified) == [true])
    // It was cut off.
    wire.dead = []
    wire.pass(milliseconds: 15_000)
    #expect(!wire.engines[0].snapshot().isStale)
    #expect(wire.engines[0].session(SessionID(2, 1)) != nil)
    #expect(wire.engines[0].peers(now: wire.now).map(\.isUnverified) == [false])
  }

  @Test("Who was offline before a node heard nobody any more is not shown for that")
  func staysHidden() throws {
    var wire = try Wire(3)
    wire.pass(milliseconds: 5000)
    wire.dead = [2]
    wire.pass(milliseconds: 8000)
    let origin = wire.engines[2].origin
    try #require(wire.engines[0].snapshot().nodes[origin] == .offline)
    let start = wire.now
    wire.dead = [1, 2]
    wire.pass(milliseconds: 12_000)
    try #require(wire.engines[0].isStale)
    let isShown = wire.events[0]?.contains { $0.event == .node(origin, .suspect) && $0.at > start }
    #expect(isShown == false)
  }

  @Test("A pause while a node hears nobody does not use up the time that others get afterwards")
  func pauseInSilence() throws {
    var wire = try Wire(4)
    wire.pass(milliseconds: 5000)
    // Shorter than the silence that loses a path.
    wire.sides = [0: 1]
    wire.pass(milliseconds: 3000)
    wire.slowness = [0: 700]
    wire.pass(milliseconds: 2100)
    wire.slowness = [:]
    try #require(wire.engines[0].counters[.pausesForgiven] > 0)
    wire.pass(milliseconds: 4200)
    try #require(wire.engines[0].isStale)
    let start = wire.now
    wire.sides = [:]
    wire.pass(milliseconds: 6000)
    let offline = wire.events[0]?.filter { event in
      if case .node(_, .offline) = event.event { event.at > start } else { false }
    }
    #expect(offline?.isEmpty == true)
    #expect(!wire.engines[0].isStale)
  }
}

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
    print("FIG lateTicks \(hidden)")
    // The time to live, half of it again for one pause, and what the ticks are late.
    #expect(hidden <= 9000)
    #expect(wire.engines[0].snapshot().nodes[wire.engines[1].origin] == .online)
  }
}

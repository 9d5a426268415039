import MeshCRDT
import MeshTrust
import Testing

@testable import MeshEngine

@Suite("Large meshes")
struct LargeMeshTests {
  @Test(
    "In a large mesh without loss nobody suspects a node that lives, and nobody asks for heads",
    arguments: [(30, 100), (30, 0), (60, 10)] as [(Int, UInt64)])
  func noSuspicions(nodes: Int, apart: UInt64) throws {
    var wire = try Wire(1)
    for _ in 1..<nodes {
      wire.pass(milliseconds: apart)
      try wire.join()
    }
    var doubts = 0
    for _ in 0..<30 {
      wire.pass(milliseconds: 2000)
      doubts += wire.engines.reduce(0) { $0 + $1.doubtedCount }
    }
    let suspicions = wire.events.values.flatMap(\.self).count {
      if case .node(_, .suspect) = $0.event { true } else { false }
    }
    #expect(suspicions == 0)
    // Of all pairs of nodes, 30 times looked at: one in a thousand.
    #expect(doubts <= nodes * nodes * 30 / 1000, "\(doubts) times a head was missed")
    let haveMet = wire.engines.allSatisfy { $0.visibleCount == nodes }
    #expect(haveMet)
  }
}

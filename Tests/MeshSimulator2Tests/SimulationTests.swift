import Testing

@testable import MeshSimulator2

@Suite("Simulated worlds of the next core")
struct SimulationTests {
  @Test("The same seed gives the same world", arguments: [1, 2] as [UInt64])
  func replay(seed: UInt64) {
    var scenario = Scenario(seed: seed)
    scenario.nodes = 4
    scenario.faults = [.loss]
    scenario.faultMilliseconds = 8000
    let first = scenario.run()
    let second = scenario.run()
    #expect(first.failure == nil)
    #expect(first.traceHash == second.traceHash)
    #expect(first.datagrams > 100)
  }
}

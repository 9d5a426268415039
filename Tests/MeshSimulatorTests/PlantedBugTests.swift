import MeshCRDT
import MeshSimulator
import Testing

@Suite("Planted bugs")
struct PlantedBugTests {
  /// For each bug the first seed that finds it, and the faults that were drawn from.
  static let findings: [(bug: PlantedBug, seed: UInt64)] = []

  @Test("The simulator finds it, and finds nothing without it", arguments: findings)
  func bugIsFound(bug: PlantedBug, seed: UInt64) throws {
    try #require(PlantedBug.areCompiledIn)
    var options = SimulationOptions(seed: seed)
    #expect(simulate(options).failure == nil)
    options.planted = bug
    #expect(simulate(options).failure != nil)
  }

  @Test("Every bug that a simulation can find has a seed here")
  func listIsComplete() {
    #expect(Set(Self.findings.map(\.bug)) == Set(PlantedBug.foundBySimulation))
  }
}

package import MeshCRDT
package import MeshEngine
package import MeshTrust

/// What to simulate.
package struct SimulationOptions: Sendable {
  /// Everything follows from it.
  package var seed: UInt64
  /// The number of nodes, 2…1,000; `nil`: 5…16, by the seed.
  package var nodes: Int?
  /// The faults that may happen; each seed draws half of them. `isExact`: all of them happen.
  package var faults: Set<Fault> = Set(Fault.allCases)
  package var isExact = false
  /// Virtual milliseconds of faults; `nil`: 15…40 s, by the seed.
  package var faultMilliseconds: UInt64?
  /// Virtual milliseconds after the faults within which everything must have converged.
  package var boundMilliseconds: UInt64 = 30_000
  /// A fault of the code to switch on, in builds that have them.
  package var planted: PlantedBug?
  /// Makes the cryptography of a node: its secret, the mesh's secret, its life.
  package var makeCrypto: @Sendable (UInt64, UInt64, UInt64) -> any Crypto = {
    StandInCrypto(secret: $0, meshSecret: $1, life: $2)
  }

  /// Changes the settings of each engine.
  package var configure: @Sendable (inout EngineConfiguration) -> Void = { _ in }

  package init(seed: UInt64) { self.seed = seed }
}

/// What came of a simulation.
package struct SimulationResult: Sendable {
  package let seed: UInt64
  package let nodes: Int
  package let faults: [Fault]
  /// What was broken, with the virtual time in milliseconds; `nil`: nothing.
  package let failure: String?
  /// The last things that happened before a failure, one line each.
  package let trace: [String]
  /// Virtual milliseconds from the end of the faults until all was equal.
  package let convergenceMilliseconds: UInt64?
  /// A hash of everything that happened: equal for equal seeds, in every build.
  package let traceHash: UInt64
  package let virtualMilliseconds: UInt64
  package let datagrams: UInt64
  package let operations: Int
}

/// Simulates one seed.
package func simulate(_ options: SimulationOptions) -> SimulationResult {
  PlantedBug.with(options.planted) {
    var world = World(options)
    return world.run()
  }
}

package import MeshCRDT
package import MeshEngine
package import MeshTrust

/// What to simulate.
package struct SimulationOptions: Sendable {
  /// Everything follows from it.
  package var seed: UInt64
  /// The number of nodes, 2…1,000; `nil`: 5…16, by the seed.
  package var nodes: Int?
  /// How the links are when no fault touches them.
  package var links = Links()
  /// Whether announcements reach everybody; `nil`: by the seed.
  package var hasMulticast: Bool?
  /// Sessions that each node opens when the mesh comes up, beside those of the random clients.
  package var sessionsPerNode = 0
  /// The faults that may happen; each seed draws half of them. `isExact`: all of them happen.
  package var faults: Set<Fault> = Set(Fault.allCases)
  package var isExact = false
  /// Faults at fixed times, in the place of random ones; `faults` then names what they are.
  package var script: Script?
  /// Virtual milliseconds of faults; `nil`: 15…40 s, by the seed.
  package var faultMilliseconds: UInt64?
  /// Virtual milliseconds after the faults within which everything must have converged.
  package var boundMilliseconds: UInt64 = 30_000
  /// So many status changes are timed on their way to everybody, in a world without faults; `nil`:
  /// faults strike, and what is timed is how long nodes need to agree after them.
  package var changes: Int?
  /// Whether samples are taken for plots. They change nothing in what is simulated.
  package var isSampled = false
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
  /// Virtual milliseconds from the end of the faults until all was equal; of changes, those of the
  /// slowest.
  package let convergenceMilliseconds: UInt64?
  /// A hash of everything that happened: equal for equal seeds, in every build.
  package let traceHash: UInt64
  package let virtualMilliseconds: UInt64
  package let datagrams: UInt64
  package let operations: Int
  /// How status changes spread, in the order in which they were made; empty when none were timed.
  package var changes: [SpreadChange] = []
  /// What was sampled, if that was asked for.
  package var samples: Samples?
}

/// Simulates one seed.
package func simulate(_ options: SimulationOptions) -> SimulationResult {
  PlantedBug.with(options.planted) {
    var world = World(options)
    if let changes = options.changes { return world.runSpread(changes: changes) }
    if options.isSampled {
      let end = world.faultsEnd + options.boundMilliseconds * World.millisecond
      world.sampler = Sampler(for: world, until: end)
    }
    var result = world.run()
    result.samples = world.finishedSamples(focus: world.faultsEnd)
    return result
  }
}

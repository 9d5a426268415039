package import MeshCRDT
package import MeshEngine
package import MeshTrust

/// What to simulate. Everything in a world follows from its seed.
package struct Scenario: Sendable {
  package var seed: UInt64
  /// The number of nodes, 2…1,000; `nil`: 3…24, by the seed.
  package var nodes: Int?
  /// How the links are when no fault touches them.
  package var links = Links()
  /// Whether announcements reach everybody; `nil`: by the seed.
  package var hasMulticast: Bool?
  /// True: an authority says who is a member; `nil`: so it is for one seed in four.
  package var isClosed: Bool?
  /// Sessions that each node opens when the mesh comes up, beside those of the random clients.
  package var sessionsPerNode = 0
  /// The faults that may happen; each seed draws some of them. `isExact`: all of them happen.
  package var faults: Set<Fault> = Set(Fault.allCases)
  package var isExact = false
  /// What liars may do; each draws some of it. `nil`: anything.
  package var lies: Set<Lie>?
  /// Faults at fixed times, in the place of random ones.
  package var script: Script?
  /// Virtual milliseconds of faults; `nil`: 10…30 s, or 50…70 s, by the seed.
  package var faultMilliseconds: UInt64?
  /// Virtual milliseconds after the faults within which everything must have converged.
  package var boundMilliseconds: UInt64 = 30_000
  /// Rooms that gateways make; `nil`: none in most worlds, 100…3,200 in some.
  package var gatewayRooms: Int?
  /// So many status changes are timed on their way to everybody, in a world without faults.
  package var changes: Int?
  /// Whether samples are taken for plots. They change nothing in what is simulated.
  package var isSampled = false
  /// How many of the last things that happened a failure tells.
  package var traceLines = 60
  /// A fault of the code to switch on, in builds that have them.
  package var planted: PlantedBug?
  /// Makes the cryptography and the hash function of a node.
  package var makeCrypto: @Sendable (NodeSecrets) -> any Crypto = { StandInCrypto($0) }
  package var treeHash: any TreeHash = StandInTreeHash()
  /// Changes the settings of each engine.
  package var configure: @Sendable (inout EngineConfiguration) -> Void = { _ in }

  package init(seed: UInt64) { self.seed = seed }

  /// Simulates the scenario.
  package func run() -> Outcome {
    PlantedBug.with(planted) {
      let world = World(self)
      if let changes { return world.runSpread(changes: changes) }
      if isSampled {
        world.sampler = Sampler(
          for: world, until: world.faultsEnd + boundMilliseconds * World.millisecond)
      }
      return world.run()
    }
  }
}

/// What the keys of a node are made from.
package struct NodeSecrets: Sendable {
  package let node: UInt64
  package let mesh: UInt64
  /// Another one in each process of a node.
  package let process: UInt64
  /// The epochs of the mesh key that it can open, rising: at most as many as a keyring holds.
  package let epochs: [UInt32]

  package init(node: UInt64, mesh: UInt64, process: UInt64, newestEpoch: UInt32 = 1) {
    let lowest = max(1, newestEpoch &- min(3, newestEpoch))
    self.init(node: node, mesh: mesh, process: process, epochs: Array(lowest...newestEpoch))
  }

  package init(node: UInt64, mesh: UInt64, process: UInt64, epochs: [UInt32]) {
    self.node = node
    self.mesh = mesh
    self.process = process
    self.epochs = epochs
  }
}

/// What was broken.
package struct Failure: Hashable, Sendable {
  /// The name of the check.
  package let check: String
  /// The virtual time.
  package let milliseconds: UInt64
  package let text: String
}

/// What came of a simulation.
package struct Outcome: Sendable {
  package let seed: UInt64
  package let nodes: Int
  package let faults: [Scenario.Fault]
  /// What was broken first; `nil`: nothing.
  package let failure: Failure?
  /// The last things that happened before a failure, one line each.
  package let trace: [String]
  /// Virtual milliseconds from the end of the faults until all was equal; of changes, those of the slowest.
  /// `nil` after a failure, and where links stay that carry short datagrams only: nobody is asked to agree.
  package let convergenceMilliseconds: UInt64?
  /// A hash of everything that happened: equal for equal seeds, in every build.
  package let traceHash: UInt64
  package let virtualMilliseconds: UInt64
  package let datagrams: UInt64
  package let operations: Int
  /// Inputs that engines took.
  package let events: UInt64
  /// How status changes spread, in the order in which they were made; empty when none were timed.
  package var changes: [SpreadChange] = []
  /// What was sampled, if that was asked for.
  package var samples: Samples?
}

/// A status change on its way to everybody.
package struct SpreadChange: Sendable {
  /// Virtual milliseconds until each node told it, lowest first. Nodes that never did are left out.
  package let arrivalMilliseconds: [Double]
  /// Virtual milliseconds until the last node told it; `nil`: not all did within 30 s.
  package let milliseconds: Double?
}

/// How the links between nodes are all the time, faults or not.
package struct Links: Hashable, Sendable {
  /// Bounds of the one-way delay in microseconds; `nil`: drawn by the seed, between 0.1 and 19 ms.
  package var delayMicroseconds: ClosedRange<UInt64>?
  /// The chance of a datagram to be lost, 0…1.
  package var loss = 0.0
  /// The chance of a datagram to come twice or three times, 0…1.
  package var duplication = 0.0
  /// The chance of a datagram to come up to ``reorderingMilliseconds`` later, 0…1.
  package var reordering = 0.0
  package var reorderingMilliseconds: UInt64 = 100

  package init() {}
}

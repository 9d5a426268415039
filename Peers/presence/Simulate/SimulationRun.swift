import MeshCRDT
import MeshCrypto
import MeshSimulator

/// Runs seeds one after the other.
enum SimulationRun {
  struct Options {
    var seed: UInt64
    var seeds: UInt64
    var nodes: Int?
    var faults: Set<Fault> = []
    var isExact = false
    var milliseconds: UInt64?
    var boundMilliseconds: UInt64 = 30_000
    var sodiumEvery: UInt64 = 0
  }

  struct Report {
    var results: [SimulationResult] = []
    var failures: [SimulationResult] { results.filter { $0.failure != nil } }
    /// Virtual milliseconds until all agreed, lowest first.
    var convergence: [UInt64] { results.compactMap(\.convergenceMilliseconds).sorted() }
    /// A hash of the hashes of all traces.
    var traceHash: UInt64 {
      var hasher = SipHash(key: HashKey(0, 0))
      for result in results { hasher.combine(result.traceHash) }
      return hasher.finalize()
    }
    var wall: Duration = .zero

    func percentile(_ share: Double) -> UInt64? {
      let spans = convergence
      guard let last = spans.last else { return nil }
      return share >= 1 ? last : spans[min(Int(Double(spans.count) * share), spans.count - 1)]
    }
  }

  struct UnknownName: Error, CustomStringConvertible {
    let description: String
  }

  static var faultNames: [String] { Fault.allCases.map(\.rawValue) }

  static func faults(named text: String) throws(UnknownName) -> Set<Fault> {
    if text == "all" { return Set(Fault.allCases) }
    if text == "none" { return [] }
    var faults: Set<Fault> = []
    for name in text.split(separator: ",") {
      guard let fault = Fault(rawValue: String(name)) else {
        throw UnknownName(
          description: "There is no fault '\(name)'. The faults are: "
            + faultNames.joined(separator: ", ") + ".")
      }
      faults.insert(fault)
    }
    return faults
  }

  /// The planted bugs of a name: one, or all that the simulator can find.
  static func bugs(named text: String?) throws(UnknownName) -> [String] {
    guard let text else { return [] }
    guard PlantedBug.areCompiledIn else {
      throw UnknownName(
        description: "This build has no planted bugs. Build with PRESENCEMESH_PLANTED_BUGS=1 set.")
    }
    let names = PlantedBug.foundBySimulation.map(\.rawValue)
    if text == "each" { return names }
    guard PlantedBug(rawValue: text) != nil else {
      throw UnknownName(
        description: "There is no planted bug '\(text)'. The bugs are: "
          + names.joined(separator: ", ") + ".")
    }
    return [text]
  }

  static func simulation(_ options: Options, seed: UInt64) -> SimulationOptions {
    var simulation = SimulationOptions(seed: seed)
    simulation.nodes = options.nodes
    simulation.faults = options.faults
    simulation.isExact = options.isExact
    simulation.faultMilliseconds = options.milliseconds
    simulation.boundMilliseconds = options.boundMilliseconds
    if options.sodiumEvery > 0, seed.isMultiple(of: options.sodiumEvery) {
      simulation.makeCrypto = { secret, meshSecret, life in
        SodiumCrypto(
          node: NodeKey(seed: secretBytes(secret, 1)),
          keyring: MeshKeyring(key: secretBytes(meshSecret, 2)),
          tokenKey: secretBytes(secret ^ life &* 0x9E37_79B9, 3))
      }
    }
    return simulation
  }

  /// 32 bytes from a number, for what has to be repeatable and not secret.
  private static func secretBytes(_ word: UInt64, _ purpose: UInt64) -> SecretBytes {
    SecretBytes(
      (0..<4).flatMap { SipHash.hash([UInt8($0)], key: HashKey(word, purpose)).bigEndianBytes })
  }

  static func run(_ options: Options, each: (SimulationResult) -> Void) -> Report {
    var report = Report()
    let clock = ContinuousClock()
    let start = clock.now
    for offset in 0..<options.seeds {
      let result = simulate(simulation(options, seed: options.seed &+ offset))
      report.results.append(result)
      each(result)
    }
    report.wall = clock.now - start
    return report
  }

  /// Simulates seeds with a planted bug until one fails.
  static func hunt(
    _ bug: String, _ options: Options
  ) -> (seedsNeeded: UInt64, failure: String)? {
    for offset in 0..<options.seeds {
      var simulation = simulation(options, seed: options.seed &+ offset)
      simulation.planted = PlantedBug(rawValue: bug)
      if let failure = simulate(simulation).failure { return (offset + 1, failure) }
    }
    return nil
  }
}

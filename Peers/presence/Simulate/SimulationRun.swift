import MeshCRDT
import MeshCrypto
import MeshSimulator

/// Runs seeds one after the other.
enum SimulationRun {
  struct Options {
    var seed: UInt64
    var seeds: UInt64
    /// What is simulated, but for its seed.
    var scenario: SimulationOptions
    var preset: Preset?
    var sodiumEvery: UInt64 = 0
    /// The options of a command line that make the same, seeds left out.
    var words: [String] = []
  }

  struct Report {
    var results: [SimulationResult] = []
    var failures: [SimulationResult] { results.filter { $0.failure != nil } }
    /// Virtual milliseconds, lowest first: until all agreed, one for each seed that passed; or until
    /// a change was everywhere, one for each change that got there. Tenths are kept.
    var convergence: [Double] {
      results.flatMap { result -> [Double] in
        guard result.changes.isEmpty else { return result.changes.compactMap(\.milliseconds) }
        return result.convergenceMilliseconds.map { [Double($0)] } ?? []
      }
      .map { ($0 * 10).rounded() / 10 }.sorted()
    }
    /// A hash of the hashes of all traces.
    var traceHash: UInt64 {
      var hasher = SipHash(key: HashKey(0, 0))
      for result in results { hasher.combine(result.traceHash) }
      return hasher.finalize()
    }
    var wall: Duration = .zero

    func percentile(_ share: Double) -> Double? { Figures.percentile(share, of: convergence) }
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
    var simulation = options.scenario
    simulation.seed = seed
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
  static func secretBytes(_ word: UInt64, _ purpose: UInt64) -> SecretBytes {
    SecretBytes(
      (0..<4).flatMap { SipHash.hash([UInt8($0)], key: HashKey(word, purpose)).bigEndianBytes })
  }

  static func run(
    _ options: Options, each: (SimulationResult) throws -> Void
  ) rethrows -> Report {
    var report = Report()
    let clock = ContinuousClock()
    let start = clock.now
    for offset in 0..<options.seeds {
      let result = simulate(simulation(options, seed: options.seed &+ offset))
      report.results.append(result)
      try each(result)
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

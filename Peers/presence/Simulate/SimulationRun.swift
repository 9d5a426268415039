import MeshCRDT
import MeshCrypto
import MeshSimulator

/// Runs seeds, several at a time.
struct SimulationRun {
  var seed: UInt64
  var seeds: UInt64
  /// What is simulated, but for its seed.
  var scenario: Scenario
  var preset: Preset?
  /// Every so many seeds one runs with libsodium; 0: none.
  var sodiumEvery: UInt64 = 0
  /// So many worlds run side by side.
  var jobs = 1
  /// The options of a command line that make the same, seeds left out.
  var words: [String] = []

  struct Report {
    var results: [Outcome] = []
    var wall: Duration = .zero

    var failures: [Outcome] { results.filter { $0.failure != nil } }
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

    func percentile(_ share: Double) -> Double? { Figures.percentile(share, of: convergence) }
  }

  struct UnknownName: Error, CustomStringConvertible {
    let description: String
  }

  static var faultNames: [String] { Scenario.Fault.allCases.map(\.rawValue) }

  static func faults(named text: String) throws(UnknownName) -> Set<Scenario.Fault> {
    if text == "all" { return Set(Scenario.Fault.allCases) }
    if text == "none" { return [] }
    var faults: Set<Scenario.Fault> = []
    for name in text.split(separator: ",") {
      guard let fault = Scenario.Fault(rawValue: String(name)) else {
        throw UnknownName(
          description: "There is no fault '\(name)'. The faults are: "
            + faultNames.joined(separator: ", ") + ".")
      }
      faults.insert(fault)
    }
    return faults
  }

  /// The planted bugs of a name: one, or all.
  static func bugs(named text: String?) throws(UnknownName) -> [String] {
    guard let text else { return [] }
    guard PlantedBug.areCompiledIn else {
      throw UnknownName(
        description: "This build has no planted bugs. Build with PRESENCEMESH_PLANTED_BUGS=1 set.")
    }
    let names = PlantedBug.allCases.map(\.rawValue)
    if text == "each" { return names }
    guard PlantedBug(rawValue: text) != nil else {
      throw UnknownName(
        description: "There is no planted bug '\(text)'. The bugs are: "
          + names.joined(separator: ", ") + ".")
    }
    return [text]
  }

  func scenario(ofSeed seed: UInt64) -> Scenario {
    var scenario = scenario
    scenario.seed = seed
    guard sodiumEvery > 0, seed.isMultiple(of: sodiumEvery) else { return scenario }
    scenario.treeHash = SodiumTreeHash()
    scenario.makeCrypto = { secrets in
      let meshKey: @Sendable (UInt32) -> SecretBytes = { epoch in
        Self.secretBytes(secrets.mesh ^ UInt64(epoch) << 32, 2)
      }
      var keyring = MeshKeyring()
      for epoch in secrets.epochs { keyring.add(epoch: epoch, key: meshKey(epoch)) }
      return SodiumCrypto(
        node: NodeKey(seed: Self.secretBytes(secrets.node, 1)), keyring: keyring,
        tokenKey: Self.secretBytes(secrets.node ^ secrets.process &* 0x9E37_79B9, 3),
        newKey: meshKey)
    }
    return scenario
  }

  /// 32 bytes from a number, for what has to be repeatable and not secret.
  private static func secretBytes(_ word: UInt64, _ purpose: UInt64) -> SecretBytes {
    SecretBytes(
      (0..<4).flatMap { SipHash.hash([UInt8($0)], key: HashKey(word, purpose)).bigEndianBytes })
  }

  /// Runs all seeds, ``jobs`` of them at a time, and gives each result in the order of the seeds.
  func run(each: (Outcome) throws -> Void) async rethrows -> Report {
    var report = Report()
    let clock = ContinuousClock()
    let start = clock.now
    try await withThrowingTaskGroup(of: Outcome.self) { group in
      var next: UInt64 = 0
      var waiting: [UInt64: Outcome] = [:]
      func begin() {
        guard next < seeds else { return }
        let scenario = scenario(ofSeed: seed &+ next)
        next += 1
        group.addTask { scenario.run() }
      }
      for _ in 0..<max(1, jobs) { begin() }
      while let outcome = try await group.next() {
        begin()
        waiting[outcome.seed] = outcome
        while let ready = waiting.removeValue(forKey: seed &+ UInt64(report.results.count)) {
          report.results.append(ready)
          try each(ready)
        }
      }
    }
    report.wall = clock.now - start
    return report
  }

  /// Simulates seeds with a planted bug until one fails.
  func hunt(_ bug: String) -> (seedsNeeded: UInt64, failure: Failure)? {
    for offset in 0..<seeds {
      var scenario = scenario(ofSeed: seed &+ offset)
      scenario.planted = PlantedBug(rawValue: bug)
      if let failure = scenario.run().failure { return (offset + 1, failure) }
    }
    return nil
  }
}

import MeshCRDT
import MeshCRDT2
import MeshCrypto
import MeshSimulator
import MeshSimulator2

/// Runs seeds of the simulator of protocol 2, several at a time.
struct NextCore {
  var seed: UInt64
  var seeds: UInt64
  var scenario: Scenario
  var preset: Preset?
  var sodiumEvery: UInt64
  var jobs: Int
  /// The options of a command line that make the same, seeds left out.
  var words: [String]

  static var faultNames: [String] { Scenario.Fault.allCases.map(\.rawValue) }

  static func faults(named text: String) throws(SimulationRun.UnknownName) -> Set<Scenario.Fault> {
    if text == "all" { return Set(Scenario.Fault.allCases) }
    if text == "none" { return [] }
    var faults: Set<Scenario.Fault> = []
    for name in text.split(separator: ",") {
      guard let fault = Scenario.Fault(rawValue: String(name)) else {
        throw SimulationRun.UnknownName(
          description: "There is no fault '\(name)' in protocol 2. The faults are: "
            + faultNames.joined(separator: ", ") + ".")
      }
      faults.insert(fault)
    }
    return faults
  }

  /// The scenario of the options, which are those of protocol 1 but for the names of faults.
  static func scenario(_ given: ScenarioOptions, seed: UInt64) throws(SimulationRun.UnknownName)
    -> Scenario
  {
    let options = given.options(seed: seed)
    var scenario = Scenario(seed: seed)
    scenario.nodes = options.nodes
    scenario.links.delayMicroseconds = options.links.delayMicroseconds
    scenario.links.loss = options.links.loss
    scenario.links.duplication = options.links.duplication
    scenario.links.reordering = options.links.reordering
    scenario.links.reorderingMilliseconds = options.links.reorderingMilliseconds
    scenario.hasMulticast = options.hasMulticast
    scenario.sessionsPerNode = options.sessionsPerNode
    scenario.isExact = options.isExact
    scenario.script = options.script.flatMap { .init(rawValue: $0.rawValue) }
    scenario.faultMilliseconds = options.faultMilliseconds
    scenario.boundMilliseconds = options.boundMilliseconds
    scenario.changes = options.changes
    if let named = given.faults {
      scenario.faults = try faults(named: named)
    } else if given.preset != nil || given.partition != nil || options.changes != nil {
      // The traitor of protocol 1 is a liar of protocol 2.
      scenario.faults = Set(
        options.faults.compactMap {
          Scenario.Fault(rawValue: $0 == .traitor ? "liars" : $0.rawValue)
        })
    }
    return scenario
  }

  func scenario(ofSeed seed: UInt64) -> Scenario {
    var scenario = scenario
    scenario.seed = seed
    guard sodiumEvery > 0, seed.isMultiple(of: sodiumEvery) else { return scenario }
    scenario.treeHash = SodiumTreeHash()
    scenario.makeCrypto = { secrets in
      var keyring = MeshKeyring(
        epoch: secrets.epochs.lowerBound,
        key: SimulationRun.secretBytes(secrets.mesh ^ UInt64(secrets.epochs.lowerBound) << 32, 2))
      for epoch in secrets.epochs.dropFirst() {
        keyring.add(
          epoch: epoch, key: SimulationRun.secretBytes(secrets.mesh ^ UInt64(epoch) << 32, 2))
      }
      return SodiumCrypto(
        node: NodeKey(seed: SimulationRun.secretBytes(secrets.node, 1)), keyring: keyring,
        tokenKey: SimulationRun.secretBytes(secrets.node ^ secrets.process &* 0x9E37_79B9, 3))
    }
    return scenario
  }

  struct Report {
    var results: [Outcome] = []
    var wall: Duration = .zero

    var failures: [Outcome] { results.filter { $0.failure != nil } }
    var convergence: [Double] {
      results.flatMap { result in
        result.changes.isEmpty
          ? result.convergenceMilliseconds.map { [Double($0)] } ?? []
          : result.changes.compactMap(\.self)
      }.sorted()
    }
    /// A hash of the hashes of all traces.
    var traceHash: UInt64 {
      var hasher = SipHash(key: HashKey(0, 0))
      for result in results { hasher.combine(result.traceHash) }
      return hasher.finalize()
    }
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
  func hunt(_ bug: String) -> (seedsNeeded: UInt64, failure: String)? {
    for offset in 0..<seeds {
      var scenario = scenario(ofSeed: seed &+ offset)
      scenario.planted = PlantedBug(rawValue: bug)
      if let failure = scenario.run().failure {
        return (offset + 1, "\(failure.check): \(failure.text)")
      }
    }
    return nil
  }

  // MARK: Text

  func command(_ result: Outcome) -> String {
    (["presence simulate --protocol 2 --seed \(result.seed) --seeds 1"] + words).joined(
      separator: " ")
  }

  func line(_ result: Outcome) -> String {
    let head = "seed \(result.seed)  \(result.nodes) nodes  \(result.virtualMilliseconds / 1000) s"
    guard let failure = result.failure else {
      let spans = result.changes.compactMap(\.self).sorted()
      if let median = Figures.percentile(0.5, of: spans), let slowest = spans.last {
        return "\(head)  \(spans.count) changes  everywhere after p50 "
          + "\(Figures.span(milliseconds: median)), max \(Figures.span(milliseconds: slowest))"
      }
      return
        "\(head)  \(result.faults.count) faults  agreed after \(result.convergenceMilliseconds ?? 0) ms"
    }
    let trace = result.trace.suffix(30).map { "    \($0)" }.joined(separator: "\n")
    return
      "\(head)  FAILED at \(failure.milliseconds) ms: \(failure.check): \(failure.text)\n  faults: "
      + result.faults.map(\.rawValue).joined(separator: " ")
      + "\n  the last that happened:\n\(trace)"
  }

  func summary(_ report: Report) -> String {
    let virtual = report.results.reduce(0) { $0 + $1.virtualMilliseconds } / 1000
    let wall = max(
      0.001,
      Double(report.wall.components.seconds) + Double(report.wall.components.attoseconds) * 1e-18)
    let events = report.results.reduce(0) { $0 + $1.events }
    func milliseconds(_ share: Double) -> String {
      Figures.percentile(share, of: report.convergence).map {
        "\(Figures.brief($0, decimals: 1)) ms"
      } ?? "none"
    }
    let heading = scenario.changes == nil ? "agreed after" : "spread in   "
    var lines = [
      "",
      "seeds        \(report.results.count), from \(seed)",
      "passed       \(report.results.count - report.failures.count)",
      "failed       \(report.failures.count)",
      "\(heading) p50 \(milliseconds(0.5)), p99 \(milliseconds(0.99)), max \(milliseconds(1))",
      "simulated    \(virtual) s of meshes, \(report.results.reduce(0) { $0 + $1.datagrams }) datagrams, "
        + "\(report.results.reduce(0) { $0 + $1.operations }) operations",
      "in           \(Figures.brief(wall, decimals: 1)) s: \(Int(Double(virtual) / wall)) cluster-seconds and "
        + "\(Int(Double(events) / wall)) events a second",
      "trace hash   \(SimulationText.hexadecimal(report.traceHash))",
    ]
    let checks = Dictionary(grouping: report.failures) { $0.failure?.check ?? "" }
    for (check, failures) in checks.sorted(by: { $0.key < $1.key }) {
      lines.append("\(check.padded(to: 12)) \(failures.count) failures")
    }
    for failure in report.failures { lines.append("replay with: \(command(failure))") }
    return lines.joined(separator: "\n")
  }

  func json(_ report: Report) -> String {
    (try? JSON.text(Document(report, self), onOneLine: false)) ?? "{}"
  }

  /// The JSON object of `presence simulate --protocol 2 --json`: that of protocol 1, and the checks.
  struct Document: Encodable {
    struct Failed: Encodable {
      let seed: UInt64
      let nodes: Int
      let faults: [String]
      let check: String
      let failure: String
      let replay: String
    }

    let seed: UInt64
    let seeds: Int
    let nodes: Int
    let failures: [Failed]
    let convergenceMs: SimulationDocument.Convergence
    let traceHash: String
    let virtualSeconds: UInt64
    let datagrams: UInt64
    let events: UInt64
    let operations: Int
    let preset: String?
    let changes: Int

    init(_ report: Report, _ run: NextCore) {
      seed = run.seed
      seeds = report.results.count
      nodes = report.results.map(\.nodes).max() ?? 0
      failures = report.failures.map {
        Failed(
          seed: $0.seed, nodes: $0.nodes, faults: $0.faults.map(\.rawValue),
          check: $0.failure?.check ?? "",
          failure: $0.failure?.text ?? "", replay: run.command($0))
      }
      let spans = report.convergence
      convergenceMs = .init(
        p50: Figures.percentile(0.5, of: spans), p99: Figures.percentile(0.99, of: spans),
        max: Figures.percentile(1, of: spans))
      traceHash = SimulationText.hexadecimal(report.traceHash)
      virtualSeconds = report.results.reduce(0) { $0 + $1.virtualMilliseconds } / 1000
      datagrams = report.results.reduce(0) { $0 + $1.datagrams }
      events = report.results.reduce(0) { $0 + $1.events }
      operations = report.results.reduce(0) { $0 + $1.operations }
      preset = run.preset?.rawValue
      changes = report.results.reduce(0) { $0 + $1.changes.count }
    }
  }
}

import MeshSimulator

/// What `presence simulate` prints.
enum SimulationText {
  static func line(_ result: Outcome) -> String {
    let head = "seed \(result.seed)  \(result.nodes) nodes  \(result.virtualMilliseconds / 1000) s"
    guard let failure = result.failure else {
      let spans = result.changes.compactMap(\.milliseconds).sorted()
      if let median = Figures.percentile(0.5, of: spans), let slowest = spans.last {
        return "\(head)  \(spans.count) changes  everywhere after p50 "
          + "\(Figures.span(milliseconds: median)), max \(Figures.span(milliseconds: slowest))"
      }
      let agreed =
        result.convergenceMilliseconds.map { "agreed after \($0) ms" }
        ?? "not asked to agree: links carry short datagrams only"
      return "\(head)  \(Count.text(result.faults.count, "fault"))  \(agreed)"
    }
    let trace = result.trace.suffix(30).map { "    \($0)" }.joined(separator: "\n")
    return
      "\(head)  FAILED at \(failure.milliseconds) ms: \(failure.check): \(failure.text)\n  faults: "
      + result.faults.map(\.rawValue).joined(separator: " ")
      + "\n  the last that happened:\n\(trace)"
  }

  static func summary(_ report: SimulationRun.Report, _ run: SimulationRun) -> String {
    let seconds = report.results.reduce(0) { $0 + $1.virtualMilliseconds } / 1000
    let wall =
      Double(report.wall.components.seconds) + Double(report.wall.components.attoseconds) * 1e-18
    let datagrams = report.results.reduce(0) { $0 + $1.datagrams }
    let events = report.results.reduce(0) { $0 + $1.events }
    func milliseconds(_ share: Double) -> String {
      report.percentile(share).map { "\(Figures.brief($0, decimals: 1)) ms" } ?? "none"
    }
    let heading = run.scenario.changes == nil ? "agreed after" : "spread in   "
    var lines = [
      "",
      "seeds        \(report.results.count), from \(run.seed)",
      "passed       \(report.results.count - report.failures.count)",
      "failed       \(report.failures.count)",
      "\(heading) p50 \(milliseconds(0.5)), p99 \(milliseconds(0.99)), max \(milliseconds(1))",
      "simulated    \(seconds) s of meshes, \(datagrams) datagrams, "
        + "\(report.results.reduce(0) { $0 + $1.operations }) operations",
      "in           \(Int(wall * 10) / 10).\(Int(wall * 10) % 10) s: "
        + "\(Int(Double(seconds) / max(wall, 0.001))) cluster-seconds and "
        + "\(Int(Double(events) / max(wall, 0.001))) events a second",
      "trace hash   \(hexadecimal(report.traceHash))",
    ]
    let checks = Dictionary(grouping: report.failures) { $0.failure?.check ?? "" }
    for (check, failures) in checks.sorted(by: { $0.key < $1.key }) {
      let noun = failures.count == 1 ? "failure" : "failures"
      lines.append("\(check.padded(to: 12)) \(failures.count) \(noun)")
    }
    for failure in report.failures {
      lines.append("replay with: \(command(failure, run))")
    }
    return lines.joined(separator: "\n")
  }

  /// The one command that simulates a seed again.
  static func command(_ result: Outcome, _ run: SimulationRun) -> String {
    (["presence simulate --seed \(result.seed) --seeds 1"] + run.words).joined(separator: " ")
  }

  /// The presets, one on a line.
  static var presets: [String] {
    Preset.allCases.map { "\($0.rawValue.padded(to: 17)) \($0.summary)" }
  }

  static func json(_ report: SimulationRun.Report, _ run: SimulationRun) -> String {
    (try? JSON.text(SimulationDocument(report, run), onOneLine: false)) ?? "{}"
  }

  static func hexadecimal(_ word: UInt64) -> String {
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// The JSON object of `presence simulate --json`.
struct SimulationDocument: Encodable {
  struct Failure: Encodable {
    let seed: UInt64
    let nodes: Int
    let faults: [String]
    /// The name of the check that failed.
    let check: String
    let failure: String
    let replay: String
  }

  struct Convergence: Encodable {
    let p50: Double?
    let p99: Double?
    let max: Double?
  }

  let seed: UInt64
  let seeds: Int
  /// The nodes of the largest mesh.
  let nodes: Int
  let failures: [Failure]
  let convergenceMs: Convergence
  let traceHash: String
  let virtualSeconds: UInt64
  let datagrams: UInt64
  /// Inputs that nodes took.
  let events: UInt64
  let operations: Int
  /// The name of the preset, if one was given.
  let preset: String?
  /// How many changes were timed, those that did not get everywhere included; 0 with faults.
  let changes: Int

  init(_ report: SimulationRun.Report, _ run: SimulationRun) {
    seed = run.seed
    seeds = report.results.count
    nodes = report.results.map(\.nodes).max() ?? 0
    failures = report.failures.map {
      Failure(
        seed: $0.seed, nodes: $0.nodes, faults: $0.faults.map(\.rawValue),
        check: $0.failure?.check ?? "", failure: $0.failure?.text ?? "",
        replay: SimulationText.command($0, run))
    }
    convergenceMs = Convergence(
      p50: report.percentile(0.5), p99: report.percentile(0.99), max: report.percentile(1))
    traceHash = SimulationText.hexadecimal(report.traceHash)
    virtualSeconds = report.results.reduce(0) { $0 + $1.virtualMilliseconds } / 1000
    datagrams = report.results.reduce(0) { $0 + $1.datagrams }
    events = report.results.reduce(0) { $0 + $1.events }
    operations = report.results.reduce(0) { $0 + $1.operations }
    preset = run.preset?.rawValue
    changes = report.results.reduce(0) { $0 + $1.changes.count }
  }
}

import ArgumentParser
import Foundation
import MeshSimulator

/// Simulates meshes under virtual time.
struct SimulateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Simulate meshes with everything that goes wrong, from seeds.",
    discussion: """
      Each seed draws the size of a mesh, a network and a share of the faults, unless a preset or \
      options say them. After the faults all live nodes must hold equal states and show the truth \
      within a bound; with --changes every status change must reach every node. The same seed \
      gives the same simulation everywhere. The last line of a failure is the command that \
      replays it.

      Exit codes: 0 all seeds passed, 1 some failed or the report cannot be written, 2 wrong usage.
      """)

  @OptionGroup(title: "Scenario")
  var scenario: ScenarioOptions

  @Option(help: "The first seed. (default: 1)")
  var seed: UInt64?

  @Option(
    help: "How many seeds to simulate. (default: 20, or what a preset says)")
  var seeds: UInt64?

  @Flag(help: "Begin at a random seed, and print it.")
  var fresh = false

  @Option(
    help: ArgumentHelp(
      "So many worlds run side by side, 1…1,024. (default: all cores)", valueName: "count"))
  var jobs: Int?

  @Option(
    help: ArgumentHelp(
      "Every so many seeds one runs with libsodium in place of the stand-in; 0: none.",
      valueName: "n"))
  var sodiumEvery: UInt64 = 32

  @Option(
    help: ArgumentHelp(
      "Switch on a planted bug, in builds that have them; 'each' hunts all.", valueName: "bug"))
  var plant: String?

  @OptionGroup(title: "Report")
  var reporting: ReportOptions

  @Flag(help: "Print the names of the faults and end.")
  var listFaults = false

  @Flag(help: "Print the presets and end.")
  var presets = false

  @Flag(help: "Print one JSON object.")
  var json = false

  mutating func validate() throws {
    if let seeds, !(1...1_000_000).contains(seeds) {
      throw ValidationError("--seeds takes 1…1,000,000, not \(seeds).")
    }
    do {
      _ = try SimulationRun.bugs(named: plant)
    } catch {
      throw ValidationError(error.description)
    }
    if fresh, seed != nil {
      throw ValidationError("--fresh chooses the first seed: leave out --seed.")
    }
    if let jobs, !(1...1024).contains(jobs) {
      throw ValidationError("--jobs takes 1…1,024, not \(jobs).")
    }
    if plant != nil, reporting.report != nil {
      throw ValidationError("--plant ends at the first failure: there is no report of it.")
    }
    if plant != nil, scenario.scenario(seed: 1).changes != nil {
      throw ValidationError("--plant needs faults: add --changes 0.")
    }
  }

  mutating func run() async throws {
    if listFaults { return try Output.print(SimulationRun.faultNames) }
    if presets { return try Output.print(SimulationText.presets) }
    let seed = fresh ? UInt64.random(in: 1...999_999_999) : seed ?? 1
    var run = SimulationRun(
      seed: seed, seeds: seeds ?? scenario.preset?.seeds ?? 20,
      scenario: scenario.scenario(seed: seed), preset: scenario.preset, sodiumEvery: sodiumEvery,
      jobs: jobs ?? ProcessInfo.processInfo.activeProcessorCount,
      words: scenario.words + (sodiumEvery == 32 ? [] : ["--sodium-every \(sodiumEvery)"]))
    let bugs = try SimulationRun.bugs(named: plant)
    guard bugs.isEmpty else { return try hunt(bugs, run) }
    let file = try reporting.report.map { try ReportFile(directory: $0) }
    run.scenario.isSampled = file != nil
    let report = try await run.run { result in
      if !json { try Output.print(SimulationText.line(result)) }
    }
    try Output.print(json ? SimulationText.json(report, run) : SimulationText.summary(report, run))
    if let file {
      try file.write(page(of: report, run))
      if !json { try Output.print("report       \(file.path)") }
    }
    if !report.failures.isEmpty { throw ExitCode.failure }
  }

  /// The report as a page, after the runs of its sweep.
  private func page(of report: SimulationRun.Report, _ run: SimulationRun) throws -> String {
    let sweep = SimulationSweep.run(run, reporting.sweep) { nodes, loss in
      if Output.isTerminal, !json {
        Output.note("sweep: \(nodes) nodes, \(Figures.brief(loss)) % loss …")
      }
    }
    return ReportPage(report: report, run: run, sweep: sweep, command: command(run)).html
  }

  /// The command line that makes the same report again.
  private func command(_ run: SimulationRun) -> String {
    var words = ["presence simulate"] + run.words
    words.append("--seed \(run.seed)")
    if seeds != nil { words.append("--seeds \(run.seeds)") }
    return (words + reporting.words).joined(separator: " ")
  }

  private func hunt(_ bugs: [String], _ run: SimulationRun) throws {
    var missed: [String] = []
    try Output.print("planted bug                   seeds needed  found as")
    for bug in bugs {
      guard let found = run.hunt(bug) else {
        missed.append(bug)
        try Output.print("\(bug.padded(to: 29)) not found in \(run.seeds) seeds")
        continue
      }
      let count = "\(found.seedsNeeded)".padded(to: 13)
      try Output.print("\(bug.padded(to: 29)) \(count) \(found.failure.check)")
    }
    if !missed.isEmpty { throw ExitCode.failure }
  }
}

extension String {
  /// The text with spaces behind it.
  func padded(to width: Int) -> String {
    count >= width ? self : self + String(repeating: " ", count: width - count)
  }
}

import ArgumentParser
import MeshSimulator

/// Simulates meshes under virtual time.
struct SimulateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Simulate meshes with everything that goes wrong, from seeds.",
    discussion: """
      Each seed draws the size of a mesh, a network and half of the faults. After the faults all \
      live nodes must hold equal states and show the truth within a bound. The same seed gives the \
      same simulation everywhere. The last line of a failure is the command that replays it.

      Exit codes: 0 all seeds passed, 1 some failed, 2 wrong usage.
      """)

  @Option(help: "The first seed.")
  var seed: UInt64 = 1

  @Option(help: "How many seeds to simulate, one after the other.")
  var seeds: UInt64 = 20

  @Flag(help: "Begin at a random seed, and print it.")
  var fresh = false

  @Option(help: "The number of nodes, 2…200. Without it: 5…16, by the seed.")
  var nodes: Int?

  @Option(
    help: ArgumentHelp(
      "Faults to draw from, with commas between; 'all' or 'none'. See --list-faults.",
      valueName: "list"))
  var faults = "all"

  @Flag(help: "Let all the given faults happen, not a random half.")
  var exact = false

  @Option(
    help: ArgumentHelp(
      "Only partitions, for so many virtual seconds; short for --faults partition --exact.",
      valueName: "seconds"))
  var partition: UInt64?

  @Option(help: "Virtual seconds with faults. Without it: 15…40, by the seed.")
  var seconds: UInt64?

  @Option(help: "Virtual seconds after the faults within which all must agree.")
  var bound: UInt64 = 30

  @Option(
    help: ArgumentHelp(
      "Every so many seeds one runs with libsodium in place of the stand-in; 0: none.",
      valueName: "n"))
  var sodiumEvery: UInt64 = 32

  @Option(
    help: ArgumentHelp(
      "Switch on a planted bug, in builds that have them; 'each' hunts all.", valueName: "bug"))
  var plant: String?

  @Flag(help: "Print the names of the faults and end.")
  var listFaults = false

  @Flag(help: "Print one JSON object.")
  var json = false

  mutating func validate() throws {
    if let nodes, !(2...200).contains(nodes) {
      throw ValidationError("--nodes takes 2…200, not \(nodes).")
    }
    guard seeds > 0, seeds <= 1_000_000 else {
      throw ValidationError("--seeds takes 1…1,000,000, not \(seeds).")
    }
    if let seconds, !(1...86_400).contains(seconds) {
      throw ValidationError("--seconds takes 1…86,400, not \(seconds).")
    }
    if let partition, !(1...86_400).contains(partition) {
      throw ValidationError("--partition takes 1…86,400 seconds, not \(partition).")
    }
    guard (1...3600).contains(bound) else {
      throw ValidationError("--bound takes 1…3,600 seconds, not \(bound).")
    }
    do { _ = try SimulationRun.faults(named: faults) } catch {
      throw ValidationError(error.description)
    }
    do { _ = try SimulationRun.bugs(named: plant) } catch {
      throw ValidationError(error.description)
    }
  }

  mutating func run() async throws {
    if listFaults {
      for name in SimulationRun.faultNames { print(name) }
      return
    }
    if fresh { seed = UInt64.random(in: 1...999_999_999) }
    var options = SimulationRun.Options(seed: seed, seeds: seeds)
    options.nodes = nodes
    options.faults = try SimulationRun.faults(named: partition == nil ? faults : "partition")
    options.isExact = exact || partition != nil
    options.milliseconds = (partition ?? seconds).map { $0 * 1000 }
    options.boundMilliseconds = bound * 1000
    options.sodiumEvery = sodiumEvery
    let bugs = try SimulationRun.bugs(named: plant)
    guard bugs.isEmpty else { return try hunt(bugs, options) }
    let report = SimulationRun.run(options) { result in
      if !json { print(SimulationText.line(result)) }
    }
    print(json ? SimulationText.json(report, options) : SimulationText.summary(report, options))
    if !report.failures.isEmpty { throw ExitCode.failure }
  }

  private func hunt(_ bugs: [String], _ options: SimulationRun.Options) throws {
    var missed: [String] = []
    print("planted bug                   seeds needed  found as")
    for bug in bugs {
      guard let found = SimulationRun.hunt(bug, options) else {
        missed.append(bug)
        print(bug.padded(to: 29), "not found in \(options.seeds) seeds")
        continue
      }
      print(bug.padded(to: 29), "\(found.seedsNeeded)".padded(to: 13), found.failure.prefix(90))
    }
    if !missed.isEmpty { throw ExitCode.failure }
  }
}

extension String {
  fileprivate func padded(to width: Int) -> String {
    count >= width ? self : self + String(repeating: " ", count: width - count)
  }
}

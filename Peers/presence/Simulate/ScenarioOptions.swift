import ArgumentParser
import MeshSimulator

/// What is simulated: a preset, and what differs from it.
struct ScenarioOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A scenario with a name; other options beside it replace parts of it.", valueName: "name"))
  var preset: Preset?

  @Option(help: "The number of nodes, 2…1,000. Without it: 3…24, by the seed.")
  var nodes: Int?

  @Option(
    help: ArgumentHelp(
      "Bounds of the one-way delay of links in milliseconds, such as 1-10. Without it: by the seed.",
      valueName: "ms"))
  var delay: DelayRange?

  @Option(
    help: ArgumentHelp(
      "Lose this share of all datagrams all the time, 0…90.", valueName: "percent"))
  var loss: Double?

  @Option(
    help: ArgumentHelp(
      "Sessions that each node opens, 0…100, beside those of the random clients.",
      valueName: "count"))
  var sessions: Int?

  @Option(
    help: ArgumentHelp(
      "Time so many status changes on their way to everybody, without faults; 0: let faults strike.",
      valueName: "count"))
  var changes: Int?

  @Option(
    help: ArgumentHelp(
      "Faults to draw from, with commas between; 'all' or 'none'. See --list-faults. (default: all)",
      valueName: "list"))
  var faults: String?

  @Flag(help: "Let all the given faults happen, not a share of them.")
  var exact = false

  @Option(
    help: ArgumentHelp(
      "Only partitions, for so many virtual seconds; short for --faults partition --exact.",
      valueName: "seconds"))
  var partition: UInt64?

  @Option(help: "Virtual seconds with faults. Without it: 10…70, by the seed.")
  var seconds: UInt64?

  @Option(
    help: "Virtual seconds after the faults within which all must agree. (default: 30)")
  var bound: UInt64?

  mutating func validate() throws {
    if let nodes { try Self.check(nodes, in: 2...1000, "--nodes") }
    if let sessions { try Self.check(sessions, in: 0...100, "--sessions") }
    if let changes { try Self.check(changes, in: 0...10_000, "--changes") }
    if let loss, !(0...90).contains(loss) {
      throw ValidationError("--loss takes 0…90 percent, not \(Figures.brief(loss)).")
    }
    if let seconds { try Self.check(seconds, in: 1...86_400, "--seconds") }
    if let partition { try Self.check(partition, in: 1...86_400, "--partition") }
    if let bound { try Self.check(bound, in: 1...3600, "--bound") }
    if partition != nil, faults != nil || seconds != nil || exact {
      throw ValidationError(
        "--partition says which faults there are, and how long: leave out --faults, --exact and --seconds."
      )
    }
    if let faults {
      do {
        _ = try SimulationRun.faults(named: faults)
      } catch {
        throw ValidationError(error.description)
      }
    }
    let aboutFaults = faults != nil || exact || partition != nil || seconds != nil || bound != nil
    if aboutFaults, scenario(seed: 1).changes != nil {
      let why = preset.map { "\($0.rawValue) times" } ?? "--changes times"
      throw ValidationError(
        "\(why) changes in a mesh without faults: add --changes 0 to let faults strike.")
    }
  }

  private static func check<Number: BinaryInteger>(
    _ number: Number, in range: ClosedRange<Number>, _ option: String
  ) throws {
    guard !range.contains(number) else { return }
    throw ValidationError(
      "\(option) takes \(range.lowerBound)…\(range.upperBound), not \(number).")
  }

  /// What to simulate with a seed.
  func scenario(seed: UInt64) -> Scenario {
    var scenario = preset?.scenario(seed: seed, nodes: nodes) ?? Scenario(seed: seed)
    scenario.nodes = nodes ?? scenario.nodes
    if let delay { scenario.links.delayMicroseconds = delay.microseconds }
    if let loss { scenario.links.loss = loss / 100 }
    if let sessions { scenario.sessionsPerNode = sessions }
    if let changes { scenario.changes = changes > 0 ? changes : nil }
    if let named = try? faults.map(SimulationRun.faults(named:)) {
      scenario.faults = named
      scenario.isExact = false
      scenario.script = nil
    }
    if scenario.changes != nil, preset == nil || changes != nil {
      scenario.faults = []
      scenario.script = nil
    }
    if partition != nil {
      scenario.faults = [.partition]
      scenario.script = nil
    }
    scenario.isExact = scenario.isExact || exact || partition != nil
    if let span = partition ?? seconds { scenario.faultMilliseconds = span * 1000 }
    if let bound { scenario.boundMilliseconds = bound * 1000 }
    return scenario
  }

  /// The options as they are written on a command line, without those that were not given.
  var words: [String] {
    var words: [String] = []
    if let preset { words.append("--preset \(preset.rawValue)") }
    if let nodes { words.append("--nodes \(nodes)") }
    if let delay { words.append("--delay \(delay.defaultValueDescription)") }
    if let loss { words.append("--loss \(Figures.brief(loss))") }
    if let sessions { words.append("--sessions \(sessions)") }
    if let changes { words.append("--changes \(changes)") }
    if let partition {
      words.append("--partition \(partition)")
    } else {
      if let faults, faults != "all" || preset != nil { words.append("--faults \(faults)") }
      if exact { words.append("--exact") }
      if let seconds { words.append("--seconds \(seconds)") }
    }
    if let bound, bound != 30 { words.append("--bound \(bound)") }
    return words
  }
}

import ArgumentParser
import MeshSimulator

/// Measures what big meshes cost and how fast they are, under virtual time.
struct MeasureCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "measure",
    abstract: "Measure a simulated mesh: its spread, its bytes, its healing.",
    discussion: """
      Without --apart: nodes join, then nothing happens for 30 s, then one status at a time \
      changes. With --apart the mesh is cut in two halves for so many seconds (0: the halves \
      never met before) while statuses change on both sides; what is measured is how long it \
      takes to become one again, and what it costs. Time is virtual: the figures do not depend on \
      the machine. 1,000 nodes take minutes, and some 4 GB of memory.
      """)

  @Option(help: "The number of nodes, 2…1,000.")
  var nodes = 100

  @Option(help: "Sessions that each node hosts, 1…100, with --apart; else 1.")
  var sessions = 1

  @Option(help: "Lose this share of all datagrams, 0…90, in percent.")
  var loss = 1.0

  @Option(
    help: ArgumentHelp("Bounds of the one-way delay in milliseconds.", valueName: "ms"))
  var delay = DelayRange(microseconds: 1000...10_000)

  @Option(
    help: """
      The number of changes, 1…10,000; with --apart, changes in a second on each side, 0…1,000.
      """)
  var changes = 20

  @Option(help: "Cut the mesh in halves for so many virtual seconds; 0: they never met.")
  var apart: UInt64?

  @Option(help: "The seed.")
  var seed: UInt64 = 1

  @Option(help: "Rings of the overlay, 1…8: twice as many neighbours.")
  var rings = 2

  @Option(
    name: .customLong("protocol"),
    help: ArgumentHelp("The version of the protocol: 1, or 2, the next core.", valueName: "version")
  )
  var version = 1

  @Option(
    help: """
      With --protocol 2: each node has a session in so many rooms of its own, 1…5,000; they join, \
      are cut, change and heal.
      """)
  var rooms: Int?

  @Flag(help: "Print one JSON object.")
  var json = false

  mutating func validate() throws {
    func check(_ number: Int, _ range: ClosedRange<Int>, _ option: String) throws {
      guard range.contains(number) else {
        throw ValidationError(
          "\(option) takes \(range.lowerBound)…\(range.upperBound), not \(number).")
      }
    }
    try check(nodes, 2...1000, "--nodes")
    try check(sessions, 1...100, "--sessions")
    try check(rings, 1...8, "--rings")
    try check(changes, apart == nil ? 1...10_000 : 0...1000, "--changes")
    guard (0...90).contains(loss) else {
      throw ValidationError("--loss takes 0…90 percent, not \(Figures.brief(loss)).")
    }
    guard (1...2).contains(version) else {
      throw ValidationError("--protocol takes 1 or 2, not \(version).")
    }
    if let rooms {
      guard version == 2 else { throw ValidationError("--rooms needs --protocol 2.") }
      guard apart == nil else { throw ValidationError("--rooms does not go with --apart.") }
      try check(rooms, 1...5000, "--rooms")
    }
    if let apart, apart > 86_400 {
      throw ValidationError("--apart takes 0…86,400, not \(apart).")
    }
  }

  mutating func run() async throws {
    let figures: [NextCoreMeasure.Line]
    let simulated: Double
    let begin = ContinuousClock.now
    func lines(_ figures: [MeasuredFigure]) -> [NextCoreMeasure.Line] {
      figures.map { .init(name: $0.name, value: $0.value, unit: $0.unit, meaning: $0.meaning) }
    }
    let mesh = MeasuredMesh(
      nodes: nodes, sessions: sessions, loss: loss / 100, delayMicroseconds: delay.microseconds,
      seed: seed, rings: rings)
    if version == 2 {
      let result = NextCoreMeasure(
        nodes: nodes, sessions: sessions, loss: loss / 100, delayMicroseconds: delay.microseconds,
        seed: seed, rings: rings, changes: changes, apart: apart, rooms: rooms)
      (figures, simulated) = (result.lines, result.virtualSeconds)
    } else if let apart {
      let result = measureHealing(mesh, seconds: apart, changes: changes)
      (figures, simulated) = (lines(result.figures), result.virtualSeconds)
    } else {
      let result = measureScale(mesh, changes: changes)
      (figures, simulated) = (lines(result.figures), result.virtualSeconds)
    }
    let (seconds, attoseconds) = begin.duration(to: .now).components
    let wall = Double(seconds) + Double(attoseconds) * 1e-18
    if json { return try Output.print(JSON.text(figures, onOneLine: false)) }
    var table = TextTable(columns: [
      TextTable.Column(heading: "FIGURE"),
      TextTable.Column(heading: "VALUE", alignsRight: true),
      TextTable.Column(heading: "UNIT"),
      TextTable.Column(heading: "WHAT", yielding: .first),
    ])
    table.rows = figures.map { figure in
      [
        Cell(figure.name), Cell(figure.value.map { Figures.brief($0, decimals: 2) } ?? "never"),
        Cell(figure.unit), Cell(figure.meaning),
      ]
    }
    try Output.print(table.lines(width: Output.width, colours: Output.hasColours))
    Output.note(
      "\(Figures.brief(simulated)) virtual seconds in \(Figures.brief(wall)) s: "
        + "\(Figures.brief(simulated / max(wall, 1e-3))) a second")
  }
}

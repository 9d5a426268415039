import ArgumentParser
import MeshSimulator

/// Measures what big meshes cost and how fast they are, under virtual time.
struct MeasureCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "measure",
    abstract: "Measure a simulated mesh: its spread, its bytes, its healing.",
    usage: "presence measure [--nodes <nodes>] [--apart <seconds> | --rooms <rooms>] [<options>]",
    discussion: """
      Without --apart: nodes join, then nothing happens for 30 s, then one status at a time \
      changes. With --apart the mesh is cut in two halves for so many seconds (0: the halves \
      never met before) while statuses change on both sides; what is measured is how long it \
      takes to become one again, and what it costs. Time is virtual: the figures do not depend on \
      the machine. With --rooms gateways with many rooms join, are cut and heal. 1,000 nodes \
      take minutes, and some 4 GB of memory.
      """)

  @Option(help: "The number of nodes, 2…1,000.")
  var nodes = 100

  @Option(help: "With --apart, sessions that each node hosts, 1…100; without it: 1.")
  var sessions: Int?

  @Option(help: "Lose this share of all datagrams, 0…90, in percent.")
  var loss = 1.0

  @Option(
    help: ArgumentHelp("Bounds of the one-way delay in milliseconds.", valueName: "ms"))
  var delay = DelayRange(microseconds: 1000...10_000)

  @Option(
    help: """
      The number of changes, 1…10,000; with --apart, changes in a second on each side, 0…1,000. \
      Without it: 20.
      """)
  var changes: Int?

  @Option(help: "Cut the mesh in halves for so many virtual seconds; 0: they never met.")
  var apart: UInt64?

  @Option(help: "The seed.")
  var seed: UInt64 = 1

  @Option(help: "Rings of the overlay, 1…8: twice as many neighbours.")
  var rings = 2

  @Option(
    help: """
      Each node has a session in so many rooms of its own, 1…5,000; they join, are cut, change \
      and heal. It goes with none of --apart, --sessions and --changes.
      """)
  var rooms: Int?

  @Flag(help: "Print the figures as a JSON list.")
  var json = false

  mutating func validate() throws {
    func check(_ number: Int, _ range: ClosedRange<Int>, _ option: String) throws {
      guard range.contains(number) else {
        throw ValidationError(
          "\(option) takes \(range.lowerBound)…\(range.upperBound), not \(number).")
      }
    }
    try check(nodes, 2...1000, "--nodes")
    if let sessions { try check(sessions, 1...100, "--sessions") }
    try check(rings, 1...8, "--rings")
    if let changes { try check(changes, apart == nil ? 1...10_000 : 0...1000, "--changes") }
    guard (0...90).contains(loss) else {
      throw ValidationError("--loss takes 0…90 percent, not \(Figures.brief(loss)).")
    }
    if let rooms {
      let others = [
        ("--apart", apart != nil), ("--sessions", sessions != nil), ("--changes", changes != nil),
      ]
      if let (option, _) = others.first(where: \.1) {
        throw ValidationError("--rooms does not go with \(option).")
      }
      try check(rooms, 1...5000, "--rooms")
    } else if sessions != nil, apart == nil {
      throw ValidationError("--sessions goes with --apart.")
    }
    if let apart, apart > 86_400 {
      throw ValidationError("--apart takes 0…86,400, not \(apart).")
    }
  }

  mutating func run() async throws {
    let begin = ContinuousClock.now
    let mesh = MeasuredMesh(
      nodes: nodes, sessions: sessions ?? 1, loss: loss / 100,
      delayMicroseconds: delay.microseconds, seed: seed, rings: rings)
    let changes = changes ?? 20
    let measured =
      if let rooms {
        measureRooms(mesh, rooms: rooms)
      } else if let apart {
        measureHealing(mesh, seconds: apart, changes: changes)
      } else {
        measureScale(mesh, changes: changes)
      }
    let (seconds, attoseconds) = begin.duration(to: .now).components
    let wall = Double(seconds) + Double(attoseconds) * 1e-18
    if json { return try Output.print(JSON.text(measured.figures, onOneLine: false)) }
    var table = TextTable(columns: [
      TextTable.Column(heading: "FIGURE"),
      TextTable.Column(heading: "VALUE", alignsRight: true),
      TextTable.Column(heading: "UNIT"),
      TextTable.Column(heading: "WHAT", yielding: .first),
    ])
    table.rows = measured.figures.map { figure in
      [
        Cell(figure.name), Cell(figure.value.map { Figures.brief($0, decimals: 2) } ?? "never"),
        Cell(figure.unit), Cell(figure.meaning),
      ]
    }
    try Output.print(table.lines(width: Output.width, colours: Output.hasColours))
    Output.note(
      "\(Figures.brief(measured.virtualSeconds)) virtual seconds in \(Figures.brief(wall)) s: "
        + "\(Figures.brief(measured.virtualSeconds / max(wall, 1e-3))) a second")
  }
}

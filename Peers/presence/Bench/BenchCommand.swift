import ArgumentParser
import MeshBench

/// Measures, and prints the figures.
struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure, and print the figures.",
    discussion: """
      Takes about five minutes of a machine that has nothing else to do; Docs/Benchmarks.md says \
      what is measured and how. Figures of a debug build say nothing.
      """)

  @Flag(name: .customLong("json"), help: "Print one JSON object instead of a table.")
  var isJSON = false

  @Option(
    help: ArgumentHelp(
      "Measure only this figure, or family of figures; may be repeated.", valueName: "name"))
  var only: [String] = []

  @Flag(name: .customLong("quick"), help: "Take a few seconds, for the order of magnitude.")
  var isQuick = false

  @Option(name: .customLong("child"), help: .private)
  var child: ChildRole?

  mutating func run() async throws {
    if let child {
      do throws(BenchError) { try await child.run() } catch {
        throw CommandFailure(error.description)
      }
      return
    }
    let bench = Bench(
      scale: isQuick ? .quick : .full, only: only,
      launcher: .thisProgram(arguments: ["bench", "--child"]))
    let report: Report
    do throws(BenchError) {
      report = try await bench.run { name in
        if Output.isTerminal && !isJSON { Output.note("measuring \(name) …") }
      }
    } catch {
      throw CommandFailure(error.description, exitCode: CommandFailure.usageExitCode)
    }
    if isJSON { try Output.print(json: report) } else { try Output.print(Self.table(report)) }
    for skipped in report.skipped { Output.note("left out \(skipped.name): \(skipped.reason)") }
    guard report.failures.isEmpty else {
      let reasons = report.failures.map { "\($0.name): \($0.reason)" }
      throw CommandFailure("not measured: " + reasons.joined(separator: "; "))
    }
  }

  /// The machine, then one line for each figure.
  private static func table(_ report: Report) -> [String] {
    let machine = report.machine
    var table = TextTable(columns: [
      TextTable.Column(heading: "FIGURE"),
      TextTable.Column(heading: "VALUE", alignsRight: true),
      TextTable.Column(heading: "UNIT"),
      TextTable.Column(heading: "AIM", alignsRight: true),
      TextTable.Column(heading: ""),
      TextTable.Column(heading: "HOW", yielding: .first),
    ])
    table.rows = report.figures.map { figure in
      let sign = figure.better == .lower ? "<=" : ">="
      return [
        Cell(figure.name), Cell(number(figure.value)), Cell(figure.unit),
        Cell(figure.aim.map { "\(sign) \(number($0))" } ?? ""),
        Cell(figure.isReached.map { $0 ? "reached" : "missed" } ?? ""), Cell(figure.detail),
      ]
    }
    return [
      "\(machine.processor), \(machine.cores) cores, \(machine.kernel), Swift \(machine.swift), "
        + "libsodium \(machine.libsodium), \(machine.build) build, load \(number(machine.load))",
      "",
    ] + table.lines(width: Output.width, colours: Output.hasColours)
  }

  /// A number as people read it: whole ones without a fraction.
  private static func number(_ value: Double) -> String {
    value == value.rounded() && value.magnitude < 1e15 ? "\(Int(value))" : "\(value)"
  }
}

extension ChildRole: ExpressibleByArgument {}

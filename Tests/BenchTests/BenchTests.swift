import Foundation
import Testing

@testable import MeshBench

/// Runs the measurements with next to nothing to do: whether they run, not what they bring.
@Suite("The measurements")
struct BenchTests {
  /// A launcher that must not be used.
  static let noLauncher = ChildLauncher(program: "/nonexistent/program", arguments: [])

  static func bench(only: [String] = [], launcher: ChildLauncher = noLauncher) -> Bench {
    Bench(scale: .tiny, only: only, launcher: launcher)
  }

  @Test(
    "A measurement brings its figures, finite and positive",
    arguments: [FigureFamily.records, .joins, .spread, .rooms])
  func bringsItsFigures(measurement: FigureFamily) async throws {
    let figures = try await Self.bench().measure(measurement)
    #expect(figures.map(\.name) == measurement.figureNames)
    for figure in figures {
      #expect(figure.value.isFinite && figure.value > 0, "\(figure.name): \(figure.value)")
      #expect(!figure.unit.isEmpty && !figure.detail.isEmpty)
    }
  }

  @Test(
    "Measurements with a second process bring their figures",
    arguments: [FigureFamily.cursor, .cursorMesh, .memory, .join])
  func bringsItsFiguresByTwo(measurement: FigureFamily) async throws {
    let program = try #require(Program.path, "the program is not beside the tests")
    let launcher = ChildLauncher(program: program, arguments: ["bench", "--child"])
    let figures = try await Self.bench(launcher: launcher).measure(measurement)
    #expect(figures.map(\.name) == measurement.figureNames)
    for figure in figures {
      #expect(figure.value.isFinite && figure.value > 0, "\(figure.name): \(figure.value)")
    }
  }

  @Test("A measurement that cannot be made is told with the reason")
  func failureIsTold() async throws {
    let report = try await Self.bench(only: ["cursor-p50"]).run { _ in }
    #expect(report.figures.isEmpty)
    #expect(report.failures.map(\.name) == ["cursor"])
    #expect(report.failures.allSatisfy { $0.reason.contains("second process") })
  }

  @Test("A figure that does not exist is refused before anything is measured")
  func unknownNameIsRefused() async {
    await #expect(throws: BenchError.unknownName("latency")) {
      try await Self.bench(only: ["joins-per-second", "latency"]).run { _ in }
    }
  }

  @Test("Only the figures that were asked for are reported")
  func onlyOne() async throws {
    var begun: [String] = []
    let report = try await Self.bench(only: ["joins-per-second"]).run { begun.append($0) }
    #expect(begun == ["joins"])
    #expect(report.figures.map(\.name) == ["joins-per-second"])
  }

  @Test("No name stands for two things")
  func namesAreUnique() {
    let figures = FigureFamily.allCases.flatMap(\.figureNames)
    #expect(Set(figures).count == figures.count)
  }
}

@Suite("The report of the measurements")
struct ReportTests {
  @Test("The report is one JSON object with the machine and the figures")
  func shape() throws {
    var report = Report(machine: .current())
    report.figures = [
      Figure("cursor-p50-ratio", 1.7, "ratio", aim: 2, better: .lower, detail: "p50 / floor"),
      Figure("spread-p50", 18.512_34, "ms", better: .lower, detail: "simulated"),
    ]
    let value = try JSONSerialization.jsonObject(with: report.json())
    let object = try #require(value as? [String: Any])
    #expect(Set(object.keys) == ["machine", "figures", "skipped", "failures"])
    let machine = try #require(object["machine"] as? [String: Any])
    #expect(
      Set(machine.keys) == [
        "processor", "architecture", "cores", "memory_bytes", "system", "kernel", "swift",
        "libsodium", "build", "load",
      ])
    let figures = try #require(object["figures"] as? [[String: Any]])
    for figure in figures {
      #expect(Set(figure.keys) == ["name", "value", "unit", "aim", "better", "detail"])
    }
    #expect(figures[0]["aim"] as? Double == 2)
    #expect(figures[1]["aim"] is NSNull)
    #expect(figures[1]["value"] as? Double == 18.51)
    #expect(figures[1]["better"] as? String == "lower")
    #expect(try JSONDecoder().decode(Report.self, from: report.json()) == report)
  }

  @Test("Values keep four digits")
  func rounding() {
    #expect(Figure.rounded(123_456) == 123_500)
    #expect(Figure.rounded(1.23456) == 1.235)
    #expect(Figure.rounded(0.000_123_456) == 0.000_123_5)
    #expect(Figure.rounded(-77.777) == -77.78)
    #expect(Figure.rounded(0) == 0)
    #expect(Figure.rounded(1000) == 1000)
  }

  @Test("An aim is reached in its own direction")
  func reached() {
    func figure(_ value: Double, _ better: Figure.Better, aim: Double?) -> Figure {
      Figure("a", value, "b", aim: aim, better: better, detail: "c")
    }
    #expect(figure(2, .lower, aim: 2).isReached == true)
    #expect(figure(2.01, .lower, aim: 2).isReached == false)
    #expect(figure(2.01, .higher, aim: 2).isReached == true)
    #expect(figure(1.99, .higher, aim: 2).isReached == false)
    #expect(figure(1, .lower, aim: nil).isReached == nil)
  }

  @Test("Percentiles are values that were measured, by nearest rank")
  func percentiles() {
    let samples = Samples([5, 1, 4, 2, 3])
    #expect(samples.median == 3)
    #expect(samples.percentile(20) == 1)
    #expect(samples.percentile(21) == 2)
    #expect(samples.percentile(99) == 5)
    #expect(samples.percentile(0) == 1)
    #expect(samples.maximum == 5)
    #expect(Samples([7]).percentile(99) == 7)
    #expect(Samples([]).median == 0)
  }

  @Test("Numbers in words are short")
  func briefNumbers() {
    #expect(brief(12.345) == "12.3")
    #expect(brief(0.05) == "0.1")
    #expect(brief(-1.25, digits: 2) == "-1.25")
    #expect(brief(7.5, digits: 0) == "8")
  }
}

@Suite("What the two processes tell each other")
struct PacketTests {
  @Test("Datagrams with their time come through a packet as they are")
  func carried() throws {
    var carried = Carried(time: Station.start)
    carried.datagrams = [(7, [1, 2, 3]), (65_535, [])]
    let read = try #require(Carried(carried.packet))
    #expect(read.time == Station.start)
    #expect(read.datagrams.map(\.port) == [7, 65_535])
    #expect(read.datagrams.map(\.bytes) == [[1, 2, 3], []])
    #expect(Carried([]) == nil)
    #expect(Carried(carried.packet.dropLast(3) + [0]) == nil)
  }
}

/// The built program, which stands beside the test bundle.
enum Program {
  static let path: String? = {
    let places = Bundle.allBundles.map(\.bundleURL) + [URL(filePath: CommandLine.arguments[0])]
    let candidates = places.flatMap { place in
      [place.deletingLastPathComponent(), place.deletingLastPathComponent().appending(path: "..")]
        .map { $0.appending(path: "presence").path }
    }
    return candidates.first { FileManager.default.isExecutableFile(atPath: $0) }
  }()
}

/// A family of figures that one run brings.
package enum FigureFamily: String, CaseIterable, Sendable {
  case updateLatency = "update-latency"
  case records
  case joins
  case memory = "bytes-per-session"
  case spread

  /// The names of its figures, in their order.
  package var figureNames: [String] {
    switch self {
    case .updateLatency:
      [
        "update-latency-p50", "update-latency-p99", "update-latency-floor",
        "update-latency-ratio",
      ]
    case .records:
      [
        "records-per-second", "frames-per-second", "cpu-outside-libsodium",
        "cpu-outside-libsodium-frames", "cpu-outside-libsodium-batches",
      ]
    case .joins: ["joins-per-second", "joins-per-second-without-events"]
    case .memory:
      ["bytes-per-session", "bytes-per-session-many-origins", "bytes-per-session-one-origin"]
    case .spread:
      ["spread-p50", "spread-p99", "spread-max", "simulated-cluster-seconds-per-second"]
    }
  }

  /// All names that a user may ask for.
  package static var allNames: [String] {
    allCases.flatMap { family in
      [family.rawValue] + family.figureNames.filter { $0 != family.rawValue }
    }
  }

  /// The measurement that brings a figure, or has that name.
  private static func named(_ name: String) -> FigureFamily? {
    allCases.first { $0.rawValue == name || $0.figureNames.contains(name) }
  }

  /// The measurements that bring what is asked for; all of them when nothing is.
  package static func chosen(by names: [String]) throws(BenchError) -> [FigureFamily] {
    var chosen: Set<FigureFamily> = []
    for name in names {
      guard let measurement = named(name) else { throw .unknownName(name) }
      chosen.insert(measurement)
    }
    return allCases.filter { names.isEmpty || chosen.contains($0) }
  }
}

/// How much is measured.
package struct BenchScale: Hashable, Sendable {
  /// Cursor updates from process to process.
  package var updates: Int
  /// Datagrams of each kind that are received.
  package var datagrams: Int
  /// Rounds of frames that are joined without cryptography.
  package var rounds: Int
  /// Sessions in memory.
  package var sessions: Int
  /// Origins that they are spread over.
  package var origins: Int
  /// Status changes in the simulated mesh.
  package var changes: Int
  package var simulatedNodes: Int

  /// What the figures in the documentation are made with: about two minutes.
  package static let full = BenchScale(
    updates: 2500, datagrams: 12_000, rounds: 800, sessions: 100_000, origins: 100, changes: 200,
    simulatedNodes: 64)

  /// A few seconds: enough to see that it works, and the order of magnitude.
  package static let quick = BenchScale(
    updates: 60, datagrams: 800, rounds: 60, sessions: 4000, origins: 8, changes: 4,
    simulatedNodes: 16)

  /// Nothing but the shape: for tests.
  package static let tiny = BenchScale(
    updates: 4, datagrams: 40, rounds: 2, sessions: 60, origins: 3, changes: 1, simulatedNodes: 4)
}

/// Measures, one family of figures after the other.
package struct Bench: Sendable {
  package let scale: BenchScale
  /// What figures are asked for; empty: all.
  package let only: [String]
  /// How a second process is started.
  package let launcher: ChildLauncher

  package init(scale: BenchScale, only: [String] = [], launcher: ChildLauncher) {
    self.scale = scale
    self.only = only
    self.launcher = launcher
  }

  /// Measures. What could not be measured stands among the failures of the report.
  ///
  /// - Parameter progress: Is told the name of each measurement before it begins.
  /// - Throws: ``BenchError/unknownName(_:)`` before anything is measured.
  package func run(progress: (String) -> Void) async throws(BenchError) -> Report {
    let measurements = try FigureFamily.chosen(by: only)
    var report = Report(machine: .current())
    for measurement in measurements {
      progress(measurement.rawValue)
      do throws(BenchError) {
        let figures = try await measure(measurement)
        report.figures += figures.filter { figure in
          only.isEmpty || only.contains(figure.name) || only.contains(measurement.rawValue)
        }
      } catch {
        report.failures.append(
          Report.Failure(name: measurement.rawValue, reason: error.description))
      }
    }
    return report
  }

  /// The figures of one measurement.
  package func measure(_ measurement: FigureFamily) async throws(BenchError) -> [Figure] {
    switch measurement {
    case .updateLatency: try await UpdateLatency.measure(scale, launcher: launcher)
    case .records: try Records.measure(scale)
    case .joins: try Joins.measure(scale)
    case .memory: try Memory.measure(scale, launcher: launcher)
    case .spread: try Spread.measure(scale)
    }
  }
}

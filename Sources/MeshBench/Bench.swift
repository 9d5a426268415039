/// A family of figures that one run brings.
package enum FigureFamily: String, CaseIterable, Sendable {
  case cursor
  case cursorMesh = "cursor-mesh"
  case records
  case allocations
  case joins
  case yjs = "joins-vs-yjs"
  case memory = "bytes-per-session"
  case join
  case rooms
  case serf = "processes-vs-serf"
  case spread

  /// The names of its figures, in their order.
  package var figureNames: [String] {
    switch self {
    case .cursor: ["cursor-p50", "cursor-p99", "cursor-floor", "cursor-p50-ratio"]
    case .cursorMesh: ["cursor-mesh-p50", "cursor-mesh-p99", "cursor-p99-ratio"]
    case .records:
      ["records-per-second", "frames-per-second", "frame-cpu-share", "batch-cpu-share"]
    case .allocations:
      [
        "allocations-cursor-out", "allocations-cursor-in", "allocations-record-in",
        "allocations-idle-tick",
      ]
    case .joins: ["joins-per-second", "joins-per-second-without-events"]
    case .yjs: ["yjs-joins-per-second", "joins-vs-yjs-ratio"]
    case .join: ["join-seconds-100k"]
    case .rooms: ["rooms-converge", "rooms-bytes-ratio"]
    case .serf: ["processes-spread-p50", "serf-spread-p50", "processes-vs-serf-ratio"]
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
  /// Rooms of each gateway of a simulated mesh.
  package var rooms: Int
  /// Processes of the mesh on this machine, and agents of serf.
  package var processes: Int
  /// Status changes in it.
  package var spreads: Int

  /// What the figures in the documentation are made with: about five minutes.
  package static let full = BenchScale(
    updates: 2500, datagrams: 12_000, rounds: 800, sessions: 100_000, origins: 100, changes: 200,
    simulatedNodes: 64, rooms: 1000, processes: 32, spreads: 60)

  /// A few seconds: enough to see that it works, and the order of magnitude.
  package static let quick = BenchScale(
    updates: 60, datagrams: 800, rounds: 60, sessions: 4000, origins: 8, changes: 4,
    simulatedNodes: 16, rooms: 150, processes: 8, spreads: 6)

  /// Nothing but the shape: for tests.
  package static let tiny = BenchScale(
    updates: 4, datagrams: 40, rounds: 2, sessions: 60, origins: 3, changes: 1, simulatedNodes: 4,
    rooms: 5, processes: 2, spreads: 1)
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
        let failure = Report.Failure(name: measurement.rawValue, reason: error.description)
        if case .notInstalled = error {
          report.skipped.append(failure)
        } else {
          report.failures.append(failure)
        }
      }
    }
    return report
  }

  /// The figures of one measurement.
  package func measure(_ measurement: FigureFamily) async throws(BenchError) -> [Figure] {
    switch measurement {
    case .cursor: try await UpdateLatency.measure(scale, launcher: launcher)
    case .cursorMesh: try await UpdateLatency.measureMesh(scale, launcher: launcher)
    case .records: try Records.measure(scale)
    case .allocations: try Allocations.measure(launcher: launcher)
    case .joins: try Joins.measure(scale)
    case .memory: try Memory.measure(scale, launcher: launcher)
    case .yjs: try YjsJoins.measure(scale)
    case .join: try await Join.measure(scale, launcher: launcher)
    case .rooms: try Rooms.measure(scale)
    case .serf: try await SerfSpread.measure(scale, launcher: launcher)
    case .spread: try Spread.measure(scale)
    }
  }
}

import MeshSimulator

/// Runs of one scenario at several node counts and losses.
enum SimulationSweep {
  /// How many changes are timed at each point.
  static let changes = 10

  /// What to sweep over.
  struct Axes: Hashable, Sendable {
    var nodes: [Int]
    /// In percent.
    var losses: [Double]
  }

  /// A run at a node count and a loss.
  struct Cell {
    let nodes: Int
    let lossPercent: Double
    let result: Outcome
  }

  /// Times the spread of changes at each node count and loss; the delays are those of the scenario,
  /// or 1…10 ms. Cost: the product of the axes; 32 nodes cost about as much as four times 16.
  static func run(
    _ run: SimulationRun, _ axes: Axes?, each: (Int, Double) -> Void
  ) -> [Cell] {
    guard let axes else { return [] }
    var cells: [Cell] = []
    for loss in axes.losses {
      for nodes in axes.nodes {
        each(nodes, loss)
        cells.append(
          Cell(
            nodes: nodes, lossPercent: loss,
            result: scenario(run, nodes: nodes, lossPercent: loss).run()))
      }
    }
    return cells
  }

  /// The scenario of one point.
  static func scenario(_ run: SimulationRun, nodes: Int, lossPercent: Double) -> Scenario {
    var scenario = Scenario(seed: run.seed)
    scenario.nodes = nodes
    scenario.faults = []
    scenario.links = run.scenario.links
    scenario.links.delayMicroseconds = delay(run)
    scenario.links.loss = lossPercent / 100
    scenario.hasMulticast = false
    scenario.changes = changes
    return scenario
  }

  /// The bounds of the delay in microseconds.
  static func delay(_ run: SimulationRun) -> ClosedRange<UInt64> {
    run.scenario.links.delayMicroseconds ?? 1000...10_000
  }
}

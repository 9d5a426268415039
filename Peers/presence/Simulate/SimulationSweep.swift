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
    let result: SimulationResult
  }

  /// Times the spread of changes at each node count and loss; the delays are those of the scenario,
  /// or 1…10 ms. Cost: the product of the axes; 32 nodes cost about as much as four times 16.
  static func run(
    _ options: SimulationRun.Options, _ axes: Axes?, each: (Int, Double) -> Void
  ) -> [Cell] {
    guard let axes else { return [] }
    var cells: [Cell] = []
    for loss in axes.losses {
      for nodes in axes.nodes {
        each(nodes, loss)
        cells.append(
          Cell(
            nodes: nodes, lossPercent: loss,
            result: simulate(simulation(options, nodes: nodes, lossPercent: loss))))
      }
    }
    return cells
  }

  /// The options of one point.
  static func simulation(
    _ options: SimulationRun.Options, nodes: Int, lossPercent: Double
  ) -> SimulationOptions {
    var simulation = SimulationOptions(seed: options.seed)
    simulation.nodes = nodes
    simulation.faults = []
    simulation.links = options.scenario.links
    simulation.links.delayMicroseconds = delay(options)
    simulation.links.loss = lossPercent / 100
    simulation.hasMulticast = false
    simulation.changes = changes
    return simulation
  }

  /// The bounds of the delay in microseconds.
  static func delay(_ options: SimulationRun.Options) -> ClosedRange<UInt64> {
    options.scenario.links.delayMicroseconds ?? 1000...10_000
  }
}

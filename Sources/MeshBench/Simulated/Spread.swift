import MeshSimulator

/// The time until a status change is everywhere, in a simulated mesh, and what simulating it costs.
enum Spread {
  private static let seed: UInt64 = 64
  private static let loss = 0.01
  private static let delays: ClosedRange<UInt64> = 1...10

  static func measure(_ scale: BenchScale) throws(BenchError) -> [Figure] {
    let start = Clock.thread
    let result = measureSpread(
      nodes: scale.simulatedNodes, loss: loss, delayMilliseconds: delays, changes: scale.changes,
      seed: seed)
    let seconds = Double(Clock.thread - start) / 1e9
    guard result.unfinished == 0 else {
      throw .samplesMissing(arrived: result.changes - result.unfinished, of: result.changes)
    }
    guard result.changes > 0, seconds > 0 else { throw .workMissing("no change was made") }
    let world =
      "simulated: \(result.nodes) nodes, 1 % loss, links of \(delays.lowerBound) to "
      + "\(delays.upperBound) ms, \(result.changes) changes, seed \(seed)"
    return [
      Figure(
        "spread-p50", result.p50Milliseconds, "ms", better: .lower,
        detail: "from a status change to its event at the last node; " + world),
      Figure("spread-p99", result.p99Milliseconds, "ms", better: .lower, detail: world),
      Figure("spread-max", result.maxMilliseconds, "ms", better: .lower, detail: world),
      Figure(
        "simulated-cluster-seconds-per-second", result.virtualSeconds / seconds, "ratio",
        better: .higher,
        detail: "\(brief(result.virtualSeconds)) s of \(result.nodes) nodes in \(brief(seconds)) s "
          + "of one core, \(result.datagrams) datagrams"),
    ]
  }
}

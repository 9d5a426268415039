import MeshSimulator

/// The time until a status change is everywhere, in a simulated mesh, and what simulating it costs.
enum Spread {
  private static let seed: UInt64 = 64
  private static let loss = 0.01
  private static let delays: ClosedRange<UInt64> = 1...10

  static func measure(_ scale: BenchScale) throws(BenchError) -> [Figure] {
    let start = Clock.thread
    var scenario = Scenario(seed: seed)
    scenario.nodes = scale.simulatedNodes
    scenario.faults = []
    scenario.links.loss = loss
    scenario.links.delayMicroseconds = delays.lowerBound * 1000...delays.upperBound * 1000
    scenario.changes = scale.changes
    let result = scenario.run()
    let seconds = Double(Clock.thread - start) / 1e9
    let spans = result.changes.compactMap(\.milliseconds).sorted()
    guard spans.count == scale.changes else {
      throw .samplesMissing(arrived: spans.count, of: scale.changes)
    }
    guard let slowest = spans.last, seconds > 0 else { throw .workMissing("no change was made") }
    func percentile(_ share: Double) -> Double {
      spans[min(Int(Double(spans.count) * share), spans.count - 1)]
    }
    let virtualSeconds = Double(result.virtualMilliseconds) / 1000
    let world =
      "simulated: \(result.nodes) nodes, 1 % loss, links of \(delays.lowerBound) to "
      + "\(delays.upperBound) ms, \(spans.count) changes, seed \(seed)"
    return [
      Figure(
        "spread-p50", percentile(0.5), "ms", better: .lower,
        detail: "from a status change to its event at the last node; " + world),
      Figure("spread-p99", percentile(0.99), "ms", better: .lower, detail: world),
      Figure("spread-max", slowest, "ms", better: .lower, detail: world),
      Figure(
        "simulated-cluster-seconds-per-second", virtualSeconds / seconds, "ratio",
        better: .higher,
        detail: "\(brief(virtualSeconds)) s of \(result.nodes) nodes in \(brief(seconds)) s "
          + "of one core, \(result.datagrams) datagrams"),
    ]
  }
}

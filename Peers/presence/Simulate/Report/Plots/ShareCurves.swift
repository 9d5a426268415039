import MeshSimulator

/// How the share of nodes that have something grows over time: one curve for each change or seed,
/// and what they come to together.
struct ShareCurves {
  /// The share at a time in milliseconds; `nil`: not known then.
  typealias Curve = (Double) -> Double?

  /// A curve for each seed.
  let seeds: [Curve]
  /// The curves that are pooled: of changes, one each; else those of the seeds.
  let pooled: [Curve]

  /// Of a number of results: the share of nodes that hold a change, over the time since it was
  /// made; or the share that hold equal states, over the time since the faults ended.
  init(_ results: [Outcome]) {
    if results.contains(where: { !$0.changes.isEmpty }) {
      let curves = results.map { result in
        result.changes.map { Self.curve($0, nodes: result.nodes) }
      }
      pooled = curves.flatMap(\.self)
      seeds = curves.map { changes in
        { time in
          let shares = changes.compactMap { $0(time) }
          return shares.isEmpty ? nil : shares.reduce(0, +) / Double(shares.count)
        }
      }
    } else {
      seeds = results.compactMap(\.samples).map(Self.curve)
      pooled = seeds
    }
  }

  private static func curve(_ change: SpreadChange, nodes: Int) -> Curve {
    let arrivals = change.arrivalMilliseconds
    return { time in
      Double(count(in: arrivals.count) { arrivals[$0] <= time }) / Double(max(1, nodes))
    }
  }

  private static func curve(_ samples: Samples) -> Curve {
    let agreement = samples.agreement
    return { time in
      let time = time + samples.focusMilliseconds
      let known = count(in: agreement.count) { agreement[$0].milliseconds <= time }
      return known == 0 ? nil : agreement[known - 1].share
    }
  }

  /// How many of the first elements are so, when those that are so come first.
  private static func count(in total: Int, _ isSo: (Int) -> Bool) -> Int {
    var (low, high) = (0, total)
    while low < high {
      let middle = (low + high) / 2
      if isSo(middle) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The values below which shares of the pooled curves lie, at some times. Times at which fewer
  /// than half of the curves are known are left out.
  func percentiles(
    _ shares: [Double], at times: [Double]
  ) -> [(time: Double, values: [Double])] {
    times.compactMap { time in
      let values = pooled.compactMap { $0(time) }.sorted()
      guard !values.isEmpty, values.count * 2 >= pooled.count else { return nil }
      return (time, shares.compactMap { Figures.percentile($0, of: values) })
    }
  }

  /// Adds the lines of the seeds, faintly, and over them the median and the middle nine tenths.
  func draw(on plot: inout Plot, times: [Double], seedLines: Int) {
    if pooled.count > 2 {
      let band = percentiles([0.05, 0.95], at: times)
      plot.addBand(
        band.map { (x: $0.time, low: $0.values[0], high: $0.values[1]) }, style: "band")
    }
    if seeds.count > 1 {
      for seed in seeds.prefix(seedLines) {
        let points = times.compactMap { time in seed(time).map { (x: time, y: $0) } }
        plot.addLine(points, style: "faint")
      }
    }
    let median = percentiles([0.5], at: times).map { (x: $0.time, y: $0.values[0]) }
    plot.addLine(median, style: "main")
  }

  /// The vertical axis of every such plot.
  static func axis(ticks: Int, title: String) -> Plot.Axis {
    let scale = Scale.shares
    return Plot.Axis(
      scale: scale,
      ticks: scale.ticks(about: ticks) { "\(Figures.brief($0 * 100, decimals: 0)) %" },
      title: title)
  }

  /// An axis of spans of time.
  static func axis(of spans: Scale, ticks: Int, title: String) -> Plot.Axis {
    Plot.Axis(scale: spans, ticks: spans.ticks(about: ticks, tickLabel), title: title)
  }

  /// A time as it stands on an axis: `20 ms`, `1.5 s`.
  static func tickLabel(_ milliseconds: Double) -> String {
    milliseconds == 0
      ? "0"
      : milliseconds.magnitude < 1000
        ? "\(Figures.brief(milliseconds)) ms" : "\(Figures.brief(milliseconds / 1000)) s"
  }
}

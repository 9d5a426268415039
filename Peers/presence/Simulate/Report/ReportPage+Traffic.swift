import MeshSimulator

extension ReportPage {
  /// Bytes per node and second over time, by what they are sent for.
  func traffic(_ series: TrafficSeries) -> String {
    let used = TrafficSeries.purposes.indices.filter { index in
      series.points.contains { $0.rates[index] > 0 }
    }
    let legend = used.map { (style: "kind\($0)", name: TrafficSeries.purposes[$0].name) }
    return """
      <section>
      <h2>Bytes per node and second</h2>
      <p>UDP payload that a running node sends, on average over nodes\
      \(report.results.count > 1 ? " and seeds" : ""); 0 s is \
      \(isSpread ? "the first change; before it nodes join" : "the end of the faults").</p>
      \(trafficPlot(series, used))
      \(HTML.legend(legend))
      </section>
      """
  }

  private func trafficPlot(_ series: TrafficSeries, _ used: [Int]) -> String {
    let peak = series.points.map { point in used.reduce(0) { $0 + point.rates[$1] } }.max() ?? 0
    let amounts = Scale.amounts(upTo: peak)
    let first = series.points.first?.time ?? 0
    let last = max(first + series.span, series.points.last?.time ?? 0)
    let times = Scale(kind: .linear, domain: first...last)
    var plot = Plot(
      .half,
      x: Plot.Axis(
        scale: times,
        ticks: times.ticks(about: 6) { "\(Figures.brief($0 / 1000)) s" },
        title: "virtual time"),
      y: Plot.Axis(
        scale: amounts,
        ticks: amounts.ticks(about: 4) { Figures.rate(bytesPerSecond: $0) },
        title: "sent per node"))
    var floor = [Double](repeating: 0, count: series.points.count)
    for index in used {
      let band = zip(series.points, floor).map { point, low in
        (x: point.time, low: low, high: low + point.rates[index])
      }
      plot.addBand(band, style: "kind\(index)")
      floor = band.map(\.high)
    }
    if first < 0, last > 0 {
      plot.addRule(at: 0, name: isSpread ? "first change" : "faults end")
    }
    return plot.svg(title: "Bytes sent per node over time, stacked by purpose.")
  }

  /// The same as figures.
  func trafficTable(_ series: TrafficSeries) -> String {
    let total = series.before.reduce(0, +) + series.after.reduce(0, +)
    func rate(_ value: Double) -> String {
      value > 0 && value < 10
        ? "\(Figures.brief(value, decimals: 1)) B/s" : Figures.rate(bytesPerSecond: value)
    }
    var rows = TrafficSeries.purposes.indices
      .filter { series.before[$0] + series.after[$0] > 0 }
      .map { index in
        [TrafficSeries.purposes[index].name, rate(series.before[index]), rate(series.after[index])]
      }
    guard total > 0 else { return "" }
    rows.append(["all", rate(series.before.reduce(0, +)), rate(series.after.reduce(0, +))])
    return HTML.table(
      [
        "sent for", isSpread ? "while joining" : "during the faults",
        isSpread ? "while changing" : "after them",
      ], rows,
      caption: "Bytes per node and second. The node that sent most: \(rate(series.busiest)).")
  }
}

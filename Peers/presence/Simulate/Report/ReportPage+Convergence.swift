import MeshSimulator

extension ReportPage {
  /// No more lines of seeds than this are drawn: more would be a stain.
  static let seedLines = 12

  /// Convergence against time, and the distribution of the times that it took.
  var convergence: String {
    let curves = ShareCurves(report.results)
    let wide = convergencePlot(curves, .wide, ticks: 12)
    let narrow = convergencePlot(curves, .narrow, ticks: 4)
    let title =
      isSpread ? "How status changes spread" : "How the nodes come to agree after the faults"
    let pooled = isSpread ? "change" : "seed"
    var legend = [
      (style: "main", name: "median over \(counted(curves.pooled.count, pooled))")
    ]
    if curves.pooled.count > 2 {
      legend.append((style: "band", name: "the middle 90 % of them"))
    }
    if curves.seeds.count > 1 {
      let shown = min(Self.seedLines, curves.seeds.count)
      let which =
        shown < curves.seeds.count
        ? "the first \(shown) of \(curves.seeds.count) seeds" : "each seed"
      legend.append((style: "faint", name: isSpread ? "\(which), mean of its changes" : which))
    }
    return """
      <section>
      <h2>\(title)</h2>
      <p>\(HTML.escaped(convergenceWords))</p>
      \(HTML.legend(legend))
      \(wide)
      \(narrow)
      </section>
      """
  }

  private var convergenceWords: String {
    isSpread
      ? "The share of nodes that have told their users of a change, over the virtual time since the "
        + "change was made at one of them. Time is on a logarithmic scale."
      : "The share of the running, honest nodes that hold the most common state, by their state hashes. 0 s "
        + "is the end of the faults; a run ends when all nodes agree and show the truth."
  }

  private func convergencePlot(
    _ curves: ShareCurves, _ size: Plot.Size, ticks: Int
  ) -> String {
    let isWide = size.width > 600
    let scale = isSpread ? spreadScale(report.results) : healingScale
    let title = isSpread ? "virtual time since the change" : "virtual time since the faults ended"
    var plot = Plot(
      size, x: ShareCurves.axis(of: scale, ticks: ticks, title: title),
      y: ShareCurves.axis(
        ticks: 4, title: isSpread ? "nodes that hold the change" : "nodes with equal states"))
    curves.draw(
      on: &plot, times: scale.values(isWide ? 240 : 120), seedLines: Self.seedLines)
    if !isSpread, scale.domain.lowerBound < 0 { plot.addRule(at: 0, name: "faults end", row: -1) }
    return plot.svg(
      title: "Share of nodes over time. Tables below hold the figures.",
      style: isWide ? "wide" : "narrow")
  }

  /// Times from the first arrival at another node to the last.
  func spreadScale(_ results: [Outcome]) -> Scale {
    let arrivals = results.flatMap(\.changes).flatMap { change in
      [change.arrivalMilliseconds.first { $0 > 0 }, change.arrivalMilliseconds.last]
        .compactMap(\.self)
    }
    return .spans(arrivals, alwaysLogarithmic: true)
  }

  /// Times from some while before the end of the faults to the last agreement.
  private var healingScale: Scale {
    let samples = report.results.compactMap(\.samples)
    let ends = samples.map { ($0.agreement.last?.milliseconds ?? 0) - $0.focusMilliseconds }
    let end = max(1000, ends.max() ?? 0)
    let past = min(samples.map(\.focusMilliseconds).max() ?? 0, max(3000, end))
    return Scale(kind: .linear, domain: -past...(end * 1.02))
  }

  /// How the times are distributed.
  var distribution: String {
    let spans = report.convergence
    let words =
      isSpread
      ? "How many changes needed how long to reach the last node."
      : "How many seeds needed how long after the faults until all nodes agreed, looked at every "
        + "0.25 s."
    guard let p50 = report.percentile(0.5), let p99 = report.percentile(0.99) else {
      return """
        <section><h2>Distribution of the times</h2>
        <p class="bad">Nothing converged: see the failures above.</p></section>
        """
    }
    let scale = Scale.spans(spans)
    // Few times in many bins would look like a comb.
    let bins = min(24, 6 + spans.count / 3)
    var counts = [Int](repeating: 0, count: bins)
    for span in spans { counts[min(bins - 1, Int(scale.place(span) * Double(bins)))] += 1 }
    let amounts = Scale.amounts(upTo: Double(counts.max() ?? 1))
    let whole = amounts.ticks(about: 4) { Figures.brief($0) }.filter {
      $0.value == $0.value.rounded()
    }
    let unit = isSpread ? "changes" : "seeds"
    var plot = Plot(
      .half,
      x: ShareCurves.axis(
        of: scale, ticks: 5,
        title: isSpread ? "virtual time until everywhere" : "virtual time until agreement"),
      y: Plot.Axis(scale: amounts, ticks: whole, title: unit))
    for (bin, count) in counts.enumerated() where count > 0 {
      let low = scale.value(at: Double(bin) / Double(bins))
      let high = scale.value(at: Double(bin + 1) / Double(bins))
      plot.addBar(
        from: low, to: high, height: Double(count), style: "bar",
        title: "\(count) \(unit): \(Figures.span(milliseconds: low)) to "
          + Figures.span(milliseconds: high))
    }
    plot.addRule(at: p50, name: "p50 \(Figures.span(milliseconds: p50))")
    if p99 > p50 { plot.addRule(at: p99, name: "p99 \(Figures.span(milliseconds: p99))", row: 1) }
    return """
      <section>
      <h2>Distribution of the times</h2>
      <p>\(words)</p>
      \(plot.svg(title: "Histogram of \(spans.count) times."))
      </section>
      """
  }

  /// `1 seed`, `5 seeds`.
  func counted(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
  }
}

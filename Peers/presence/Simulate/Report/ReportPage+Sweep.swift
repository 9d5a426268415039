import MeshSimulator

extension ReportPage {
  /// The spread of changes at several node counts and losses.
  var sweepSection: String {
    guard !sweep.isEmpty else { return "" }
    let losses = Set(sweep.map(\.lossPercent)).sorted()
    let scale = spreadScale(sweep.map(\.result))
    let rows = losses.map { loss in
      let plots = sweep.filter { $0.lossPercent == loss }.map { small($0, scale) }
      return """
        <h3>\(Figures.brief(loss)) % loss</h3>
        <div class="multiples">
        \(plots.joined(separator: "\n"))
        </div>
        """
    }
    let delay = DelayRange.words(SimulationSweep.delay(run))
    return """
      <section>
      <h2>By node count and loss</h2>
      <p>The share of nodes that hold a change over the virtual time since it was made, in meshes \
      without faults but loss: links of \(delay) ms, one session a node, \
      \(SimulationSweep.changes) changes each, seed \(run.seed). All plots have the same \
      scales; time is logarithmic.</p>
      \(HTML.legend([
        (style: "main", name: "median over the changes"),
        (style: "band", name: "the middle 90 % of them"),
      ]))
      \(rows.joined(separator: "\n"))
      \(sweepTable(losses))
      </section>
      """
  }

  private func small(_ cell: SimulationSweep.Cell, _ scale: Scale) -> String {
    var plot = Plot(
      .small, x: ShareCurves.axis(of: scale, ticks: 2, title: ""),
      y: ShareCurves.axis(ticks: 2, title: ""))
    let curves = ShareCurves([cell.result])
    curves.draw(on: &plot, times: scale.values(80), seedLines: 0)
    let name = "\(cell.nodes) nodes, \(Figures.brief(cell.lossPercent)) % loss"
    return """
      <figure>
      <figcaption><b>\(cell.nodes) nodes</b> \(HTML.escaped(Self.spans(cell.result)))</figcaption>
      \(plot.svg(title: "Share of nodes that hold a change over time: \(name)."))
      </figure>
      """
  }

  /// What a run came to, in a few words.
  private static func spans(_ result: Outcome) -> String {
    let spans = result.changes.compactMap(\.milliseconds).sorted()
    guard result.failure == nil, let p50 = Figures.percentile(0.5, of: spans), let most = spans.last
    else { return "failed" }
    return "p50 \(Figures.span(milliseconds: p50)), max \(Figures.span(milliseconds: most))"
  }

  private func sweepTable(_ losses: [Double]) -> String {
    let counts = Set(sweep.map(\.nodes)).sorted()
    let rows = losses.map { loss in
      ["\(Figures.brief(loss)) % loss"]
        + counts.map { count in
          sweep.first { $0.nodes == count && $0.lossPercent == loss }
            .map { Self.spans($0.result) } ?? "-"
        }
    }
    return HTML.table(
      [""] + counts.map { "\($0) nodes" }, rows,
      caption: "Virtual time until a change was at the last node.")
  }
}

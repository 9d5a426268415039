import MeshSimulator

/// The page that `presence simulate --report` writes: one file with its style and its pictures.
///
/// It holds nothing that depends on the machine or on when it was made: the same command line gives
/// the same bytes.
struct ReportPage {
  let report: SimulationRun.Report
  let run: SimulationRun
  let sweep: [SimulationSweep.Cell]
  /// The command line that makes the page again.
  let command: String

  /// True when changes were timed; false when faults struck.
  var isSpread: Bool { run.scenario.changes != nil }

  private var title: String {
    run.preset.map { "Simulation: \($0.rawValue)" } ?? "Simulation"
  }

  /// The whole page.
  var html: String {
    let series = TrafficSeries(report.results)
    return """
      <!DOCTYPE html>
      \(ReportFile.mark)
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="generator" content="presence \(Presence.version)">
      <title>PresenceMesh: \(HTML.escaped(title))</title>
      <style>
      \(ReportStyle.css)
      </style>
      </head>
      <body>
      <main>
      \(header)
      \(failures)
      \(tiles(series))
      \(convergence)
      <div class="pair">
      \(distribution)
      \(series.map(traffic) ?? "")
      </div>
      \(series.map(trafficTable) ?? "")
      \(sweepSection)
      \(conditions)
      \(seedTable)
      \(footer)
      </main>
      </body>
      </html>

      """
  }

  // MARK: Beginning

  private var header: String {
    let isChanged = run.preset != nil && run.words.count > 1
    let about =
      run.preset.map { isChanged ? "\($0.summary); parts of it are replaced" : $0.summary }
      ?? (isSpread ? "the spread of status changes" : "meshes with faults, and how they heal")
    let failed = report.failures.count
    let verdict =
      failed == 0
      ? "<span class=\"good\">\(counted(report.results.count, "seed")), all passed</span>"
      : "<span class=\"bad\">\(failed) of \(counted(report.results.count, "seed")) failed</span>"
    return """
      <header>
      <p class="brand">PresenceMesh \(Presence.version)</p>
      <h1>\(HTML.escaped(title))</h1>
      <p class="about">\(HTML.escaped(about))</p>
      <p>\(verdict)</p>
      \(HTML.command(command))
      </header>
      """
  }

  private var failures: String {
    guard !report.failures.isEmpty else { return "" }
    let items = report.failures.prefix(20).map { result in
      "<li><b>seed \(result.seed)</b>: \(HTML.escaped(result.failure.map { "\($0.check): \($0.text)" } ?? ""))"
        + "\(HTML.command(SimulationText.command(result, run)))</li>"
    }
    let rest = report.failures.count - items.count
    return """
      <section class="failures">
      <h2>Failures</h2>
      <ul>\(items.joined(separator: "\n"))</ul>
      \(rest > 0 ? "<p>and \(rest) more.</p>" : "")
      </section>
      """
  }

  private func tiles(_ series: TrafficSeries?) -> String {
    func span(_ share: Double) -> String {
      report.percentile(share).map { Figures.span(milliseconds: $0) } ?? "none"
    }
    let what = isSpread ? "until a change is everywhere" : "until all agree"
    var tiles = [
      (value: span(0.5), name: "p50 \(what)"), (value: span(0.99), name: "p99 \(what)"),
      (value: span(1), name: "max \(what)"),
    ]
    if let series {
      tiles.append(
        (
          value: Figures.rate(bytesPerSecond: series.after.reduce(0, +)),
          name: isSpread ? "sent per node while changing" : "sent per node after the faults"
        ))
    }
    let items = tiles.map {
      "<div><b>\(HTML.escaped($0.value))</b><span>\(HTML.escaped($0.name))</span></div>"
    }
    return "<section class=\"tiles\">\(items.joined())</section>"
  }

  // MARK: End

  /// What was simulated.
  private var conditions: String {
    let scenario = run.scenario
    let counts = report.results.map(\.nodes)
    var rows: [[String]] = []
    func add(_ name: String, _ value: String) { rows.append([name, value]) }
    if let least = counts.min(), let most = counts.max() {
      let clones =
        scenario.changes == nil && scenario.faults.contains(.clone) ? ", clones included" : ""
      add("nodes", (least == most ? "\(least)" : "\(least) to \(most), by the seed") + clones)
    }
    let links = scenario.links
    add(
      "one-way delay",
      links.delayMicroseconds.map { "\(DelayRange.words($0)) ms" } ?? "by the seed, 0.1 to 19 ms")
    add("loss at all times", "\(Figures.brief(links.loss * 100)) %")
    if links.duplication > 0 { add("doubles", "\(Figures.brief(links.duplication * 100)) %") }
    if links.reordering > 0 {
      add(
        "stragglers",
        "\(Figures.brief(links.reordering * 100)) %, up to \(links.reorderingMilliseconds) ms later"
      )
    }
    add("multicast", scenario.hasMulticast.map { $0 ? "yes" : "no" } ?? "by the seed")
    add("sessions per node", "\(max(scenario.sessionsPerNode, isSpread ? 1 : 0))")
    if let changes = scenario.changes {
      add("changes per seed", "\(changes)")
      add("loss begins", "when all nodes have joined")
    } else {
      let names = scenario.faults.map(\.rawValue).sorted().joined(separator: ", ")
      add("faults", names.isEmpty ? "none" : names)
      if let script = scenario.script {
        add("when", script.summary)
      } else if !names.isEmpty {
        add("which of them", scenario.isExact ? "all" : "a share of 15, 30 or 50 %, by the seed")
        add("when", "every 0.2 to 2.7 s")
      }
      add(
        "faults last",
        scenario.faultMilliseconds.map { Figures.span(milliseconds: Double($0)) }
          ?? "10 to 70 s, by the seed")
      add("bound for agreement", Figures.span(milliseconds: Double(scenario.boundMilliseconds)))
      add("random clients", "one action each 20 to 320 ms")
    }
    add("seeds", "\(report.results.count), from \(run.seed)")
    return """
      <section>
      <h2>What was simulated</h2>
      \(HTML.table(["condition", "value"], rows, wraps: true))
      </section>
      """
  }

  private var seedTable: String {
    let shown = report.results.prefix(200)
    let rows = shown.map { result -> [String] in
      let spans = result.changes.compactMap(\.milliseconds).sorted()
      let time =
        isSpread
        ? (Figures.percentile(0.5, of: spans).map { Figures.span(milliseconds: $0) } ?? "-")
        : "\(result.faults.count)"
      let end =
        result.convergenceMilliseconds.map { "\($0) ms" }
        ?? (result.failure == nil ? "not asked" : "failed")
      return [
        "\(result.seed)", "\(result.nodes)", time, end, "\(result.datagrams)",
        SimulationText.hexadecimal(result.traceHash),
      ]
    }
    return """
      <section>
      <details>
      <summary>Seeds\(shown.count < report.results.count ? ", the first \(shown.count)" : "")</summary>
      \(HTML.table(
        [
          "seed", "nodes", isSpread ? "p50" : "faults", isSpread ? "max" : "agreed after",
          "datagrams", "trace hash",
        ], Array(rows)))
      </details>
      </section>
      """
  }

  private var footer: String {
    """
    <footer>
    <p>Made by <code>presence simulate</code>, PresenceMesh \(Presence.version). All times are \
    virtual: nothing here depends on the machine, and the command line above gives the same page \
    again. Trace hash of all seeds: <code>\(SimulationText.hexadecimal(report.traceHash))</code>.</p>
    </footer>
    """
  }
}

/// The style of the page, light or dark as the reader has it.
enum ReportStyle {
  static let css = """
    :root {
      color-scheme: light dark;
      --ground: #fcfcfb; --raised: #f3f2ef; --ink: #1b1b19; --muted: #65645f; --grid: #e5e4e0;
      --axis: #a3a29c; --main: #2a78d6; --good: #1a6f35; --bad: #b3261e;
      --kind0: #2a78d6; --kind1: #1baf7a; --kind2: #eda100; --kind3: #4a3aa7; --kind4: #e34948;
      --kind5: #e87ba4; --kind6: #b5b3ab;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --ground: #191918; --raised: #242422; --ink: #f0efec; --muted: #a9a8a1; --grid: #32322f;
        --axis: #6d6c66; --main: #4a95ea; --good: #6fcf8a; --bad: #ff8a80;
        --kind0: #3987e5; --kind1: #199e70; --kind2: #c98500; --kind3: #9085e9; --kind4: #e66767;
        --kind5: #d55181; --kind6: #66645d;
      }
    }
    * { box-sizing: border-box; }
    body {
      margin: 0; background: var(--ground); color: var(--ink);
      font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
    }
    main { max-width: 1064px; margin: 0 auto; padding: 32px 16px 48px; }
    h1 { font-size: 30px; line-height: 1.2; margin: 0; }
    h2 { font-size: 20px; line-height: 1.3; margin: 0 0 4px; }
    h3 { font-size: 15px; margin: 18px 0 4px; }
    p { margin: 4px 0 8px; max-width: 76ch; }
    section { margin-top: 40px; min-width: 0; }
    section p { color: var(--muted); font-size: 15px; }
    .brand { color: var(--muted); font-size: 14px; margin: 0; }
    .about { font-size: 18px; }
    .good { color: var(--good); font-weight: 600; }
    .bad, section p.bad { color: var(--bad); font-weight: 600; }
    code { font: 13.5px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
    pre {
      margin: 8px 0; padding: 10px 12px; background: var(--raised); border-radius: 6px;
      white-space: pre-wrap; overflow-wrap: anywhere;
    }
    pre span { display: inline-block; max-width: 100%; }
    .failures ul { padding-left: 18px; }
    .failures li { overflow-wrap: anywhere; }
    .tiles {
      display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
      margin-top: 20px;
    }
    .tiles div { background: var(--raised); border-radius: 6px; padding: 12px 14px; }
    .tiles b { display: block; font-size: 24px; line-height: 1.25; }
    .tiles span { color: var(--muted); font-size: 13.5px; line-height: 1.35; display: block; }
    .pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); column-gap: 40px; }
    .multiples { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 12px 20px; }
    .multiples { align-items: end; }
    figure { margin: 0; min-width: 0; }
    figcaption { font-size: 13px; line-height: 1.35; color: var(--muted); }
    figcaption b { color: var(--ink); }
    .legend {
      list-style: none; display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 6px 0; padding: 0;
      font-size: 13.5px; color: var(--muted);
    }
    .legend li { display: flex; align-items: center; gap: 7px; }
    .legend i { width: 14px; height: 10px; border-radius: 2px; background: var(--ground); }
    .legend i.main { height: 3px; background: var(--main); }
    .legend i.faint { height: 2px; background: color-mix(in srgb, var(--main) 45%, var(--ground)); }
    .legend i.band { background: color-mix(in srgb, var(--main) 20%, var(--ground)); }
    .scroll { overflow-x: auto; margin-top: 14px; }
    table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
    caption { text-align: left; color: var(--muted); padding-bottom: 4px; }
    th, td { text-align: left; padding: 5px 22px 5px 0; border-bottom: 1px solid var(--grid); }
    th { font-weight: 600; vertical-align: top; }
    tbody th, td { white-space: nowrap; }
    table.words td { white-space: normal; overflow-wrap: anywhere; }
    thead th { color: var(--muted); font-weight: 500; }
    summary { cursor: pointer; font-size: 20px; font-weight: 700; }
    footer { margin-top: 48px; color: var(--muted); font-size: 14px; }
    footer p { max-width: none; overflow-wrap: anywhere; }
    svg.plot { display: block; width: 100%; height: auto; }
    svg.plot text { font: 12.5px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
    svg.plot text { fill: var(--muted); font-variant-numeric: tabular-nums; }
    svg .name { paint-order: stroke; stroke: var(--ground); stroke-width: 4px; }
    svg path { fill: none; }
    svg .grid { stroke: var(--grid); }
    svg .axis, svg .tick { stroke: var(--axis); }
    svg .rule { stroke: var(--ink); stroke-dasharray: 3 3; }
    svg .line { stroke-linejoin: round; }
    svg .main { stroke: var(--main); stroke-width: 2.5; }
    svg .faint { stroke: var(--main); stroke-opacity: 0.32; }
    svg .band { fill: var(--main); fill-opacity: 0.18; }
    svg .bar { fill: var(--main); }
    \(kinds)
    .narrow { display: none !important; }
    @media (max-width: 900px) { .multiples { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
    @media (max-width: 760px) {
      .wide { display: none !important; }
      .narrow { display: block !important; max-width: 480px; }
      .pair { grid-template-columns: minmax(0, 1fr); }
      .multiples { grid-template-columns: repeat(2, minmax(0, 1fr)); column-gap: 12px; }
      tbody th { white-space: normal; }
      .pair svg.plot text, .multiples svg.plot text { font-size: 14.5px; }
      .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
      h1 { font-size: 25px; }
      th, td { padding-right: 14px; }
    }
    """

  /// The colours of what bytes are sent for. A line of the ground parts neighbours.
  private static var kinds: String {
    TrafficSeries.purposes.indices.map { index in
      "svg .kind\(index) { fill: var(--kind\(index)); stroke: var(--ground); stroke-width: 0.7; }\n"
        + ".legend i.kind\(index) { background: var(--kind\(index)); }"
    }.joined(separator: "\n")
  }
}

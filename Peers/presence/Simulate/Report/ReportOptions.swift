import ArgumentParser

/// Whether a report is written, and what it sweeps over.
struct ReportOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Write a page with plots, index.html, into this directory.",
      discussion: "One file without scripts that needs no network. An older report is replaced.",
      valueName: "dir"),
    completion: .directory)
  var report: String?

  @Option(
    help: ArgumentHelp(
      "Node counts that the report sweeps over, 2…1,000 with commas between, or 'none'. "
        + "(default: 8,16,32,64)", valueName: "list"))
  var sweepNodes: String?

  @Option(
    help: ArgumentHelp(
      "Losses that the report sweeps over, 0…90 percent with commas between. "
        + "(default: 0,1,5,25)", valueName: "list"))
  var sweepLoss: String?

  mutating func validate() throws {
    if report == nil, sweepNodes != nil || sweepLoss != nil {
      throw ValidationError("--sweep-nodes and --sweep-loss are about a report: add --report DIR.")
    }
    if report?.isEmpty == true { throw ValidationError("--report takes a directory.") }
    if let sweepNodes, sweepNodes != "none", Self.nodes(sweepNodes) == nil {
      throw ValidationError(
        "--sweep-nodes takes up to 12 numbers of 2…1,000, such as 8,16,32, or 'none'.")
    }
    if let sweepLoss, Self.losses(sweepLoss) == nil {
      throw ValidationError("--sweep-loss takes up to 12 percentages of 0…90, such as 0,1,5,25.")
    }
  }

  /// What is swept over; `nil`: nothing.
  var sweep: SimulationSweep.Axes? {
    guard report != nil, sweepNodes != "none", let nodes = Self.nodes(sweepNodes ?? "8,16,32,64"),
      let losses = Self.losses(sweepLoss ?? "0,1,5,25")
    else { return nil }
    return SimulationSweep.Axes(nodes: nodes, losses: losses)
  }

  /// The options as they are written on a command line. Of the directory the last name is kept, so
  /// that a page tells nothing of the machine that made it.
  var words: [String] {
    var words: [String] = []
    if let report {
      let name = report.split(separator: "/").last.map(String.init) ?? "."
      words.append("--report \(Self.quoted(name))")
    }
    if let sweepNodes { words.append("--sweep-nodes \(sweepNodes)") }
    if let sweepLoss { words.append("--sweep-loss \(sweepLoss)") }
    return words
  }

  private static func nodes(_ text: String) -> [Int]? {
    list(text) { Int($0).flatMap { (2...1000).contains($0) ? $0 : nil } }
  }

  private static func losses(_ text: String) -> [Double]? {
    list(text) { Double($0).flatMap { (0...90).contains($0) ? $0 : nil } }
  }

  /// 1 to 12 different values, lowest first.
  private static func list<Value: Comparable>(
    _ text: String, _ value: (Substring) -> Value?
  ) -> [Value]? {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    let values = parts.compactMap(value).sorted()
    guard (1...12).contains(parts.count), values.count == parts.count,
      zip(values, values.dropFirst()).allSatisfy({ $0 != $1 })
    else { return nil }
    return values
  }

  /// A word as a shell takes it.
  private static func quoted(_ word: String) -> String {
    let isPlain = word.allSatisfy {
      $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0))
    }
    return isPlain
      ? word
      : "'"
        + word.split(separator: "'", omittingEmptySubsequences: false)
        .joined(separator: "'\\''") + "'"
  }
}

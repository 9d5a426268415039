/// Rows under headings, in columns that are as wide as what they hold.
struct TextTable {
  /// A column.
  struct Column {
    var heading: String
    /// The columns of the terminal that it takes at least, and at most.
    var widths: ClosedRange<Int> = 0...(.max)
    /// What becomes of it where not everything fits.
    var yielding = Yielding.narrow
    var alignsRight = false
  }

  /// How a column gives way to others.
  enum Yielding {
    /// Gives up room first, and vanishes when little is left.
    case first
    /// Vanishes as a whole, the last such column first.
    case vanish
    /// Becomes narrower in the end.
    case narrow
  }

  var columns: [Column]
  var rows: [[Cell]] = []

  private static let gap = 2
  /// Less than that of a cell says nothing.
  private static let leastWidth = 6

  /// The lines, headings first.
  ///
  /// - Parameters:
  ///   - width: No line is wider; `nil`: lines are as wide as they need to be.
  ///   - isPlaced: Moves the cursor of the terminal to the beginning of each cell, so that text
  ///     whose width the terminal sees otherwise does not move the next column.
  func lines(width: Int?, colours: Bool, isPlaced: Bool = false) -> [String] {
    let widths = widths(limit: width)
    let headings = columns.map { Cell($0.heading, .dim) }
    return ([headings] + rows).map { row in
      var line = ""
      var end = 0
      var start = 0
      for (index, cell) in row.enumerated() where index < columns.count && widths[index] > 0 {
        let text = DisplayWidth.truncated(cell.text, to: widths[index])
        let columnsOfText = DisplayWidth.columns(of: text)
        let from = start + (columns[index].alignsRight ? widths[index] - columnsOfText : 0)
        // Spaces are written when something follows them: no line ends in any.
        if !text.isEmpty {
          line += String(repeating: " ", count: from - end)
          if isPlaced { line += "\u{1B}[\(from + 1)G" }
          line += cell.style.applied(to: text, colours: colours)
          end = from + columnsOfText
        }
        start += widths[index] + Self.gap
      }
      return line
    }
  }

  private func widths(limit: Int?) -> [Int] {
    var widths = columns.indices.map { index -> Int in
      let cells = rows.map { index < $0.count ? DisplayWidth.columns(of: $0[index].text) : 0 }
      let needed = max(DisplayWidth.columns(of: columns[index].heading), cells.max() ?? 0)
      let bounds = columns[index].widths
      return min(max(needed, bounds.lowerBound), bounds.upperBound)
    }
    guard let limit else { return widths }
    func excess() -> Int {
      let shown = widths.filter { $0 > 0 }
      return shown.reduce(0, +) + Self.gap * max(0, shown.count - 1) - limit
    }
    func indices(_ yielding: Yielding) -> [Int] {
      columns.indices.filter { columns[$0].yielding == yielding }.reversed()
    }
    for index in indices(.first) where excess() > 0 {
      let left = widths[index] - excess()
      widths[index] = left < Self.leastWidth ? 0 : left
    }
    for index in indices(.vanish) where excess() > 0 { widths[index] = 0 }
    for index in indices(.narrow) where excess() > 0 {
      widths[index] = max(min(widths[index], Self.leastWidth), widths[index] - excess())
    }
    return widths
  }
}

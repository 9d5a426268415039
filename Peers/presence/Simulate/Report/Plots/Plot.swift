/// A plot: a frame with two axes, and marks in it, as SVG.
///
/// Colours come from the classes of the page's style, so that they follow the reader's scheme.
struct Plot {
  struct Axis {
    let scale: Scale
    let ticks: [Scale.Tick]
    /// What the axis counts, with the unit.
    let title: String
  }

  /// In units of the picture: pixels, when there is room for it.
  struct Size {
    let width: Double
    let height: Double
    var margins = (top: 26.0, right: 18.0, bottom: 44.0, left: 54.0)

    /// The whole width of a page.
    static let wide = Size(width: 1000, height: 320)
    /// The whole width of a telephone.
    static let narrow = Size(width: 343, height: 270)
    /// Half a page, or a telephone.
    static let half = Size(
      width: 440, height: 280, margins: (top: 26, right: 18, bottom: 44, left: 70))
    /// One of many.
    static let small = Size(
      width: 230, height: 132, margins: (top: 8, right: 20, bottom: 22, left: 52))
  }

  let size: Size
  let x: Axis
  let y: Axis
  private var marks: [String] = []

  init(_ size: Size, x: Axis, y: Axis) {
    self.size = size
    self.x = x
    self.y = y
  }

  private var left: Double { size.margins.left }
  private var right: Double { size.width - size.margins.right }
  private var top: Double { size.margins.top }
  private var bottom: Double { size.height - size.margins.bottom }

  private func across(_ value: Double) -> Double { left + (right - left) * x.scale.place(value) }
  private func up(_ value: Double) -> Double { bottom - (bottom - top) * y.scale.place(value) }

  private static func text(_ number: Double) -> String { Figures.brief(number, decimals: 1) }

  private func point(_ x: Double, _ y: Double) -> String {
    "\(Self.text(across(x))) \(Self.text(up(y)))"
  }

  // MARK: Marks

  /// A line through points.
  mutating func addLine(_ points: [(x: Double, y: Double)], style: String) {
    guard !points.isEmpty else { return }
    let path = points.map { point($0.x, $0.y) }.joined(separator: "L")
    marks.append("<path class=\"line \(style)\" d=\"M\(path)\"/>")
  }

  /// The area between two lines over the same places.
  mutating func addBand(_ points: [(x: Double, low: Double, high: Double)], style: String) {
    guard points.count > 1 else { return }
    let upper = points.map { point($0.x, $0.high) }
    let lower = points.reversed().map { point($0.x, $0.low) }
    let path = (upper + lower).joined(separator: "L")
    marks.append("<path class=\"area \(style)\" d=\"M\(path)Z\"/>")
  }

  /// A bar that stands on the axis. The title is told when it is pointed at.
  mutating func addBar(
    from low: Double, to high: Double, height: Double, style: String, title: String
  ) {
    // Two units of the ground stay free between neighbours.
    let (begin, end) = (across(low) + 1, max(across(low) + 2, across(high) - 1))
    let over = up(height)
    marks.append(
      "<rect class=\"area \(style)\" x=\"\(Self.text(begin))\" y=\"\(Self.text(over))\" "
        + "width=\"\(Self.text(end - begin))\" height=\"\(Self.text(bottom - over))\">"
        + "<title>\(HTML.escaped(title))</title></rect>")
  }

  /// A line across the plot at a place of the horizontal axis, with its name beside it in one of
  /// the rows at the top, counted from 0; -1 is above the frame.
  mutating func addRule(at value: Double, name: String, row: Int = 0) {
    let place = across(value)
    let isRight = place > left + (right - left) * (row < 0 ? 0.8 : 0.5)
    let line = row < 0 ? top - 8 : top + 12 + Double(row) * 17
    marks.append(
      "<path class=\"rule\" d=\"M\(Self.text(place)) \(Self.text(top))V\(Self.text(bottom))\"/>"
        + "<text class=\"name\" x=\"\(Self.text(place + (isRight ? -5 : 5)))\" "
        + "y=\"\(Self.text(line))\" text-anchor=\"\(isRight ? "end" : "start")\">"
        + "\(HTML.escaped(name))</text>")
  }

  // MARK: Picture

  /// The picture. The title is for those who do not see it.
  func svg(title: String, style: String = "") -> String {
    var lines = [
      "<svg class=\"plot \(style)\" viewBox=\"0 0 \(Self.text(size.width)) "
        + "\(Self.text(size.height))\" role=\"img\" aria-label=\"\(HTML.escaped(title))\">"
    ]
    for tick in y.ticks {
      let place = Self.text(up(tick.value))
      lines.append(
        "<path class=\"grid\" d=\"M\(Self.text(left)) \(place)H\(Self.text(right))\"/>"
          + "<text x=\"\(Self.text(left - 7))\" y=\"\(Self.text(up(tick.value) + 4))\" "
          + "text-anchor=\"end\">\(HTML.escaped(tick.label))</text>")
    }
    for tick in x.ticks {
      let place = Self.text(across(tick.value))
      lines.append(
        "<path class=\"tick\" d=\"M\(place) \(Self.text(bottom))v4\"/>"
          + "<text x=\"\(place)\" y=\"\(Self.text(bottom + 17))\" text-anchor=\"middle\">"
          + "\(HTML.escaped(tick.label))</text>")
    }
    lines += marks
    lines.append(
      "<path class=\"axis\" d=\"M\(Self.text(left)) \(Self.text(bottom))H\(Self.text(right))\"/>")
    if !x.title.isEmpty {
      lines.append(
        "<text class=\"name\" x=\"\(Self.text((left + right) / 2))\" "
          + "y=\"\(Self.text(size.height - 6))\" text-anchor=\"middle\">"
          + "\(HTML.escaped(x.title))</text>")
    }
    if !y.title.isEmpty {
      lines.append("<text class=\"name\" x=\"4\" y=\"12\">\(HTML.escaped(y.title))</text>")
    }
    return (lines + ["</svg>"]).joined(separator: "\n")
  }
}

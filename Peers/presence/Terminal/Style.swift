import Foundation

/// How a piece of text looks on a terminal with colours; nothing where there are none.
enum Style: String, Sendable {
  case plain = ""
  case bold = "1"
  case dim = "2"
  case good = "32"
  case warning = "33"
  case bad = "31"
  case accent = "36"

  /// The text in this style.
  func applied(to text: String, colours: Bool) -> String {
    colours && self != .plain && !text.isEmpty ? "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" : text
  }
}

/// A piece of text and how it looks.
struct Cell: Sendable {
  var text: String
  var style: Style

  init(_ text: String, _ style: Style = .plain) {
    self.text = text
    self.style = style
  }
}

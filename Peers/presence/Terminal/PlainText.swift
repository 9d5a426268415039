/// Text of others, made harmless for a terminal.
///
/// Names, messages and rooms come from other nodes. A control character in them could move the
/// cursor, change colours or make the terminal answer; a bidirectional one could show a name in
/// another order.
enum PlainText {
  /// The text with a replacement character for everything that is more than a glyph.
  static func safe(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isHarmful) else { return text }
    var scalars = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { scalars.append(isHarmful(scalar) ? "\u{FFFD}" : scalar) }
    return String(scalars)
  }

  /// The JSON text with escapes for what a terminal might obey. JSON itself escapes only the
  /// characters below U+0020; all others stand in strings, where an escape means the same.
  static func safeJSON(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isHarmful) else { return text }
    var scalars = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      guard isHarmful(scalar), scalar != "\n" else {
        scalars.append(scalar)
        continue
      }
      for unit in String(scalar).utf16 {
        let digits = String(unit, radix: 16)
        let padding = String(repeating: "0", count: 4 - digits.count)
        scalars.append(contentsOf: "\\u\(padding)\(digits)".unicodeScalars)
      }
    }
    return String(scalars)
  }

  /// Control characters (C0, DEL, C1), line and paragraph separators, bidirectional controls, the
  /// byte order mark, tags and annotations.
  private static func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0...0x1F, 0x7F...0x9F, 0x061C, 0x200B, 0x200E...0x200F, 0x2028...0x202E, 0x2060...0x206F,
      0xFEFF, 0xFFF9...0xFFFB, 0xE0000...0xE007F:
      true
    default: false
    }
  }
}

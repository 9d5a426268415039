/// A key that was pressed.
enum Key: Hashable, Sendable {
  case text(String)
  case enter
  case backspace
  /// Ctrl-U: everything that was typed.
  case deleteLine
  /// Ctrl-W: the last word.
  case deleteWord
  case escape
  /// Ctrl-C.
  case interrupt
  /// Ctrl-D.
  case endOfInput
  /// Ctrl-Z.
  case suspend
  /// Ctrl-L.
  case redraw
  case up
  case down
  case pageUp
  case pageDown
}

/// Makes keys of the bytes that a terminal sends. Bytes of one key may come apart.
struct KeyDecoder {
  private var pending: [UInt8] = []

  /// The most bytes of a key that is not complete.
  private static let pendingBound = 16

  /// The keys that are complete with these bytes.
  mutating func keys(of bytes: [UInt8]) -> [Key] {
    pending += bytes
    var keys: [Key] = []
    while let (key, length) = next() {
      pending.removeFirst(length)
      if let key { keys.append(key) }
    }
    if pending.count > Self.pendingBound { pending = [] }
    return keys
  }

  /// The first key and its length in bytes; no key for one without a meaning here; `nil` when more
  /// bytes are needed.
  private func next() -> (key: Key?, length: Int)? {
    guard let first = pending.first else { return nil }
    switch first {
    case 0x1B: return escapeSequence()
    case 0x0A, 0x0D: return (.enter, 1)
    case 0x7F, 0x08: return (.backspace, 1)
    case 0x03: return (.interrupt, 1)
    case 0x04: return (.endOfInput, 1)
    case 0x0C: return (.redraw, 1)
    case 0x15: return (.deleteLine, 1)
    case 0x17: return (.deleteWord, 1)
    case 0x1A: return (.suspend, 1)
    case ..<0x20: return (nil, 1)
    default: return character(first)
    }
  }

  private func character(_ first: UInt8) -> (key: Key?, length: Int)? {
    let length =
      switch first {
      case ..<0x80: 1
      case 0xC2...0xDF: 2
      case 0xE0...0xEF: 3
      case 0xF0...0xF4: 4
      default: 0
      }
    guard length > 0 else { return (nil, 1) }
    guard pending.count >= length else { return nil }
    guard let text = String(validating: pending[..<length], as: UTF8.self) else { return (nil, 1) }
    return (.text(text), length)
  }

  /// A terminal sends a sequence at once; a lone escape is the key.
  private func escapeSequence() -> (key: Key?, length: Int)? {
    guard pending.count > 1 else { return (.escape, 1) }
    guard pending[1] == UInt8(ascii: "[") || pending[1] == UInt8(ascii: "O") else {
      return (nil, 2)
    }
    guard let end = pending.dropFirst(2).firstIndex(where: { 0x40...0x7E ~= $0 }) else {
      return nil
    }
    let key: Key? =
      switch String(decoding: pending[2...end], as: UTF8.self) {
      case "A": .up
      case "B": .down
      case "5~": .pageUp
      case "6~": .pageDown
      default: nil
      }
    return (key, end + 1)
  }
}

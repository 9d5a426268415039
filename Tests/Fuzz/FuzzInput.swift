/// Draws values from the bytes of an input; when they are used up, zeros.
struct FuzzInput {
  private let bytes: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { offset >= bytes.count }

  mutating func byte() -> UInt8 {
    guard offset < bytes.count else { return 0 }
    offset += 1
    return bytes[offset - 1]
  }

  /// A number below a bound of at most 256.
  mutating func below(_ bound: Int) -> Int { Int(byte()) % max(bound, 1) }

  mutating func flag() -> Bool { byte() & 1 == 1 }

  mutating func uint16() -> UInt16 { UInt16(byte()) << 8 | UInt16(byte()) }

  /// A number of as many bytes as its first byte says: small ones are frequent, and so are those at
  /// the bounds of fields.
  mutating func number() -> UInt64 {
    let form = byte()
    switch form {
    case 0..<0xE0: return UInt64(form)
    case 0xE0..<0xF0: return UInt64(uint16())
    case 0xF0..<0xF8:
      return (0..<8).reduce(0) { word, _ in word << 8 | UInt64(byte()) }
    // A power of two, and what is beside it.
    default: return (1 << UInt64(byte() & 63)) &+ UInt64(form & 7) &- 3
    }
  }

  /// At most so many bytes, as many as the next byte or two say.
  mutating func blob(atMost bound: Int) -> [UInt8] {
    let form = byte()
    let count = form < 0xF0 ? Int(form) : Int(form & 0xF) << 8 | Int(byte())
    return take(min(count, bound))
  }

  /// So many bytes, or as many as are left.
  mutating func take(_ count: Int) -> [UInt8] {
    let end = min(offset + count, bytes.count)
    defer { offset = end }
    return Array(bytes[min(offset, end)..<end])
  }

  mutating func rest() -> [UInt8] { take(bytes.count) }
}

/// The identity of a session: 128 bits that its client chose at random, or derived from its own id.
public struct SessionID: Hashable, Comparable, Sendable {
  @usableFromInline package let high: UInt64
  @usableFromInline package let low: UInt64

  /// The number of bytes of an id.
  public static let byteCount = 16

  /// Makes an id from two words, first bytes in the first word.
  public init(_ high: UInt64, _ low: UInt64) {
    self.high = high
    self.low = low
  }

  /// An id that belongs to a user: its first half is a hash of the user's id under the key of the mesh. Who
  /// may speak for some users alone can host no other sessions.
  package init(of user: String, _ low: UInt64, key: HashKey) {
    self.init(SipHash.hash(Array(user.utf8), key: key), low)
  }

  /// True when the id belongs to a user.
  package func belongs(to user: String, key: HashKey) -> Bool {
    high == SipHash.hash(Array(user.utf8), key: key)
  }

  /// The id in records that concern no session.
  package static let nobody = SessionID(0, 0)

  /// A new id from the system's random source.
  public static func random(using generator: inout some RandomNumberGenerator) -> Self {
    SessionID(generator.next(), generator.next())
  }

  /// Reads 32 hexadecimal digits; `nil` for anything else.
  public init?(_ text: String) {
    guard let bytes = bytes(fromHexadecimal: text), bytes.count == Self.byteCount else {
      return nil
    }
    func word(_ slice: ArraySlice<UInt8>) -> UInt64 { slice.reduce(0) { $0 << 8 | UInt64($1) } }
    self.init(word(bytes[0..<8]), word(bytes[8..<16]))
  }

  /// Orders by the bytes, first byte first.
  public static func < (left: Self, right: Self) -> Bool {
    left.high == right.high ? left.low < right.low : left.high < right.high
  }
}

extension SessionID: CustomStringConvertible {
  /// 32 hexadecimal digits.
  public var description: String { hexadecimal(high.bigEndianBytes + low.bigEndianBytes) }
}

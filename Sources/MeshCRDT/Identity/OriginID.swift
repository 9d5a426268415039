/// The identity of a node: its Ed25519 public key.
///
/// Layout: 32 bytes, held as four big-endian words, so that comparing words compares bytes.
public struct OriginID: Hashable, Comparable, Sendable {
  package let word0: UInt64
  package let word1: UInt64
  package let word2: UInt64
  package let word3: UInt64

  /// The number of bytes of an id.
  public static let byteCount = 32

  package init(_ word0: UInt64, _ word1: UInt64, _ word2: UInt64, _ word3: UInt64) {
    self.word0 = word0
    self.word1 = word1
    self.word2 = word2
    self.word3 = word3
  }

  /// Makes an id from its 32 bytes; `nil` for any other number of bytes.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == Self.byteCount else { return nil }
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    for (offset, byte) in bytes.enumerated() {
      switch offset >> 3 {
      case 0: words.0 = words.0 << 8 | UInt64(byte)
      case 1: words.1 = words.1 << 8 | UInt64(byte)
      case 2: words.2 = words.2 << 8 | UInt64(byte)
      default: words.3 = words.3 << 8 | UInt64(byte)
      }
    }
    self.init(words.0, words.1, words.2, words.3)
  }

  /// Reads 64 hexadecimal digits; `nil` for anything else.
  public init?(_ text: String) {
    guard let bytes = MeshCRDT.bytes(fromHexadecimal: text) else { return nil }
    self.init(bytes: bytes)
  }

  /// The 32 bytes of the id.
  public var bytes: [UInt8] {
    [word0, word1, word2, word3].flatMap(\.bigEndianBytes)
  }

  /// A public key looks random: a quarter of it tells nearly all apart.
  public func hash(into hasher: inout Hasher) { hasher.combine(word0) }

  /// Orders by the bytes, first byte first.
  public static func < (left: Self, right: Self) -> Bool {
    if left.word0 != right.word0 { return left.word0 < right.word0 }
    if left.word1 != right.word1 { return left.word1 < right.word1 }
    if left.word2 != right.word2 { return left.word2 < right.word2 }
    return left.word3 < right.word3
  }
}

extension OriginID: CustomStringConvertible {
  /// The whole id in 64 hexadecimal digits.
  public var description: String { hexadecimal(bytes) }

  /// The first 10 hexadecimal digits: enough to tell the nodes of a mesh apart by eye.
  public var short: String { String(description.prefix(10)) }
}

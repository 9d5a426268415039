import MeshCRDT

// Fields that several messages share.

extension ByteReader {
  /// Counter (4) and random bits (8).
  mutating func incarnation() throws(WireError) -> Incarnation {
    let counter = try uint32()
    let nonce = try uint64()
    guard let incarnation = Incarnation(counter: UInt64(counter), nonce: nonce) else {
      throw .outOfBounds
    }
    return incarnation
  }

  /// An incarnation, or twelve zero bytes: `nil`.
  mutating func optionalIncarnation() throws(WireError) -> Incarnation? {
    let counter = try uint32()
    let nonce = try uint64()
    guard counter != 0 else {
      guard nonce == 0 else { throw .notCanonical }
      return nil
    }
    return Incarnation(counter: UInt64(counter), nonce: nonce)
  }

  /// Sixteen bytes.
  mutating func hash128() throws(WireError) -> Hash128 {
    Hash128(try uint64(), try uint64())
  }

  /// Thirty-two bytes.
  mutating func hash256() throws(WireError) -> Hash256 {
    Hash256(try hash128(), try hash128())
  }

  /// Two digits in each byte, the first in its high half; an unused half is 0.
  mutating func path(depth: Int) throws(WireError) -> TreePath {
    guard depth <= TreePath.depthBound else { throw .outOfBounds }
    var bits: UInt64 = 0
    for index in 0..<(depth + 1) / 2 {
      bits |= UInt64(try byte()) << UInt64(56 - 8 * index)
    }
    guard let path = TreePath(bits: bits, depth: depth) else { throw .notCanonical }
    return path
  }

  /// A number below 2^48.
  mutating func counter(from lowest: UInt64 = 0) throws(WireError) -> UInt64 {
    let value = try varint(below: Limits.counterBound)
    guard value >= lowest else { throw .outOfBounds }
    return value
  }

  /// A number of items, `lowest`…`bound`.
  mutating func count(_ range: ClosedRange<Int>) throws(WireError) -> Int {
    let value = Int(try varint(below: UInt64(range.upperBound) + 1))
    guard value >= range.lowerBound else { throw .outOfBounds }
    return value
  }
}

extension ByteWriter {
  mutating func incarnation(_ incarnation: Incarnation?) {
    uint32(UInt32(truncatingIfNeeded: incarnation?.counter ?? 0))
    uint64(incarnation?.nonce ?? 0)
  }

  mutating func hash128(_ hash: Hash128) {
    uint64(hash.high)
    uint64(hash.low)
  }

  mutating func hash256(_ hash: Hash256) {
    hash128(hash.high)
    hash128(hash.low)
  }

  mutating func digits(of path: TreePath) {
    for index in 0..<(path.depth + 1) / 2 {
      byte(UInt8(truncatingIfNeeded: path.bits >> UInt64(56 - 8 * index)))
    }
  }
}

/// How many bytes a field takes.
enum FieldSize {
  static func varint(_ value: UInt64) -> Int { ByteWriter.varintByteCount(value) }
  static func blob(_ count: Int) -> Int { varint(UInt64(count)) + count }
  static func room(_ room: RoomName) -> Int { blob(room.text.utf8.count) }
  /// Its depth and its digits.
  static func path(_ path: TreePath) -> Int { 1 + (path.depth + 1) / 2 }

  /// The most bytes of a room's name, and of a number below 2^48.
  static let mostRoom = 1 + Limits.roomNameBytes
  static let mostCounter = 7

  /// How many items, from the first on, have at most `bytes` bytes together and are at most
  /// `bound`.
  static func prefix<Item>(
    of items: some Sequence<Item>, bytes: Int, atMost bound: Int, size: (Item) -> Int
  ) -> Int {
    var (count, rest) = (0, bytes)
    for item in items {
      rest -= size(item)
      guard rest >= 0, count < bound else { break }
      count += 1
    }
    return count
  }
}

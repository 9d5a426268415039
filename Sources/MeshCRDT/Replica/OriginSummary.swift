/// What the tree of a replica says of an origin.
///
/// Layout of ``bytes``: incarnation (12), sequence (8), version (8), root (32).
package struct OriginSummary: Hashable, Sendable {
  package let incarnation: Incarnation
  package let sequence: UInt64
  package let version: UInt64
  package let root: Hash256

  /// The number of bytes.
  static let byteCount = 60

  private init(incarnation: Incarnation, sequence: UInt64, version: UInt64, root: Hash256) {
    self.incarnation = incarnation
    self.sequence = sequence
    self.version = version
    self.root = root
  }

  package init(_ checkpoint: CheckpointFacts) {
    self.init(
      incarnation: checkpoint.incarnation, sequence: checkpoint.sequence,
      version: checkpoint.version, root: checkpoint.root)
  }

  package var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.byteCount)
    withUnsafeBytes(of: UInt32(truncatingIfNeeded: incarnation.counter).bigEndian) {
      bytes.append(contentsOf: $0)
    }
    for word in [
      incarnation.nonce, sequence, version, root.high.high, root.high.low, root.low.high,
      root.low.low,
    ] {
      withUnsafeBytes(of: word.bigEndian) { bytes.append(contentsOf: $0) }
    }
    return bytes
  }

  /// Reads ``bytes``; `nil` when they are not those of a summary.
  package init?(bytes: ArraySlice<UInt8>) {
    guard bytes.count == Self.byteCount else { return nil }
    func word(_ offset: Int, _ count: Int = 8) -> UInt64 {
      let start = bytes.startIndex + offset
      return bytes[start..<start + count].reduce(0) { $0 << 8 | UInt64($1) }
    }
    guard let incarnation = Incarnation(counter: word(0, 4), nonce: word(4)),
      word(12) > 0, word(12) < Limits.counterBound, word(20) < Limits.counterBound
    else { return nil }
    self.init(
      incarnation: incarnation, sequence: word(12), version: word(20),
      root: Hash256(Hash128(word(28), word(36)), Hash128(word(44), word(52))))
  }
}

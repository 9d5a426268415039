/// One life of an origin: a counter that its disk remembers, and 64 random bits.
///
/// Two processes with one key and one disk image never write the same incarnation, so that what they
/// sign never conflicts: the higher one wins everywhere. Order: counter, then random bits.
package struct Incarnation: Hashable, Comparable, Sendable {
  /// 1…2^32 − 1.
  package let counter: UInt64
  package let nonce: UInt64

  /// The number of bytes on the wire: counter (4) and random bits (8).
  package static let byteCount = 12

  /// `nil` when the counter is 0 or above its bound.
  package init?(counter: UInt64, nonce: UInt64) {
    guard counter > 0, counter < Limits.incarnationBound else { return nil }
    self.counter = counter
    self.nonce = nonce
  }

  package static func < (left: Self, right: Self) -> Bool {
    left.counter == right.counter && !PlantedBug.isActive(.incarnationByCounter)
      ? left.nonce < right.nonce : left.counter < right.counter
  }
}

extension Incarnation: CustomStringConvertible {
  package var description: String { "\(counter)-\(String(nonce, radix: 16))" }
}

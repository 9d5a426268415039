/// A hash of 128 bits: what the inner nodes of a ``HashTree`` are known by.
///
/// Two inputs with one hash cost about 2^64 work to find.
package struct Hash128: Hashable, Comparable, Sendable {
  package let high: UInt64
  package let low: UInt64

  /// The number of bytes of a hash.
  package static let byteCount = 16
  /// The hash of an empty tree.
  package static let empty = Hash128(0, 0)
  /// What stands in a question for a hash that no node has.
  package static let other = Hash128(.max, .max)

  package init(_ high: UInt64, _ low: UInt64) {
    self.high = high
    self.low = low
  }

  package static func < (left: Self, right: Self) -> Bool {
    left.high == right.high ? left.low < right.low : left.high < right.high
  }
}

/// A hash of 256 bits: what an origin signs.
package struct Hash256: Hashable, Sendable {
  package let high: Hash128
  package let low: Hash128

  /// The number of bytes of a hash.
  package static let byteCount = 32
  /// The root of a tree without entries.
  package static let empty = Hash256(.empty, .empty)

  package init(_ high: Hash128, _ low: Hash128) {
    self.high = high
    self.low = low
  }
}

/// The hash function of the trees and of the heartbeat chains: BLAKE2b in a real mesh, a fast stand-in
/// in most simulated ones. It comes in as an argument, as all cryptography of the core does.
package protocol TreeHash: Sendable {
  /// BLAKE2b with 16 bytes of result.
  func hash128(_ bytes: [UInt8]) -> Hash128
  /// BLAKE2b with 32 bytes of result.
  func hash256(_ bytes: [UInt8]) -> Hash256
}

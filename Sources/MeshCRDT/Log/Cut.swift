/// An origin's own word about its log at one version: how many records are live, and their hash.
///
/// A cut is signed, in a batch or in a head. Who holds exactly the live records that hash to it knows
/// that everything else up to that version is gone, and needs no tombstones to remember it.
package struct Cut: Hashable, Comparable, Sendable {
  /// The version up to which it speaks. 0: nothing was written yet.
  package let version: UInt64
  /// The number of live records.
  package let count: UInt64
  /// The sum of the hashes of the live records, modulo 2^64.
  package let hash: UInt64

  package static let empty = Cut(version: 0, count: 0, hash: 0)

  package init(version: UInt64, count: UInt64, hash: UInt64) {
    self.version = version
    self.count = count
    self.hash = hash
  }

  /// A total order, so that two words of one origin about one version settle the same way
  /// everywhere.
  package static func < (left: Self, right: Self) -> Bool {
    if left.version != right.version { return left.version < right.version }
    return left.hash == right.hash ? left.count < right.count : left.hash < right.hash
  }
}

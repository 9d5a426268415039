/// A summary of a state that has the same size whatever it holds: sums of hashes in buckets.
///
/// An origin falls into a bucket by its id. Heartbeats do not count, so that a mesh in which nothing
/// changes has equal digests.
package struct Digest: Hashable, Sendable {
  package static let bucketCount = 32

  package private(set) var buckets: [UInt64]

  package init() { buckets = Array(repeating: 0, count: Self.bucketCount) }

  /// Makes a digest from received sums; `nil` unless there are ``bucketCount``.
  package init?(buckets: [UInt64]) {
    guard buckets.count == Self.bucketCount else { return nil }
    self.buckets = buckets
  }

  /// The bucket of an origin.
  package static func bucket(of origin: OriginID) -> Int { Int(origin.word0 >> 59) }

  /// Takes away what was held of an origin, and adds what is held now.
  package mutating func replace(old: DigestEntry?, new: DigestEntry?, key: HashKey) {
    if let old { buckets[Self.bucket(of: old.origin)] &-= old.hash(key: key) }
    if let new { buckets[Self.bucket(of: new.origin)] &+= new.hash(key: key) }
  }

  /// The buckets that differ, as bits.
  package func difference(from other: Digest) -> UInt32 {
    var mask: UInt32 = 0
    for index in 0..<Self.bucketCount where buckets[index] != other.buckets[index] {
      if index == Self.bucketCount - 1 && PlantedBug.isActive(.digestBucketSkipped) { continue }
      mask |= 1 << UInt32(index)
    }
    return mask
  }

  /// One hash of the whole state: equal on all nodes that converged.
  package func stateHash(key: HashKey) -> UInt64 {
    var hasher = SipHash(key: key)
    for bucket in buckets { hasher.combine(bucket) }
    return hasher.finalize()
  }
}

/// What a node holds of one origin: its generation, the highest version, and the number and the hash
/// of the live records. Nodes that hold the same agree, also about an origin that died while it told,
/// of which nobody holds everything.
package struct DigestEntry: Hashable, Sendable {
  package let origin: OriginID
  package let generation: UInt64
  package let held: Cut

  package init(origin: OriginID, generation: UInt64, held: Cut) {
    self.origin = origin
    self.generation = generation
    self.held = held
  }

  package func hash(key: HashKey) -> UInt64 {
    var hasher = SipHash(key: key)
    hasher.combine(origin.word0)
    hasher.combine(origin.word1)
    hasher.combine(origin.word2)
    hasher.combine(origin.word3)
    hasher.combine(generation)
    hasher.combine(held.version)
    hasher.combine(held.count)
    hasher.combine(held.hash)
    return hasher.finalize()
  }
}

/// A summary of a state that has the same size whatever it holds: sums of hashes in buckets.
///
/// A shelf falls into a bucket by its origin and its room. Heartbeats do not count, so that a mesh in
/// which nothing changes has equal digests. The sums of two sets of shelves are the sum of theirs, so
/// that nodes that have only some rooms in common compare these.
package struct Digest: Hashable, Sendable {
  package static let bucketCount = 32

  package private(set) var buckets: [UInt64]

  package init() { buckets = Array(repeating: 0, count: Self.bucketCount) }

  /// Makes a digest from received sums; `nil` unless there are ``bucketCount``.
  package init?(buckets: [UInt64]) {
    guard buckets.count == Self.bucketCount else { return nil }
    self.buckets = buckets
  }

  /// The bucket of a shelf.
  package static func bucket(of shelf: ShelfID) -> Int {
    Int((shelf.origin.word0 ^ shelf.room.bits) >> 59)
  }

  /// Takes away the hash of what was held of a shelf, and adds that of what is held now; 0: nothing.
  mutating func replace(_ shelf: ShelfID, old: UInt64, new: UInt64) {
    buckets[Self.bucket(of: shelf)] &+= new &- old
  }

  /// Takes away what was held of a shelf, and adds what is held now.
  package mutating func replace(old: DigestEntry?, new: DigestEntry?, key: HashKey) {
    if let old { replace(old.shelf, old: old.hash(key: key), new: 0) }
    if let new { replace(new.shelf, old: 0, new: new.hash(key: key)) }
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

/// One shelf of an origin's log: what it says in one room, or, of the lobby, what all are told.
package struct ShelfID: Hashable, Comparable, Sendable {
  package let origin: OriginID
  package let room: RoomID

  package init(_ origin: OriginID, _ room: RoomID) {
    self.origin = origin
    self.room = room
  }

  /// Before all shelves.
  package static let first = ShelfID(OriginID(0, 0, 0, 0), .lobby)

  package static func < (left: Self, right: Self) -> Bool {
    left.origin == right.origin ? left.room < right.room : left.origin < right.origin
  }
}

/// What a node holds of one shelf: the generation of its origin, the highest version, and the number
/// and the hash of the live records. Nodes that hold the same agree, also about an origin that died
/// while it told, of which nobody holds everything.
package struct DigestEntry: Hashable, Sendable {
  package let shelf: ShelfID
  package let generation: UInt64
  package let held: Cut

  package var origin: OriginID { shelf.origin }
  package var room: RoomID { shelf.room }

  package init(shelf: ShelfID, generation: UInt64, held: Cut) {
    self.shelf = shelf
    self.generation = generation
    self.held = held
  }

  package func hash(key: HashKey) -> UInt64 {
    var hasher = SipHash(key: key)
    hasher.combine(origin.word0)
    hasher.combine(origin.word1)
    hasher.combine(origin.word2)
    hasher.combine(origin.word3)
    hasher.combine(room.bits)
    hasher.combine(generation)
    hasher.combine(held.version)
    hasher.combine(held.count)
    hasher.combine(held.hash)
    return hasher.finalize()
  }
}

import MeshCRDT
import Testing

/// Summaries of states.
@Suite("Digests")
struct DigestTests {
  /// An origin in each bucket.
  static let origins = (0..<UInt64(Digest.bucketCount)).map { OriginID($0 << 59 | 5, 0, 0, $0) }

  static func entry(_ origin: OriginID, version: UInt64 = 1) -> DigestEntry {
    DigestEntry(
      shelf: ShelfID(origin, .lobby), generation: 1, held: Cut(version: version, count: 1, hash: 9))
  }

  static func digest(_ entries: [DigestEntry]) -> Digest {
    var digest = Digest()
    for entry in entries {
      digest.replace(old: nil, new: entry, key: Sample.hashKey)
    }
    return digest
  }

  /// A difference in one bucket is told, and no other.
  static func differenceViolation() -> String? {
    let entries = origins.map { entry($0) }
    let digest = digest(entries)
    for bucket in entries.indices {
      var changed = entries
      changed[bucket] = entry(origins[bucket], version: 2)
      let mask = digest.difference(from: self.digest(changed))
      if mask != 1 << UInt32(bucket) { return "bucket \(bucket): mask \(mask)" }
    }
    return nil
  }

  @Test("A difference in any bucket is told, and no other")
  func differencesAreTold() {
    #expect(
      Self.origins.map { Digest.bucket(of: ShelfID($0, .lobby)) } == Array(0..<Digest.bucketCount))
    #expect(Self.differenceViolation() == nil)
  }

  @Test("The order in which origins came does not matter, and what is taken away leaves no trace")
  func sumsForgetTheOrder() {
    var generator = SplitMix64(seed: 3)
    let entries = (1...50).map { Self.entry(Sample.origin($0), version: $0) }
    let digest = Self.digest(entries)
    #expect(Self.digest(entries.shuffled(using: &generator)) == digest)
    #expect(Self.digest(entries.shuffled(using: &generator)).difference(from: digest) == 0)
    var emptied = digest
    for entry in entries {
      emptied.replace(old: entry, new: nil, key: Sample.hashKey)
    }
    #expect(emptied == Digest())
    #expect(digest.stateHash(key: Sample.hashKey) != Digest().stateHash(key: Sample.hashKey))
  }

  @Test("The hash of an entry depends on each of its fields")
  func entryHashCoversEveryField() {
    let first = ShelfID(Sample.origin(1), .lobby)
    let cut = Cut(version: 1, count: 2, hash: 3)
    let entries = [
      DigestEntry(shelf: first, generation: 1, held: cut),
      DigestEntry(shelf: ShelfID(Sample.origin(2), .lobby), generation: 1, held: cut),
      DigestEntry(shelf: ShelfID(Sample.origin(1), Sample.room(1)), generation: 1, held: cut),
      DigestEntry(shelf: first, generation: 2, held: cut),
      DigestEntry(shelf: first, generation: 1, held: Cut(version: 2, count: 2, hash: 3)),
      DigestEntry(shelf: first, generation: 1, held: Cut(version: 1, count: 3, hash: 3)),
      DigestEntry(shelf: first, generation: 1, held: Cut(version: 1, count: 2, hash: 4)),
    ]
    #expect(Set(entries.map { $0.hash(key: Sample.hashKey) }).count == entries.count)
    #expect(entries[0].hash(key: HashKey(0, 0)) != entries[0].hash(key: Sample.hashKey))
  }

  @Test("Only sums for all buckets make a digest")
  func digestsHaveAllBuckets() {
    #expect(Digest(buckets: Array(repeating: 0, count: Digest.bucketCount)) == Digest())
    #expect(Digest(buckets: Array(repeating: 0, count: Digest.bucketCount - 1)) == nil)
    #expect(Digest(buckets: Array(repeating: 0, count: Digest.bucketCount + 1)) == nil)
  }
}

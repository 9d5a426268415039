import MeshCRDT

/// A hash of two or four SipHashes: for tests that need a hash and no particular one.
struct StandInHash: TreeHash {
  func hash128(_ bytes: [UInt8]) -> Hash128 { Hash128(word(0, bytes), word(1, bytes)) }

  func hash256(_ bytes: [UInt8]) -> Hash256 {
    Hash256(hash128(bytes), Hash128(word(2, bytes), word(3, bytes)))
  }

  private func word(_ number: UInt64, _ bytes: [UInt8]) -> UInt64 {
    SipHash.hash(bytes, key: HashKey(number, 0))
  }
}

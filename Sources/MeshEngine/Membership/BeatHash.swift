import MeshCRDT

/// The one-way function of one incarnation's heartbeat chains.
///
/// H(x) = first 16 bytes of hash256("PresenceMesh/2 beat" ‖ origin ‖ incarnation ‖ x): 79 bytes of
/// input, one block of BLAKE2b. The buffer is made once and used for all steps.
struct BeatHash: Sendable {
  private var input: [UInt8]

  static let domain = Array("PresenceMesh/2 beat".utf8)

  init(origin: OriginID, incarnation: Incarnation) {
    input = []
    input.reserveCapacity(
      Self.domain.count + OriginID.byteCount + Incarnation.byteCount + Hash128.byteCount)
    input += Self.domain
    input += origin.bytes
    input += incarnation.counter.bigEndianBytes.suffix(4)
    input += incarnation.nonce.bigEndianBytes
    input += repeatElement(0, count: Hash128.byteCount)
  }

  /// Hashes a value a number of times. Cost: so many hashes.
  mutating func apply(_ count: UInt64, to value: Hash128, by hash: some TreeHash) -> Hash128 {
    var value = value
    for _ in 0..<count {
      store(value.high, at: input.count - 16)
      store(value.low, at: input.count - 8)
      value = hash.hash256(input).high
    }
    return value
  }

  private mutating func store(_ word: UInt64, at offset: Int) {
    for byte in 0..<8 {
      input[offset + byte] = UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * byte))
    }
  }
}

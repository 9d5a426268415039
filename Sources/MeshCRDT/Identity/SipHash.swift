/// The key of the hashes in the state: the 16 bytes of the mesh id, which only members know.
package struct HashKey: Hashable, Sendable {
  package let word0: UInt64
  package let word1: UInt64

  package init(_ word0: UInt64, _ word1: UInt64) {
    self.word0 = word0
    self.word1 = word1
  }
}

/// SipHash-2-4 (Aumasson and Bernstein, 2012) over bytes, 64 bits of result.
///
/// The state needs a hash that is short, the same on every node and in every language, and not
/// predictable for somebody outside of the mesh who can choose names and messages; it need not
/// withstand the owner of the records, who signs the hash.
package struct SipHash {
  private var v0: UInt64
  private var v1: UInt64
  private var v2: UInt64
  private var v3: UInt64
  private var pending: UInt64 = 0
  private var count: UInt64 = 0

  package init(key: HashKey) {
    v0 = key.word0 ^ 0x736f_6d65_7073_6575
    v1 = key.word1 ^ 0x646f_7261_6e64_6f6d
    v2 = key.word0 ^ 0x6c79_6765_6e65_7261
    v3 = key.word1 ^ 0x7465_6462_7974_6573
  }

  private mutating func round() {
    v0 &+= v1
    v1 = (v1 << 13 | v1 >> 51) ^ v0
    v0 = v0 << 32 | v0 >> 32
    v2 &+= v3
    v3 = (v3 << 16 | v3 >> 48) ^ v2
    v0 &+= v3
    v3 = (v3 << 21 | v3 >> 43) ^ v0
    v2 &+= v1
    v1 = (v1 << 17 | v1 >> 47) ^ v2
    v2 = v2 << 32 | v2 >> 32
  }

  private mutating func compress(_ word: UInt64) {
    v3 ^= word
    round()
    round()
    v0 ^= word
  }

  /// Takes one byte in.
  package mutating func combine(_ byte: UInt8) {
    pending |= UInt64(byte) << (8 * (count & 7))
    count &+= 1
    if count & 7 == 0 {
      compress(pending)
      pending = 0
    }
  }

  /// Takes eight bytes in, least significant first.
  package mutating func combine(_ word: UInt64) {
    let shift = 8 * (count & 7)
    count &+= 8
    if shift == 0 {
      compress(word)
    } else {
      compress(pending | word << shift)
      pending = word >> (64 - shift)
    }
  }

  /// Takes bytes in, eight at a time.
  package mutating func combine(bytes: UnsafeRawBufferPointer) {
    let words = bytes.count / 8
    for index in 0..<words {
      let word = bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)
      combine(UInt64(littleEndian: word))
    }
    for index in 8 * words..<bytes.count { combine(bytes[index]) }
  }

  /// The hash of everything taken in. Cost: constant.
  package consuming func finalize() -> UInt64 {
    compress(pending | count << 56)
    v2 ^= 0xff
    for _ in 0..<4 { round() }
    return v0 ^ v1 ^ v2 ^ v3
  }

  /// The hash of some bytes.
  package static func hash(_ bytes: [UInt8], key: HashKey) -> UInt64 {
    var hasher = SipHash(key: key)
    bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    return hasher.finalize()
  }
}

import CSodium
package import MeshCRDT

/// BLAKE2b of libsodium, without a key: the hash of trees and heartbeat chains.
package struct SodiumTreeHash: TreeHash {
  package init() { Sodium.start() }

  package func hash128(_ bytes: [UInt8]) -> Hash128 {
    var words: (UInt64, UInt64) = (0, 0)
    withUnsafeMutableBytes(of: &words) { Self.hash(bytes, into: $0) }
    return Hash128(UInt64(bigEndian: words.0), UInt64(bigEndian: words.1))
  }

  package func hash256(_ bytes: [UInt8]) -> Hash256 {
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    withUnsafeMutableBytes(of: &words) { Self.hash(bytes, into: $0) }
    return Hash256(
      Hash128(UInt64(bigEndian: words.0), UInt64(bigEndian: words.1)),
      Hash128(UInt64(bigEndian: words.2), UInt64(bigEndian: words.3)))
  }

  private static func hash(_ bytes: [UInt8], into result: UnsafeMutableRawBufferPointer) {
    guard let start = result.bindMemory(to: UInt8.self).baseAddress else { return }
    bytes.withUnsafeBufferPointer { bytes in
      _ = crypto_generichash(
        start, result.count, bytes.baseAddress, UInt64(bytes.count), nil, 0)
    }
  }
}

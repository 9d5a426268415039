import CSodium
package import MeshCRDT

/// The Ed25519 key pair of a node. The origin id is the public half.
package struct NodeKey: Sendable {
  package static let seedBytes = 32
  package let origin: OriginID
  /// The 32 bytes that the pair is made from: what a state directory keeps.
  package let seed: SecretBytes
  let secretKey: SecretBytes

  /// The pair of a seed of 32 bytes.
  package init(seed: SecretBytes) {
    precondition(seed.count == Self.seedBytes)
    var publicKey = [UInt8](repeating: 0, count: 32)
    secretKey = SecretBytes(count: 64) { memory in
      guard let secret = memory.assumingMemoryBound(to: UInt8.self).baseAddress else { return }
      seed.withBytes { _ = crypto_sign_seed_keypair(&publicKey, secret, $0) }
    }
    guard let origin = OriginID(bytes: publicKey) else {
      preconditionFailure("a public key has 32 bytes")
    }
    self.origin = origin
    self.seed = seed
  }

  /// A new pair from the system's random source.
  package static func random() -> NodeKey { NodeKey(seed: .random(count: seedBytes)) }

  /// The Ed25519 signature (64 bytes) of some bytes.
  package func sign(_ bytes: [UInt8]) -> [UInt8] {
    var signature = [UInt8](repeating: 0, count: 64)
    secretKey.withBytes { secret in
      _ = crypto_sign_detached(&signature, nil, bytes, UInt64(bytes.count), secret)
    }
    return signature
  }

  /// True when a signature of some bytes is that of a key.
  package static func verify(
    _ bytes: [UInt8], signature: ArraySlice<UInt8>, by origin: OriginID
  ) -> Bool {
    guard signature.count == 64 else { return false }
    // Words are big-endian: swapped into place without an allocation.
    let key = (
      origin.word0.bigEndian, origin.word1.bigEndian, origin.word2.bigEndian,
      origin.word3.bigEndian
    )
    return withUnsafeBytes(of: key) { key in
      signature.withUnsafeBufferPointer { signature in
        guard let signature = signature.baseAddress,
          let key = key.assumingMemoryBound(to: UInt8.self).baseAddress
        else { return false }
        return crypto_sign_verify_detached(signature, bytes, UInt64(bytes.count), key) == 0
      }
    }
  }
}

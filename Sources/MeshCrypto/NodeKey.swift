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
}

package import MeshCRDT
import MeshTrust
import MeshWire

/// Cryptography for simulations: a keyed hash in the place of signatures and seals.
///
/// It keeps apart who knows what, as the real one does, at a hundredth of the cost: nobody in the
/// simulated world signs with a key that was not given to him.
package final class StandInCrypto: Crypto {
  package let origin: OriginID
  package let sealingEpoch: UInt32 = 1
  private let nodeKey: HashKey
  private let meshKey: HashKey
  private let tokenKey: HashKey

  /// - Parameters:
  ///   - secret: what the node's key is made from.
  ///   - meshSecret: what the mesh key is made from.
  ///   - life: a number that differs from one life of the node to the next.
  package init(secret: UInt64, meshSecret: UInt64, life: UInt64) {
    nodeKey = HashKey(secret, 0x6e6f_6465)
    meshKey = HashKey(meshSecret, 0x6d65_7368)
    tokenKey = HashKey(secret, life)
    // The id is found from the secret, as a public key is from a seed.
    func word(_ index: UInt64) -> UInt64 {
      SipHash.hash(index.bigEndianBytes, key: HashKey(secret, 0x6964))
    }
    origin = OriginID(word(0), word(1), word(2), secret)
  }

  private static func signature(_ bytes: [UInt8], _ key: HashKey) -> [UInt8] {
    let hash = SipHash.hash(bytes, key: key)
    return (0..<8).flatMap { (hash &* (2 &* $0 &+ 1)).bigEndianBytes }
  }

  package func sign(_ bytes: [UInt8]) -> [UInt8] { Self.signature(bytes, nodeKey) }

  package func verify(
    _ bytes: [UInt8], signature: ArraySlice<UInt8>, by origin: OriginID
  ) -> Bool {
    // In a closed world the id may give the key away: nobody looks.
    Self.signature(bytes, HashKey(origin.word3, 0x6e6f_6465))[...] == signature
  }

  package func seal(_ datagram: inout [UInt8]) {
    let hash = SipHash.hash(datagram, key: meshKey)
    datagram += hash.bigEndianBytes + (~hash).bigEndianBytes
  }

  package func open(_ datagram: [UInt8], epoch: UInt32) -> [UInt8]? {
    let end = datagram.count - DatagramLayout.authenticatorBytes
    guard epoch == sealingEpoch, end >= DatagramLayout.outerBytes else { return nil }
    let hash = SipHash.hash(Array(datagram[0..<end]), key: meshKey)
    guard datagram[end...] == (hash.bigEndianBytes + (~hash).bigEndianBytes)[...] else {
      return nil
    }
    return Array(datagram[DatagramLayout.outerBytes..<end])
  }

  package func token(forAddress bytes: [UInt8]) -> UInt64 {
    max(1, SipHash.hash(bytes, key: tokenKey))
  }
}

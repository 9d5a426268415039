import MeshCRDT
import MeshTrust
import MeshWire

/// Cryptography for tests: a keyed hash in the place of signatures and seals. It keeps apart who knows
/// what, as the real one does.
final class TestCrypto: Crypto {
  let origin: OriginID
  let sealingEpoch: UInt32 = 1
  private let nodeKey: HashKey
  private let meshKey: HashKey
  private let tokenKey: HashKey

  /// - Parameters:
  ///   - secret: what the node's key is made from.
  ///   - mesh: what the mesh key is made from.
  ///   - process: a number that is another in each process of the node.
  init(secret: UInt64, mesh: UInt64 = 2, process: UInt64 = 3) {
    nodeKey = HashKey(secret, 0x6e6f_6465)
    meshKey = HashKey(mesh, 0x6d65_7368)
    tokenKey = HashKey(secret, process)
    func word(_ index: UInt64) -> UInt64 {
      SipHash.hash(index.bigEndianBytes, key: HashKey(secret, 0x6964))
    }
    origin = OriginID(word(0), word(1), word(2), secret)
  }

  private static func signature(_ bytes: [UInt8], _ key: HashKey) -> [UInt8] {
    let hash = SipHash.hash(bytes, key: key)
    return (0..<8).flatMap { (hash &* (2 &* $0 &+ 1)).bigEndianBytes }
  }

  func sign(_ bytes: [UInt8]) -> [UInt8] { Self.signature(bytes, nodeKey) }

  func verify(_ bytes: [UInt8], signature: ArraySlice<UInt8>, by origin: OriginID) -> Bool {
    Self.signature(bytes, HashKey(origin.word3, 0x6e6f_6465))[...] == signature
  }

  func seal(_ datagram: inout [UInt8]) {
    let hash = SipHash.hash(datagram, key: meshKey)
    datagram += hash.bigEndianBytes + (~hash).bigEndianBytes
  }

  func open(_ datagram: [UInt8], epoch: UInt32) -> [UInt8]? {
    let end = datagram.count - 16
    guard epoch == sealingEpoch, end >= DatagramHeader.clearBytes else { return nil }
    let hash = SipHash.hash(Array(datagram[0..<end]), key: meshKey)
    guard datagram[end...] == (hash.bigEndianBytes + (~hash).bigEndianBytes)[...] else {
      return nil
    }
    return Array(datagram[DatagramHeader.clearBytes..<end])
  }

  func token(forAddress bytes: [UInt8]) -> UInt64 { max(1, SipHash.hash(bytes, key: tokenKey)) }
}

/// Hashes for tests.
struct TestTreeHash: TreeHash {
  private func word(_ bytes: [UInt8], _ index: UInt64) -> UInt64 {
    SipHash.hash(bytes, key: HashKey(index, 7))
  }

  func hash128(_ bytes: [UInt8]) -> Hash128 { Hash128(word(bytes, 0), word(bytes, 1)) }

  func hash256(_ bytes: [UInt8]) -> Hash256 {
    Hash256(hash128(bytes), Hash128(word(bytes, 2), word(bytes, 3)))
  }
}

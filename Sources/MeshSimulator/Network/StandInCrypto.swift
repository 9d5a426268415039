package import MeshCRDT
package import MeshTrust
import MeshWire

/// A fast hash of 128 bits: two lanes of folded multiplications (as in wyhash). Nobody in a simulated world
/// looks for collisions, and by chance there are none.
struct FoldedHash {
  private(set) var first: UInt64
  private(set) var second: UInt64

  private static func folded(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let (high, low) = left.multipliedFullWidth(by: right)
    return high ^ low
  }

  init(_ bytes: some Sequence<UInt8>, key: HashKey = HashKey(0, 0)) {
    var one = key.word0 ^ 0xa076_1d64_78bd_642f
    var two = key.word1 ^ 0xe703_7ed1_a0b4_28db
    func absorb(_ word: UInt64) {
      one = Self.folded(one ^ word, 0x8ebc_6af0_9c88_c6e3) ^ two.byteSwapped
      two = Self.folded(two &+ word, 0x5899_65cc_7537_4cc3) ^ one
    }
    var word: UInt64 = 0
    var count: UInt64 = 0
    let isContiguous: Void? = bytes.withContiguousStorageIfAvailable { buffer in
      let raw = UnsafeRawBufferPointer(buffer)
      var offset = 0
      while offset + 8 <= raw.count {
        absorb(raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian)
        offset += 8
      }
      while offset < raw.count {
        word |= UInt64(raw[offset]) << (8 * UInt64(offset & 7))
        offset += 1
      }
      count = UInt64(raw.count)
    }
    if isContiguous == nil {
      for byte in bytes {
        word |= UInt64(byte) << (8 * (count & 7))
        count += 1
        guard count & 7 == 0 else { continue }
        absorb(word)
        word = 0
      }
    }
    absorb(word)
    absorb(count | 1 << 63)
    first = Self.folded(one, 0x1d8e_4e27_c47d_124f ^ two)
    second = Self.folded(two ^ 0xeb44_acca_b455_d165, one | 1)
  }

  /// More words from the same state.
  func word(_ index: UInt64) -> UInt64 {
    Self.folded(first ^ (index &* 0x9e37_79b9_7f4a_7c15), second &+ index | 1)
  }
}

/// Hashes for simulations, in the place of BLAKE2b.
package struct StandInTreeHash: TreeHash {
  package init() {}

  package func hash128(_ bytes: [UInt8]) -> Hash128 {
    let hash = FoldedHash(bytes)
    return Hash128(hash.first, hash.second)
  }

  package func hash256(_ bytes: [UInt8]) -> Hash256 {
    let hash = FoldedHash(bytes)
    return Hash256(Hash128(hash.first, hash.second), Hash128(hash.word(2), hash.word(3)))
  }
}

/// Cryptography for simulations: a keyed hash in the place of signatures and seals.
///
/// It keeps apart who knows what, as the real one does, at a hundredth of the cost: nobody in the simulated
/// world signs with a key that was not given to him.
package final class StandInCrypto: Crypto {
  package let origin: OriginID
  package let epochs: [UInt32]
  private let secrets: NodeSecrets
  private let meshSecret: UInt64
  private let nodeKey: HashKey
  private let tokenKey: HashKey

  package init(_ secrets: NodeSecrets) {
    nodeKey = HashKey(secrets.node, 0x6e6f_6465)
    tokenKey = HashKey(secrets.node, secrets.process)
    meshSecret = secrets.mesh
    epochs = secrets.epochs
    self.secrets = secrets
    // The id is found from the secret, as a public key is from a seed.
    let hash = FoldedHash([], key: HashKey(secrets.node, 0x6964))
    origin = OriginID(hash.first, hash.second, hash.word(2), secrets.node)
  }

  private static func signature(_ bytes: [UInt8], _ key: HashKey) -> [UInt8] {
    let hash = FoldedHash(bytes, key: key)
    return (0..<8).flatMap { hash.word($0).bigEndianBytes }
  }

  private func authenticator(_ bytes: some Sequence<UInt8>, _ epoch: UInt32) -> [UInt8] {
    let hash = FoldedHash(bytes, key: HashKey(meshSecret, UInt64(epoch)))
    return hash.first.bigEndianBytes + hash.second.bigEndianBytes
  }

  package func sign(_ bytes: [UInt8]) -> [UInt8] { Self.signature(bytes, nodeKey) }

  package func verify(_ bytes: [UInt8], signature: ArraySlice<UInt8>, by origin: OriginID) -> Bool {
    // In a closed world the id may give the key away: nobody looks.
    Self.signature(bytes, HashKey(origin.word3, 0x6e6f_6465))[...] == signature
  }

  package func seal(_ datagram: inout [UInt8], epoch: UInt32) {
    datagram += authenticator(datagram, epoch)
  }

  package func open(_ datagram: [UInt8], epoch: UInt32) -> [UInt8]? {
    let end = datagram.count - 16
    guard epochs.contains(epoch), end >= DatagramHeader.clearBytes,
      datagram[end...] == authenticator(datagram[..<end], epoch)[...]
    else { return nil }
    return Array(datagram[DatagramHeader.clearBytes..<end])
  }

  package func token(forAddress bytes: [UInt8]) -> UInt64 {
    max(1, FoldedHash(bytes, key: tokenKey).first)
  }
}

// MARK: - Admission

extension StandInCrypto {
  private static func words(_ bytes: [UInt8], _ key: HashKey) -> [UInt8] {
    let hash = FoldedHash(bytes, key: key)
    return (0..<4).flatMap { hash.word($0).bigEndianBytes }
  }

  private static func sealed(_ bytes: [UInt8], _ key: [UInt8]) -> [UInt8] {
    let hash = FoldedHash(bytes, key: HashKey(FoldedHash(key).first, 0x626f78))
    return bytes + (0..<6).flatMap { hash.word($0).bigEndianBytes }
  }

  private static func opened(_ sealed: [UInt8], _ key: [UInt8]) -> [UInt8]? {
    guard sealed.count >= 48 else { return nil }
    let bytes = Array(sealed.dropLast(48))
    return Self.sealed(bytes, key) == sealed ? bytes : nil
  }

  private func meshKey(_ epoch: UInt32) -> [UInt8] {
    Self.words([], HashKey(meshSecret, UInt64(epoch)))
  }

  /// What an epoch's admission key is. Nobody in the simulated world opens with it who has not had the epoch.
  private func key(ofAdmission epoch: UInt32) -> [UInt8] {
    Self.words([1], HashKey(meshSecret, UInt64(epoch)))
  }

  private func with(_ epochs: Set<UInt32>) -> StandInCrypto {
    StandInCrypto(
      NodeSecrets(
        node: secrets.node, mesh: secrets.mesh, process: secrets.process, epochs: epochs.sorted()))
  }

  package func admissionKey(epoch: UInt32) -> [UInt8]? {
    epoch > 0 && epoch <= newestEpoch ? key(ofAdmission: epoch) : nil
  }

  package func seal(_ bytes: [UInt8], toAdmissionKey key: [UInt8]) -> [UInt8]? {
    Self.sealed(bytes, key)
  }

  package func openAdmission(_ sealed: [UInt8], epoch: UInt32) -> [UInt8]? {
    epoch <= newestEpoch ? Self.opened(sealed, key(ofAdmission: epoch)) : nil
  }

  package func seal(_ bytes: [UInt8], keyOf epoch: UInt32?, to node: OriginID) -> [UInt8]? {
    if let epoch, !epochs.contains(epoch) { return nil }
    return Self.sealed(bytes + (epoch.map { meshKey($0) } ?? []), node.bytes)
  }

  package func openSealed(_ sealed: [UInt8]) -> [UInt8]? { Self.opened(sealed, origin.bytes) }

  package func learning(
    _ sealed: [UInt8], judge: ([UInt8]) -> (epoch: UInt32, check: Hash256)?
  ) -> (any Crypto)? {
    guard let plain = openSealed(sealed), plain.count >= 32,
      let (epoch, check) = judge(Array(plain.dropLast(32))),
      Array(plain.suffix(32)) == meshKey(epoch), self.check(epoch) == check
    else { return nil }
    return with(Set(epochs + [epoch]))
  }

  /// What the decree of an epoch names its key by.
  package func check(_ epoch: UInt32) -> Hash256 {
    StandInTreeHash().hash256(meshKey(epoch))
  }

  package func check(ofEpoch epoch: UInt32) -> Hash256? {
    epochs.contains(epoch) ? check(epoch) : nil
  }

  package func beginning(epoch: UInt32) -> (crypto: any Crypto, check: Hash256) {
    (with(Set(epochs + [epoch])), check(epoch))
  }

  package func retiring(below epoch: UInt32) -> any Crypto {
    with(Set(epochs.filter { $0 >= epoch }))
  }
}

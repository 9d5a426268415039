import MeshCRDT
import MeshTrust
import MeshWire

/// Cryptography for tests: a keyed hash in the place of signatures and seals. It keeps apart who knows
/// what, as the real one does.
final class TestCrypto: Crypto {
  let origin: OriginID
  let epochs: [UInt32]
  private let nodeKey: HashKey
  private let mesh: UInt64
  private let tokenKey: HashKey
  private let secret: UInt64
  private let process: UInt64

  private func meshKey(_ epoch: UInt32) -> HashKey {
    HashKey(mesh, epoch == 1 ? 0x6d65_7368 : UInt64(epoch) << 32)
  }

  /// - Parameters:
  ///   - secret: what the node's key is made from.
  ///   - mesh: what the mesh key is made from.
  ///   - process: a number that is another in each process of the node.
  ///   - epochs: whose mesh keys it has.
  init(secret: UInt64, mesh: UInt64 = 2, process: UInt64 = 3, epochs: [UInt32] = [1]) {
    (self.secret, self.mesh, self.process, self.epochs) = (secret, mesh, process, epochs)
    nodeKey = HashKey(secret, 0x6e6f_6465)
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

  func seal(_ datagram: inout [UInt8], epoch: UInt32) {
    let hash = SipHash.hash(datagram, key: meshKey(epoch))
    datagram += hash.bigEndianBytes + (~hash).bigEndianBytes
  }

  func open(_ datagram: [UInt8], epoch: UInt32) -> [UInt8]? {
    let end = datagram.count - 16
    guard epochs.contains(epoch), end >= DatagramHeader.clearBytes else { return nil }
    let hash = SipHash.hash(Array(datagram[0..<end]), key: meshKey(epoch))
    guard datagram[end...] == (hash.bigEndianBytes + (~hash).bigEndianBytes)[...] else {
      return nil
    }
    return Array(datagram[DatagramHeader.clearBytes..<end])
  }

  func token(forAddress bytes: [UInt8]) -> UInt64 { max(1, SipHash.hash(bytes, key: tokenKey)) }
}

// MARK: - Admission

extension TestCrypto {
  private static func sealed(_ bytes: [UInt8], _ key: HashKey) -> [UInt8] {
    let seal = SipHash.hash(bytes, key: key).bigEndianBytes
    return bytes + (0..<6).flatMap { _ in seal }
  }

  private static func opened(_ sealed: [UInt8], _ key: HashKey) -> [UInt8]? {
    guard sealed.count >= 48 else { return nil }
    let bytes = Array(sealed.dropLast(48))
    return Self.sealed(bytes, key) == sealed ? bytes : nil
  }

  private static func boxKey(_ key: [UInt8]) -> HashKey {
    HashKey(SipHash.hash(key, key: HashKey(3, 4)), 5)
  }

  private func key(_ epoch: UInt32) -> [UInt8] {
    let hash = SipHash.hash([], key: meshKey(epoch))
    return (0..<4).flatMap { (hash &* (2 &* $0 &+ 1)).bigEndianBytes }
  }

  private func with(_ epochs: Set<UInt32>) -> TestCrypto {
    TestCrypto(secret: secret, mesh: mesh, process: process, epochs: epochs.sorted())
  }

  func admissionKey(epoch: UInt32) -> [UInt8]? {
    epochs.contains(epoch) ? Self.admissionKey(epoch, mesh: mesh) : nil
  }

  /// The public half of an epoch's admission key, as a ticket has it.
  static func admissionKey(_ epoch: UInt32, mesh: UInt64 = 2) -> [UInt8] {
    let hash = SipHash.hash(UInt64(epoch).bigEndianBytes, key: HashKey(mesh, 6))
    return (0..<4).flatMap { (hash &* (2 &* $0 &+ 1)).bigEndianBytes }
  }

  func seal(_ bytes: [UInt8], toAdmissionKey key: [UInt8]) -> [UInt8]? {
    Self.sealed(bytes, Self.boxKey(key))
  }

  func openAdmission(_ sealed: [UInt8], epoch: UInt32) -> [UInt8]? {
    guard !epochs.isEmpty, epoch <= epochs[epochs.count - 1] else { return nil }
    return Self.opened(sealed, Self.boxKey(Self.admissionKey(epoch, mesh: mesh)))
  }

  func seal(_ bytes: [UInt8], keyOf epoch: UInt32?, to node: OriginID) -> [UInt8]? {
    if let epoch, !epochs.contains(epoch) { return nil }
    return Self.sealed(bytes + (epoch.map { key($0) } ?? []), Self.boxKey(node.bytes))
  }

  func openSealed(_ sealed: [UInt8]) -> [UInt8]? {
    Self.opened(sealed, Self.boxKey(origin.bytes))
  }

  func learning(
    _ sealed: [UInt8], judge: ([UInt8]) -> (epoch: UInt32, check: Hash256)?
  ) -> (any Crypto)? {
    guard let plain = openSealed(sealed), plain.count >= 32,
      let (epoch, check) = judge(Array(plain.dropLast(32))),
      TestTreeHash().hash256(Array(plain.suffix(32))) == check, plain.suffix(32) == key(epoch)[...]
    else { return nil }
    return with(Set(epochs + [epoch]))
  }

  /// What the decree of an epoch names its key by.
  func check(_ epoch: UInt32) -> Hash256 { TestTreeHash().hash256(key(epoch)) }

  func check(ofEpoch epoch: UInt32) -> Hash256? { epochs.contains(epoch) ? check(epoch) : nil }

  func beginning(epoch: UInt32) -> (crypto: any Crypto, check: Hash256) {
    (with(Set(epochs + [epoch])), check(epoch))
  }

  func retiring(below epoch: UInt32) -> any Crypto { with(Set(epochs.filter { $0 >= epoch })) }
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

import CSodium
package import MeshCRDT

/// The keys of a mesh by epoch: several are accepted, the one of the highest epoch is used.
package struct MeshKeyring: Sendable {
  package static let keyBytes = 32
  /// The most epochs that are accepted at once.
  package static let bound = 4
  /// The most epochs whose admission keys are kept.
  package static let retiredBound = 256
  /// Rising epochs; none before the node is admitted.
  package private(set) var keys: [(epoch: UInt32, key: SecretBytes)] = []
  /// Seeds of the admission keys of epochs whose mesh keys are used no more, rising: members that were away come
  /// back with them.
  package private(set) var retired: [(epoch: UInt32, seed: SecretBytes)] = []

  /// A keyring without keys.
  package init() {}

  package init(epoch: UInt32 = 1, key: SecretBytes) { add(epoch: epoch, key: key) }

  /// Adds the key of an epoch, or replaces it. Beyond ``bound`` the lowest epoch is retired.
  package mutating func add(epoch: UInt32, key: SecretBytes) {
    precondition(key.count == Self.keyBytes)
    keys.removeAll { $0.epoch == epoch }
    keys.append((epoch, key))
    keys.sort { $0.epoch < $1.epoch }
    if keys.count > Self.bound { retire(below: keys[1].epoch) }
  }

  /// Adds the seed of a retired epoch's admission key. Beyond ``retiredBound`` the lowest epoch goes.
  package mutating func addRetired(epoch: UInt32, seed: SecretBytes) {
    precondition(seed.count == Self.keyBytes)
    retired.removeAll { $0.epoch == epoch }
    retired.append((epoch, seed))
    retired.sort { $0.epoch < $1.epoch }
    if retired.count > Self.retiredBound { retired.removeFirst() }
  }

  /// Retires the epochs below one, but for the highest.
  package mutating func retire(below epoch: UInt32) {
    for (old, key) in keys.dropLast() where old < epoch {
      addRetired(epoch: old, seed: Self.admissionSeed(of: key))
    }
    keys = keys.dropLast().filter { $0.epoch >= epoch } + keys.suffix(1)
  }

  /// The key that is used; `nil`: the node is not admitted.
  package var sealing: (epoch: UInt32, key: SecretBytes)? { keys.last }

  package func key(epoch: UInt32) -> SecretBytes? { keys.first { $0.epoch == epoch }?.key }

  // MARK: What follows from a key

  /// 32 bytes of keyed BLAKE2b of a text and more.
  private static func derived(
    _ key: SecretBytes, _ text: String, _ more: [UInt8] = [],
    into memory: UnsafeMutablePointer<UInt8>
  ) {
    let message = Array(text.utf8) + more
    key.withBytes { _ = crypto_generichash(memory, 32, message, UInt64(message.count), $0, 32) }
  }

  private static func secret(_ key: SecretBytes, _ text: String, _ more: [UInt8] = [])
    -> SecretBytes
  {
    SecretBytes(count: 32) { memory in
      guard let start = memory.assumingMemoryBound(to: UInt8.self).baseAddress else { return }
      derived(key, text, more, into: start)
    }
  }

  /// What an epoch's admission key pair is made from.
  static func admissionSeed(of key: SecretBytes) -> SecretBytes {
    secret(key, "PresenceMesh/2 admission")
  }

  /// The secret of an epoch for a purpose beside the protocol.
  package static func secret(of key: SecretBytes, for purpose: String) -> SecretBytes {
    secret(key, "PresenceMesh/2 " + purpose)
  }

  /// What the decree of an epoch names its key by.
  package static func check(of key: SecretBytes, epoch: UInt32) -> Hash256 {
    var bytes = [UInt8](repeating: 0, count: 32)
    derived(key, "PresenceMesh/2 epoch", UInt64(epoch).bigEndianBytes, into: &bytes)
    func word(_ index: Int) -> UInt64 {
      bytes[8 * index..<8 * index + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }
    return Hash256(Hash128(word(0), word(1)), Hash128(word(2), word(3)))
  }

  /// The seed of an epoch's admission key, as far as it is known.
  func admissionSeed(epoch: UInt32) -> SecretBytes? {
    key(epoch: epoch).map { Self.admissionSeed(of: $0) }
      ?? retired.first { $0.epoch == epoch }?.seed
  }

  /// The public half of an epoch's admission key.
  package func admissionKey(epoch: UInt32) -> [UInt8]? {
    admissionSeed(epoch: epoch).map { BoxKey(seed: $0).publicKey }
  }
}

/// An X25519 key pair that others seal to.
struct BoxKey {
  let publicKey: [UInt8]
  private let secretKey: SecretBytes

  /// The pair of a seed of 32 bytes.
  init(seed: SecretBytes) {
    var publicKey = [UInt8](repeating: 0, count: 32)
    secretKey = SecretBytes(count: 32) { memory in
      guard let secret = memory.assumingMemoryBound(to: UInt8.self).baseAddress else { return }
      seed.withBytes { _ = crypto_box_seed_keypair(&publicKey, secret, $0) }
    }
    self.publicKey = publicKey
  }

  /// The pair that follows from a node's Ed25519 key.
  init(_ node: NodeKey) {
    var publicKey = [UInt8](repeating: 0, count: 32)
    _ = crypto_sign_ed25519_pk_to_curve25519(&publicKey, node.origin.bytes)
    secretKey = SecretBytes(count: 32) { memory in
      guard let secret = memory.assumingMemoryBound(to: UInt8.self).baseAddress else { return }
      node.secretKey.withBytes { _ = crypto_sign_ed25519_sk_to_curve25519(secret, $0) }
    }
    self.publicKey = publicKey
  }

  /// The public key that follows from a node's id; `nil`: it is no key.
  static func publicKey(of node: OriginID) -> [UInt8]? {
    var key = [UInt8](repeating: 0, count: 32)
    return crypto_sign_ed25519_pk_to_curve25519(&key, node.bytes) == 0 ? key : nil
  }

  /// Seals bytes to a public key; `nil`: it is none.
  static func seal(_ bytes: [UInt8], to key: [UInt8]) -> [UInt8]? {
    guard key.count == 32 else { return nil }
    var sealed = [UInt8](repeating: 0, count: bytes.count + crypto_box_sealbytes())
    return crypto_box_seal(&sealed, bytes, UInt64(bytes.count), key) == 0 ? sealed : nil
  }

  /// Opens what was sealed to this pair.
  func open(_ sealed: [UInt8]) -> [UInt8]? {
    guard sealed.count >= crypto_box_sealbytes() else { return nil }
    var bytes = [UInt8](repeating: 0, count: sealed.count - crypto_box_sealbytes())
    let isOpen = secretKey.withBytes {
      crypto_box_seal_open(&bytes, sealed, UInt64(sealed.count), publicKey, $0) == 0
    }
    return isOpen ? bytes : nil
  }
}

import CSodium
package import MeshCRDT
package import MeshTrust
import MeshWire

/// The protocol's cryptography by libsodium: Ed25519, XChaCha20-Poly1305, keyed BLAKE2b.
package final class SodiumCrypto: Crypto {
  package let origin: OriginID
  private let node: NodeKey
  package let keyring: MeshKeyring
  private let tokenKey: SecretBytes
  private let newKey: @Sendable (_ epoch: UInt32) -> SecretBytes

  /// Simulations give random bytes of their own, to be repeatable.
  ///
  /// - Parameters:
  ///   - tokenKey: 32 bytes that are new in each life of the node.
  ///   - newKey: makes the mesh key of a new epoch.
  package init(
    node: NodeKey, keyring: MeshKeyring, tokenKey: SecretBytes = .random(count: 32),
    newKey: @escaping @Sendable (_ epoch: UInt32) -> SecretBytes = { _ in
      .random(count: MeshKeyring.keyBytes)
    }
  ) {
    Sodium.start()
    precondition(tokenKey.count == 32)
    self.tokenKey = tokenKey
    self.newKey = newKey
    self.node = node
    self.keyring = keyring
    origin = node.origin
  }

  package var epochs: [UInt32] { keyring.keys.map(\.epoch) }

  package func sign(_ bytes: [UInt8]) -> [UInt8] {
    node.sign(bytes)
  }

  package func verify(
    _ bytes: [UInt8], signature: ArraySlice<UInt8>, by origin: OriginID
  ) -> Bool {
    NodeKey.verify(bytes, signature: signature, by: origin)
  }

  package func seal(_ datagram: inout [UInt8], epoch: UInt32) {
    guard let key = keyring.key(epoch: epoch) else { return datagram.removeAll() }
    let clear = DatagramHeader.clearBytes
    let inner = datagram.count - clear
    precondition(inner > 0)
    datagram.append(contentsOf: repeatElement(0, count: DatagramHeader.authenticatorBytes))
    datagram.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      key.withBytes { key in
        _ = crypto_aead_xchacha20poly1305_ietf_encrypt(
          base + clear, nil, base + clear, UInt64(inner), base,
          UInt64(DatagramHeader.additionalBytes), nil, base + DatagramHeader.additionalBytes, key)
      }
    }
  }

  package func open(_ datagram: [UInt8], epoch: UInt32) -> [UInt8]? {
    let clear = DatagramHeader.clearBytes
    let sealed = datagram.count - clear
    guard sealed >= DatagramHeader.authenticatorBytes, let key = keyring.key(epoch: epoch) else {
      return nil
    }
    var isAuthentic = false
    let inner = [UInt8](
      unsafeUninitializedCapacity: sealed - DatagramHeader.authenticatorBytes
    ) { buffer, count in
      count = buffer.count
      datagram.withUnsafeBufferPointer { datagram in
        guard let base = datagram.baseAddress else { return }
        isAuthentic =
          key.withBytes { key in
            crypto_aead_xchacha20poly1305_ietf_decrypt(
              buffer.baseAddress, nil, nil, base + clear, UInt64(sealed), base,
              UInt64(DatagramHeader.additionalBytes), base + DatagramHeader.additionalBytes, key)
          } == 0
      }
      if !isAuthentic { count = 0 }
    }
    return isAuthentic ? inner : nil
  }

  package func token(forAddress bytes: [UInt8]) -> UInt64 {
    // The shortest hash that libsodium makes has 16 bytes; the first eight are used.
    var hash = [UInt8](repeating: 0, count: 16)
    tokenKey.withBytes { key in
      _ = crypto_generichash(&hash, 16, bytes, UInt64(bytes.count), key, 32)
    }
    return max(1, hash[0..<8].reduce(0) { $0 << 8 | UInt64($1) })
  }
}

// MARK: - Admission

extension SodiumCrypto {
  private func with(_ keyring: MeshKeyring) -> SodiumCrypto {
    SodiumCrypto(node: node, keyring: keyring, tokenKey: tokenKey, newKey: newKey)
  }

  package func admissionKey(epoch: UInt32) -> [UInt8]? { keyring.admissionKey(epoch: epoch) }

  package func seal(_ bytes: [UInt8], toAdmissionKey key: [UInt8]) -> [UInt8]? {
    BoxKey.seal(bytes, to: key)
  }

  package func openAdmission(_ sealed: [UInt8], epoch: UInt32) -> [UInt8]? {
    keyring.admissionSeed(epoch: epoch).flatMap { BoxKey(seed: $0).open(sealed) }
  }

  package func seal(_ bytes: [UInt8], keyOf epoch: UInt32?, to node: OriginID) -> [UInt8]? {
    guard let publicKey = BoxKey.publicKey(of: node) else { return nil }
    guard let epoch else { return BoxKey.seal(bytes, to: publicKey) }
    guard let key = keyring.key(epoch: epoch) else { return nil }
    var plain = key.withBytes { bytes + UnsafeBufferPointer(start: $0, count: key.count) }
    defer { Sodium.wipe(&plain) }
    return BoxKey.seal(plain, to: publicKey)
  }

  package func openSealed(_ sealed: [UInt8]) -> [UInt8]? { BoxKey(node).open(sealed) }

  package func learning(
    _ sealed: [UInt8], judge: ([UInt8]) -> (epoch: UInt32, check: Hash256)?
  ) -> (any Crypto)? {
    guard var plain = openSealed(sealed), plain.count >= MeshKeyring.keyBytes else { return nil }
    defer { Sodium.wipe(&plain) }
    guard let (epoch, check) = judge(Array(plain.dropLast(MeshKeyring.keyBytes))) else {
      return nil
    }
    let key = SecretBytes(plain.suffix(MeshKeyring.keyBytes))
    guard MeshKeyring.check(of: key, epoch: epoch) == check else { return nil }
    var keyring = keyring
    keyring.add(epoch: epoch, key: key)
    return with(keyring)
  }

  package func check(ofEpoch epoch: UInt32) -> Hash256? {
    keyring.key(epoch: epoch).map { MeshKeyring.check(of: $0, epoch: epoch) }
  }

  package func beginning(epoch: UInt32) -> (crypto: any Crypto, check: Hash256) {
    var keyring = keyring
    let key = newKey(epoch)
    keyring.add(epoch: epoch, key: key)
    return (with(keyring), MeshKeyring.check(of: key, epoch: epoch))
  }

  package func retiring(below epoch: UInt32) -> any Crypto {
    var keyring = keyring
    keyring.retire(below: epoch)
    return with(keyring)
  }
}

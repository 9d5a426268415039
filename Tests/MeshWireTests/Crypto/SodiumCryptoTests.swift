import MeshCRDT
import MeshCrypto
import MeshTrust
import MeshWire
import Testing

/// libsodium behind the protocol's interface.
@Suite("Cryptography by libsodium")
struct SodiumCryptoTests {
  static func crypto(node: UInt8 = 1, epochs: [UInt32: UInt8] = [1: 7]) -> SodiumCrypto {
    var keyring: MeshKeyring?
    for (epoch, byte) in epochs.sorted(by: { $0.key < $1.key }) {
      let key = SecretBytes([UInt8](repeating: byte, count: MeshKeyring.keyBytes))
      if keyring == nil {
        keyring = MeshKeyring(epoch: epoch, key: key)
      } else {
        keyring?.add(epoch: epoch, key: key)
      }
    }
    return SodiumCrypto(
      node: NodeKey(seed: SecretBytes([UInt8](repeating: node, count: NodeKey.seedBytes))),
      keyring: keyring ?? MeshKeyring(key: .random(count: MeshKeyring.keyBytes)))
  }

  /// A datagram before sealing.
  static func clear(epoch: UInt32, inner: [UInt8], nonce: UInt8 = 3) -> [UInt8] {
    var writer = ByteWriter()
    writer.byte(DatagramHeader.version)
    writer.uint64(0x0123_4567_89ab_cdef)
    writer.uint32(epoch)
    writer.raw([UInt8](repeating: nonce, count: DatagramHeader.nonceBytes))
    writer.raw(inner)
    return writer.bytes
  }

  static let inner = Array("what is told".utf8)

  @Test("The first test of RFC 8032, section 7.1")
  func signaturesFollowTheStandard() throws {
    let seed = try #require(
      bytes(
        fromHexadecimal: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    let node = NodeKey(seed: SecretBytes(seed))
    #expect(
      node.origin.description
        == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    let crypto = SodiumCrypto(
      node: node, keyring: MeshKeyring(key: .random(count: MeshKeyring.keyBytes)))
    #expect(
      hexadecimal(crypto.sign([]))
        == "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc6"
        + "1e39701cf9b46bd25bf5f0595bbe24655141438e7a100b")
  }

  @Test("A signature holds for its bytes and its signer alone")
  func signaturesHoldForTheirBytes() {
    let crypto = Self.crypto()
    let signed = Array("origin, generation, body".utf8)
    let signature = crypto.sign(signed)
    func verify(_ bytes: [UInt8], _ signature: [UInt8], _ origin: OriginID) -> Bool {
      crypto.verify(bytes, signature: signature[...], by: origin)
    }
    #expect(verify(signed, signature, crypto.origin))
    #expect(Self.crypto(node: 2).verify(signed, signature: signature[...], by: crypto.origin))
    #expect(!verify(signed, signature, Self.crypto(node: 2).origin))
    #expect(!verify(signed, signature, OriginID(0, 0, 0, 0)))
    #expect(!verify(signed, Array(signature.dropLast()), crypto.origin))
    #expect(!verify(signed, signature + [0], crypto.origin))
    #expect(!verify(signed, [], crypto.origin))
    #expect(!verify(signed + [0], signature, crypto.origin))
    for index in signed.indices {
      var changed = signed
      changed[index] ^= 1
      #expect(!verify(changed, signature, crypto.origin))
    }
    for index in signature.indices {
      var changed = signature
      changed[index] ^= 1
      #expect(!verify(signed, changed, crypto.origin))
    }
    // A slice in the middle of other bytes.
    let padded = [9] + signature + [9]
    #expect(crypto.verify(signed, signature: padded[1..<65], by: crypto.origin))
  }

  @Test("What is sealed opens with the key of its epoch, and is unreadable before")
  func sealedDatagramsOpen() {
    let clear = Self.clear(epoch: 1, inner: Self.inner)
    var sealed = clear
    Self.crypto().seal(&sealed)
    #expect(sealed.count == clear.count + DatagramHeader.authenticatorBytes)
    #expect(sealed.prefix(DatagramHeader.clearBytes) == clear.prefix(DatagramHeader.clearBytes))
    let hidden = sealed[DatagramHeader.clearBytes..<clear.count]
    #expect(zip(hidden, Self.inner).count { $0 == $1 } < Self.inner.count / 2)
    #expect(Self.crypto(node: 2).open(sealed, epoch: 1) == Self.inner)
    #expect(Self.crypto(epochs: [1: 8]).open(sealed, epoch: 1) == nil)
    #expect(Self.crypto().open(sealed, epoch: 2) == nil)
    #expect(Self.crypto(epochs: [1: 7, 2: 7]).open(sealed, epoch: 2) == Self.inner)
  }

  @Test("No byte of a sealed datagram can be changed, removed or added")
  func tamperingIsNoticed() {
    let crypto = Self.crypto()
    var sealed = Self.clear(epoch: 1, inner: Self.inner)
    crypto.seal(&sealed)
    for index in sealed.indices {
      var changed = sealed
      changed[index] ^= 0x10
      #expect(crypto.open(changed, epoch: 1) == nil, "byte \(index)")
      var removed = sealed
      removed.remove(at: index)
      #expect(crypto.open(removed, epoch: 1) == nil, "byte \(index)")
      #expect(crypto.open(Array(sealed[..<index]), epoch: 1) == nil, "\(index) bytes")
    }
    #expect(crypto.open(sealed + [0], epoch: 1) == nil)
    #expect(crypto.open([], epoch: 1) == nil)
  }

  @Test("Equal words under other nonces are sealed differently")
  func nonceChangesEverything() {
    var sealed = [Self.clear(epoch: 1, inner: Self.inner, nonce: 3)]
    sealed.append(Self.clear(epoch: 1, inner: Self.inner, nonce: 4))
    for index in sealed.indices { Self.crypto().seal(&sealed[index]) }
    let hidden = sealed.map { $0[DatagramHeader.clearBytes...] }
    #expect(zip(hidden[0], hidden[1]).count { $0 == $1 } < 8)
  }

  @Test("A keyring accepts its epochs, uses the highest, and keeps the highest four")
  func keyringHasEpochs() {
    let crypto = Self.crypto(epochs: [3: 33, 5: 55, 4: 44])
    #expect(crypto.newestEpoch == 5)
    for (epoch, byte) in [(UInt32(3), UInt8(33)), (4, 44), (5, 55)] {
      let writer = Self.crypto(node: 2, epochs: [epoch: byte])
      #expect(writer.newestEpoch == epoch)
      var sealed = Self.clear(epoch: epoch, inner: Self.inner)
      writer.seal(&sealed)
      #expect(crypto.open(sealed, epoch: epoch) == Self.inner)
      for other in [UInt32(3), 4, 5, 6] where other != epoch {
        #expect(crypto.open(sealed, epoch: other) == nil)
      }
    }
    var sealed = Self.clear(epoch: 5, inner: Self.inner)
    crypto.seal(&sealed)
    #expect(Self.crypto(epochs: [5: 55]).open(sealed, epoch: 5) == Self.inner)

    var keyring = MeshKeyring(epoch: 9, key: .random(count: MeshKeyring.keyBytes))
    for epoch in [UInt32(2), 8, 3, 7] {
      keyring.add(epoch: epoch, key: .random(count: MeshKeyring.keyBytes))
    }
    #expect(keyring.keys.map(\.epoch) == [3, 7, 8, 9])
    let replacement = SecretBytes.random(count: MeshKeyring.keyBytes)
    keyring.add(epoch: 8, key: replacement)
    #expect(keyring.keys.map(\.epoch) == [3, 7, 8, 9])
    #expect(keyring.key(epoch: 8) === replacement)
    #expect(keyring.key(epoch: 2) == nil)
  }

  @Test("Tokens are the same for one address, and differ between addresses and between lives")
  func tokensDiffer() {
    let crypto = Self.crypto()
    let addresses = (0..<100).map { [UInt8]([127, 0, 0, 1, 0, UInt8($0)]) } + [[]]
    let tokens = addresses.map { crypto.token(forAddress: $0) }
    #expect(tokens == addresses.map { crypto.token(forAddress: $0) })
    #expect(Set(tokens).count == addresses.count)
    #expect(!tokens.contains(0))
    let otherLife = Self.crypto()
    #expect(
      addresses.allSatisfy { otherLife.token(forAddress: $0) != crypto.token(forAddress: $0) })
  }

  @Test("Secrets do not print")
  func secretsDoNotPrint() {
    let secret = SecretBytes(Array("correct horse battery staple 123".utf8))
    var dumped = ""
    dump(secret, to: &dumped)
    let node = NodeKey(seed: secret)
    var nodeDump = ""
    dump(node, to: &nodeDump)
    let texts = [
      "\(secret)", String(reflecting: secret), String(describing: secret), dumped, nodeDump,
      "\(node)", "\(MeshKeyring(key: secret))",
    ]
    for text in texts {
      #expect(text.contains("secret bytes"))
      #expect(!text.contains("horse") && !text.contains("99, 111") && !text.contains("636f"))
    }
    #expect(secret.isEqual(to: SecretBytes("correct horse battery staple 123".utf8)))
  }

  @Test("Wiped bytes are zero, and random ones are not")
  func bytesAreWiped() {
    var bytes = Sodium.random(count: 64)
    #expect(bytes.contains { $0 != 0 } && bytes != Sodium.random(count: 64))
    Sodium.wipe(&bytes)
    #expect(bytes == [UInt8](repeating: 0, count: 64))
    #expect(NodeKey.random().origin != NodeKey.random().origin)
  }
}

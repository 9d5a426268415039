import MeshCRDT
import MeshCrypto
import MeshTrust
import MeshWire
import Testing

/// How mesh keys are handed over, by libsodium.
@Suite("Admission by libsodium")
struct SodiumAdmissionTests {
  private static func crypto(_ node: UInt8, epochs: [UInt32] = []) -> SodiumCrypto {
    var keyring = MeshKeyring()
    for epoch in epochs { keyring.add(epoch: epoch, key: key(epoch)) }
    return SodiumCrypto(
      node: NodeKey(seed: SecretBytes([UInt8](repeating: node, count: NodeKey.seedBytes))),
      keyring: keyring)
  }

  private static func key(_ epoch: UInt32) -> SecretBytes {
    SecretBytes([UInt8](repeating: UInt8(truncatingIfNeeded: epoch), count: MeshKeyring.keyBytes))
  }

  private static let text = Array("who asks".utf8)

  @Test("What is sealed to an epoch's admission key is opened by who has, or had, its mesh key")
  func requestsAreOpened() throws {
    let member = Self.crypto(1, epochs: [5, 6])
    let newcomer = Self.crypto(2)
    let key = try #require(member.admissionKey(epoch: 5))
    let sealed = try #require(newcomer.seal(Self.text, toAdmissionKey: key))
    #expect(sealed.count == Self.text.count + AdmissionMessage.sealBytes)
    #expect(!sealed.contains(Self.text))
    #expect(member.openAdmission(sealed, epoch: 5) == Self.text)
    #expect(member.openAdmission(sealed, epoch: 6) == nil)
    #expect(newcomer.openAdmission(sealed, epoch: 5) == nil)
    let later = member.retiring(below: 6)
    #expect(later.epochs == [6])
    #expect(later.openAdmission(sealed, epoch: 5) == Self.text)
    #expect(later.admissionKey(epoch: 5) == key)
    var datagram = SodiumCryptoTests.clear(epoch: 5, inner: SodiumCryptoTests.inner)
    Self.crypto(3, epochs: [5]).seal(&datagram)
    #expect(later.open(datagram, epoch: 5) == nil)
    for index in sealed.indices {
      var forged = sealed
      forged[index] ^= 1
      #expect(member.openAdmission(forged, epoch: 5) == nil)
    }
  }

  @Test("A mesh key is read by the node alone that it was sealed to, and taken only with its check")
  func keysAreHandedOver() throws {
    let member = Self.crypto(1, epochs: [5])
    let newcomer = Self.crypto(2)
    let sealed = try #require(member.seal(Self.text, keyOf: 5, to: newcomer.origin))
    #expect(member.seal(Self.text, keyOf: 6, to: newcomer.origin) == nil)
    let check = MeshKeyring.check(of: Self.key(5), epoch: 5)
    var seen: [UInt8]?
    let admitted = newcomer.learning(sealed) { bytes in
      seen = bytes
      return (5, check)
    }
    #expect(seen == Self.text)
    #expect(admitted?.epochs == [5])
    #expect(newcomer.epochs.isEmpty)
    var datagram = SodiumCryptoTests.clear(epoch: 5, inner: SodiumCryptoTests.inner)
    member.seal(&datagram)
    #expect(admitted?.open(datagram, epoch: 5) == SodiumCryptoTests.inner)
    #expect(newcomer.open(datagram, epoch: 5) == nil)
    // Another epoch, another check, somebody else, nobody's consent.
    #expect(newcomer.learning(sealed) { _ in (6, check) } == nil)
    #expect(newcomer.learning(sealed) { _ in (5, .empty) } == nil)
    #expect(newcomer.learning(sealed) { _ in nil } == nil)
    #expect(Self.crypto(3).learning(sealed) { _ in (5, check) } == nil)
  }

  @Test("A new epoch's key is another each time, and its check is that of the key")
  func epochsBegin() throws {
    let member = Self.crypto(1, epochs: [5])
    let (one, check) = member.beginning(epoch: 4099)
    let (_, other) = member.beginning(epoch: 4099)
    #expect(one.epochs == [5, 4099])
    #expect(check != other)
    let sealed = try #require(one.seal([], keyOf: 4099, to: Self.crypto(2).origin))
    #expect(Self.crypto(2).learning(sealed) { _ in (4099, check) }?.epochs == [4099])
  }

  @Test("A refusal is read by the node alone that it is for")
  func refusalsAreSealed() throws {
    let refusal = AdmissionMessage.Refusal(.usesExceeded, wall: 77)
    let node = Self.crypto(2)
    let sealed = try #require(Self.crypto(1).seal(refusal.encoded(), keyOf: nil, to: node.origin))
    #expect(try node.openSealed(sealed).map { try AdmissionMessage.Refusal($0) } == refusal)
    #expect(Self.crypto(3).openSealed(sealed) == nil)
  }
}

@Suite("Datagrams of admission")
struct AdmissionMessageTests {
  private static let tag: UInt64 = 0x0123_4567_89AB_CDEF

  private static let messages: [AdmissionMessage] = [
    .hello(nonce: 7), .cookie(.max, nonce: 8), .request(cookie: 1, epoch: 2, sealed: [3, 4]),
    .grant(sealed: [5]),
    .refusal(sealed: []),
  ]

  @Test("Each reads back from its bytes, for its mesh alone", arguments: messages)
  func roundTrip(_ message: AdmissionMessage) throws {
    let bytes = message.encoded(tag: Self.tag)
    #expect(AdmissionMessage.isOne(bytes, tag: Self.tag))
    #expect(!AdmissionMessage.isOne(bytes, tag: 1))
    #expect(try AdmissionMessage(bytes) == message)
  }

  @Test("What was cut short or goes on is refused, or is another message")
  func malformed() {
    for message in Self.messages {
      let bytes = message.encoded(tag: Self.tag)
      for count in 0..<bytes.count {
        let cut = Array(bytes[..<count])
        #expect(
          !AdmissionMessage.isOne(cut, tag: Self.tag) || (try? AdmissionMessage(cut)) != message)
      }
      #expect((try? AdmissionMessage(bytes + [0])) != message)
    }
    var unknown = AdmissionMessage.hello(nonce: 7).encoded(tag: Self.tag)
    unknown[13] = 9
    #expect(throws: WireError.unknownKind(9)) { try AdmissionMessage(unknown) }
    #expect(throws: (any Error).self) {
      try AdmissionMessage(unknown + [UInt8](repeating: 0, count: 1200))
    }
  }
}

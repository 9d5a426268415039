import MeshCRDT
import MeshEngine
import MeshTrust
import MeshWire
import Testing

/// Who may be believed: signed messages and contradictions.
@Suite("Verifying signatures")
struct SignatureVerifierTests {
  /// Signatures that are a hash of the origin and the bytes: whoever knows the origin can make
  /// them.
  private final class ToyCrypto: Crypto {
    let origin: OriginID
    let epochs: [UInt32] = [1]

    init(_ number: UInt64) { origin = OriginID(number, 0, 0, 0) }

    static func signature(_ bytes: [UInt8], _ origin: OriginID) -> [UInt8] {
      (0..<8).flatMap {
        SipHash.hash(bytes, key: HashKey(origin.word0, UInt64($0))).bigEndianBytes
      }
    }

    func sign(_ bytes: [UInt8]) -> [UInt8] { Self.signature(bytes, origin) }

    func verify(_ bytes: [UInt8], signature: ArraySlice<UInt8>, by origin: OriginID) -> Bool {
      Array(signature) == Self.signature(bytes, origin)
    }

    func seal(_ datagram: inout [UInt8], epoch: UInt32) {}
    func open(_ datagram: [UInt8], epoch: UInt32) -> [UInt8]? { nil }
    func token(forAddress bytes: [UInt8]) -> UInt64 { 1 }
  }

  private struct ToyHash: TreeHash {
    func hash128(_ bytes: [UInt8]) -> Hash128 {
      Hash128(SipHash.hash(bytes, key: HashKey(1, 0)), SipHash.hash(bytes, key: HashKey(2, 0)))
    }
    func hash256(_ bytes: [UInt8]) -> Hash256 { Hash256(hash128(bytes), hash128(bytes + [0])) }
  }

  static let incarnation = Incarnation(counter: 3, nonce: 4)

  static func verifier(node: UInt64 = 1, mesh: UInt8 = 0xA0) throws -> SignatureVerifier {
    let mesh = try #require(MeshID(bytes: [UInt8](repeating: mesh, count: 16)))
    return SignatureVerifier(mesh: mesh, crypto: ToyCrypto(node), hash: ToyHash())
  }

  static func batch(first: UInt64 = 5, counter: UInt64 = 1) throws -> Batch {
    Batch(
      incarnation: try #require(incarnation), room: .lobby, previous: 0, first: first,
      changes: [RecordChange(EntryKey(.presence, SessionID(1, 2)), counter: counter, value: nil)])
  }

  static func rooms(_ names: String...) -> [Checkpoint.ChangedRoom] {
    names.map { Checkpoint.ChangedRoom(room: RoomName(unchecked: $0), version: 0) }
  }

  static func checkpoint(
    sequence: UInt64 = 1, period: UInt64 = 2000, changed: [Checkpoint.ChangedRoom] = []
  ) throws -> Checkpoint {
    Checkpoint(
      incarnation: try #require(incarnation), sequence: sequence, version: 0, root: .empty,
      value: Hash128(1, 1), chain: 1, schedule: 1, offsetMilliseconds: 0, beat: 0,
      periodMilliseconds: period, changed: changed)
  }

  @Test("What one node signs another believes, with the body and the bytes as they came")
  func signedIsBelieved() throws {
    let signer = try Self.verifier()
    let reader = try Self.verifier(node: 2)
    let incarnation = try #require(Self.incarnation)
    func check(_ body: some StatementBody) throws {
      let signed = try #require(signer.sign(body))
      #expect(signed.origin == OriginID(1, 0, 0, 0) && signed.body == body)
      let read = try reader.verify(signed.message, as: type(of: body))
      #expect(read == signed)
      #expect(try reader.verify(signed.message, body) == signed)
    }
    try check(try Self.batch())
    try check(try Self.checkpoint(changed: Self.rooms("a", "b")))
    try check(PathProof(incarnation: incarnation, echo: 1, token: 2, wantsProof: true))
    let cursor = Cursor(column: 1, row: 2, isVisible: true, anchor: nil)
    try check(
      CursorFrame(
        incarnation: incarnation, room: .lobby,
        updates: [CursorUpdate(session: SessionID(1, 2), counter: 1, cursor: cursor)]))
  }

  @Test("No byte of a signed message can be changed")
  func changedMessageIsRefused() throws {
    let signer = try Self.verifier()
    let reader = try Self.verifier(node: 2)
    let messages = try [
      #require(signer.sign(Self.batch())).message,
      #require(signer.sign(Self.checkpoint(changed: Self.rooms("a", "b")))).message,
    ]
    for message in messages {
      for index in message.bytes.indices {
        var bytes = message.bytes
        bytes[index] ^= 1
        let changed = try SignedMessage(kind: message.kind, bytes: bytes)
        #expect(throws: SignatureVerifier.Failure.self, "byte \(index)") {
          if message.kind == .batch {
            _ = try reader.verify(changed, as: Batch.self)
          } else {
            _ = try reader.verify(changed, as: Checkpoint.self)
          }
        }
      }
    }
  }

  @Test("A signature for another mesh, or as another kind, is not believed")
  func otherMeshIsRefused() throws {
    let signed = try #require(Self.verifier(mesh: 0xB0).sign(Self.batch()))
    #expect(throws: SignatureVerifier.Failure.wrongSignature) {
      try Self.verifier(node: 2).verify(signed.message, as: Batch.self)
    }
    let own = try #require(Self.verifier().sign(Self.batch()))
    #expect(throws: SignatureVerifier.Failure.malformedBody) {
      try Self.verifier(node: 2).verify(own.message, as: Checkpoint.self)
    }
    // Signed as a batch, sent as a cursor frame: nothing is read as what it is not.
    let renamed = try SignedMessage(kind: .cursorFrame, bytes: own.message.bytes)
    #expect(throws: SignatureVerifier.Failure.self) {
      try Self.verifier(node: 2).verify(renamed, as: CursorFrame.self)
    }
  }

  @Test("A malformed body is told from a wrong signature, and costs no verification")
  func malformedBodyIsTold() throws {
    let own = try #require(Self.verifier().sign(Self.batch()))
    let longer = try SignedMessage(kind: .batch, bytes: own.message.bytes + [0])
    #expect(throws: SignatureVerifier.Failure.malformedBody) {
      try Self.verifier(node: 2).verify(longer, as: Batch.self)
    }
  }

  @Test("A body that breaks a bound is not signed")
  func brokenBodyIsNotSigned() throws {
    let verifier = try Self.verifier()
    #expect(verifier.sign(try Self.batch(first: 0)) == nil)
    #expect(verifier.sign(try Self.checkpoint(period: 99)) == nil)
    #expect(verifier.sign(try Self.checkpoint(sequence: 0)) == nil)
    let session = SessionID(1, 2)
    let wrong = RecordChange(EntryKey(.cursor, session), counter: 1, value: [1])
    let batch = Batch(
      incarnation: try #require(Self.incarnation), room: .lobby, previous: 0, first: 1,
      changes: [wrong])
    #expect(verifier.sign(batch) == nil)
  }

  @Test("A contradiction is believed when both signatures are its origin's")
  func contradictionsAreVerified() throws {
    let signer = try Self.verifier()
    let reader = try Self.verifier(node: 2)
    let pairs = try [
      (
        #require(signer.sign(Self.batch(counter: 1))).message,
        #require(signer.sign(Self.batch(counter: 2))).message
      ),
      (
        #require(signer.sign(Self.checkpoint(changed: Self.rooms("a")))).message,
        #require(signer.sign(Self.checkpoint(changed: Self.rooms("b")))).message
      ),
    ]
    for (one, other) in pairs {
      let contradiction = try #require(Contradiction(one, other, hash: ToyHash()))
      let proven = try reader.verify(contradiction)
      #expect(proven.contradiction == contradiction && proven.origin == one.origin)
      #expect(proven.incarnation == Self.incarnation)
      // One signature of the two is not enough, whichever it is.
      for isFirst in [true, false] {
        var bytes = (isFirst ? one : other).bytes
        bytes[SignedMessage.overheadBytes - 1] ^= 1
        let forged = try SignedMessage(kind: one.kind, bytes: bytes)
        let forgery = try #require(
          Contradiction(isFirst ? forged : one, isFirst ? other : forged, hash: ToyHash()))
        #expect(throws: SignatureVerifier.Failure.wrongSignature) {
          try reader.verify(forgery)
        }
      }
      #expect(throws: SignatureVerifier.Failure.wrongSignature) {
        try Self.verifier(node: 2, mesh: 0xB0).verify(contradiction)
      }
    }
  }

  @Test("Two verified messages that conflict are a verified contradiction; others are none")
  func verifiedMessagesContradict() throws {
    let signer = try Self.verifier()
    let one = try #require(signer.sign(Self.batch(counter: 1)))
    let other = try #require(signer.sign(Self.batch(counter: 2)))
    let later = try #require(signer.sign(Self.batch(first: 6)))
    let found = try #require(signer.contradiction(one, other))
    #expect(try Self.verifier(node: 2).verify(found.contradiction) == found)
    #expect(signer.contradiction(one, one) == nil)
    #expect(signer.contradiction(one, later) == nil)
  }

  @Test(
    "With verification planted away, forgeries are believed", .enabled(if: PlantedBug.areCompiledIn)
  )
  func plantedFaultIsSeen() throws {
    let reader = try Self.verifier(node: 2)
    let signed = try #require(Self.verifier(mesh: 0xB0).sign(Self.batch()))
    #expect((try? reader.verify(signed.message, as: Batch.self)) == nil)
    let believed = PlantedBug.with(.verifySkipped) {
      try? reader.verify(signed.message, as: Batch.self)
    }
    #expect(believed != nil)
  }
}

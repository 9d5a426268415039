import MeshCRDT
import MeshCrypto
import MeshTrust
import MeshWire
import Testing

/// What is believed, and what is not.
@Suite("Verified messages")
struct VerifiedTests {
  static let mesh = MeshID(bytes: Array(0..<16))
  static let otherMesh = MeshID(bytes: Array(1...16))

  static func verifier(node: UInt8 = 1, mesh: MeshID? = mesh) throws -> Verifier {
    Verifier(mesh: try #require(mesh), crypto: SodiumCryptoTests.crypto(node: node))
  }

  static let head = HeadBody(
    generation: 1, heartbeat: 2, claim: Cut(version: 3, count: 1, hash: 4), counter: 5,
    periodMilliseconds: 1000, isLeaving: false)

  static var headBytes: [UInt8] {
    var writer = ByteWriter()
    head.write(to: &writer)
    return writer.bytes
  }

  @Test("What a node signs, another one believes")
  func signedIsBelieved() throws {
    let signed = try Self.verifier().sign(Self.head, bytes: Self.headBytes)
    let verified = try Self.verifier(node: 2).verify(signed.envelope, as: HeadBody.self)
    #expect(verified.body == Self.head)
    #expect(verified.origin == signed.origin && signed.origin == signed.envelope.origin)
    #expect(verified.envelope == signed.envelope)
  }

  @Test("Bodies of every kind are believed as their own kind, and as no other")
  func kindsDoNotMix() throws {
    let crypto = SodiumCryptoTests.crypto()
    let mesh = try #require(Self.mesh)
    var wire = RandomWire(seed: 1)
    let verifier = try Self.verifier(node: 2)
    for kind in SignedKind.allCases {
      let body = wire.body(kind)
      let signature = crypto.sign(
        Envelope.signedBytes(kind: kind, mesh: mesh.bytes, origin: crypto.origin, body: body))
      let bytes = crypto.origin.bytes + signature + body
      for claimed in SignedKind.allCases {
        // The same bytes in a message of another kind: either no body of that kind, or a wrong
        // signature, because of the domain.
        let envelope = try Envelope(kind: claimed, bytes: bytes)
        #expect(
          Self.isBelieved(envelope, by: verifier) == (claimed == kind), "\(kind) as \(claimed)")
        #expect(
          crypto.verify(
            envelope.signedBytes(mesh: mesh.bytes), signature: envelope.signature,
            by: crypto.origin) == (claimed == kind))
      }
    }
    #expect(Set(SignedKind.allCases.map(\.domain)).count == SignedKind.allCases.count)
  }

  static func isBelieved(_ envelope: Envelope, by verifier: Verifier) -> Bool {
    do throws(Verifier.Failure) {
      switch envelope.kind {
      case .batch: _ = try verifier.verify(envelope, as: BatchBody.self)
      case .head: _ = try verifier.verify(envelope, as: HeadBody.self)
      case .frame: _ = try verifier.verify(envelope, as: FrameBody.self)
      case .proof: _ = try verifier.verify(envelope, as: ProofBody.self)
      }
      return true
    } catch {
      return false
    }
  }

  @Test("An envelope is not read as another kind than its own")
  func wrongKindIsRefused() throws {
    let signed = try Self.verifier().sign(Self.head, bytes: Self.headBytes)
    let verifier = try Self.verifier(node: 2)
    let kind = SignedKind.head.rawValue
    #expect(throws: Verifier.Failure.malformed(.unknownKind(kind))) {
      try verifier.verify(signed.envelope, as: FrameBody.self)
    }
  }

  @Test("A signature for another mesh is not believed")
  func otherMeshIsRefused() throws {
    let signed = try Self.verifier(mesh: Self.otherMesh).sign(Self.head, bytes: Self.headBytes)
    #expect(throws: Verifier.Failure.wrongSignature) {
      try Self.verifier(node: 2).verify(signed.envelope, as: HeadBody.self)
    }
  }

  @Test("No byte of an envelope can be changed")
  func changedEnvelopeIsRefused() throws {
    let signed = try Self.verifier().sign(Self.head, bytes: Self.headBytes)
    let verifier = try Self.verifier(node: 2)
    for index in signed.envelope.bytes.indices {
      var bytes = signed.envelope.bytes
      bytes[index] ^= 1
      let envelope = try Envelope(kind: .head, bytes: bytes)
      #expect(throws: Verifier.Failure.self, "byte \(index)") {
        try verifier.verify(envelope, as: HeadBody.self)
      }
    }
  }

  @Test("Malformed bodies are told from wrong signatures")
  func malformedBodyIsTold() throws {
    let crypto = SodiumCryptoTests.crypto()
    let mesh = try #require(Self.mesh)
    let body = Self.headBytes + [0]
    let signature = crypto.sign(
      Envelope.signedBytes(kind: .head, mesh: mesh.bytes, origin: crypto.origin, body: body))
    let envelope = try Envelope(kind: .head, bytes: crypto.origin.bytes + signature + body)
    #expect(throws: Verifier.Failure.malformed(.trailingBytes(1))) {
      try Self.verifier().verify(envelope, as: HeadBody.self)
    }
  }

  @Test("Too short an envelope is none")
  func shortEnvelopeIsRefused() {
    for count in [0, 31, 32, 95, 96] {
      #expect(throws: WireError.truncated) {
        try Envelope(kind: .head, bytes: [UInt8](repeating: 0, count: count))
      }
    }
  }

  @Test(
    "With verification planted away, forgeries are believed", .enabled(if: PlantedBug.areCompiledIn)
  )
  func plantedFaultIsSeen() throws {
    let verifier = try Self.verifier(node: 2)
    let forged = try Envelope(
      kind: .head, bytes: [UInt8](repeating: 1, count: Envelope.overheadBytes) + Self.headBytes)
    #expect(!Self.isBelieved(forged, by: verifier))
    #expect(PlantedBug.with(.verifySkipped) { Self.isBelieved(forged, by: verifier) })
  }

  @Test("A mesh id has 16 bytes; its tag does not show it and differs between meshes")
  func meshIDs() throws {
    for count in [0, 15, 17] { #expect(MeshID(bytes: [UInt8](repeating: 0, count: count)) == nil) }
    let mesh = try #require(Self.mesh)
    let other = try #require(Self.otherMesh)
    #expect(mesh.tag != other.tag)
    #expect(mesh.hashKey == HashKey(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908))
    #expect(mesh.tag != mesh.hashKey.word0 && mesh.tag != mesh.hashKey.word1)
  }
}

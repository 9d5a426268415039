import MeshCRDT
import MeshCrypto
import MeshWire
import Testing

/// What a signature covers, and what two statements cannot both say.
@Suite("Statements and contradictions")
struct ContradictionTests {
  static let hash = SodiumTreeHash()
  static let origin = OriginID(1, 2, 3, 4)

  static func change(_ number: UInt64) -> RecordChange {
    RecordChange(EntryKey(.presence, SessionID(9, number)), counter: number, value: nil)
  }

  static func batch(
    _ first: UInt64, _ count: UInt64, previous: UInt64 = 0, room: RoomName = .lobby,
    incarnation: Incarnation = Fields.incarnation, salt: UInt64 = 0
  ) -> Batch {
    Batch(
      incarnation: incarnation, room: room, previous: previous, first: first,
      changes: (0..<count).map { change($0 + salt) })
  }

  static func checkpoint(
    _ sequence: UInt64, incarnation: Incarnation = Fields.incarnation,
    rooms: [Checkpoint.ChangedRoom] = [], isLeaving: Bool = false
  ) -> Checkpoint {
    Checkpoint(
      incarnation: incarnation, sequence: sequence, version: 7, root: .empty,
      value: Hash128(1, 2), chain: 1, schedule: 1, offsetMilliseconds: 0, beat: 0,
      periodMilliseconds: 2000, isLeaving: isLeaving, changed: rooms)
  }

  static func signed(
    _ body: some StatementBody, origin: OriginID = origin, signature: UInt8 = 1
  ) throws -> SignedMessage {
    try SignedMessage(
      kind: type(of: body).kind,
      bytes: origin.bytes + [UInt8](repeating: signature, count: 64) + body.encoded())
  }

  @Test("A batch signs what stands before its records, and their hash")
  func batchStatement() throws {
    let batch = Self.batch(3, 2)
    let body = batch.encoded()
    let records = batch.changes.flatMap(\.encoded)
    let front = Array(body.dropLast(records.count))
    let statement = try Self.signed(batch).statement(hash: Self.hash)
    #expect(statement == front + Self.hash.hash256(records).bytes)
    #expect(try StatementKind.batch.statement(ofBody: body[...], hash: Self.hash) == statement)
  }

  @Test("A checkpoint signs what stands before the changed rooms, and their hash")
  func checkpointStatement() throws {
    let rooms = [Checkpoint.ChangedRoom(room: RoomName(unchecked: "r"), version: 7)]
    let rest: [UInt8] = [1, 1, 0x72, 7]
    let checkpoint = Self.checkpoint(1, rooms: rooms)
    let body = checkpoint.encoded()
    #expect(Array(body.suffix(rest.count)) == rest)
    let statement = try Self.signed(checkpoint).statement(hash: Self.hash)
    #expect(statement == body.dropLast(rest.count) + Self.hash.hash256(rest).bytes)
    // Without any, the rest is the byte that says so.
    let plain = Self.checkpoint(1)
    #expect(
      try Self.signed(plain).statement(hash: Self.hash).suffix(32)
        == Self.hash.hash256([0]).bytes[...])
  }

  @Test("Path proofs and cursor frames sign their whole body")
  func wholeBodyStatements() throws {
    let proof = PathProof(incarnation: Fields.incarnation, echo: 1, token: 2, wantsProof: true)
    #expect(try Self.signed(proof).statement(hash: Self.hash) == proof.encoded())
    var random = RandomMessages(seed: 3)
    let frame = random.cursorFrame()
    #expect(try Self.signed(frame).statement(hash: Self.hash) == frame.encoded())
  }

  @Test("Signed bytes are domain, zero, mesh, origin, statement; domains differ")
  func signedBytes() throws {
    let mesh = [UInt8](0xA0...0xAF)
    let batch = try Self.signed(Self.batch(1, 1))
    #expect(
      try batch.signedBytes(mesh: mesh, hash: Self.hash)
        == Array("PresenceMesh/2 batch".utf8) + [0] + mesh + Self.origin.bytes
        + batch.statement(hash: Self.hash))
    #expect(
      StatementKind.allCases.map(\.domain) == [
        "PresenceMesh/2 path", "PresenceMesh/2 batch", "PresenceMesh/2 checkpoint",
        "PresenceMesh/2 cursors",
      ])
  }

  @Test("Batches with a version in common that differ contradict each other")
  func overlappingBatchesContradict() throws {
    let base = try Self.signed(Self.batch(10, 3, previous: 9))
    let others: [(Batch, isContradiction: Bool)] = [
      (Self.batch(10, 3, previous: 9), false),
      (Self.batch(13, 3, previous: 12), false),
      (Self.batch(7, 3, previous: 6), false),
      (Self.batch(12, 1, previous: 9), true),
      (Self.batch(8, 3, previous: 7), true),
      (Self.batch(10, 3, previous: 8), true),
      (Self.batch(10, 3, previous: 9, room: RoomName(unchecked: "r")), true),
      (Self.batch(10, 3, previous: 9, salt: 1), true),
      (Self.batch(10, 3, previous: 9, incarnation: Fields.incarnation(3, 1), salt: 1), false),
    ]
    for (other, isContradiction) in others {
      let message = try Self.signed(other, signature: 2)
      for (one, two) in [(base, message), (message, base)] {
        let found = Contradiction(one, two, hash: Self.hash)
        #expect((found != nil) == isContradiction, "\(other.heading)")
        guard let found else { continue }
        #expect(found.incarnation == Fields.incarnation && found.origin == Self.origin)
        #expect(found.lower.statement.lexicographicallyPrecedes(found.higher.statement))
        let encoded = MeshMessage.contradiction(found).encoded()
        #expect(try Reading.message(encoded) == .contradiction(found))
        let bytes = try Set([one, two].map { try $0.signedBytes(mesh: [1], hash: Self.hash) })
        #expect(Set(found.signedBytes(mesh: [1]).map(\.bytes)) == bytes)
      }
      // Whatever they say, another origin's batch is no contradiction.
      let foreign = try Self.signed(other, origin: OriginID(1, 2, 3, 5))
      #expect(Contradiction(base, foreign, hash: Self.hash) == nil)
    }
  }

  @Test("Checkpoints of one sequence that differ contradict each other, also in what is hashed")
  func differentCheckpointsContradict() throws {
    let base = try Self.signed(Self.checkpoint(5))
    let room = Checkpoint.ChangedRoom(room: RoomName(unchecked: "r"), version: 7)
    let others: [(Checkpoint, isContradiction: Bool)] = [
      (Self.checkpoint(5), false),
      (Self.checkpoint(6), false),
      (Self.checkpoint(5, incarnation: Fields.incarnation(4, 0)), false),
      (Self.checkpoint(5, isLeaving: true), true),
      (Self.checkpoint(5, rooms: [room]), true),
    ]
    for (other, isContradiction) in others {
      let message = try Self.signed(other, signature: 2)
      #expect((Contradiction(base, message, hash: Self.hash) != nil) == isContradiction)
    }
  }

  @Test("One statement with two signatures is no contradiction")
  func twoSignaturesAreNone() throws {
    let one = try Self.signed(Self.batch(1, 1), signature: 1)
    let other = try Self.signed(Self.batch(1, 1), signature: 2)
    #expect(Contradiction(one, other, hash: Self.hash) == nil)
  }

  @Test("Statements of different kinds, or of kinds without a number, are no contradiction")
  func otherKindsAreNone() throws {
    let batch = try Self.signed(Self.batch(5, 1))
    let checkpoint = try Self.signed(Self.checkpoint(5))
    #expect(Contradiction(batch, checkpoint, hash: Self.hash) == nil)
    let proofs = try [UInt64(1), 2].map {
      try Self.signed(
        PathProof(incarnation: Fields.incarnation, echo: $0, token: 0, wantsProof: false))
    }
    #expect(Contradiction(proofs[0], proofs[1], hash: Self.hash) == nil)
  }

  @Test("A signed message is put together of 64 bytes of signature and a body, or not at all")
  func messagesArePutTogether() throws {
    let batch = try Self.signed(Self.batch(1, 1))
    let again = SignedMessage(
      kind: .batch, origin: batch.origin, signature: Array(batch.signature), body: Array(batch.body)
    )
    #expect(again == batch)
    #expect(
      SignedMessage(kind: .batch, origin: batch.origin, signature: [1], body: [1]) == nil)
    #expect(
      SignedMessage(
        kind: .batch, origin: batch.origin, signature: Array(batch.signature), body: []) == nil)
    for count in [0, 31, 95, 96] {
      #expect(throws: WireError.truncated) {
        try SignedMessage(kind: .batch, bytes: [UInt8](repeating: 0, count: count))
      }
    }
  }

  @Test("BLAKE2b has the results of its reference")
  func blake2b() {
    // From the reference implementation: unkeyed, of the three bytes "abc" and of none.
    #expect(
      hexadecimal(Self.hash.hash128(Array("abc".utf8)).bytes) == "cf4ab791c62b8d2b2109c90275287816")
    #expect(
      hexadecimal(Self.hash.hash256([]).bytes)
        == "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8")
  }
}

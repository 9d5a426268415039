package import MeshCRDT

/// Two statements of one origin and incarnation that cannot both be true: the proof that it
/// equivocates.
///
/// They are two batches that have a version in common, or two checkpoints of one sequence, and
/// differ. Every value of this type holds such two; whether they are signed is verified elsewhere.
///
/// Layout: origin (32), kind (1: 3 batch, 4 checkpoint), and twice a statement (a length and that
/// many bytes) and its signature (64). The lower statement, as a byte string, comes first.
package struct Contradiction: Hashable, Sendable {
  /// A statement with the signature that it came with.
  package struct Signed: Hashable, Sendable {
    package let statement: [UInt8]
    package let signature: [UInt8]

    package init(statement: [UInt8], signature: [UInt8]) {
      self.statement = statement
      self.signature = signature
    }
  }

  package let origin: OriginID
  package let incarnation: Incarnation
  /// ``StatementKind/batch`` or ``StatementKind/checkpoint``.
  package let kind: StatementKind
  package let lower: Signed
  package let higher: Signed

  /// The most bytes of a statement: none of a batch or a checkpoint has more.
  package static let statementBytes = max(Batch.statementBytes, Checkpoint.statementBytes)
  static let byteBound =
    OriginID.byteCount + 1
    + 2 * (FieldSize.blob(statementBytes) + SignedMessage.signatureBytes)

  /// The contradiction between two messages; `nil` when there is none.
  package init?(_ first: SignedMessage, _ second: SignedMessage, hash: some TreeHash) {
    guard first.kind == second.kind, first.origin == second.origin,
      let one = try? first.statement(hash: hash), let other = try? second.statement(hash: hash)
    else { return nil }
    let signed = [
      Signed(statement: one, signature: Array(first.signature)),
      Signed(statement: other, signature: Array(second.signature)),
    ].sorted { $0.statement.lexicographicallyPrecedes($1.statement) }
    try? self.init(origin: first.origin, kind: first.kind, lower: signed[0], higher: signed[1])
  }

  /// Throws when the statements are malformed, not in their order, or can both be true.
  private init(
    origin: OriginID, kind: StatementKind, lower: Signed, higher: Signed
  ) throws(WireError) {
    guard lower.statement.lexicographicallyPrecedes(higher.statement) else {
      throw .notCanonical
    }
    let (one, other) = (
      try Subject(lower.statement, kind: kind), try Subject(higher.statement, kind: kind)
    )
    guard one.incarnation == other.incarnation, one.numbers.overlaps(other.numbers) else {
      throw .outOfBounds
    }
    self.origin = origin
    self.kind = kind
    self.lower = lower
    self.higher = higher
    incarnation = one.incarnation
  }

  /// The two messages' bytes that the signatures cover, in order.
  package func signedBytes(mesh: [UInt8]) -> [(bytes: [UInt8], signature: ArraySlice<UInt8>)] {
    [lower, higher].map {
      (
        kind.signedBytes(mesh: mesh, origin: origin, statement: $0.statement[...]),
        $0.signature[...]
      )
    }
  }

  func write(to writer: inout ByteWriter) {
    writer.origin(origin)
    writer.byte(kind.rawValue)
    for signed in [lower, higher] {
      writer.blob(signed.statement)
      writer.raw(signed.signature)
    }
  }

  init(from reader: inout ByteReader) throws(WireError) {
    func signed() throws(WireError) -> Signed {
      let statement = try reader.blob(atMost: Self.statementBytes)
      let signature = try reader.range(SignedMessage.signatureBytes)
      return Signed(statement: statement, signature: Array(reader.bytes[signature]))
    }
    let origin = try reader.origin()
    guard let kind = StatementKind(rawValue: try reader.byte()) else { throw .outOfBounds }
    let lower = try signed()
    let higher = try signed()
    try self.init(origin: origin, kind: kind, lower: lower, higher: higher)
  }
}

extension Contradiction {
  /// What a statement speaks about: the versions of a batch, or the sequence of a checkpoint.
  private struct Subject {
    let incarnation: Incarnation
    let numbers: ClosedRange<UInt64>

    init(_ statement: [UInt8], kind: StatementKind) throws(WireError) {
      var reader = ByteReader(statement)
      switch kind {
      case .batch:
        let heading = try Batch.Heading(from: &reader)
        incarnation = heading.incarnation
        numbers = heading.first...heading.last
      case .checkpoint:
        let checkpoint = try Checkpoint.readFront(&reader)
        incarnation = checkpoint.incarnation
        numbers = checkpoint.sequence...checkpoint.sequence
      case .pathProof, .cursorFrame: throw .outOfBounds
      }
      _ = try reader.hash256()
      try reader.finish()
    }
  }
}

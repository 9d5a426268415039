package import MeshCRDT

/// What an origin signs, by kind. The raw values are those of the messages.
package enum StatementKind: UInt8, Hashable, CaseIterable, Sendable {
  case pathProof = 2
  case batch = 3
  case checkpoint = 4
  case cursorFrame = 5

  /// What the signed bytes begin with. It keeps a signature of one kind from being one of another.
  package var domain: String {
    switch self {
    case .pathProof: "PresenceMesh/2 path"
    case .batch: "PresenceMesh/2 batch"
    case .checkpoint: "PresenceMesh/2 checkpoint"
    case .cursorFrame: "PresenceMesh/2 cursors"
    }
  }

  /// What the signature of a body is about.
  ///
  /// Of path proofs and cursor frames it is the body. Of batches and checkpoints it is the front of
  /// the body, which has a bounded size, and `hash256` of what is behind: the records, or the
  /// changed rooms. So two statements that conflict fit into a datagram.
  package func statement(
    ofBody body: ArraySlice<UInt8>, hash: some TreeHash
  ) throws(WireError) -> [UInt8] {
    var reader = ByteReader(body)
    switch self {
    case .pathProof, .cursorFrame: return Array(body)
    case .batch: _ = try Batch.Heading(from: &reader)
    case .checkpoint: _ = try Checkpoint.readFront(&reader)
    }
    let front = body[..<reader.offset]
    var writer = ByteWriter(reserving: front.count + Hash256.byteCount)
    writer.raw(front)
    writer.hash256(hash.hash256(Array(reader.rest())))
    return writer.take()
  }

  private var isSignedWhole: Bool { self == .pathProof || self == .cursorFrame }

  /// The bytes that a signature covers: domain, a zero byte, mesh id (16), origin (32), statement.
  package func signedBytes(
    mesh: [UInt8], origin: OriginID, statement: ArraySlice<UInt8>
  ) -> [UInt8] {
    var writer = ByteWriter(reserving: 80 + statement.count)
    writer.raw(domain.utf8)
    writer.byte(0)
    writer.raw(mesh)
    writer.origin(origin)
    writer.raw(statement)
    return writer.take()
  }

  /// The bytes that the signature of a body covers.
  package func signedBytes(
    mesh: [UInt8], origin: OriginID, body: ArraySlice<UInt8>, hash: some TreeHash
  ) throws(WireError) -> [UInt8] {
    let statement = isSignedWhole ? body : try statement(ofBody: body, hash: hash)[...]
    return signedBytes(mesh: mesh, origin: origin, statement: statement)
  }
}

/// A body that an origin signs.
package protocol StatementBody: Hashable, Sendable {
  static var kind: StatementKind { get }
  /// Reads a body that is all of a reader's bytes.
  static func read(_ reader: inout ByteReader) throws(WireError) -> Self
  /// The bytes of the body.
  func encoded() -> [UInt8]
}

/// A body with the origin that it says it is from and a signature that nobody has verified yet.
///
/// Layout: origin (32), signature (64), body.
package struct SignedMessage: Hashable, Sendable {
  package static let signatureBytes = 64
  /// The bytes before the body.
  package static let overheadBytes = OriginID.byteCount + signatureBytes

  package let kind: StatementKind
  package let origin: OriginID
  /// The whole message, exactly: it is kept and forwarded as it came.
  package let bytes: [UInt8]

  package init(kind: StatementKind, bytes: [UInt8]) throws(WireError) {
    guard bytes.count > Self.overheadBytes else { throw .truncated }
    var reader = ByteReader(bytes)
    origin = try reader.origin()
    self.kind = kind
    self.bytes = bytes
  }

  /// Puts a message together; `nil` unless the signature has 64 bytes and the body at least one.
  package init?(kind: StatementKind, origin: OriginID, signature: [UInt8], body: [UInt8]) {
    guard signature.count == Self.signatureBytes, !body.isEmpty else { return nil }
    self.kind = kind
    self.origin = origin
    var writer = ByteWriter(reserving: Self.overheadBytes + body.count)
    writer.origin(origin)
    writer.raw(signature)
    writer.raw(body)
    bytes = writer.take()
  }

  package var signature: ArraySlice<UInt8> {
    bytes[OriginID.byteCount..<Self.overheadBytes]
  }

  package var body: ArraySlice<UInt8> { bytes[Self.overheadBytes...] }

  var bodyReader: ByteReader { ByteReader(body) }

  /// Reads the body. Its signature is not looked at.
  package func read<Body: StatementBody>(_ type: Body.Type) throws(WireError) -> Body {
    guard kind == Body.kind else { throw .unknownKind(kind.rawValue) }
    var reader = bodyReader
    return try Body.read(&reader)
  }

  /// What the signature is about; see ``StatementKind/statement(ofBody:hash:)``.
  package func statement(hash: some TreeHash) throws(WireError) -> [UInt8] {
    try kind.statement(ofBody: body, hash: hash)
  }

  /// The bytes that the signature covers.
  package func signedBytes(mesh: [UInt8], hash: some TreeHash) throws(WireError) -> [UInt8] {
    try kind.signedBytes(mesh: mesh, origin: origin, body: body, hash: hash)
  }
}

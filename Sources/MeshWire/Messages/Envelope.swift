package import MeshCRDT

/// What an origin signs, by kind. The domain keeps a signature of one kind from being one of another.
package enum SignedKind: UInt8, Hashable, CaseIterable, Sendable {
  case batch = 3
  case head = 4
  case frame = 5
  case proof = 2

  /// What the signed bytes begin with.
  package var domain: String {
    switch self {
    case .batch: "PresenceMesh/1 batch"
    case .head: "PresenceMesh/1 head"
    case .frame: "PresenceMesh/1 frame"
    case .proof: "PresenceMesh/1 proof"
    }
  }
}

/// A body with the origin that it says it is from and a signature that nobody has verified yet.
///
/// Layout: origin (32), signature (64), body. The signature covers the domain, a zero byte, the mesh
/// id (16), the origin (32) and the body.
package struct Envelope: Hashable, Sendable {
  package static let signatureBytes = 64
  package static let overheadBytes = OriginID.byteCount + signatureBytes

  package let kind: SignedKind
  /// The whole envelope, exactly: it is kept and forwarded as it came.
  package let bytes: [UInt8]

  package init(kind: SignedKind, bytes: [UInt8]) throws(WireError) {
    guard bytes.count > Self.overheadBytes else { throw .truncated }
    self.kind = kind
    self.bytes = bytes
  }

  package var origin: OriginID {
    // The initializer has made sure that the bytes are there.
    var reader = ByteReader(bytes)
    return (try? reader.origin()) ?? OriginID(0, 0, 0, 0)
  }

  package var signature: ArraySlice<UInt8> {
    bytes[OriginID.byteCount..<Self.overheadBytes]
  }

  package var body: ByteReader { ByteReader(bytes, range: Self.overheadBytes..<bytes.count) }

  /// The bytes that the signature covers.
  package static func signedBytes(
    kind: SignedKind, mesh: [UInt8], origin: OriginID, body: ArraySlice<UInt8>
  ) -> [UInt8] {
    var writer = ByteWriter(reserving: 96 + body.count)
    writer.raw(kind.domain.utf8)
    writer.byte(0)
    writer.raw(mesh)
    writer.origin(origin)
    writer.raw(body)
    return writer.take()
  }

  package static func signedBytes(
    kind: SignedKind, mesh: [UInt8], origin: OriginID, body: [UInt8]
  ) -> [UInt8] {
    signedBytes(kind: kind, mesh: mesh, origin: origin, body: body[...])
  }

  package func signedBytes(mesh: [UInt8]) -> [UInt8] {
    Self.signedBytes(
      kind: kind, mesh: mesh, origin: origin, body: bytes[Self.overheadBytes...])
  }
}

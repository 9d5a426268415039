package import MeshCRDT
package import MeshWire

/// A signed body whose signature was verified. ``Verifier`` alone can make one.
package struct Verified<Body: Sendable>: Sendable {
  package let origin: OriginID
  package let body: Body
  /// The envelope as it came, for keeping and forwarding.
  package let envelope: Envelope

  fileprivate init(origin: OriginID, body: Body, envelope: Envelope) {
    self.origin = origin
    self.body = body
    self.envelope = envelope
  }
}

/// A body that can be read from an envelope.
package protocol SignedBody: Sendable {
  static var kind: SignedKind { get }
  static func read(_ reader: inout ByteReader) throws(WireError) -> Self
}

extension BatchBody: SignedBody { package static var kind: SignedKind { .batch } }
extension HeadBody: SignedBody { package static var kind: SignedKind { .head } }
extension FrameBody: SignedBody { package static var kind: SignedKind { .frame } }
extension ProofBody: SignedBody { package static var kind: SignedKind { .proof } }

/// A body as it was read from an envelope whose signature nobody has verified yet: enough to see
/// whether it is news.
package struct Unverified<Body: SignedBody>: Sendable {
  package let envelope: Envelope
  package let body: Body

  package init(_ envelope: Envelope) throws(WireError) {
    guard envelope.kind == Body.kind else { throw .unknownKind(envelope.kind.rawValue) }
    var reader = envelope.body
    body = try Body.read(&reader)
    self.envelope = envelope
  }
}

/// Verifies and makes signed envelopes of one mesh.
package struct Verifier: Sendable {
  package let mesh: MeshID
  private let crypto: any Crypto

  package init(mesh: MeshID, crypto: any Crypto) {
    self.mesh = mesh
    self.crypto = crypto
  }

  /// Why an envelope is not believed.
  package enum Failure: Error, Hashable, Sendable {
    case malformed(WireError)
    case wrongSignature
  }

  /// Reads the body and verifies the signature over it. Cost: one verification, about 50 µs.
  package func verify<Body: SignedBody>(
    _ envelope: Envelope, as type: Body.Type
  ) throws(Failure) -> Verified<Body> {
    let unverified: Unverified<Body>
    do { unverified = try Unverified(envelope) } catch { throw .malformed(error) }
    return try verify(unverified)
  }

  /// Verifies the signature over a body that was read before. Cost: one verification, about 50 µs.
  @_specialize(where Body == BatchBody)
  @_specialize(where Body == FrameBody)
  @_specialize(where Body == HeadBody)
  package func verify<Body: SignedBody>(
    _ unverified: Unverified<Body>
  ) throws(Failure) -> Verified<Body> {
    let envelope = unverified.envelope
    let origin = envelope.origin
    let signed = envelope.signedBytes(mesh: mesh.bytes)
    guard
      crypto.verify(signed, signature: envelope.signature, by: origin)
        || PlantedBug.isActive(.verifySkipped)
    else { throw .wrongSignature }
    return Verified(origin: origin, body: unverified.body, envelope: envelope)
  }

  /// Signs a body by the node's own key. What was signed here is verified by that.
  @_specialize(where Body == BatchBody)
  @_specialize(where Body == FrameBody)
  @_specialize(where Body == HeadBody)
  package func sign<Body: SignedBody>(_ body: Body, bytes: [UInt8]) -> Verified<Body> {
    Verified(
      origin: crypto.origin, body: body, envelope: signedEnvelope(kind: Body.kind, bytes: bytes))
  }

  private func signedEnvelope(kind: SignedKind, bytes: [UInt8]) -> Envelope {
    let origin = crypto.origin
    let signed = Envelope.signedBytes(
      kind: kind, mesh: mesh.bytes, origin: origin, body: bytes)
    var writer = ByteWriter(reserving: Envelope.overheadBytes + bytes.count)
    writer.origin(origin)
    writer.raw(crypto.sign(signed))
    writer.raw(bytes)
    guard let envelope = try? Envelope(kind: kind, bytes: writer.take()) else {
      preconditionFailure("a signed body has at least one byte")
    }
    return envelope
  }
}

package import MeshCRDT
package import MeshTrust
package import MeshWire

/// A signed body whose signature was verified. ``SignatureVerifier`` alone can make one.
package struct Authentic<Body: StatementBody>: Hashable, Sendable {
  package let body: Body
  /// The message as it came, for keeping and forwarding.
  package let message: SignedMessage

  package var origin: OriginID { message.origin }

  fileprivate init(body: Body, message: SignedMessage) {
    self.body = body
    self.message = message
  }
}

/// A batch whose signature was verified, of which the heading alone is decoded: the records take three times
/// the memory of their bytes.
package struct AuthenticBatch: Hashable, Sendable {
  package let heading: Batch.Heading
  package let message: SignedMessage

  package init(_ batch: Authentic<Batch>) {
    (heading, message) = (batch.body.heading, batch.message)
  }

  /// The batch with its records.
  package func decoded() -> Authentic<Batch>? {
    (try? message.read(Batch.self)).map { Authentic(body: $0, message: message) }
  }
}

/// A contradiction whose two signatures were verified. ``SignatureVerifier`` alone can make one.
package struct AuthenticContradiction: Hashable, Sendable {
  package let contradiction: Contradiction

  package var origin: OriginID { contradiction.origin }
  package var incarnation: Incarnation { contradiction.incarnation }

  fileprivate init(_ contradiction: Contradiction) { self.contradiction = contradiction }
}

/// Verifies and makes signed messages of one mesh.
package struct SignatureVerifier: Sendable {
  package let mesh: MeshID
  private let crypto: any Crypto
  private let hash: any TreeHash

  package init(mesh: MeshID, crypto: any Crypto, hash: any TreeHash) {
    self.mesh = mesh
    self.crypto = crypto
    self.hash = hash
  }

  /// Why a message is not believed.
  package enum Failure: Error, Hashable, Sendable {
    /// Its body is not one of its kind. No signature was looked at.
    case malformedBody
    case wrongSignature
  }

  /// Reads the body and verifies the signature. Cost: one verification, about 50 µs, unless the
  /// body is malformed.
  package func verify<Body: StatementBody>(
    _ message: SignedMessage, as type: Body.Type
  ) throws(Failure) -> Authentic<Body> {
    guard let body = try? message.read(type) else { throw .malformedBody }
    return try verify(message, body)
  }

  /// Verifies the signature of a message whose body was read from it before. Cost: one
  /// verification.
  package func verify<Body: StatementBody>(
    _ message: SignedMessage, _ body: Body
  ) throws(Failure) -> Authentic<Body> {
    guard message.kind == Body.kind,
      let signed = try? message.signedBytes(mesh: mesh.bytes, hash: hash)
    else { throw .malformedBody }
    guard isSignature(message.signature, of: signed, by: message.origin) else {
      throw .wrongSignature
    }
    return Authentic(body: body, message: message)
  }

  /// Verifies both signatures of a contradiction; that its statements conflict is so by its type.
  /// Cost: two verifications, or one.
  package func verify(
    _ contradiction: Contradiction
  ) throws(Failure) -> AuthenticContradiction {
    for (bytes, signature) in contradiction.signedBytes(mesh: mesh.bytes) {
      guard isSignature(signature, of: bytes, by: contradiction.origin) else {
        throw .wrongSignature
      }
    }
    return AuthenticContradiction(contradiction)
  }

  /// The contradiction between two messages that were verified; `nil` when both can be true.
  package func contradiction<Body: StatementBody>(
    _ first: Authentic<Body>, _ second: Authentic<Body>
  ) -> AuthenticContradiction? {
    Contradiction(first.message, second.message, hash: hash).map { AuthenticContradiction($0) }
  }

  /// Signs a body by the node's own key; `nil` when it breaks a bound of its kind, so that nobody
  /// would believe it. What was signed here is verified by that.
  package func sign<Body: StatementBody>(_ body: Body) -> Authentic<Body>? {
    let (kind, origin, bytes) = (Body.kind, crypto.origin, body.encoded())
    guard
      let signed = try? kind.signedBytes(
        mesh: mesh.bytes, origin: origin, body: bytes[...], hash: hash)
    else { return nil }
    let message = SignedMessage(
      kind: kind, origin: origin, signature: crypto.sign(signed), body: bytes)
    guard let message, (try? message.read(Body.self)) == body else { return nil }
    return Authentic(body: body, message: message)
  }

  private func isSignature(
    _ signature: ArraySlice<UInt8>, of bytes: [UInt8], by origin: OriginID
  ) -> Bool {
    crypto.verify(bytes, signature: signature, by: origin) || PlantedBug.isActive(.verifySkipped)
  }
}

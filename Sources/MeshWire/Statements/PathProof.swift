package import MeshCRDT

/// What a node signs to show that an address is its own.
///
/// Layout of the body: incarnation (12), echo (8), token (8), wants proof (1).
package struct PathProof: StatementBody {
  package static var kind: StatementKind { .pathProof }

  package let incarnation: Incarnation
  /// The token that the receiver gave: fresh, so that a proof cannot be used twice.
  package let echo: UInt64
  /// The token that the signer wants to be answered with.
  package let token: UInt64
  /// True when the signer wants a proof in return.
  package let wantsProof: Bool

  static let byteCount = Incarnation.byteCount + 8 + 8 + 1

  package init(incarnation: Incarnation, echo: UInt64, token: UInt64, wantsProof: Bool) {
    self.incarnation = incarnation
    self.echo = echo
    self.token = token
    self.wantsProof = wantsProof
  }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(reserving: Self.byteCount)
    writer.incarnation(incarnation)
    writer.uint64(echo)
    writer.uint64(token)
    writer.flag(wantsProof)
    return writer.take()
  }

  package static func read(_ reader: inout ByteReader) throws(WireError) -> PathProof {
    let proof = PathProof(
      incarnation: try reader.incarnation(), echo: try reader.uint64(),
      token: try reader.uint64(), wantsProof: try reader.flag())
    try reader.finish()
    return proof
  }
}

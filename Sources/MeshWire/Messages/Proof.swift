import MeshCRDT

/// What a node signs to show that an address is its own.
///
/// Layout of the body: generation (varint), the sender's life (8), the token that the receiver gave
/// (8), the token that the sender wants to be answered with (8), and whether it wants a proof in
/// return (1: 0 or 1).
package struct ProofBody: Hashable, Sendable {
  package let generation: UInt64
  /// A random number that is another in each life of the sender, also when an old copy of its disk
  /// made two lives of one generation.
  package let life: UInt64
  /// The receiver's token: fresh, so that a proof cannot be used twice.
  package let echo: UInt64
  /// The sender's token.
  package let token: UInt64
  package let wantsProof: Bool

  package init(
    generation: UInt64, life: UInt64, echo: UInt64, token: UInt64, wantsProof: Bool
  ) {
    self.generation = generation
    self.life = life
    self.echo = echo
    self.token = token
    self.wantsProof = wantsProof
  }

  package func write(to writer: inout ByteWriter) {
    writer.varint(generation)
    writer.uint64(life)
    writer.uint64(echo)
    writer.uint64(token)
    writer.flag(wantsProof)
  }

  package static func read(_ reader: inout ByteReader) throws(WireError) -> ProofBody {
    let generation = try reader.varint(below: Limits.generationBound)
    guard generation > 0 else { throw .outOfBounds }
    let body = ProofBody(
      generation: generation, life: try reader.uint64(), echo: try reader.uint64(),
      token: try reader.uint64(), wantsProof: try reader.flag())
    try reader.finish()
    return body
  }
}

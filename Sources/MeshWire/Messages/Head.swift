package import MeshCRDT

/// The sign of life of an origin, and its word about its log.
///
/// Layout of the body: generation, heartbeat, highest version, live count (varints), live hash (8),
/// rest counter, period in milliseconds (varints), flags (1: bit 0 leaving, bit 1 a certificate
/// follows), and the certificate (a length and at most 256 bytes), if there is one.
package struct HeadBody: Hashable, Sendable {
  package let generation: UInt64
  /// Rises by one with each head; the age of an origin is counted from a strictly newer one.
  package let heartbeat: UInt64
  package let claim: Cut
  /// The Lamport counter up to which all cursors of the origin are at rest: moves in frames up to it
  /// are in the log, or of no account any more.
  package let counter: UInt64
  /// The time between two heads, in milliseconds, 1…2^24-1.
  package let periodMilliseconds: UInt64
  package let isLeaving: Bool
  /// Reserved for admission by certificates. Empty is none.
  package let certificate: [UInt8]

  package static let periodBound: UInt64 = 1 << 24

  package init(
    generation: UInt64, heartbeat: UInt64, claim: Cut, counter: UInt64,
    periodMilliseconds: UInt64, isLeaving: Bool, certificate: [UInt8] = []
  ) {
    self.generation = generation
    self.heartbeat = heartbeat
    self.claim = claim
    self.counter = counter
    self.periodMilliseconds = periodMilliseconds
    self.isLeaving = isLeaving
    self.certificate = certificate
  }

  package func write(to writer: inout ByteWriter) {
    writer.varint(generation)
    writer.varint(heartbeat)
    writer.varint(claim.version)
    writer.varint(claim.count)
    writer.uint64(claim.hash)
    writer.varint(counter)
    writer.varint(periodMilliseconds)
    writer.byte((isLeaving ? 1 : 0) | (certificate.isEmpty ? 0 : 2))
    if !certificate.isEmpty { writer.blob(certificate) }
  }

  /// Reads what tells whether a head is news.
  package static func peek(
    _ reader: ByteReader
  ) throws(WireError) -> (generation: UInt64, heartbeat: UInt64, claim: Cut) {
    var reader = reader
    return try begin(&reader)
  }

  private static func begin(
    _ reader: inout ByteReader
  ) throws(WireError) -> (generation: UInt64, heartbeat: UInt64, claim: Cut) {
    let generation = try reader.varint(below: Limits.generationBound)
    guard generation > 0 else { throw .outOfBounds }
    let heartbeat = try reader.varint(below: Limits.counterBound)
    let version = try reader.varint(below: Limits.counterBound)
    let count = try reader.varint(below: Limits.counterBound)
    return (
      generation, heartbeat, Cut(version: version, count: count, hash: try reader.uint64())
    )
  }

  package static func read(_ reader: inout ByteReader) throws(WireError) -> HeadBody {
    let (generation, heartbeat, claim) = try begin(&reader)
    let counter = try reader.varint(below: Limits.counterBound)
    let period = try reader.varint(below: periodBound)
    guard period > 0 else { throw .outOfBounds }
    let flags = try reader.byte()
    guard flags < 4 else { throw .notCanonical }
    var certificate: [UInt8] = []
    if flags & 2 != 0 {
      certificate = try reader.blob(atMost: Limits.certificateBytes)
      guard !certificate.isEmpty else { throw .notCanonical }
    }
    try reader.finish()
    return HeadBody(
      generation: generation, heartbeat: heartbeat,
      claim: claim, counter: counter,
      periodMilliseconds: period, isLeaving: flags & 1 != 0, certificate: certificate)
  }
}

package import MeshCRDT

/// What changed in one origin: the records of consecutive versions, and the origin's word about its
/// log after them.
///
/// Layout of the body: generation (varint), first version (varint, from 1), number of records
/// (varint, from 1), live count (varint) and live hash (8) after the last of them, the records.
package struct BatchBody: Hashable, Sendable {
  package let generation: UInt64
  /// The version of the first record.
  package let first: UInt64
  package let claim: Cut
  package let records: [Record]
  /// Where the values lie in the bytes that were read or written.
  package let valueRanges: [Range<Int>]

  /// The most records of a batch.
  package static let recordBound: UInt64 = 64

  package var last: UInt64 { claim.version }

  /// Writes a body at the end of a writer.
  package static func write(
    generation: UInt64, first: UInt64, records: [Record], liveCount: UInt64, liveHash: UInt64,
    to writer: inout ByteWriter
  ) -> [Range<Int>] {
    writer.varint(generation)
    writer.varint(first)
    writer.varint(records.count)
    writer.varint(liveCount)
    writer.uint64(liveHash)
    return records.map { $0.write(to: &writer) }
  }

  /// The bytes of a body before its records, at most.
  package static let headerBytes = 5 + 7 + 1 + 7 + 8

  /// Reads what tells whether a batch is news, without its records.
  package static func peek(
    _ reader: ByteReader
  ) throws(WireError) -> (generation: UInt64, first: UInt64, last: UInt64) {
    var reader = reader
    let generation = try reader.varint(below: Limits.generationBound)
    let first = try reader.varint(below: Limits.counterBound)
    let count = try reader.varint(below: recordBound + 1)
    guard generation > 0, first > 0, count > 0, first + count <= Limits.counterBound else {
      throw .outOfBounds
    }
    return (generation, first, first + count - 1)
  }

  package static func read(_ reader: inout ByteReader) throws(WireError) -> BatchBody {
    let (generation, first, last) = try peek(reader)
    _ = try reader.varint(below: Limits.generationBound)
    _ = try reader.varint(below: Limits.counterBound)
    _ = try reader.varint(below: recordBound + 1)
    let liveCount = try reader.varint(below: Limits.counterBound)
    let liveHash = try reader.uint64()
    var records: [Record] = []
    var ranges: [Range<Int>] = []
    // As many as the bytes can hold, whatever the number says.
    let most = min(Int(last - first + 1), reader.remaining / Record.leastBytes)
    records.reserveCapacity(most)
    ranges.reserveCapacity(most)
    for _ in first...last {
      let (record, range) = try Record.read(from: &reader)
      records.append(record)
      ranges.append(range)
    }
    try reader.finish()
    return BatchBody(
      generation: generation, first: first,
      claim: Cut(version: last, count: liveCount, hash: liveHash), records: records,
      valueRanges: ranges)
  }
}

package import MeshCRDT

/// What changed on one shelf of an origin: the records of consecutive versions, and the origin's word
/// about the shelf after them.
///
/// Layout of the body: generation (varint), the room's name (empty: the lobby), first version (varint,
/// from 1), number of records (varint, from 1), live count (varint) and live hash (8) after the last of
/// them, the records.
package struct BatchBody: Hashable, Sendable {
  package let generation: UInt64
  /// The room whose shelf it is.
  package let room: RoomName
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
    generation: UInt64, room: RoomName, first: UInt64, records: [Record], liveCount: UInt64,
    liveHash: UInt64, to writer: inout ByteWriter
  ) -> [Range<Int>] {
    writer.varint(generation)
    writer.text(room.text)
    writer.varint(first)
    writer.varint(records.count)
    writer.varint(liveCount)
    writer.uint64(liveHash)
    return records.map { $0.write(to: &writer) }
  }

  /// The bytes of a body before its records, at most.
  package static let headerBytes = 5 + 1 + Limits.roomNameBytes + 7 + 1 + 7 + 8

  /// What tells whether a batch is news.
  package struct Peek: Sendable {
    package let generation: UInt64
    package let room: RoomName
    package let first: UInt64
    package let claim: Cut

    package var last: UInt64 { claim.version }
  }

  /// Reads what tells whether a batch is news, without its records.
  package static func peek(_ reader: ByteReader) throws(WireError) -> Peek {
    var reader = reader
    return try begin(&reader)
  }

  private static func begin(_ reader: inout ByteReader) throws(WireError) -> Peek {
    let generation = try reader.varint(below: Limits.generationBound)
    let room = try reader.room()
    let first = try reader.varint(below: Limits.counterBound)
    let count = try reader.varint(below: recordBound + 1)
    guard generation > 0, first > 0, count > 0, first + count <= Limits.counterBound else {
      throw .outOfBounds
    }
    let liveCount = try reader.varint(below: Limits.counterBound)
    return Peek(
      generation: generation, room: room, first: first,
      claim: Cut(version: first + count - 1, count: liveCount, hash: try reader.uint64()))
  }

  package static func read(_ reader: inout ByteReader) throws(WireError) -> BatchBody {
    let peek = try begin(&reader)
    let (first, last) = (peek.first, peek.last)
    var records: [Record] = []
    var ranges: [Range<Int>] = []
    // As many as the bytes can hold, whatever the number says.
    let most = min(Int(last - first + 1), reader.remaining / Record.leastBytes)
    records.reserveCapacity(most)
    ranges.reserveCapacity(most)
    for _ in first...last {
      let (record, range) = try Record.read(from: &reader, in: peek.room)
      records.append(record)
      ranges.append(range)
    }
    try reader.finish()
    return BatchBody(
      generation: peek.generation, room: peek.room, first: first, claim: peek.claim,
      records: records, valueRanges: ranges)
  }
}

package import MeshCRDT

/// Records of one room log with consecutive versions.
///
/// Layout of the body: incarnation (12), room, previous and first version (varints), number of
/// records (varint), records. The statement is what stands before the records, and their `hash256`.
package struct Batch: StatementBody {
  package static var kind: StatementKind { .batch }

  package let incarnation: Incarnation
  /// The room of the log.
  package let room: RoomName
  /// The version of the room log before this batch; 0: it was empty.
  package let previous: UInt64
  /// The version of the first record.
  package let first: UInt64
  /// The record at place *i* has the version ``first`` + *i*.
  package let changes: [RecordChange]

  /// The most records of a batch.
  package static let bound = 64
  /// The most bytes of a body: a batch fits into a datagram as the only message.
  package static let byteBound =
    DatagramHeader.messageBytes - MeshMessage.headerBytes - SignedMessage.overheadBytes
  /// The most bytes before the records.
  package static let headingBytes =
    Incarnation.byteCount + FieldSize.mostRoom + 2 * FieldSize.mostCounter + 1
  /// The most bytes of a statement.
  static let statementBytes = headingBytes + Hash256.byteCount

  package init(
    incarnation: Incarnation, room: RoomName, previous: UInt64, first: UInt64,
    changes: [RecordChange]
  ) {
    self.incarnation = incarnation
    self.room = room
    self.previous = previous
    self.first = first
    self.changes = changes
  }

  /// The version of the last record.
  package var last: UInt64 { heading.last }

  package var heading: Heading {
    Heading(
      incarnation: incarnation, room: room, previous: previous, first: first, count: changes.count)
  }

  /// How many of the changes, from the first on, one batch of a room log can hold.
  package static func prefix(
    of changes: some Sequence<RecordChange>, room: RoomName, previous: UInt64, first: UInt64
  ) -> Int {
    let heading =
      Incarnation.byteCount + FieldSize.room(room) + FieldSize.varint(previous)
      + FieldSize.varint(first) + 1
    return FieldSize.prefix(of: changes, bytes: byteBound - heading, atMost: bound) { $0.byteCount }
  }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(reserving: Self.byteBound)
    heading.write(to: &writer)
    for change in changes { change.write(to: &writer) }
    return writer.take()
  }

  package static func read(_ reader: inout ByteReader) throws(WireError) -> Batch {
    guard reader.remaining <= byteBound else {
      throw .doesNotFit(needed: reader.remaining, available: byteBound)
    }
    let heading = try Heading(from: &reader)
    var changes: [RecordChange] = []
    // As many as the bytes can hold, whatever the number says.
    changes.reserveCapacity(min(heading.count, reader.remaining / RecordChange.leastBytes))
    for _ in 0..<heading.count {
      changes.append(try RecordChange.read(from: &reader, in: heading.room))
    }
    try reader.finish()
    return Batch(
      incarnation: heading.incarnation, room: heading.room, previous: heading.previous,
      first: heading.first, changes: changes)
  }
}

extension Batch {
  /// What stands before the records: enough to see whether a batch is news, and what it follows.
  package struct Heading: Hashable, Sendable {
    package let incarnation: Incarnation
    package let room: RoomName
    package let previous: UInt64
    package let first: UInt64
    /// The number of records, from 1.
    package let count: Int

    package var last: UInt64 { first &+ UInt64(max(count, 1) - 1) }

    package init(
      incarnation: Incarnation, room: RoomName, previous: UInt64, first: UInt64, count: Int
    ) {
      self.incarnation = incarnation
      self.room = room
      self.previous = previous
      self.first = first
      self.count = count
    }

    /// Reads the front of the body of a batch, without its records.
    package init(of message: SignedMessage) throws(WireError) {
      guard message.kind == .batch else { throw .unknownKind(message.kind.rawValue) }
      var reader = message.bodyReader
      try self.init(from: &reader)
    }

    init(from reader: inout ByteReader) throws(WireError) {
      incarnation = try reader.incarnation()
      room = try reader.room()
      previous = try reader.counter()
      first = try reader.counter(from: 1)
      count = try reader.count(1...Batch.bound)
      guard previous < first, first + UInt64(count) <= Limits.counterBound else {
        throw .outOfBounds
      }
    }

    func write(to writer: inout ByteWriter) {
      writer.incarnation(incarnation)
      writer.text(room.text)
      writer.varint(previous)
      writer.varint(first)
      writer.varint(count)
    }
  }
}

package import MeshCRDT

/// A cursor that moved.
package struct CursorUpdate: Hashable, Sendable {
  package let session: SessionID
  /// The Lamport counter of the session, from 1.
  package let counter: UInt64
  package let cursor: Cursor

  package init(session: SessionID, counter: UInt64, cursor: Cursor) {
    self.session = session
    self.counter = counter
    self.cursor = cursor
  }

  /// The fewest bytes in a frame.
  static let leastBytes = SessionID.byteCount + 1 + 5

  /// The number of bytes in a frame.
  package var byteCount: Int {
    // Column, row and flags of the cursor have 5 bytes.
    SessionID.byteCount + FieldSize.varint(counter) + 5
      + (cursor.anchor.map { FieldSize.blob($0.utf8.count) } ?? 0)
  }
}

/// The cursors of one origin in one room that moved in one tick.
///
/// Layout of the body: incarnation (12), room, number of cursors (varint), and for each session
/// (16), counter (varint) and cursor.
package struct CursorFrame: StatementBody {
  package static var kind: StatementKind { .cursorFrame }

  package let incarnation: Incarnation
  package let room: RoomName
  package let updates: [CursorUpdate]

  /// The most cursors of a frame.
  package static let bound = 64
  /// The most bytes of a body.
  package static let byteBound =
    DatagramHeader.messageBytes - MeshMessage.headerBytes - SignedMessage.overheadBytes

  package init(incarnation: Incarnation, room: RoomName, updates: [CursorUpdate]) {
    self.incarnation = incarnation
    self.room = room
    self.updates = updates
  }

  /// How many of the updates, from the first on, one frame of a room can hold.
  package static func prefix(of updates: ArraySlice<CursorUpdate>, room: RoomName) -> Int {
    let rest = byteBound - Incarnation.byteCount - FieldSize.room(room) - 1
    return FieldSize.prefix(of: updates, bytes: rest, atMost: bound) { $0.byteCount }
  }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.incarnation(incarnation)
    writer.text(room.text)
    writer.varint(updates.count)
    for update in updates {
      writer.session(update.session)
      writer.varint(update.counter)
      ValueCodec.write(update.cursor, to: &writer)
    }
    return writer.take()
  }

  package static func read(_ reader: inout ByteReader) throws(WireError) -> CursorFrame {
    guard reader.remaining <= byteBound else {
      throw .doesNotFit(needed: reader.remaining, available: byteBound)
    }
    let incarnation = try reader.incarnation()
    let room = try reader.room()
    let count = try reader.count(1...bound)
    var updates: [CursorUpdate] = []
    // As many as the bytes can hold, whatever the number says.
    updates.reserveCapacity(min(count, reader.remaining / CursorUpdate.leastBytes))
    for _ in 0..<count {
      updates.append(
        CursorUpdate(
          session: try reader.session(), counter: try reader.counter(from: 1),
          cursor: try ValueCodec.readCursor(from: &reader)))
    }
    try reader.finish()
    return CursorFrame(incarnation: incarnation, room: room, updates: updates)
  }
}

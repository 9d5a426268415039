package import MeshCRDT

// A record of a batch.
//
// Layout: flags (1; bit 7: tombstone, bits 0…5: kind), session (16), for the kinds that name one
// the room, the counter (varint), and, unless a tombstone, the value (a length and that many
// bytes). The version is not written: it follows from the place in the batch.
extension RecordChange {
  /// The most bytes of a record: one of an unknown kind.
  package static let byteBound =
    1 + SessionID.byteCount + FieldSize.mostCounter + FieldSize.blob(RecordValues.byteBound)
  /// The fewest bytes of a record.
  static let leastBytes = 1 + SessionID.byteCount + 1

  private static let tombstoneBit: UInt8 = 0x80
  private static let unusedBit: UInt8 = 0x40

  /// The number of bytes of the record in a batch.
  package var byteCount: Int {
    1 + SessionID.byteCount + (key.kind.namesRoom ? FieldSize.room(key.room) : 0)
      + FieldSize.varint(counter) + (value.map { FieldSize.blob($0.count) } ?? 0)
  }

  /// The record as a batch has it.
  package var encoded: [UInt8] {
    var writer = ByteWriter(reserving: byteCount)
    write(to: &writer)
    return writer.take()
  }

  func write(to writer: inout ByteWriter) {
    writer.byte(key.kind.rawValue | (value == nil ? Self.tombstoneBit : 0))
    writer.session(key.session)
    if key.kind.namesRoom { writer.text(key.room.text) }
    writer.varint(counter)
    if let value { writer.blob(value) }
  }

  /// Reads a record of a batch of a room, and checks its value when its kind is known.
  static func read(
    from reader: inout ByteReader, in room: RoomName
  ) throws(WireError) -> RecordChange {
    let flags = try reader.byte()
    guard flags & unusedBit == 0, let kind = RecordKind(rawValue: flags & 0x3F) else {
      throw .notCanonical
    }
    let session = try reader.session()
    let named = kind.namesRoom ? try reader.room() : .lobby
    let change = RecordChange(
      EntryKey(kind, session, room: named), counter: try reader.counter(),
      slice: flags & tombstoneBit == 0 ? try reader.slice(atMost: RecordValues.byteBound) : nil)
    try change.check(in: room)
    return change
  }

  /// True when the record may stand in the log of a room, and its value is well-formed.
  package func isWellFormed(in room: RoomName) -> Bool {
    do throws(WireError) {
      try check(in: room)
      return true
    } catch {
      return false
    }
  }

  private func check(in room: RoomName) throws(WireError) {
    guard counter < Limits.counterBound else { throw .outOfBounds }
    switch key.kind {
    case .session, .removal: guard room.isLobby else { throw .notCanonical }
    case .subscription:
      guard room.isLobby, key.session == .nobody, counter == 0 else { throw .notCanonical }
    case .occupancy: guard room.isLobby, !key.room.isLobby else { throw .notCanonical }
    default: break
    }
    if let value { try RecordValues.check(value, kind: key.kind) }
  }
}

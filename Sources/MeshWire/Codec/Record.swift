package import MeshCRDT

/// One record inside of a batch.
///
/// Layout: one byte (lane in bits 0…2, tombstone in bit 7), session id (16), for the lanes `removal`
/// and `visit` the room's name, the Lamport counter as a varint, and, unless a tombstone, the value.
/// The room of the lanes `presence` and `cursor` is that of the batch. The version is not written: it
/// is the batch's first version plus the place in the batch.
package struct Record: Hashable, Sendable {
  package let session: SessionID
  package let lane: Lane
  /// The lobby, for the lanes `session` and `interest`.
  package let room: RoomName
  package let counter: UInt64
  /// `nil`: a tombstone.
  package let value: RecordValue?

  package init(
    session: SessionID, lane: Lane, room: RoomName, counter: UInt64, value: RecordValue?
  ) {
    precondition(value == nil || value?.lane == lane)
    self.session = session
    self.lane = lane
    self.room = lane == .session || lane == .interest ? .lobby : room
    self.counter = counter
    self.value = value
  }

  /// No record is shorter: head, session, counter.
  package static let leastBytes = 1 + SessionID.byteCount + 1

  /// The room whose batches the record belongs into: see ``RecordKey/shelf``.
  package var shelf: RoomName { lane == .presence || lane == .cursor ? room : .lobby }

  private static let tombstoneBit: UInt8 = 0x80

  /// Writes the record. Returns where the value lies.
  @discardableResult
  package func write(to writer: inout ByteWriter) -> Range<Int> {
    writer.byte(lane.rawValue | (value == nil ? Self.tombstoneBit : 0))
    writer.session(session)
    if lane == .removal || lane == .visit { writer.text(room.text) }
    writer.varint(counter)
    let start = writer.count
    value?.write(to: &writer)
    return start..<writer.count
  }

  /// The bytes of the record alone.
  package var encoded: [UInt8] {
    var writer = ByteWriter()
    write(to: &writer)
    return writer.bytes
  }

  /// Reads a record of a batch of a room and checks its value. `valueRange` is where the value lies in
  /// the bytes.
  package static func read(
    from reader: inout ByteReader, in batchRoom: RoomName
  ) throws(WireError) -> (record: Record, valueRange: Range<Int>) {
    let head = try reader.byte()
    guard head & ~(tombstoneBit | 7) == 0, let lane = Lane(rawValue: head & 7) else {
      throw .notCanonical
    }
    let session = try reader.session()
    let room =
      switch lane {
      case .presence, .cursor: batchRoom
      case .session, .interest: RoomName.lobby
      case .removal, .visit: try reader.room()
      }
    // Everything else is for all, and stands in batches of the lobby.
    guard batchRoom.isLobby || lane == .presence || lane == .cursor else { throw .notCanonical }
    guard lane != .interest || session == .nobody else { throw .notCanonical }
    guard lane != .visit || !room.isLobby else { throw .notCanonical }
    let counter = try reader.varint(below: Limits.counterBound)
    let start = reader.offset
    let value = head & tombstoneBit == 0 ? try RecordValue.read(lane, from: &reader) : nil
    let record = Record(session: session, lane: lane, room: room, counter: counter, value: value)
    return (record, start..<reader.offset)
  }
}

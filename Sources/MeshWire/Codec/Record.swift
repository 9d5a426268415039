package import MeshCRDT

/// One record inside of a batch.
///
/// Layout: one byte (lane in bits 0…2, tombstone in bit 7), session id (16), for lanes other than
/// `session` the room's name, the Lamport counter as a varint, and, unless a tombstone, the value.
/// The version is not written: it is the batch's first version plus the place in the batch.
package struct Record: Hashable, Sendable {
  package let session: SessionID
  package let lane: Lane
  /// The lobby, for the lane `session`.
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
    self.room = lane == .session ? .lobby : room
    self.counter = counter
    self.value = value
  }

  /// No record is shorter: head, session, counter, and a room's length or a value.
  package static let leastBytes = 1 + SessionID.byteCount + 2

  private static let tombstoneBit: UInt8 = 0x80

  /// Writes the record. Returns where the value lies.
  @discardableResult
  package func write(to writer: inout ByteWriter) -> Range<Int> {
    writer.byte(lane.rawValue | (value == nil ? Self.tombstoneBit : 0))
    writer.session(session)
    if lane != .session { writer.text(room.text) }
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

  /// Reads a record and checks its value. `valueRange` is where the value lies in the bytes.
  package static func read(
    from reader: inout ByteReader
  ) throws(WireError) -> (record: Record, valueRange: Range<Int>) {
    let head = try reader.byte()
    guard head & ~(tombstoneBit | 7) == 0, let lane = Lane(rawValue: head & 7) else {
      throw .notCanonical
    }
    let session = try reader.session()
    let room = lane == .session ? RoomName.lobby : try reader.room()
    guard lane != .interest || session == .nobody && room.isLobby else { throw .notCanonical }
    let counter = try reader.varint(below: Limits.counterBound)
    let start = reader.offset
    let value = head & tombstoneBit == 0 ? try RecordValue.read(lane, from: &reader) : nil
    let record = Record(session: session, lane: lane, room: room, counter: counter, value: value)
    return (record, start..<reader.offset)
  }
}

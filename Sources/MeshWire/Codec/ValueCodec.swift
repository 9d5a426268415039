package import MeshCRDT

/// The values of records, as bytes.
package enum ValueCodec {
  // MARK: Session

  package static func write(_ value: SessionValue, to writer: inout ByteWriter) {
    writer.text(value.profile.userID)
    writer.text(value.profile.name)
    writer.byte(UInt8(truncatingIfNeeded: value.profile.colour.rgb >> 16))
    writer.uint16(UInt16(truncatingIfNeeded: value.profile.colour.rgb))
    writer.text(value.profile.avatar)
    writer.blob(value.profile.data)
    writer.text(value.device)
    writer.varint(value.joinedAt.milliseconds)
  }

  package static func readSession(
    from reader: inout ByteReader
  ) throws(WireError) -> SessionValue {
    let userID = try reader.text(atMost: Limits.userIDBytes)
    guard !userID.isEmpty else { throw .outOfBounds }
    let name = try reader.text(atMost: Limits.nameBytes)
    let red = UInt32(try reader.byte())
    let colour = Colour(rgb: red << 16 | UInt32(try reader.uint16()))
    let avatar = try reader.text(atMost: Limits.avatarBytes)
    let data = try reader.blob(atMost: Limits.profileDataBytes)
    let device = try reader.text(atMost: Limits.deviceBytes)
    let joinedAt = WallTime(milliseconds: try reader.varint(below: Limits.counterBound))
    return SessionValue(
      profile: Profile(userID: userID, name: name, colour: colour, avatar: avatar, data: data),
      device: device, joinedAt: joinedAt)
  }

  // MARK: Presence

  package static func write(_ value: PresenceValue, to writer: inout ByteWriter) {
    writer.varint(value.enteredCounter)
    writer.byte(value.status?.status.rawValue ?? 0)
    if let status = value.status {
      writer.varint(status.counter)
      writer.varint(status.changedAt.milliseconds)
    }
    writer.text(value.message)
    writer.flag(value.isTyping)
    writer.blob(value.data)
  }

  package static func readPresence(
    from reader: inout ByteReader
  ) throws(WireError) -> PresenceValue {
    let entered = try reader.varint(below: Limits.counterBound)
    let code = try reader.byte()
    var status: StatusValue?
    if code != 0 {
      guard let value = Status(rawValue: code) else { throw .outOfBounds }
      let counter = try reader.varint(below: Limits.counterBound)
      let changedAt = WallTime(milliseconds: try reader.varint(below: Limits.counterBound))
      status = StatusValue(status: value, counter: counter, changedAt: changedAt)
    }
    return PresenceValue(
      enteredCounter: entered, status: status,
      message: try reader.text(atMost: Limits.messageBytes), isTyping: try reader.flag(),
      data: try reader.blob(atMost: Limits.presenceDataBytes))
  }

  // MARK: Cursor

  /// Flags: bit 0 visible, bit 1 an anchor follows; the others are 0.
  package static func write(_ value: Cursor, to writer: inout ByteWriter) {
    writer.uint16(value.column)
    writer.uint16(value.row)
    writer.byte((value.isVisible ? 1 : 0) | (value.anchor == nil ? 0 : 2))
    if let anchor = value.anchor { writer.text(anchor) }
  }

  package static func readCursor(from reader: inout ByteReader) throws(WireError) -> Cursor {
    let column = try reader.uint16()
    let row = try reader.uint16()
    let flags = try reader.byte()
    guard flags < 4 else { throw .notCanonical }
    let anchor = flags & 2 == 0 ? nil : try reader.text(atMost: Limits.anchorBytes)
    return Cursor(column: column, row: row, isVisible: flags & 1 == 1, anchor: anchor)
  }
}

extension ValueCodec {
  // The number of rooms, then their ids, lowest first.

  static func write(_ value: InterestValue, to writer: inout ByteWriter) {
    writer.varint(UInt64(value.rooms.count))
    for room in value.rooms { writer.uint64(room.bits) }
  }

  static func readInterest(from reader: inout ByteReader) throws(WireError) -> InterestValue {
    let count = try reader.varint(below: UInt64(Limits.roomsFollowed) + 1)
    var rooms: [RoomID] = []
    for _ in 0..<count {
      let room = try reader.roomID()
      guard rooms.last.map({ $0 < room }) ?? true else { throw .notCanonical }
      rooms.append(room)
    }
    return InterestValue(rooms: rooms)
  }
}

/// The value of a record, by lane.
package enum RecordValue: Hashable, Sendable {
  case session(SessionValue)
  case presence(PresenceValue)
  case cursor(Cursor)
  case removal(RemovalValue)
  case interest(InterestValue)
  /// That the session is there is all that is said.
  case visit

  package var lane: Lane {
    switch self {
    case .session: .session
    case .presence: .presence
    case .cursor: .cursor
    case .removal: .removal
    case .interest: .interest
    case .visit: .visit
    }
  }

  package func write(to writer: inout ByteWriter) {
    switch self {
    case .session(let value): ValueCodec.write(value, to: &writer)
    case .presence(let value): ValueCodec.write(value, to: &writer)
    case .cursor(let value): ValueCodec.write(value, to: &writer)
    case .removal(let value): writer.flag(value.isFinal)
    case .interest(let value): ValueCodec.write(value, to: &writer)
    case .visit: break
    }
  }

  package static func read(_ lane: Lane, from reader: inout ByteReader) throws(WireError) -> Self {
    switch lane {
    case .session: .session(try ValueCodec.readSession(from: &reader))
    case .presence: .presence(try ValueCodec.readPresence(from: &reader))
    case .cursor: .cursor(try ValueCodec.readCursor(from: &reader))
    case .removal: .removal(RemovalValue(isFinal: try reader.flag()))
    case .interest: .interest(try ValueCodec.readInterest(from: &reader))
    case .visit: .visit
    }
  }
}

extension Cell {
  /// The counter at which a session entered the room, of a presence; `nil` for a tombstone. It is the
  /// first field of the value.
  package var enteredCounter: UInt64? {
    guard !isTombstone else { return nil }
    let slice = value
    var reader = ByteReader(bytesOfValue, range: slice.startIndex..<slice.endIndex)
    return try? reader.varint(below: Limits.counterBound)
  }

  /// The decoded value; `nil` for a tombstone. The bytes were checked when the batch was decoded.
  package func decoded(_ lane: Lane) -> RecordValue? {
    guard !isTombstone else { return nil }
    let slice = value
    var reader = ByteReader(bytesOfValue, range: slice.startIndex..<slice.endIndex)
    return try? RecordValue.read(lane, from: &reader)
  }
}

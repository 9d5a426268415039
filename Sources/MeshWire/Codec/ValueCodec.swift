import MeshCRDT

/// The values of records, as bytes.
enum ValueCodec {
  // MARK: Session

  static func write(_ value: SessionValue, to writer: inout ByteWriter) {
    writer.text(value.profile.userID)
    writer.text(value.profile.name)
    writer.byte(UInt8(truncatingIfNeeded: value.profile.colour.rgb >> 16))
    writer.uint16(UInt16(truncatingIfNeeded: value.profile.colour.rgb))
    writer.text(value.profile.avatar)
    writer.blob(value.profile.data)
    writer.text(value.device)
    writer.varint(value.joinedAt.milliseconds)
  }

  static func readSession(
    from reader: inout ByteReader
  ) throws(WireError) -> SessionValue {
    let userID = try reader.text(atLeast: 1, atMost: Limits.userIDBytes)
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

  static func write(_ value: PresenceValue, to writer: inout ByteWriter) {
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

  static func readPresence(
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
  static func write(_ value: Cursor, to writer: inout ByteWriter) {
    writer.uint16(value.column)
    writer.uint16(value.row)
    writer.byte((value.isVisible ? 1 : 0) | (value.anchor == nil ? 0 : 2))
    if let anchor = value.anchor { writer.text(anchor) }
  }

  static func readCursor(from reader: inout ByteReader) throws(WireError) -> Cursor {
    let column = try reader.uint16()
    let row = try reader.uint16()
    let flags = try reader.byte()
    guard flags < 4 else { throw .notCanonical }
    let anchor = flags & 2 == 0 ? nil : try reader.text(atMost: Limits.anchorBytes)
    return Cursor(column: column, row: row, isVisible: flags & 1 == 1, anchor: anchor)
  }
}

extension ValueCodec {
  // MARK: Subscription

  /// The number of rooms, then their ids, lowest first, each once.
  static func write(subscription rooms: some Sequence<RoomID>, to writer: inout ByteWriter) {
    let rooms = Set(rooms).sorted()
    writer.varint(UInt64(rooms.count))
    for room in rooms { writer.uint64(room.bits) }
  }

  static func readSubscription(from reader: inout ByteReader) throws(WireError) -> [RoomID] {
    let count = try reader.varint(below: UInt64(Limits.roomsSubscribed) + 1)
    var rooms: [RoomID] = []
    for _ in 0..<count {
      let room = try reader.roomID()
      guard rooms.last.map({ $0 < room }) ?? true else { throw .notCanonical }
      rooms.append(room)
    }
    return rooms
  }

  // MARK: Removal

  static func write(_ value: RemovalValue, to writer: inout ByteWriter) {
    writer.flag(value.isFinal)
  }

  static func readRemoval(from reader: inout ByteReader) throws(WireError) -> RemovalValue {
    RemovalValue(isFinal: try reader.flag())
  }
}

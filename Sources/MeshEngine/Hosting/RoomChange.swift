import MeshCRDT

/// A change of a record, with the room in whose log it is to be written.
struct RoomChange: Hashable, Sendable {
  let room: RoomName
  let change: RecordChange

  /// - Parameter room: the room that the record speaks of. Only presences and cursors stand in its
  ///   log; all other records stand in the lobby's.
  init(
    _ kind: RecordKind, _ session: SessionID, _ room: RoomName = .lobby, counter: UInt64,
    value: [UInt8]?
  ) {
    let isOfRoom = kind == .presence || kind == .cursor
    self.room = isOfRoom ? room : .lobby
    change = RecordChange(
      EntryKey(kind, session, room: room), counter: counter, value: value)
  }
}

/// A session in a room.
struct SessionPlace: Hashable, Comparable, Sendable {
  let session: SessionID
  let room: RoomName

  init(_ session: SessionID, _ room: RoomName) {
    self.session = session
    self.room = room
  }

  static func < (left: Self, right: Self) -> Bool {
    left.session == right.session ? left.room < right.room : left.session < right.session
  }
}

/// What a change of local sessions asks the writers and the clocks of this node to do, in order.
enum HostingAction: Hashable, Sendable {
  case write(RoomChange)
  /// The lease of a session, counted from now.
  case lease(SessionID, Lease)
  /// A sign of life of a session's client.
  case heard(SessionID)
  /// Typing begins or goes on, or ends.
  case typing(SessionPlace, isOn: Bool)
  /// A cursor moved.
  case move(SessionPlace, Cursor)
  /// A cursor came with a session from another host, at rest.
  case adoptCursor(SessionPlace, Cursor, counter: UInt64)
  /// A session left a room, with its typing and its cursor.
  case leave(SessionPlace, counter: UInt64)
  /// A session is not hosted any more. What it had in rooms has gone by ``leave(_:counter:)``.
  case end(SessionID)
  /// A session is hosted by another node now: its clocks stop, its records stay for a while.
  case handOver(SessionID, rooms: [RoomName])
  /// A session left a room, or ended (the lobby), of which other origins hold records.
  case depart(SessionPlace, counter: UInt64, holders: [OriginID])
  case emit(MeshEvent)
}

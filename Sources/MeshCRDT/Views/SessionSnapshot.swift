/// A session as it is seen: the values of its winning host.
public struct SessionSnapshot: Hashable, Sendable {
  /// A session in a room.
  public struct Place: Hashable, Sendable {
    /// The room.
    public let room: RoomName
    /// What the session says there.
    public let presence: PresenceValue
    /// Where its cursor is, if it has shown one.
    public let cursor: Cursor?

    package init(room: RoomName, presence: PresenceValue, cursor: Cursor?) {
      self.room = room
      self.presence = presence
      self.cursor = cursor
    }
  }

  /// The id of the session.
  public let id: SessionID
  /// The node that hosts it.
  public let host: OriginID
  /// User, profile, device and start.
  public let value: SessionValue
  /// The rooms that it is in, in the order of their names. The lobby is listed when something was
  /// said there.
  public let places: [Place]

  package init(id: SessionID, host: OriginID, value: SessionValue, places: [Place]) {
    self.id = id
    self.host = host
    self.value = value
    self.places = places.sorted { $0.room < $1.room }
  }

  /// The session's place in a room, if it is there.
  public func place(in room: RoomName) -> Place? { places.first { $0.room == room } }

  package func moving(in room: RoomName, to cursor: Cursor) -> SessionSnapshot {
    SessionSnapshot(
      id: id, host: host, value: value,
      places: places.map {
        $0.room == room ? Place(room: room, presence: $0.presence, cursor: cursor) : $0
      })
  }
}

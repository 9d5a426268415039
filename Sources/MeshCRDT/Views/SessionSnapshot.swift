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
  /// The rooms that its host says it is in and that this node does not follow, in the order of their
  /// names: what the session says there is not known here.
  public let visits: [RoomName]

  package init(
    id: SessionID, host: OriginID, value: SessionValue, places: [Place], visits: [RoomName] = []
  ) {
    self.id = id
    self.host = host
    self.value = value
    // Nearly every session is in one room.
    self.places = places.count < 2 ? places : places.sorted { $0.room < $1.room }
    self.visits = visits.count < 2 ? visits : visits.sorted()
  }

  /// The session's place in a room, if it is there.
  public func place(in room: RoomName) -> Place? { places.first { $0.room == room } }

  /// True when the session is in a room, as far as its host has told.
  public func isIn(_ room: RoomName) -> Bool {
    place(in: room) != nil || visits.contains(room)
  }

  /// The rooms that the session is in, as far as its host has told.
  package var rooms: [RoomName] {
    visits.isEmpty ? places.map(\.room) : places.map(\.room) + visits
  }

  package func moving(in room: RoomName, to cursor: Cursor) -> SessionSnapshot {
    SessionSnapshot(
      id: id, host: host, value: value,
      places: places.map {
        $0.room == room ? Place(room: room, presence: $0.presence, cursor: cursor) : $0
      }, visits: visits)
  }
}

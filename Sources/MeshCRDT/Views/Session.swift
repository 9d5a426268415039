/// A session as it is seen in one room.
///
/// What is said in the room stands before what is said in the lobby: without a status of its own in
/// the room, a session has the one of the lobby. Equal on every node that holds the same records,
/// but for ``suspectSince``.
public struct Session: Hashable, Sendable, Identifiable {
  /// The id of the session.
  public let id: SessionID
  /// The node that hosts it.
  public let host: OriginID
  /// Whose session it is.
  public let profile: Profile
  /// What it runs on, up to ``Limits/deviceBytes`` bytes; may be empty.
  public let device: String
  /// When it began, by the clock of its host.
  public let joinedAt: WallTime
  /// The room in which it is seen so.
  public let room: RoomName
  /// The status with its stamp; `nil` when none was set in the room or in the lobby.
  package let statusValue: StatusValue?
  /// The message that goes with the status, up to ``Limits/messageBytes`` bytes; empty for none.
  public let message: String
  /// True while it types in this room.
  public let isTyping: Bool
  /// Free data in this room, up to ``Limits/presenceDataBytes`` bytes.
  public let data: [UInt8]
  /// Where its cursor is in this room, if it has shown one.
  public let cursor: Cursor?
  /// Since when, by the clock of this node, the host has not been heard of; `nil`: it is heard.
  public let suspectSince: WallTime?

  /// The status; ``Status/online`` when none was set.
  public var status: Status { statusValue?.status ?? .online }

  /// When the status was set, by the clock of the host; `nil` when none was.
  public var statusChangedAt: WallTime? { statusValue?.changedAt }

  /// True when the host has not been heard of for half of its time to live.
  public var isSuspect: Bool { suspectSince != nil }
}

extension Session {
  /// The view of a session in a room; `nil` when it is not there. Every session is in the lobby.
  package init?(_ snapshot: SessionSnapshot, in room: RoomName, suspectSince: WallTime?) {
    let own = snapshot.place(in: room)
    guard own != nil || room.isLobby || snapshot.visits.contains(room) else { return nil }
    let lobby = room.isLobby ? own : snapshot.place(in: .lobby)
    // A message belongs to the status that it was set with.
    let said = [own, lobby].lazy.compactMap { $0?.presence }.first { $0.status != nil }
    let messages = [own, lobby].lazy.compactMap { $0?.presence.message }
    id = snapshot.id
    host = snapshot.host
    profile = snapshot.value.profile
    device = snapshot.value.device
    joinedAt = snapshot.value.joinedAt
    self.room = room
    statusValue = said?.status
    message = said?.message ?? messages.first { !$0.isEmpty } ?? ""
    isTyping = own?.presence.isTyping ?? false
    data = own?.presence.data ?? []
    cursor = own?.cursor
    self.suspectSince = suspectSince
  }

  /// The same session with another cursor.
  package func moving(to cursor: Cursor) -> Session {
    Session(
      id: id, host: host, profile: profile, device: device, joinedAt: joinedAt, room: room,
      statusValue: statusValue, message: message, isTyping: isTyping, data: data, cursor: cursor,
      suspectSince: suspectSince)
  }

  /// The same session with another word on its host.
  package func suspected(since time: WallTime?) -> Session {
    Session(
      id: id, host: host, profile: profile, device: device, joinedAt: joinedAt, room: room,
      statusValue: statusValue, message: message, isTyping: isTyping, data: data, cursor: cursor,
      suspectSince: time)
  }

  /// True when the sessions differ in nothing but what has changes of its own.
  func isAlike(_ other: Session, exceptStatus: Bool, exceptTyping: Bool) -> Bool {
    id == other.id && host == other.host && profile == other.profile && device == other.device
      && joinedAt == other.joinedAt && data == other.data && suspectSince == other.suspectSince
      && (exceptStatus || statusValue == other.statusValue && message == other.message)
      && (exceptTyping || isTyping == other.isTyping)
      && (cursor == other.cursor || other.cursor != nil)
  }
}

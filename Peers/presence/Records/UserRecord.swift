import PresenceMesh

/// A user in a listing.
struct UserRecord: Codable, Hashable, Sendable {
  var id: String
  var name: String
  /// `#rrggbb`.
  var colour: String
  var avatar: String
  var online: Bool
  /// True when the nodes of all sessions have not been heard of for a while.
  var suspect: Bool
  /// `online`, `away`, `busy`, `active`, `idle` or `typing`: the last one of a user who has gone.
  var status: String
  @Nullable var statusChangedAtMs: UInt64?
  var message: String
  var typing: Bool
  /// The number of sessions.
  var devices: Int
  var joinedAtMs: UInt64
  /// `null` for a user who is seen now.
  @Nullable var lastSeenAtMs: UInt64?
  /// `null` while the user is online.
  @Nullable var lastDisconnectedAtMs: UInt64?
  var sessions: [SessionRecord]

  init(_ user: User) {
    id = user.id
    name = user.profile.name
    colour = user.profile.colour.description
    avatar = user.profile.avatar
    online = user.isOnline
    suspect = user.isSuspect
    status = user.status.name
    _statusChangedAtMs = Nullable(wrappedValue: user.statusChangedAt?.milliseconds)
    message = user.message
    typing = user.isTyping
    devices = user.devices
    joinedAtMs = user.joinedAt.milliseconds
    _lastSeenAtMs = Nullable(wrappedValue: user.lastSeen?.milliseconds)
    _lastDisconnectedAtMs = Nullable(wrappedValue: user.lastDisconnected?.milliseconds)
    sessions = user.sessions.map { SessionRecord($0) }
  }
}

/// A session of a user in a listing, as it is seen in the room.
struct SessionRecord: Codable, Hashable, Sendable {
  var id: String
  /// The id of the node that hosts it.
  var node: String
  var device: String
  var status: String
  var message: String
  var typing: Bool
  var suspect: Bool
  var joinedAtMs: UInt64
  @Nullable var cursor: CursorRecord?

  init(_ session: Session) {
    id = "\(session.id)"
    node = "\(session.host)"
    device = session.device
    status = session.status.name
    message = session.message
    typing = session.isTyping
    suspect = session.isSuspect
    joinedAtMs = session.joinedAt.milliseconds
    _cursor = Nullable(wrappedValue: session.cursor.map { CursorRecord($0) })
  }
}

/// A cursor in a listing.
struct CursorRecord: Codable, Hashable, Sendable {
  /// 0…1, four digits.
  var x: Double
  var y: Double
  var visible: Bool
  @Nullable var anchor: String?

  init(_ cursor: Cursor) {
    x = (cursor.x * 10_000).rounded() / 10_000
    y = (cursor.y * 10_000).rounded() / 10_000
    visible = cursor.isVisible
    _anchor = Nullable(wrappedValue: cursor.anchor)
  }
}

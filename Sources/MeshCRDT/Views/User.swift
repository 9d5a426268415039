/// A user as seen in one room: what follows from the sessions that the user has there.
///
/// Everything about a user who is online is derived from the live sessions, each time anew; nothing
/// is counted up or down. A user who has gone keeps the last profile, status and message.
public struct User: Hashable, Sendable, Identifiable {
  /// The live sessions, in the order of their ids; none of a user who has gone.
  public let sessions: [Session]
  /// The profile of the session that began last (of several, the one with the highest id).
  public let profile: Profile
  /// The one status: that with the highest stamp among the sessions, ``Status/online`` for none.
  public let status: Status
  /// When the status was set, by the clock of the node that set it; `nil` when none was.
  public let statusChangedAt: WallTime?
  /// The message that was set with the status; empty for none.
  public let message: String
  /// True while any of the sessions types in this room.
  public let isTyping: Bool
  /// When the earliest of the sessions began, by the clock of its host.
  public let joinedAt: WallTime
  /// When the user was last seen, by the clock of this node: `nil` for a user who is seen now; the
  /// time at which the last host fell silent; the time of going.
  public let lastSeen: WallTime?
  /// When the last session went, by the clock of this node; `nil` while the user is online.
  public let lastDisconnected: WallTime?

  /// The id that tells users apart, byte by byte: no Unicode normalization.
  public var id: String { profile.userID }

  /// The number of live sessions: tabs, devices, processes.
  public var devices: Int { sessions.count }

  /// True when there is a live session.
  public var isOnline: Bool { !sessions.isEmpty }

  /// True when there are live sessions and none of their hosts is heard of.
  public var isSuspect: Bool { isOnline && sessions.allSatisfy(\.isSuspect) }
}

extension User {
  /// The user of some sessions, in the order of their ids; `nil` for no sessions.
  package init?(sessions: [Session]) {
    guard let newest = sessions.max(by: { ($0.joinedAt, $0.id) < ($1.joinedAt, $1.id) }),
      let saying = sessions.max(by: { Self.standing($0) < Self.standing($1) }),
      let joinedAt = sessions.lazy.map(\.joinedAt).min()
    else { return nil }
    self.sessions = sessions
    profile = newest.profile
    status = saying.status
    statusChangedAt = saying.statusChangedAt
    message = saying.message
    isTyping = sessions.contains(where: \.isTyping)
    self.joinedAt = joinedAt
    let silences = sessions.compactMap(\.suspectSince)
    lastSeen = silences.count == sessions.count ? silences.max() : nil
    lastDisconnected = nil
  }

  /// How much a session's status weighs: the stamp decides. Between sessions that never set one,
  /// whatever order is the same on every node, those with a message first.
  private static func standing(_ session: Session) -> (Stamp, Int, SessionID) {
    let counter = session.statusValue?.counter ?? 0
    guard counter > 0 else {
      let none = Stamp(counter: 0, origin: OriginID(0, 0, 0, 0))
      return (none, session.message.isEmpty ? 0 : 1, session.id)
    }
    return (Stamp(counter: counter, origin: session.host), 0, session.id)
  }

  /// The same user after the last session went.
  package func departed(at time: WallTime) -> User {
    User(
      sessions: [], profile: profile, status: status, statusChangedAt: statusChangedAt,
      message: message, isTyping: false, joinedAt: joinedAt, lastSeen: lastSeen ?? time,
      lastDisconnected: time)
  }

  /// The same user with the cursor of a session elsewhere.
  package func moving(_ session: SessionID, to cursor: Cursor) -> User {
    User(
      sessions: sessions.map { $0.id == session ? $0.moving(to: cursor) : $0 }, profile: profile,
      status: status, statusChangedAt: statusChangedAt, message: message, isTyping: isTyping,
      joinedAt: joinedAt, lastSeen: lastSeen, lastDisconnected: lastDisconnected)
  }
}

/// The id of a user as a key: equal when the bytes are, ordered by them, on every node.
package struct UserKey: Hashable, Comparable, Sendable {
  package let text: String

  package init(_ text: String) { self.text = text }

  package static func == (left: Self, right: Self) -> Bool {
    left.text.utf8.elementsEqual(right.text.utf8)
  }

  package static func < (left: Self, right: Self) -> Bool {
    left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
  }

  package func hash(into hasher: inout Hasher) {
    let hashed: Void? = text.utf8.withContiguousStorageIfAvailable {
      hasher.combine(bytes: UnsafeRawBufferPointer($0))
    }
    if hashed == nil { for byte in text.utf8 { hasher.combine(byte) } }
    hasher.combine(UInt8(0xFF))
  }
}

import PresenceMesh

/// What a client may do in a room.
public enum AccessRight: String, Hashable, CaseIterable, Sendable {
  /// To see the room.
  case read
  /// To be in the room and speak there.
  case publish
  /// To remove others from the room.
  case moderate
}

/// Who a client is, and what it may do.
struct Access: Sendable {
  /// The user that it speaks for; `nil`: for any, in the trusted mode.
  let user: String?
  /// Rights by room; a name with `*` at the end stands for all that begin so.
  private let rooms: [String: Set<AccessRight>]
  /// When it ends, in milliseconds since 1970; `nil`: never.
  let expiresAt: UInt64?

  /// Everything is allowed.
  static let trusted = Access(
    user: nil, rooms: ["*": Set(AccessRight.allCases)], expiresAt: nil)

  init(user: String?, rooms: [String: Set<AccessRight>], expiresAt: UInt64?) {
    self.user = user
    self.rooms = rooms
    self.expiresAt = expiresAt
  }

  var isTrusted: Bool { user == nil }

  func allows(_ right: AccessRight, in room: RoomName) -> Bool {
    if let rights = rooms[room.text], rights.contains(right) { return true }
    return rooms.contains { pattern, rights in
      pattern.hasSuffix("*") && rights.contains(right)
        && room.text.utf8.starts(with: pattern.utf8.dropLast())
    }
  }

  /// True when the right holds in every room.
  func allowsEverywhere(_ right: AccessRight) -> Bool { rooms["*"]?.contains(right) == true }

  /// Throws unless the room may be read: what may not be read does not exist.
  func checkReading(_ room: RoomName) throws(GatewayError) {
    guard allows(.read, in: room) else {
      throw GatewayError(.unknownRoom, "there is no such room, or the token may not read it")
    }
  }

  func check(_ right: AccessRight, in room: RoomName) throws(GatewayError) {
    try checkReading(room)
    guard allows(right, in: room) else {
      throw GatewayError(.forbidden, "the token has no right to \(right.rawValue) in this room")
    }
  }

  func checkSpeaking(for user: String) throws(GatewayError) {
    guard let mine = self.user, !mine.utf8.elementsEqual(user.utf8) else { return }
    throw GatewayError(.forbidden, "the token speaks for another user")
  }
}

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
    // Names are equal when their bytes are: those of rooms are not normalized.
    rooms.contains { pattern, rights in
      guard rights.contains(right) else { return false }
      return pattern.utf8.last == UInt8(ascii: "*")
        ? room.text.utf8.starts(with: pattern.utf8.dropLast())
        : room.text.utf8.elementsEqual(pattern.utf8)
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

  /// True for the user that the token is for.
  func isUser(_ user: String) -> Bool { self.user?.utf8.elementsEqual(user.utf8) ?? false }

  func checkSpeaking(for user: String) throws(GatewayError) {
    guard self.user != nil, !isUser(user) else { return }
    throw GatewayError(.forbidden, "the token speaks for another user")
  }
}

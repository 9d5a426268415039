/// The value of a `session` record.
public struct SessionValue: Hashable, Sendable {
  /// Whose session it is.
  public var profile: Profile
  /// What it runs on, up to 32 bytes.
  public var device: String
  /// When it began, by the clock of its host.
  public var joinedAt: WallTime

  /// Makes a session value.
  public init(profile: Profile, device: String, joinedAt: WallTime) {
    self.profile = profile
    self.device = device
    self.joinedAt = joinedAt
  }

  /// Texts are equal when their bytes are.
  public static func == (left: Self, right: Self) -> Bool {
    left.profile == right.profile && areSame(left.device, right.device)
      && left.joinedAt == right.joinedAt
  }
}

/// The value of a `presence` record: a session in a room.
public struct PresenceValue: Hashable, Sendable {
  /// The Lamport counter of entering the room. Cursors that are older do not belong to this stay.
  public var enteredCounter: UInt64
  /// The status in this room; `nil`: as in the lobby.
  public var status: StatusValue?
  /// A message of at most 140 bytes; empty for none.
  public var message: String
  /// True while the user types here.
  public var isTyping: Bool
  /// Free data of the application, up to 384 bytes.
  public var data: [UInt8]

  /// Makes a presence value.
  public init(
    enteredCounter: UInt64, status: StatusValue? = nil, message: String = "",
    isTyping: Bool = false, data: [UInt8] = []
  ) {
    self.enteredCounter = enteredCounter
    self.status = status
    self.message = message
    self.isTyping = isTyping
    self.data = data
  }

  /// Texts are equal when their bytes are.
  public static func == (left: Self, right: Self) -> Bool {
    left.enteredCounter == right.enteredCounter && left.status == right.status
      && areSame(left.message, right.message) && left.isTyping == right.isTyping
      && left.data == right.data
  }
}

/// The value of a `removal` record.
package struct RemovalValue: Hashable, Sendable {
  /// True: the session may not come back while the order stands.
  package var isFinal: Bool

  package init(isFinal: Bool) { self.isFinal = isFinal }
}

/// The position of a cursor in a room.
public struct Cursor: Hashable, Sendable {
  /// Horizontal position in 1/65,535 of the width.
  public let column: UInt16
  /// Vertical position in 1/65,535 of the height.
  public let row: UInt16
  /// False when the pointer has left the room's surface.
  public let isVisible: Bool
  /// What the position belongs to (a selection, an element id), up to 64 bytes.
  public let anchor: String?

  /// Makes a cursor from a position in 0…1 × 0…1; what lies outside is moved to the edge, and what
  /// is not a number to 0.
  public init(x: Double, y: Double, isVisible: Bool = true, anchor: String? = nil) {
    func fixed(_ value: Double) -> UInt16 {
      value.isNaN ? 0 : UInt16(min(max(value, 0), 1) * 65_535 + 0.5)
    }
    self.init(column: fixed(x), row: fixed(y), isVisible: isVisible, anchor: anchor)
  }

  package init(column: UInt16, row: UInt16, isVisible: Bool, anchor: String?) {
    self.column = column
    self.row = row
    self.isVisible = isVisible
    self.anchor = anchor
  }

  /// Anchors are equal when their bytes are.
  public static func == (left: Self, right: Self) -> Bool {
    left.column == right.column && left.row == right.row && left.isVisible == right.isVisible
      && areSame(left.anchor ?? "", right.anchor ?? "")
      && (left.anchor == nil) == (right.anchor == nil)
  }

  /// Horizontal position in 0…1.
  public var x: Double { Double(column) / 65_535 }
  /// Vertical position in 0…1.
  public var y: Double { Double(row) / 65_535 }
}

extension Cursor {
  /// Settles two cursors of one counter: a total order over what they say.
  package func precedes(_ other: Cursor) -> Bool {
    if column != other.column { return column < other.column }
    if row != other.row { return row < other.row }
    if isVisible != other.isVisible { return other.isVisible }
    // No anchor is another value than an empty one.
    guard let anchor, let otherAnchor = other.anchor else {
      return anchor == nil && other.anchor != nil
    }
    return anchor.utf8.lexicographicallyPrecedes(otherAnchor.utf8)
  }
}

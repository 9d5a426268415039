/// What a record speaks about.
package enum Lane: UInt8, Hashable, CaseIterable, Comparable, Sendable {
  /// A session: its user, profile, device and start.
  case session = 0
  /// A session in a room: status, message, typing, data.
  case presence = 1
  /// The cursor of a session in a room.
  case cursor = 2
  /// The order that a session, of whatever host, leaves a room; for the lobby, that it ends.
  case removal = 3
  /// The rooms whose cursors the origin wants to be told; it concerns no session.
  case interest = 4

  package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// The key of a record inside the log of one origin: session, lane, room.
///
/// Layout: 24 bytes; the lane lies in the three free bits of the room.
package struct RecordKey: Hashable, Comparable, Sendable {
  package let session: SessionID
  private let place: UInt64

  /// The key of the session itself.
  package init(session: SessionID) {
    self.session = session
    place = 0
  }

  /// The key of what is said of a session in a room.
  package init(session: SessionID, lane: Lane, room: RoomID) {
    self.session = session
    place = lane == .session ? 0 : room.bits | UInt64(lane.rawValue)
  }

  /// The key of the origin's interest: it concerns no session, and all rooms.
  package static func interest(lobby: RoomID) -> Self {
    RecordKey(session: .nobody, lane: .interest, room: lobby)
  }

  package var lane: Lane {
    switch place & 7 {
    case 1: .presence
    case 2: .cursor
    case 3: .removal
    case 4: .interest
    default: .session
    }
  }

  package var room: RoomID { RoomID(bits: place) }

  /// True for what stands outside of the sessions of the origin.
  package var isNotice: Bool { place & 7 > 2 }

  package static func < (left: Self, right: Self) -> Bool {
    left.session == right.session ? left.place < right.place : left.session < right.session
  }
}

extension RecordKey: DenseKey {
  package var spread: UInt64 {
    DenseSeed.spread(session.high ^ place, session.low &+ place.byteSwapped)
  }
}

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
  /// The rooms that the origin wants to be told of; it concerns no session.
  case interest = 4
  /// That a session is in a room, for those who are not told what it says there.
  case visit = 5

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
  package static let interest = RecordKey(session: .nobody, lane: .interest, room: .lobby)

  package var lane: Lane {
    switch place & 7 {
    case 1: .presence
    case 2: .cursor
    case 3: .removal
    case 4: .interest
    case 5: .visit
    default: .session
    }
  }

  package var room: RoomID { RoomID(bits: place) }

  /// The shelf of the origin's log that the record stands on: that of the room in which something is
  /// said, and the lobby's for all that everybody is told.
  package var shelf: RoomID {
    switch place & 7 {
    case 1, 2: RoomID(bits: place)
    default: .lobby
    }
  }

  /// True for what stands outside of the sessions of the origin.
  package var isNotice: Bool { place & 7 == 3 || place & 7 == 4 }

  package static func < (left: Self, right: Self) -> Bool {
    left.session == right.session ? left.place < right.place : left.session < right.session
  }
}

extension RecordKey: DenseKey {
  package var spread: UInt64 {
    DenseSeed.spread(session.high ^ place, session.low &+ place.byteSwapped)
  }
}

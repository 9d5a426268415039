import MeshCRDT

/// Which users an origin may speak for. Ids of users are compared by bytes.
package enum UserScope: Hashable, Sendable {
  case none
  case all
  /// 1…``bound`` patterns, strictly rising.
  case some([UserPattern])

  /// The most patterns.
  package static let bound = 8

  /// The scope of some patterns, in any order; `nil` when there are none or too many of them.
  package init?(_ patterns: some Sequence<UserPattern>) {
    let sorted = Set(patterns).sorted()
    guard 1...Self.bound ~= sorted.count else { return nil }
    self = .some(sorted)
  }

  package func includes(_ user: String) -> Bool {
    switch self {
    case .none: false
    case .all: true
    case .some(let patterns): patterns.contains { $0.includes(user) }
    }
  }
}

/// A user id, or the beginning of user ids.
package struct UserPattern: Hashable, Comparable, Sendable {
  package let text: String
  /// True: all ids that begin with ``text``.
  package let isPrefix: Bool

  /// `nil` when the text is empty, too long, or not plain.
  package init?(_ text: String, isPrefix: Bool = false) {
    guard 1...Limits.userIDBytes ~= text.utf8.count, isPlain(text) else { return nil }
    self.init(unchecked: text, isPrefix: isPrefix)
  }

  fileprivate init(unchecked text: String, isPrefix: Bool) {
    self.text = text
    self.isPrefix = isPrefix
  }

  func includes(_ user: String) -> Bool {
    isPrefix ? user.utf8.starts(with: text.utf8) : user.utf8.elementsEqual(text.utf8)
  }

  package static func == (left: Self, right: Self) -> Bool {
    left.isPrefix == right.isPrefix && left.text.utf8.elementsEqual(right.text.utf8)
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(isPrefix)
    for byte in text.utf8 { hasher.combine(byte) }
  }

  package static func < (left: Self, right: Self) -> Bool {
    left.text.utf8.elementsEqual(right.text.utf8)
      ? !left.isPrefix && right.isPrefix
      : left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
  }
}

/// What a member may do beyond speaking for its users.
package enum Role: UInt8, Hashable, Comparable, CaseIterable, Sendable {
  case member = 0
  /// May also remove the sessions of others.
  case moderator = 1
  /// May also issue tickets to members and moderators, revoke, and rotate the mesh key.
  case admin = 2

  package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// The most that an origin may have, each below 2^32; 0: as much as the protocol allows.
package struct Quotas: Hashable, Sendable {
  package var sessions: UInt64
  package var rooms: UInt64
  package var records: UInt64
  /// Of its batches and cursor frames, in a second.
  package var bytesPerSecond: UInt64

  package static let valueBound: UInt64 = 1 << 32
  package static let none = Quotas()

  package init(
    sessions: UInt64 = 0, rooms: UInt64 = 0, records: UInt64 = 0, bytesPerSecond: UInt64 = 0
  ) {
    self.sessions = sessions
    self.rooms = rooms
    self.records = records
    self.bytesPerSecond = bytesPerSecond
  }
}

/// What a certificate gives.
///
/// Layout: role (1), users (1: 0 none, 1 all, 2 patterns; then a count (varint), and for each a prefix flag
/// and a text), quotas (4 varints).
package struct Rights: Hashable, Sendable {
  package var role: Role
  package var users: UserScope
  package var quotas: Quotas

  /// What every member of an open mesh may do.
  package static let unlimited = Rights(role: .moderator, users: .all)

  package init(role: Role, users: UserScope, quotas: Quotas = .none) {
    self.role = role
    self.users = users
    self.quotas = quotas
  }

  /// True when the removal of a session of a user counts.
  package func mayRemove(sessionsOf user: String) -> Bool {
    role >= .moderator || users.includes(user)
  }

  func write(to writer: inout ByteWriter) {
    writer.byte(role.rawValue)
    switch users {
    case .none: writer.byte(0)
    case .all: writer.byte(1)
    case .some(let patterns):
      writer.byte(2)
      writer.varint(patterns.count)
      for pattern in patterns {
        writer.flag(pattern.isPrefix)
        writer.text(pattern.text)
      }
    }
    for quota in [quotas.sessions, quotas.rooms, quotas.records, quotas.bytesPerSecond] {
      writer.varint(quota)
    }
  }

  init(from reader: inout ByteReader) throws(WireError) {
    let role = try reader.byte()
    guard let role = Role(rawValue: role) else { throw .outOfBounds }
    self.role = role
    switch try reader.byte() {
    case 0: users = .none
    case 1: users = .all
    case 2:
      var patterns: [UserPattern] = []
      for _ in 0..<(try reader.count(1...UserScope.bound)) {
        let isPrefix = try reader.flag()
        let text = try reader.text(atLeast: 1, atMost: Limits.userIDBytes)
        let pattern = UserPattern(unchecked: text, isPrefix: isPrefix)
        guard patterns.last.map({ $0 < pattern }) ?? true else { throw .notCanonical }
        patterns.append(pattern)
      }
      users = .some(patterns)
    default: throw .outOfBounds
    }
    quotas = Quotas(
      sessions: try reader.varint(below: Quotas.valueBound),
      rooms: try reader.varint(below: Quotas.valueBound),
      records: try reader.varint(below: Quotas.valueBound),
      bytesPerSecond: try reader.varint(below: Quotas.valueBound))
  }
}

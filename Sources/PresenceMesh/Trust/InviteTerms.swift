package import MeshWire

/// What a member of a closed mesh may do beyond speaking for its users.
public enum MemberRole: String, Codable, CaseIterable, Sendable {
  case member
  /// May also remove the sessions of others.
  case moderator
  /// May also let members and moderators in, revoke, and rotate the mesh key.
  case admin
}

/// What an invite to a closed mesh is good for.
public struct InviteTerms: Codable, Hashable, Sendable {
  /// How many nodes it admits; 0: any number.
  public var uses: Int
  /// How long nodes can join by it.
  public var expiresIn: Duration
  /// How long a node that joined by it is a member.
  public var lifetime: Duration
  /// What those nodes may do.
  public var role: MemberRole
  /// The users that they may speak for: ids, or beginnings of ids with a `*` behind; `*` alone: all.
  public var users: [String]
  /// The most sessions of such a node; 0: as many as a node may have.
  public var sessions = 0
  /// The most rooms of such a node; 0: as many as a node may have.
  public var rooms = 0
  /// The most records of such a node; 0: as many as a node may have.
  public var records = 0
  /// The most bytes that such a node writes in a second; 0: as many as a node may.
  public var bytesPerSecond = 0

  /// Makes terms: any number of nodes within a day, members of all users for a year, unless told
  /// otherwise.
  public init(
    uses: Int = 0, expiresIn: Duration = .seconds(86_400),
    lifetime: Duration = .seconds(365 * 86_400),
    role: MemberRole = .member, users: [String] = ["*"]
  ) {
    self.uses = uses
    self.expiresIn = expiresIn
    self.lifetime = lifetime
    self.role = role
    self.users = users
  }

  /// The same as a certificate says it.
  func rights() throws(PresenceError) -> Rights {
    var quotas: [UInt64] = []
    for number in [sessions, rooms, records, bytesPerSecond] {
      guard let quota = UInt64(exactly: number), quota < Quotas.valueBound else {
        throw .invalidSetting("invite", problem: "has a quota of \(number): choose 0…4294967295")
      }
      quotas.append(quota)
    }
    return Rights(
      role: role.role, users: try UserScope(patterns: users),
      quotas: Quotas(
        sessions: quotas[0], rooms: quotas[1], records: quotas[2], bytesPerSecond: quotas[3]))
  }
}

extension MemberRole {
  init(_ role: Role) {
    self =
      switch role {
      case .member: .member
      case .moderator: .moderator
      case .admin: .admin
      }
  }

  var role: Role {
    switch self {
    case .member: .member
    case .moderator: .moderator
    case .admin: .admin
    }
  }
}

extension UserScope {
  /// Reads ids of users, and beginnings of them with a `*` behind.
  package init(patterns: [String]) throws(PresenceError) {
    if patterns.contains("*") {
      self = .all
      return
    }
    guard !patterns.isEmpty else {
      self = .none
      return
    }
    var read: [UserPattern] = []
    for text in patterns {
      let isPrefix = text.hasSuffix("*")
      guard let pattern = UserPattern(isPrefix ? String(text.dropLast()) : text, isPrefix: isPrefix)
      else {
        throw .invalidSetting(
          "users",
          problem: "has \(text.debugDescription): an id has 1 to \(Limits.userIDBytes) bytes")
      }
      read.append(pattern)
    }
    guard let scope = UserScope(read) else {
      throw .invalidSetting("users", problem: "has \(read.count): choose at most \(Self.bound)")
    }
    self = scope
  }

  /// The words that ``init(patterns:)`` reads.
  package var patterns: [String] {
    switch self {
    case .none: []
    case .all: ["*"]
    case .some(let patterns): patterns.map { $0.text + ($0.isPrefix ? "*" : "") }
    }
  }
}

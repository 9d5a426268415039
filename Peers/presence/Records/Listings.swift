import PresenceMesh

/// `presence who`: the users of a room.
struct RosterRecord: Codable, Hashable, Sendable {
  /// The name of the room; empty for the lobby, which is the whole mesh.
  var room: String
  /// The node that answers.
  var node: String
  /// One hash of the whole state in 16 hexadecimal digits, equal on all nodes that have converged.
  var stateHash: String
  /// One hash of what is held of the room, equal on all nodes that have converged and subscribe to it.
  var roomHash: String
  /// True when the node has heard no other for a while, and what it shows may be old.
  var stale: Bool
  /// How many users and sessions there are, whatever the page.
  var onlineUsers: Int
  var onlineSessions: Int
  /// Online ones first, by id; then those who have gone, most recent first.
  var users: [UserRecord]
}

/// `presence rooms`: the rooms that somebody is in.
struct RoomsRecord: Codable, Hashable, Sendable {
  /// A room and how many are in it.
  struct Room: Codable, Hashable, Sendable {
    var name: String
    var users: Int
    var sessions: Int
  }

  var stale: Bool
  /// The whole mesh: every session is in the lobby.
  var lobby: Room
  /// By name.
  var rooms: [Room]
  /// Different users and sessions over the rooms that are listed.
  var uniqueUsers: Int
  var uniqueSessions: Int
}

/// `presence peers`: this node and the others that it knows of.
struct PeersRecord: Codable, Hashable, Sendable {
  /// Another node.
  struct Peer: Codable, Hashable, Sendable {
    var node: String
    /// `online`, `suspect`, `offline` or `left`.
    var health: String
    /// `null` when it is heard of through others only.
    @Nullable var address: String?
    /// How long ago its last heartbeat left it.
    var ageMs: Int64
    /// `null` when it was not measured.
    @Nullable var roundTripUs: Int64?
    var incarnation: UInt64
    var version: UInt64
    var sessions: Int
    /// True when everything that the other said it has is here.
    var complete: Bool
    /// True when it is `offline` and no other node was heard that could confirm it.
    var unverified: Bool
    /// For how long what the two hold has differed; `null` when it did not when they last compared.
    @Nullable var differsMs: Int64?

    /// How long a difference may last before it is told: changes are under way for moments.
    static let toleratedDifferenceMs: Int64 = 10_000

    /// For how long what the two hold has differed, if that is longer than changes take.
    var lastingDifferenceMs: Int64? {
      differsMs.flatMap { $0 >= Self.toleratedDifferenceMs ? $0 : nil }
    }
  }

  var node: String
  var incarnation: UInt64
  var stateHash: String
  var stale: Bool
  /// True when another process speaks with the key of this node, which has stopped writing.
  var cloned: Bool
  /// Where others can reach this node.
  var addresses: [String]
  /// By id.
  var peers: [Peer]
}

/// `presence counters`: what the node counted since it started.
struct CountersRecord: Codable, Hashable, Sendable {
  /// One number.
  struct Counter: Codable, Hashable, Sendable {
    var name: String
    var value: UInt64
  }

  var node: String
  /// Always in the same order.
  var counters: [Counter]
}

extension PeersRecord.Peer {
  init(_ node: Node) {
    self.node = "\(node.id)"
    health = node.health.rawValue
    _address = Nullable(wrappedValue: node.address)
    ageMs = node.age.wholeMilliseconds
    _roundTripUs = Nullable(wrappedValue: node.roundTrip?.wholeMicroseconds)
    incarnation = node.incarnation
    version = node.version
    sessions = node.sessions
    complete = node.isComplete
    unverified = node.isUnverified
    _differsMs = Nullable(wrappedValue: node.differsFor?.wholeMilliseconds)
  }
}

extension RoomsRecord.Room {
  init(_ summary: RoomSummary) {
    self.init(name: summary.name.text, users: summary.users, sessions: summary.sessions)
  }
}

extension Duration {
  var wholeMicroseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
  }

  var wholeMilliseconds: Int64 { wholeMicroseconds / 1000 }
}

extension UInt64 {
  /// 16 hexadecimal digits.
  var hexadecimalDigits: String {
    let digits = String(self, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

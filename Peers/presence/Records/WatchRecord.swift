import PresenceMesh

/// What a watcher learns: one line of `presence watch --json`.
struct WatchRecord: Codable, Hashable, Sendable {
  /// What happened.
  enum Event: String, Codable, Sendable {
    /// Everything as it is now, in `users`: the first line, and the one after `lagged`.
    case snapshot
    /// A user came, changed, or went: as it is now, in `user`.
    case online, updated, offline, status, typing
    /// A cursor moved: `user_id`, `session` and `cursor`.
    case cursor
    /// The node hears no other, or does again: `stale`.
    case stale
    /// A node was first heard of or its health changed: `node` and `health`.
    case node
    /// A node was forgotten: `node`.
    case nodeForgotten = "node_forgotten"
    /// Another process speaks with the key of the node.
    case cloned
    /// A node contradicts itself, and is hidden until it starts anew: `node`.
    case contradicted
    /// The node is no member of the mesh any more: `reason`.
    case expelled
    /// The watcher was too slow; a snapshot follows.
    case lagged
    /// What happened to the session of `presence join`.
    case sessionRestored = "session_restored"
    case sessionMoved = "session_moved"
    case sessionEnded = "session_ended"
  }

  var event: Event
  /// When the node told it.
  var atMs: UInt64
  var users: [UserRecord]?
  var user: UserRecord?
  var userIdentifier: String?
  var session: String?
  var cursor: CursorRecord?
  var stale: Bool?
  var node: String?
  var health: String?
  var reason: String?

  private enum CodingKeys: String, CodingKey {
    case event, atMs, users, user
    case userIdentifier = "userId"
    case session, cursor, stale, node, health, reason
  }

  init(_ event: Event, atMs: UInt64) {
    self.event = event
    self.atMs = atMs
  }

  /// The record of an event of the mesh or of a room. Of a snapshot, at most `userBound` users.
  init(_ event: PresenceEvent, atMs: UInt64, userBound: Int) {
    func record(_ kind: Event, user: User? = nil) -> WatchRecord {
      var record = WatchRecord(kind, atMs: atMs)
      record.user = user.map { UserRecord($0) }
      return record
    }
    switch event {
    case .snapshot(let snapshot):
      self = record(.snapshot)
      users = (snapshot.users + snapshot.departed).prefix(userBound).map { UserRecord($0) }
      stale = snapshot.isStale
    case .online(let user): self = record(.online, user: user)
    case .updated(let user): self = record(.updated, user: user)
    case .offline(let user): self = record(.offline, user: user)
    case .status(let user): self = record(.status, user: user)
    case .typing(let user): self = record(.typing, user: user)
    case .cursor(let user, let session, let cursor):
      self = record(.cursor)
      userIdentifier = user
      self.session = "\(session)"
      self.cursor = CursorRecord(cursor)
    case .stale(let isStale):
      self = record(.stale)
      stale = isStale
    case .node(let node, let health):
      self = record(.node)
      self.node = "\(node)"
      self.health = health.rawValue
    case .nodeForgotten(let node):
      self = record(.nodeForgotten)
      self.node = "\(node)"
    case .cloned: self = record(.cloned)
    case .contradicted(let node):
      self = record(.contradicted)
      self.node = "\(node)"
    case .expelled(let reason):
      self = record(.expelled)
      self.reason = reason.description
    case .lagged: self = record(.lagged)
    }
  }
}

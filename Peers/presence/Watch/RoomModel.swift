import PresenceMesh

/// A room as a watcher knows it: the snapshot, and every change since.
struct RoomModel: Sendable {
  private var usersByID: [String: UserRecord] = [:]
  private(set) var nodes: [String: String] = [:]
  private(set) var isStale = false
  /// What became of the session of `presence join`: ended or moved.
  private(set) var ending: WatchRecord?

  /// The most users that have gone and are still shown.
  private static let departedBound = 1024

  /// The users: online ones by id, then those who have gone, most recent first.
  var users: [UserRecord] {
    let online = usersByID.values.filter(\.online).sorted { $0.id < $1.id }
    let gone = usersByID.values.filter { !$0.online }.sorted { Self.departure($0, isLater: $1) }
    return online + gone
  }

  /// How many users are online, and with how many sessions.
  var counts: (users: Int, sessions: Int) {
    usersByID.values.reduce((0, 0)) { ($0.0 + ($1.online ? 1 : 0), $0.1 + $1.devices) }
  }

  private static func departure(_ user: UserRecord, isLater other: UserRecord) -> Bool {
    let times = (user.lastDisconnectedAtMs ?? 0, other.lastDisconnectedAtMs ?? 0)
    return times.0 == times.1 ? user.id < other.id : times.0 > times.1
  }

  mutating func apply(_ record: WatchRecord) {
    switch record.event {
    case .snapshot:
      usersByID = [:]
      for user in record.users ?? [] { usersByID[user.id] = user }
      isStale = record.stale ?? isStale
    case .online, .updated, .status, .typing, .offline:
      guard let user = record.user else { return }
      usersByID[user.id] = user
      if record.event == .offline { forgetOldest() }
    case .cursor: move(record)
    case .stale: isStale = record.stale ?? isStale
    case .node:
      if let node = record.node { nodes[node] = record.health }
    case .nodeForgotten:
      if let node = record.node { nodes[node] = nil }
    case .sessionMoved, .sessionEnded: ending = record
    case .cloned, .contradicted, .expelled, .lagged, .sessionRestored: break
    }
  }

  private mutating func move(_ record: WatchRecord) {
    guard let id = record.userIdentifier, var user = usersByID[id],
      let index = user.sessions.firstIndex(where: { $0.id == record.session })
    else { return }
    user.sessions[index].cursor = record.cursor
    usersByID[id] = user
  }

  private mutating func forgetOldest() {
    let gone = usersByID.values.filter { !$0.online }
    guard gone.count > Self.departedBound else { return }
    if let oldest = gone.max(by: { Self.departure($0, isLater: $1) }) { usersByID[oldest.id] = nil }
  }
}

/// The users of one room at one moment, and what replaying changes makes of them.
public struct RosterSnapshot: Hashable, Sendable {
  /// The room; ``RoomName/lobby`` for the whole mesh.
  public let room: RoomName
  private var online: [UserKey: User]
  private var gone: DepartedUsers

  package init(room: RoomName, online: [UserKey: User], departed: DepartedUsers) {
    self.room = room
    self.online = online
    gone = departed
  }

  /// The users who are online, in the order of their ids. Cost: sorts them.
  public var users: [User] { online.sorted { $0.key < $1.key }.map(\.value) }

  /// Users who have gone, most recent first, at most ``Limits/departedUsers``.
  public var departed: [User] { gone.users }

  /// The number of users who are online.
  public var userCount: Int { online.count }

  /// The number of live sessions. Cost: one step for each user.
  public var sessionCount: Int { online.values.reduce(0) { $0 + $1.devices } }

  /// A user who is online or has gone lately. Cost: a look-up, and for one who has gone a search.
  public func user(_ id: String) -> User? {
    online[UserKey(id)] ?? gone.user(UserKey(id))
  }

  /// Applies a change. Applying all changes to a snapshot gives the next snapshot; applying one
  /// twice is the same as once.
  public mutating func apply(_ change: RosterChange) {
    switch change {
    case .online(let user), .updated(let user), .status(let user), .typing(let user):
      online[UserKey(user.id)] = user
      gone.remove(UserKey(user.id))
    case .offline(let user):
      online[UserKey(user.id)] = nil
      gone.insert(user)
    case .cursor(let user, let session, let cursor):
      online[UserKey(user)] = online[UserKey(user)]?.moving(session, to: cursor)
    }
  }

  /// The same snapshot with one user only.
  package func only(_ id: String) -> RosterSnapshot {
    let key = UserKey(id)
    var one = RosterSnapshot(
      room: room, online: online[key].map { [key: $0] } ?? [:],
      departed: DepartedUsers(limit: gone.limit))
    if let user = gone.user(key) { one.gone.insert(user) }
    return one
  }
}

/// Users who have gone, most recent first. When there are too many the longest gone is forgotten.
package struct DepartedUsers: Hashable, Sendable {
  package let limit: Int
  package private(set) var users: [User] = []

  package init(limit: Int = Limits.departedUsers) { self.limit = limit }

  package func user(_ key: UserKey) -> User? { users.first { UserKey($0.id) == key } }

  package mutating func insert(_ user: User) {
    remove(UserKey(user.id))
    let index = users.firstIndex { Self.precedes(user, $0) } ?? users.count
    users.insert(user, at: index)
    if users.count > limit { users.removeLast() }
  }

  package mutating func remove(_ key: UserKey) {
    guard let index = users.firstIndex(where: { UserKey($0.id) == key }) else { return }
    users.remove(at: index)
  }

  private static func precedes(_ left: User, _ right: User) -> Bool {
    let times = (left.lastDisconnected?.milliseconds, right.lastDisconnected?.milliseconds)
    return times.0 == times.1
      ? UserKey(left.id) < UserKey(right.id) : (times.0 ?? 0) > (times.1 ?? 0)
  }
}

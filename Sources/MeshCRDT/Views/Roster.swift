/// The users of one room, kept up to date by the changes of sessions.
///
/// A pure value. It holds sessions only: users are derived when they are asked for, so that a count
/// of devices cannot go wrong. Every step returns the changes that, replayed over the snapshot from
/// before, give the snapshot from after.
package struct Roster: Sendable {
  package let room: RoomName
  /// The live sessions in the room.
  private var sessions: [SessionID: Session] = [:]
  /// The sessions of each user, in the order of their ids; never an empty list.
  private var members: [UserKey: [SessionID]] = [:]
  private var departed: DepartedUsers
  /// Hosts that are not heard of, and since when.
  private var suspects: [OriginID: WallTime] = [:]

  package init(
    room: RoomName, departedLimit: Int = Limits.departedUsers, suspects: [OriginID: WallTime] = [:]
  ) {
    self.room = room
    departed = DepartedUsers(limit: departedLimit)
    self.suspects = suspects
  }
}

// MARK: - Steps

extension Roster {
  /// Replaces all sessions. Users who are in both are updated, not online anew. Cost: all sessions.
  package mutating func reset(to snapshots: [SessionSnapshot], now: WallTime) -> [RosterChange] {
    var next: [SessionID: Session] = [:]
    for snapshot in snapshots { next[snapshot.id] = seen(snapshot) }
    let users = Set(members.keys).union(next.values.map { UserKey($0.profile.userID) })
    return change(users.sorted(), now: now) { roster in
      roster.sessions = next
      roster.members = [:]
      for session in next.values {
        roster.members[UserKey(session.profile.userID), default: []].append(session.id)
      }
      for key in roster.members.keys { roster.members[key]?.sort() }
    }
  }

  /// Adds a session, replaces it, or removes it when it is not in this room (any more).
  /// Cost: the sessions of one user.
  package mutating func upsert(_ snapshot: SessionSnapshot, now: WallTime) -> [RosterChange] {
    replace(snapshot.id, by: seen(snapshot), now: now)
  }

  /// Removes a session. Cost: the sessions of one user.
  package mutating func remove(_ session: SessionID, now: WallTime) -> [RosterChange] {
    replace(session, by: nil, now: now)
  }

  /// Moves the cursor of a session. Of an unknown session: nothing happens.
  package mutating func move(_ id: SessionID, to cursor: Cursor) -> [RosterChange] {
    guard let session = sessions[id], session.cursor != cursor else { return [] }
    sessions[id] = session.moving(to: cursor)
    return [.cursor(user: session.profile.userID, session: id, cursor)]
  }

  /// Notes that a host is not heard of, or is again. Cost: all sessions.
  package mutating func setSuspect(
    _ host: OriginID, _ isSuspect: Bool, now: WallTime
  ) -> [RosterChange] {
    guard isSuspect == (suspects[host] == nil) else { return [] }
    var next = suspects
    next[host] = isSuspect ? now : nil
    return setSuspects(next, changed: host, now: now)
  }

  /// Takes over a table of hosts that differs in one. Many rosters share one table that way.
  mutating func setSuspects(
    _ suspects: [OriginID: WallTime], changed host: OriginID, now: WallTime
  ) -> [RosterChange] {
    self.suspects = suspects
    let since = suspects[host]
    let hosted = sessions.values.filter { $0.host == host }
    let users = Set(hosted.map { UserKey($0.profile.userID) }).sorted()
    return change(users, now: now) { roster in
      for session in hosted { roster.sessions[session.id] = session.suspected(since: since) }
    }
  }

  private func seen(_ snapshot: SessionSnapshot) -> Session? {
    Session(snapshot, in: room, suspectSince: suspects[snapshot.host])
  }

  private mutating func replace(
    _ id: SessionID, by session: Session?, now: WallTime
  ) -> [RosterChange] {
    let old = sessions[id].map { UserKey($0.profile.userID) }
    let new = session.map { UserKey($0.profile.userID) }
    let users = old == new ? [new].compactMap { $0 } : [old, new].compactMap { $0 }.sorted()
    return change(users, now: now) { roster in
      roster.sessions[id] = session
      guard old != new else { return }
      if let old { roster.removeMember(id, of: old) }
      if let new { roster.addMember(id, of: new) }
    }
  }

  private mutating func addMember(_ id: SessionID, of user: UserKey) {
    var ids = members[user] ?? []
    ids.insert(id, at: ids.firstIndex { $0 > id } ?? ids.count)
    members[user] = ids
  }

  private mutating func removeMember(_ id: SessionID, of user: UserKey) {
    let left = members[user]?.filter { $0 != id } ?? []
    members[user] = left.isEmpty ? nil : left
  }

  /// Does a step, and tells what it changed for these users.
  private mutating func change(
    _ keys: [UserKey], now: WallTime, _ step: (inout Roster) -> Void
  ) -> [RosterChange] {
    let before = keys.map { derived($0) }
    step(&self)
    var changes: [RosterChange] = []
    for (key, old) in zip(keys, before) {
      switch (old, derived(key)) {
      case (nil, nil): break
      case (nil, let new?):
        departed.remove(key)
        changes.append(.online(new))
      case (let old?, nil):
        let gone = old.departed(at: now)
        departed.insert(gone)
        changes.append(.offline(gone))
      case (let old?, let new?):
        changes += RosterChange.between(old, new)
      }
    }
    return changes
  }

  private func derived(_ key: UserKey) -> User? {
    members[key].flatMap { ids in User(sessions: ids.compactMap { sessions[$0] }) }
  }
}

// MARK: - Listings

extension Roster {
  /// The number of users who are online.
  package var userCount: Int { members.count }

  /// The number of live sessions.
  package var sessionCount: Int { sessions.count }

  /// True when nobody is there and nobody is remembered.
  package var isEmpty: Bool { sessions.isEmpty && departed.users.isEmpty }

  /// A user who is online or has gone lately.
  package func user(_ id: String) -> User? {
    derived(UserKey(id)) ?? departed.user(UserKey(id))
  }

  package func isOnline(_ id: String) -> Bool { members[UserKey(id)] != nil }

  /// The ids of the sessions of a user, in order.
  package func sessionIDs(of user: String) -> [SessionID] { members[UserKey(user)] ?? [] }

  /// The keys of the users who are online, in no order.
  package var onlineKeys: some Collection<UserKey> { members.keys }

  /// The ids of all sessions, in no order.
  package var sessionIDs: some Collection<SessionID> { sessions.keys }

  /// All live sessions, in the order of their ids. Cost: sorts them.
  package var allSessions: [Session] { sessions.values.sorted { $0.id < $1.id } }

  /// A page of the users: those who are online in the order of their ids, then those who have gone,
  /// most recent first. Cost: sorts the ids; derives the page only.
  package func users(onlineOnly: Bool = false, limit: Int = .max, offset: Int = 0) -> [User] {
    let start = max(0, offset)
    let wanted = max(0, limit)
    var page = members.keys.sorted().dropFirst(start).prefix(wanted).compactMap { derived($0) }
    guard !onlineOnly, page.count < wanted else { return page }
    page += departed.users.dropFirst(max(0, start - members.count)).prefix(wanted - page.count)
    return page
  }

  /// Everything, to begin replaying from. Cost: all sessions.
  package var snapshot: RosterSnapshot {
    var online: [UserKey: User] = [:]
    online.reserveCapacity(members.count)
    for key in members.keys { online[key] = derived(key) }
    return RosterSnapshot(room: room, online: online, departed: departed)
  }
}

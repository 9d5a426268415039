/// The number of people in a room.
public struct RoomSummary: Hashable, Sendable {
  /// The room.
  public let name: RoomName
  /// Users who are online there.
  public let users: Int
  /// Live sessions there.
  public let sessions: Int

  package init(name: RoomName, users: Int, sessions: Int) {
    self.name = name
    self.users = users
    self.sessions = sessions
  }
}

/// Counts over a set of rooms.
public struct RoomStatistics: Hashable, Sendable {
  /// Each of the rooms once, in the order of their names.
  public let rooms: [RoomSummary]
  /// Users who are online in at least one of them, each counted once.
  public let uniqueUsers: Int
  /// Sessions that are in at least one of them, each counted once.
  public let uniqueSessions: Int
}

/// The changes of one room.
package struct RoomChanges: Hashable, Sendable {
  package let room: RoomName
  package let changes: [RosterChange]
}

/// The users of all rooms, kept up to date by the changes of sessions.
///
/// The lobby's roster and those of all rooms that somebody is in are kept, and those of the rooms
/// that were left last, for the sake of who has gone from there.
package struct MeshView: Sendable {
  /// Rooms without sessions whose departed users are remembered; the longest empty is forgotten.
  package static let vacantRooms = 512
  /// Departed users who are remembered for a room that is not the lobby.
  package static let departedPerRoom = 128

  private var sessions: [SessionID: SessionSnapshot] = [:]
  private var lobby = Roster(room: .lobby)
  /// Rosters of all other rooms.
  private var rosters: [RoomName: Roster] = [:]
  /// Rooms that have a roster and no session, longest empty first.
  private var vacant: [RoomName] = []
  private var suspects: [OriginID: WallTime] = [:]

  package init() {}
}

// MARK: - Steps

extension MeshView {
  /// A session appeared, or says something else. Changes come for the lobby first, then by room.
  /// Cost: the sessions of one user in each of the session's rooms.
  package mutating func upsert(_ snapshot: SessionSnapshot, now: WallTime) -> [RoomChanges] {
    let old = sessions.updateValue(snapshot, forKey: snapshot.id)
    return step(rooms(old, snapshot)) { $0.upsert(snapshot, now: now) }
  }

  /// A session is gone.
  package mutating func remove(_ id: SessionID, now: WallTime) -> [RoomChanges] {
    guard let old = sessions.removeValue(forKey: id) else { return [] }
    return step(rooms(old, nil)) { $0.remove(id, now: now) }
  }

  /// A cursor moved.
  package mutating func move(
    _ id: SessionID, in room: RoomName, to cursor: Cursor
  ) -> [RoomChanges] {
    guard let old = sessions[id], old.place(in: room) != nil || room.isLobby else { return [] }
    sessions[id] = old.moving(in: room, to: cursor)
    return step([room]) { $0.move(id, to: cursor) }
  }

  /// A node is not heard of, or is again. Cost: all sessions.
  package mutating func setSuspect(
    _ host: OriginID, _ isSuspect: Bool, now: WallTime
  ) -> [RoomChanges] {
    guard isSuspect == (suspects[host] == nil) else { return [] }
    suspects[host] = isSuspect ? now : nil
    let suspects = suspects
    return step([.lobby] + rosters.keys.sorted()) {
      $0.setSuspects(suspects, changed: host, now: now)
    }
  }

  private func emptyRoster(_ room: RoomName) -> Roster {
    Roster(room: room, departedLimit: Self.departedPerRoom, suspects: suspects)
  }

  /// The rooms of a session before and after, each once, the lobby first.
  private func rooms(_ old: SessionSnapshot?, _ new: SessionSnapshot?) -> [RoomName] {
    Set([.lobby] + (old?.rooms ?? []) + (new?.rooms ?? [])).sorted()
  }

  private mutating func step(
    _ rooms: [RoomName], _ body: (inout Roster) -> [RosterChange]
  ) -> [RoomChanges] {
    var result: [RoomChanges] = []
    for room in rooms {
      let changes = room.isLobby ? body(&lobby) : stepRoom(room, body)
      if !changes.isEmpty { result.append(RoomChanges(room: room, changes: changes)) }
    }
    return result
  }

  private mutating func stepRoom(
    _ room: RoomName, _ body: (inout Roster) -> [RosterChange]
  ) -> [RosterChange] {
    // Taken out for the step, so that it is changed in place.
    let known = rosters.removeValue(forKey: room)
    var roster = known ?? emptyRoster(room)
    let wasVacant = roster.sessionCount == 0
    let changes = body(&roster)
    guard known != nil || !roster.isEmpty else { return changes }
    rosters[room] = roster
    if known != nil && wasVacant && roster.sessionCount > 0 { vacant.removeAll { $0 == room } }
    if !wasVacant && roster.sessionCount == 0 { vacant.append(room) }
    if vacant.count > Self.vacantRooms { rosters[vacant.removeFirst()] = nil }
    return changes
  }
}

// MARK: - Listings

extension MeshView {
  /// The roster of a room, an empty one when nobody is there.
  package func roster(_ room: RoomName) -> Roster {
    room.isLobby ? lobby : rosters[room] ?? emptyRoster(room)
  }

  /// A session in all its rooms.
  package func session(_ id: SessionID) -> SessionSnapshot? { sessions[id] }

  /// All sessions in all their rooms, in the order of their ids. Cost: sorts them.
  package var allSessions: [SessionSnapshot] { sessions.values.sorted { $0.id < $1.id } }

  /// The rooms that somebody is in, by name, without the lobby. Cost: sorts them.
  package var rooms: [RoomSummary] {
    rosters.values.filter { $0.sessionCount > 0 }.sorted { $0.room < $1.room }.map(\.summary)
  }

  /// The number of rooms that somebody is in, without the lobby.
  package var roomCount: Int { rosters.count - vacant.count }

  /// The rooms that a user is in, by name, without the lobby. Cost: the user's sessions.
  package func rooms(ofUser user: String) -> [RoomName] {
    let rooms = lobby.sessionIDs(of: user).flatMap { sessions[$0]?.rooms ?? [] }
    return Set(rooms).filter { !$0.isLobby }.sorted()
  }

  /// Counts over some rooms. Cost: the users and sessions of these rooms.
  package func statistics(rooms: [RoomName]) -> RoomStatistics {
    let chosen = Set(rooms).sorted().map { roster($0) }
    var users: Set<UserKey> = []
    var sessions: Set<SessionID> = []
    for roster in chosen {
      users.formUnion(roster.onlineKeys)
      sessions.formUnion(roster.sessionIDs)
    }
    return RoomStatistics(
      rooms: chosen.map(\.summary), uniqueUsers: users.count, uniqueSessions: sessions.count)
  }
}

extension Roster {
  /// The counts of this room.
  package var summary: RoomSummary {
    RoomSummary(name: room, users: userCount, sessions: sessionCount)
  }
}

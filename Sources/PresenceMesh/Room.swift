/// A room of a mesh, to look into and to enter. A small value; the lobby is the room of the whole
/// mesh.
public struct Room: Sendable {
  /// The name.
  public let name: RoomName
  /// The mesh that the room is of.
  public let mesh: PresenceMesh

  /// A page of the users: those who are online in the order of their ids, then those who have gone,
  /// most recent first, as far as they are remembered.
  ///
  /// - Parameters:
  ///   - onlineOnly: Leaves out who has gone.
  ///   - limit: The most users of the page.
  ///   - offset: How many come before the page.
  ///
  /// Of a room that the node does not subscribe to, who is there is exact as told by the hosts; what they say
  /// there is not known: see ``PresenceMesh/subscribe(to:)``.
  ///
  /// Cost: sorts the ids; derives the users of the page.
  public func users(onlineOnly: Bool = false, limit: Int = .max, offset: Int = 0) -> [User] {
    roster.users(onlineOnly: onlineOnly, limit: limit, offset: offset)
  }

  /// A user who is online in the room or has gone lately; `nil` for anybody else.
  public func user(_ id: String) -> User? { mesh.hub.look { $0.roster(name).user(id) } }

  /// True when the user has a live session in the room. Cost: a look-up.
  public func isOnline(_ user: String) -> Bool {
    mesh.hub.look { $0.roster(name).isOnline(user) }
  }

  /// The live sessions in the room, in the order of their ids. Cost: sorts them.
  public func sessions() -> [Session] { roster.allSessions }

  /// How many users and sessions are in the room, whether or not the node subscribes to it. Cost: constant.
  public var count: RoomSummary { mesh.hub.look { $0.roster(name).summary } }

  /// What happens in the room: see ``PresenceEvents``. For the lobby: to the users of the whole
  /// mesh; ``PresenceMesh/events`` tells of the nodes as well. While they are read, the node subscribes to the
  /// room.
  public var events: PresenceEvents { events(buffer: mesh.configuration.eventBuffer) }

  /// What happens in the room, with another bound on the events that wait for the reader.
  public func events(buffer: Int) -> PresenceEvents {
    PresenceEvents(hub: mesh.hub, scope: .room(name), capacity: buffer, mesh: mesh)
  }

  /// What happens in the room, with each cursor at a rate of the reader's.
  ///
  /// Of each session the first move is told at once, later ones at most so many times a second. What is
  /// overtaken meanwhile is left out; the last position always comes. Snapshots and the users in other
  /// events have the positions of their moment.
  ///
  /// Cursors wait apart from other events, and only the newest of each session: a reader that is slow
  /// does not lag because of them. Cost: one move kept for each session that moves.
  ///
  /// - Parameters:
  ///   - buffer: Another bound on the events that wait for the reader.
  ///   - cursorsPerSecond: At least 1. The mesh tells at most 60 of a session: from there on all come.
  public func events(buffer: Int? = nil, cursorsPerSecond: Int) -> PresenceEvents {
    PresenceEvents(
      hub: mesh.hub, scope: .room(name), capacity: buffer ?? mesh.configuration.eventBuffer,
      pace: cursorsPerSecond < 60 ? CursorPace(gap: .seconds(1) / max(1, cursorsPerSecond)) : nil,
      mesh: mesh)
  }

  /// Brings a session of this node into the room. One that is there already stays as it is.
  /// - Throws: ``PresenceError``; no state changed then.
  public func enter(_ session: LocalSession) async throws(PresenceError) {
    try await session.enter(name)
  }

  /// Takes a session of this node out of the room. Nothing happens to one that is not there.
  /// - Throws: ``PresenceError``; no state changed then.
  public func exit(_ session: LocalSession) async throws(PresenceError) {
    try await session.exit(name)
  }

  /// Takes all sessions of a user out of the room, wherever they are. They cannot enter it again for
  /// two minutes. See ``PresenceMesh/signOut(user:)`` for how it reaches hosts that are cut off.
  /// - Returns: How many there were.
  /// - Throws: ``PresenceError``; sessions before the one that failed are out then.
  @discardableResult
  public func remove(user: String) async throws(PresenceError) -> Int {
    try await mesh.remove(user: user, from: name)
  }

  private var roster: Roster { mesh.hub.roster(name) }
}

/// What a reader of events learns: the whole at first, then what changed.
///
/// Changes of a user carry the user as it is after the change; see ``PresenceSnapshot/apply(_:)``.
public enum PresenceEvent: Hashable, Sendable {
  /// Everything as it is now. The first event, and the one after ``lagged``.
  case snapshot(PresenceSnapshot)
  /// The first session of a user is seen.
  case online(User)
  /// Something else about a user changed: a device more or less, the profile, data, the host of a
  /// session, whether the hosts are heard of.
  case updated(User)
  /// The last session of a user is gone.
  case offline(User)
  /// The status of a user, its message or its time changed.
  case status(User)
  /// A user began to type, or stopped.
  case typing(User)
  /// A cursor moved.
  case cursor(user: String, session: SessionID, Cursor)
  /// True: this node has heard nobody for a while, and what is shown may be old. False: it hears
  /// others again.
  case stale(Bool)
  /// A node was first heard of, or its health changed. For readers of the whole mesh.
  case node(NodeID, NodeHealth)
  /// A node was forgotten. For readers of the whole mesh.
  case nodeForgotten(NodeID)
  /// Another process speaks with this node's key: its state directory was copied. For readers of the
  /// whole mesh.
  case cloned
  /// A node has signed two statements that contradict each other, as no node does by itself. Its sessions
  /// are hidden until it starts anew. For readers of the whole mesh.
  case contradicted(NodeID)
  /// This node is no member of the mesh any more: it says nothing, and is heard by nobody. For readers of
  /// the whole mesh.
  case expelled(Expulsion)
  /// The reader was too slow. What it missed is in the ``snapshot(_:)`` that comes next.
  case lagged
}

extension PresenceEvent {
  init(_ change: RosterChange) {
    self =
      switch change {
      case .online(let user): .online(user)
      case .updated(let user): .updated(user)
      case .offline(let user): .offline(user)
      case .status(let user): .status(user)
      case .typing(let user): .typing(user)
      case .cursor(let user, let session, let cursor):
        .cursor(user: user, session: session, cursor)
      }
  }

  /// The change of a room's users that it tells of, if it does.
  var rosterChange: RosterChange? {
    switch self {
    case .online(let user): .online(user)
    case .updated(let user): .updated(user)
    case .offline(let user): .offline(user)
    case .status(let user): .status(user)
    case .typing(let user): .typing(user)
    case .cursor(let user, let session, let cursor):
      .cursor(user: user, session: session, cursor)
    case .snapshot, .stale, .node, .nodeForgotten, .cloned, .contradicted, .expelled, .lagged: nil
    }
  }
}

/// Everything that a reader of events sees at one moment.
public struct PresenceSnapshot: Hashable, Sendable {
  /// The users of the room, in a form that changes can be applied to.
  public private(set) var roster: RosterSnapshot
  /// The nodes of the mesh, this one included; empty for readers of one room or user.
  public private(set) var nodes: [NodeID: NodeHealth]
  /// True when this node has heard nobody for a while, and what is shown may be old.
  public private(set) var isStale: Bool

  init(roster: RosterSnapshot, nodes: [NodeID: NodeHealth], isStale: Bool) {
    self.roster = roster
    self.nodes = nodes
    self.isStale = isStale
  }

  /// The room; the lobby for the whole mesh.
  public var room: RoomName { roster.room }

  /// The users who are online, in the order of their ids. Cost: sorts them.
  public var users: [User] { roster.users }

  /// Users who have gone, most recent first.
  public var departed: [User] { roster.departed }

  /// A user who is online or has gone lately.
  public func user(_ id: String) -> User? { roster.user(id) }

  /// Applies an event. Replaying the events over a snapshot gives the snapshot that a new reader
  /// would get.
  public mutating func apply(_ event: PresenceEvent) {
    switch event {
    case .snapshot(let snapshot): self = snapshot
    case .stale(let isStale): self.isStale = isStale
    case .node(let node, let health): nodes[node] = health
    case .nodeForgotten(let node): nodes[node] = nil
    case .cloned, .contradicted, .expelled, .lagged: break
    case .online, .updated, .offline, .status, .typing, .cursor:
      if let change = event.rosterChange { roster.apply(change) }
    }
  }
}

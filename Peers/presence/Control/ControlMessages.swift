import PresenceMesh

/// What a command asks of the running node: one line of JSON on the control socket.
///
/// A connection carries requests one after the other, and one answer to each. After `watch` it
/// carries records only, until the client closes it.
enum ControlRequest: Codable, Hashable, Sendable {
  case peers
  case counters
  case rooms
  /// `terms`: of a closed mesh; `nil`: the usual ones.
  case invite(addresses: [String], terms: InviteTerms?)
  case membership
  case members
  case invites
  case revoke(RevokeRequest)
  /// Begins an epoch.
  case rotate
  case who(room: String, onlineOnly: Bool, limit: Int, offset: Int)
  /// Follows a room, and what happens to a session of the node.
  case watch(room: String, session: String?)
  /// Opens a session that ends some time after the client fell silent.
  case open(OpenRequest)
  case heartbeat(session: String)
  case status(SessionChoice, status: String?, message: String?)
  case typing(SessionChoice, isTyping: Bool)
  case cursor(SessionChoice, x: Double, y: Double, visible: Bool, anchor: String?)
  /// Ends a session, or takes it out of a room.
  case leave(SessionChoice)
  /// Cuts the node off, or heals the cut. No addresses: from everybody.
  case block(addresses: [String])
  case unblock
  /// Asks the node to leave the mesh and to end.
  case down
}

/// The session that a client asks for.
struct OpenRequest: Codable, Hashable, Sendable {
  var user: String
  var name: String
  var colour: String?
  var device: String
  var rooms: [String]
  /// The id to take up again; `nil`: a new one.
  var session: String?
}

/// Which session of the node a request is about, and where.
struct SessionChoice: Codable, Hashable, Sendable {
  /// `nil`: the newest of the user.
  var session: String?
  /// `nil`: the only one who has sessions on the node.
  var user: String?
  /// `nil`: where it makes sense for the request.
  var room: String?
}

/// What the running node answers.
enum ControlResponse: Codable, Hashable, Sendable {
  case done
  /// It could not be done, in words for the user.
  case failed(String)
  case peers(PeersRecord)
  case counters(CountersRecord)
  case rooms(RoomsRecord)
  case who(RosterRecord)
  case invite(String)
  case membership(MembershipRecord)
  case members(MembersRecord)
  case invites(InvitesRecord)
  /// It was done, in words for the user.
  case told(String)
  /// The id of a session, and whether it was there before.
  case opened(session: String, restored: Bool)
}

/// The bounds of the control socket.
enum ControlLimits {
  /// The most bytes of a request.
  static let requestBytes = 65_536
  /// The most bytes of an answer or a record.
  static let responseBytes = 64 << 20
  /// The most clients at once.
  static let connections = 128
  /// The most users of one listing or snapshot.
  static let users = 10_000
  /// How long a session lives when its client is silent.
  static let sessionTimeToLive: Duration = .seconds(30)
  /// How often a client says that it is there.
  static let heartbeatPeriod: Duration = .seconds(10)
  /// How long a client waits for an answer.
  static let answerTimeout: Duration = .seconds(10)
}

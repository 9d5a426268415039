package import MeshCRDT

/// How long a session lives without a sign of its client.
package enum Lease: Hashable, Sendable {
  /// As long as the process that hosts it.
  case attached
  /// Until this span after the last heartbeat.
  case leased(timeToLive: Span)

  /// A lease from the interval of heartbeats: 2.5 times that.
  package static func interval(_ interval: Span) -> Lease {
    .leased(timeToLive: interval.scaled(5, over: 2))
  }
}

/// What the users of a node do. All but ``remove(_:from:)`` concerns sessions that the node hosts.
package indirect enum LocalOperation: Sendable {
  /// Begins a session, or takes up again one whose id the node or another node hosts.
  case open(SessionID, Profile, device: String, Lease, at: WallTime)
  /// A sign of life of the client.
  case heartbeat(SessionID)
  /// Changes the lease; it takes effect at once, counted from now.
  case setLease(SessionID, Lease)
  case setProfile(SessionID, Profile)
  /// Ends the session, everywhere at once. Of an unknown session: nothing happens.
  case leave(SessionID)
  case enter(SessionID, RoomName)
  case exit(SessionID, RoomName)
  /// Sets the status in a room; in the lobby it is the status everywhere that has none of its own.
  /// `nil` takes it back. A message of `nil` is left as it is.
  case setStatus(SessionID, RoomName, Status?, message: String?, at: WallTime)
  /// Typing ends by itself when it is not renewed.
  case setTyping(SessionID, RoomName, Bool)
  case setData(SessionID, RoomName, [UInt8])
  case moveCursor(SessionID, RoomName, Cursor)
  /// Takes a session of whatever host out of a room; out of the lobby: ends it. When that is final, it
  /// may not come back for a while.
  case remove(SessionID, from: RoomName, isFinal: Bool)
  /// Subscribes to these rooms alone, at most ``Limits/roomsSubscribed``; `nil`: to all rooms, as at the
  /// beginning.
  case subscribe(Set<RoomName>?)
  /// Does several things, so that they are sent together. When one is refused, none is done.
  case all([LocalOperation])
  /// Leaves the mesh, with all sessions. Nothing can be done after it.
  case leaveMesh
}

/// Why an operation was refused. No state changed.
package enum OperationError: Error, Hashable, Sendable {
  case unknownSession(SessionID)
  /// The session's id is in use by this other user.
  case sessionOfAnotherUser(SessionID)
  case notInRoom(SessionID, RoomName)
  /// A value is longer than its bound.
  case tooLong(field: String, bytes: Int, limit: Int)
  /// Text with control characters, or an empty user id.
  case malformed(field: String)
  case tooManySessions(limit: Int)
  case tooManyRooms(limit: Int)
  /// The session was removed a short while ago.
  case sessionRemoved(SessionID)
  /// The session was removed from the room a short while ago.
  case removedFromRoom(SessionID, RoomName)
  /// As many removals as there may be wait for the hosts to obey them.
  case tooManyRemovals(limit: Int)
  case tooManySubscriptions(limit: Int)
  /// This node has sessions in as many rooms as it may.
  case tooManyRoomLogs(limit: Int)
  /// The certificate of this node does not let it speak for the user.
  case userNotCovered(String)
  /// The certificate of this node does not let it remove sessions of the user.
  case mayNotRemove(SessionID)
  /// Another process speaks with this node's key: this one does not write any more.
  case cloned
  /// This node is no member any more.
  case expelled
  /// An authority of the mesh has not made this node an admin.
  case notAdmin
  case meshLeft
}

extension LocalOperation {
  /// True for operations that may make this node's records more.
  var addsRecords: Bool {
    switch self {
    case .open, .setProfile, .enter, .setStatus, .setData, .moveCursor: true
    default: false
    }
  }
}

extension OperationError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .unknownSession(let id): "this node does not host session \(id)"
    case .sessionOfAnotherUser(let id): "session \(id) belongs to another user"
    case .notInRoom(let id, let room): "session \(id) is not in room \(room): enter it first"
    case .tooLong(let field, let bytes, let limit):
      "\(field) has \(bytes) bytes; at most \(limit) are allowed"
    case .malformed(let field): "\(field) is empty where it must not be, or has control characters"
    case .tooManySubscriptions(let limit):
      "at most \(limit) rooms can be subscribed to: subscribe to all of them instead"
    case .tooManyRoomLogs(let limit): "the sessions of this node are in \(limit) rooms already"
    case .tooManySessions(let limit): "this node hosts \(limit) sessions already"
    case .tooManyRooms(let limit): "the session is in \(limit) rooms already: leave one first"
    case .sessionRemoved(let id): "session \(id) was removed: use another session id"
    case .removedFromRoom(let id, let room): "session \(id) was removed from room \(room)"
    case .tooManyRemovals(let limit): "\(limit) removals are on their way already: try again later"
    case .userNotCovered(let user):
      "the certificate of this node does not let it speak for \(user.debugDescription)"
    case .mayNotRemove(let id):
      "the certificate of this node does not let it remove session \(id), which is another user's"
    case .notAdmin: "this node is no admin of the mesh: do it on one that is"
    case .expelled: "this node is no member of the mesh any more"
    case .cloned: "another process speaks with this node's key: stop one of them"
    case .meshLeft: "this node has left the mesh"
    }
  }
}

import MeshEngine
import MeshTransport

/// Why something could not be done, and what to do about it.
///
/// No case leaves anything half done: where one is thrown, no presence changed, nothing was sent and
/// no socket is open. Joining may have made or touched the state directory before it failed.
public enum PresenceError: Error, Hashable, Sendable {
  // MARK: Sessions

  /// This node does not host the session: it was never opened here, has left, moved to another node
  /// or its lease has ended. Open it (again).
  case unknownSession(SessionID)
  /// The id of the session is in use by another user. Choose another id.
  case sessionOfAnotherUser(SessionID)
  /// The session is not in the room. Enter it first.
  case notInRoom(SessionID, RoomName)
  /// A value is longer than its bound; see `Limits`.
  case tooLong(field: String, bytes: Int, limit: Int)
  /// Text with control characters, or an empty user id.
  case malformed(field: String)
  /// This node hosts as many sessions as it may.
  case tooManySessions(limit: Int)
  /// The session is in as many rooms as it may. Leave one.
  case tooManyRooms(limit: Int)
  /// The session was ended by order a short while ago. Open another one.
  case sessionRemoved(SessionID)
  /// The session was taken out of the room by order a short while ago.
  case removedFromRoom(SessionID, RoomName)
  /// As many removals as there may be wait for others to hear them. Try again later.
  case tooManyRemovals(limit: Int)
  /// More rooms than a node can subscribe to one by one. Subscribe to all of them instead.
  case tooManySubscriptions(limit: Int)
  /// The sessions of this node are in as many rooms as they may.
  case tooManyRoomsOnNode(limit: Int)
  /// This node has left the mesh. Join again.
  case meshLeft
  /// Another process speaks with this node's key, and this one says nothing any more: its state directory
  /// was copied. Stop one of them.
  case cloned
  /// This node is no member of the mesh (any more); the reason says what to do.
  case expelled(Expulsion)
  /// This node may not speak for the user: its certificate names others.
  case userNotCovered(String)
  /// This node may not remove the session, which is another user's: that takes a moderator.
  case mayNotRemove(SessionID)
  /// This node may not let others in, revoke, or rotate the key: the reason says why.
  case mayNotAdminister(reason: String)

  // MARK: What was asked for

  /// Not the name of a room: longer than `Limits.roomNameBytes` or with control characters.
  case invalidRoomName(String)
  /// Not the name of a status.
  case unknownStatus(String)
  /// A setting outside of its bounds.
  case invalidSetting(String, problem: String)

  // MARK: Joining

  /// The invite cannot be read. Its text is not repeated here: it may hold a secret.
  case invalidInvite(reason: String)
  /// The state directory knows no mesh, and none was named or allowed to be made.
  case noMesh(stateDirectory: String)
  /// The state directory cannot be used: the reason says what is wrong with which file.
  case stateDirectory(reason: String)
  /// An address cannot be read, resolved or listened on: the reason says which and why.
  case network(reason: String)
}

extension PresenceError: CustomStringConvertible {
  /// What happened and what to do about it, in one line.
  public var description: String {
    switch self {
    case .unknownSession(let id):
      """
      this node does not host session \(id) (any more): it has left, moved, or its lease has \
      ended; open it again
      """
    case .sessionOfAnotherUser(let id):
      "session \(id) belongs to another user: choose another session id"
    case .notInRoom(let id, let room): "session \(id) is not in room \(room): enter it first"
    case .tooLong(let field, let bytes, let limit):
      "\(field) has \(bytes) bytes, at most \(limit) are allowed: shorten it"
    case .malformed(let field):
      "\(field) is empty where it must not be, or has control characters: remove them"
    case .tooManySessions(let limit):
      "this node hosts \(limit) sessions already: end some, or open it on another node"
    case .tooManyRooms(let limit): "the session is in \(limit) rooms already: leave one first"
    case .sessionRemoved(let id):
      "session \(id) was removed by order: open another session, with another id"
    case .removedFromRoom(let id, let room): "session \(id) was removed from room \(room) by order"
    case .tooManyRemovals(let limit):
      "\(limit) removals wait for other nodes to hear them: try again later"
    case .tooManyRoomsOnNode(let limit): "the sessions of this node are in \(limit) rooms already"
    case .tooManySubscriptions(let limit):
      "a node subscribes to at most \(limit) rooms: name fewer, or subscribe to all"
    case .meshLeft: "this node has left the mesh: join again"
    case .cloned:
      "another process speaks with this node's key: give one of the two a state directory of its own"
    case .expelled(let reason): "\(reason)"
    case .userNotCovered(let user):
      """
      this node may not speak for user \(user.debugDescription): its invite names other users; join by \
      one that names this one
      """
    case .mayNotRemove(let id):
      "this node may not remove session \(id), which is another user's: that takes a moderator"
    case .mayNotAdminister(let reason): "\(reason)"
    case .invalidRoomName(let name):
      """
      \(name.debugDescription) cannot name a room: use at most \(Limits.roomNameBytes) bytes of \
      UTF-8 without control characters
      """
    case .unknownStatus(let name):
      """
      \(name.debugDescription) is not a status: use one of \
      \(Status.allCases.map(\.name).joined(separator: ", "))
      """
    case .invalidSetting(let name, let problem): "the setting \(name) \(problem)"
    case .invalidInvite(let reason): "the invite cannot be used: \(reason)"
    case .noMesh(let directory):
      "\(directory) knows no mesh: join with an invite, or allow a new mesh to be made"
    case .stateDirectory(let reason): "the state directory cannot be used: \(reason)"
    case .network(let reason): "\(reason)"
    }
  }
}

extension PresenceError {
  /// The same refusal in the words of this module.
  init(_ error: OperationError, _ expulsion: Expulsion?) {
    self =
      switch error {
      case .unknownSession(let id): .unknownSession(id)
      case .sessionOfAnotherUser(let id): .sessionOfAnotherUser(id)
      case .notInRoom(let id, let room): .notInRoom(id, room)
      case .tooLong(let field, let bytes, let limit):
        .tooLong(field: field, bytes: bytes, limit: limit)
      case .malformed(let field): .malformed(field: field)
      case .tooManySessions(let limit): .tooManySessions(limit: limit)
      case .tooManyRooms(let limit): .tooManyRooms(limit: limit)
      case .sessionRemoved(let id): .sessionRemoved(id)
      case .removedFromRoom(let id, let room): .removedFromRoom(id, room)
      case .tooManyRemovals(let limit): .tooManyRemovals(limit: limit)
      case .meshLeft: .meshLeft
      case .tooManySubscriptions(let limit): .tooManySubscriptions(limit: limit)
      case .tooManyRoomLogs(let limit): .tooManyRoomsOnNode(limit: limit)
      case .cloned: .cloned
      case .expelled: .expelled(expulsion ?? .revokedNode)
      case .userNotCovered(let user): .userNotCovered(user)
      case .mayNotRemove(let id): .mayNotRemove(id)
      case .notAdmin: .mayNotAdminister(reason: Issuer.notAnAdmin)
      }
  }

  init(_ error: TransportError) { self = .network(reason: "\(error)") }
}

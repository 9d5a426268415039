import NIOCore
import PresenceMesh

/// Who speaks through a session: a socket. Called on the gateway's loop.
protocol SessionOwner: AnyObject {
  /// Another socket speaks through the session from now on.
  func sessionWasTaken()
  /// The session goes on at another node.
  func sessionMoved(to node: NodeID)
  /// The session ended by its lease.
  func sessionEnded()
  /// The session ended by somebody's order.
  func sessionRemoved()
  /// The session was taken out of a room by somebody's order.
  func sessionRemoved(from room: RoomName)
}

/// A session of a client on this node.
final class ClientSession {
  let id: SessionID
  var profile: Profile
  let device: String
  /// When it joined: what tells this stay from another one of the same id.
  var joinedAt: WallTime
  var lease: SessionLease
  /// The rooms that it was brought into, the lobby aside.
  var rooms: Set<RoomName> = []
  weak var owner: (any SessionOwner)?
  /// The rooms that its clients over HTTP named: one, for those of the Convex shape.
  var boundRoom: RoomName?
  var lastHeartbeat = NIODeadline.uptimeNanoseconds(0)
  var events: Task<Void, Never>?
  var hasEnded = false

  init(
    id: SessionID, profile: Profile, device: String, joinedAt: WallTime, lease: SessionLease
  ) {
    self.id = id
    self.profile = profile
    self.device = device
    self.joinedAt = joinedAt
    self.lease = lease
  }

  /// True when the next heartbeat comes so early that its client may have gone and come back, by a page
  /// that was loaded again. It is opened again then, so that a beacon of the page before, which went to
  /// another node and is not heard yet, does not end it.
  var mayHaveComeBack: Bool {
    let early: Duration =
      switch lease {
      case .process: .zero
      case .interval(let interval): interval / 2
      case .timeToLive(let time): time / 5
      }
    return NIODeadline.now() - lastHeartbeat < .milliseconds(Int64(early.inMilliseconds))
  }
}

import Foundation
import PresenceMesh

/// The words by which clients without a connection speak for a session, or read a room. Every node of
/// the mesh understands them, and nobody else can make them.
struct ClientTokens {
  let mesh: PresenceMesh
  /// How long tokens of rooms are good for, at least.
  let roomTime: Duration

  /// What the token of a room stands for.
  enum RoomToken: Equatable {
    case room(RoomName)
    case hasEnded
    /// It was not made by a node of this mesh.
    case unknown
  }

  /// The token of a session. It is good for this stay: when the session has ended and its id comes back,
  /// it is another one. Moving to another node changes nothing of it.
  func token(for session: ClientSession) -> String {
    token(for: session.id, joinedAt: session.joinedAt)
  }

  private func token(for session: SessionID, joinedAt: WallTime) -> String {
    let stay = joinedAt.milliseconds
    return "\(session).\(stay).\(mesh.seal(of: Self.text(of: session, stay)))"
  }

  private static func text(of session: SessionID, _ stay: UInt64) -> String {
    "session \(session) \(stay)"
  }

  /// The session of a token, and when the stay began that it is good for.
  func session(_ token: String) -> (id: SessionID, joinedAt: WallTime)? {
    let parts = token.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, let id = SessionID(String(parts[0])), let stay = UInt64(parts[1])
    else { return nil }
    let isReal = "\(stay)" == parts[1] && mesh.isSeal(parts[2], of: Self.text(of: id, stay))
    return isReal ? (id, WallTime(milliseconds: stay)) : nil
  }

  /// A token that reads a room for a time, and not after `bound`, in milliseconds since 1970.
  ///
  /// The end is the next whole 24th of that time after it, so that heartbeats give the same token for
  /// a while: clients ask anew when it changes.
  func token(for room: RoomName, notAfter bound: UInt64?, now: WallTime = .now) -> String {
    let time = UInt64(max(1, roomTime.inMilliseconds))
    let step = max(1, time / 24)
    let end = (now.milliseconds + time + step - 1) / step * step
    return token(for: room, end: min(end, bound ?? .max))
  }

  private func token(for room: RoomName, end: UInt64) -> String {
    "\(Data(room.text.utf8).base64URL).\(end).\(mesh.seal(of: Self.text(of: room, end)))"
  }

  private static func text(of room: RoomName, _ end: UInt64) -> String {
    "room \(end) \(room.text)"
  }

  func room(_ token: String, now: WallTime = .now) -> RoomToken {
    let parts = token.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, let text = base64URLText(String(parts[0])), let room = RoomName(text),
      let end = UInt64(parts[1]), mesh.isSeal(parts[2], of: Self.text(of: room, end))
    else { return .unknown }
    return now.milliseconds < end ? .room(room) : .hasEnded
  }
}

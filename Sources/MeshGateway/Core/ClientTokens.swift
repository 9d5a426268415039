import Foundation
import PresenceMesh

/// The words by which clients without a connection speak for a session, or read a room. Every node of
/// the mesh understands them, and nobody else can make them.
struct ClientTokens {
  let mesh: PresenceMesh

  func token(for session: SessionID) -> String {
    "\(session).\(mesh.seal(of: "session \(session)"))"
  }

  func session(_ token: String) -> SessionID? {
    let parts = token.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, let id = SessionID(String(parts[0])), self.token(for: id) == token
    else { return nil }
    return id
  }

  func token(for room: RoomName) -> String {
    "\(Data(room.text.utf8).base64URL).\(mesh.seal(of: "room \(room.text)"))"
  }

  func room(_ token: String) -> RoomName? {
    let parts = token.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, let text = base64URLText(String(parts[0])),
      let room = RoomName(text), self.token(for: room) == token
    else { return nil }
    return room
  }
}

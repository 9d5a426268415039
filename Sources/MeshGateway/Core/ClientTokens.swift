import PresenceMesh

/// The words by which clients without a connection speak for a session, or read a room. They are
/// random and hold in this process only.
struct ClientTokens {
  private var sessionOf: [String: SessionID] = [:]
  private var tokenOf: [SessionID: String] = [:]
  private var roomOf: [String: RoomName] = [:]
  private var tokenOfRoom: [RoomName: String] = [:]

  private static let roomBound = 65_536

  mutating func token(for session: SessionID) -> String {
    if let token = tokenOf[session] { return token }
    let token = SessionID.random().description
    tokenOf[session] = token
    sessionOf[token] = session
    return token
  }

  func session(_ token: String) -> SessionID? { sessionOf[token] }

  mutating func forget(_ session: SessionID) {
    if let token = tokenOf.removeValue(forKey: session) { sessionOf[token] = nil }
  }

  mutating func token(for room: RoomName) -> String {
    if let token = tokenOfRoom[room] { return token }
    if tokenOfRoom.count >= Self.roomBound {
      // Clients get new ones with their next heartbeats.
      tokenOfRoom = [:]
      roomOf = [:]
    }
    let token = SessionID.random().description
    tokenOfRoom[room] = token
    roomOf[token] = room
    return token
  }

  func room(_ token: String) -> RoomName? { roomOf[token] }
}

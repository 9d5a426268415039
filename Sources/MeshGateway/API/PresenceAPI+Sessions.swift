import NIOCore
import PresenceMesh

// What clients say over HTTP, and the removing of others.
extension PresenceAPI {
  private var sessions: HTTPSessions { HTTPSessions(core: core, access: access) }

  func heartbeat() throws(GatewayError) {
    let fields = try body()
    try fields.allow([
      "room", "user", "sessionId", "interval", "expiresIn", "device", "status", "message", "data",
      "typing", "cursor",
    ])
    guard let user = try fields.fields("user") else { throw .missing("user", "an object") }
    let room = try fields.room()
    let profile = try user.profile(id: user.optionalText("id", atMost: 64) ?? access.user)
    var heartbeat = HTTPSessions.Heartbeat(
      room: room, profile: profile, sessionName: try fields.text("sessionId", atMost: 128),
      lease: try fields.lease() ?? .client)
    heartbeat.device = try fields.optionalText("device", atMost: Limits.deviceBytes) ?? ""
    heartbeat.actions = try said(fields, in: room)
    sessions.heartbeat(heartbeat) { result in
      switch result {
      case .failure(let error): completion(.error(error))
      case .success(let (session, wasRestored)):
        completion(
          .json { writer in
            writer.member("sessionId", session.id.description)
            writer.member("sessionToken", core.tokens.token(for: session))
            writer.member("restored", wasRestored)
            writer.member("expiresIn", session.lease.milliseconds.map { UInt64($0) })
          })
      }
    }
  }

  /// What the fields of a request say in a room.
  private func said(
    _ fields: RequestFields, in room: RoomName
  ) throws(GatewayError) -> [SessionAction] {
    var actions: [SessionAction] = []
    let message = try fields.optionalText("message", atMost: Limits.messageBytes)
    if fields.value["status"] != nil || message != nil {
      actions.append(.setStatus(try fields.status(), message: message, in: room))
    }
    if let data = try fields.data("data", atMost: Limits.presenceDataBytes) {
      actions.append(.setData(data, in: room))
    }
    if let isTyping = try fields.optionalFlag("typing") {
      actions.append(.setTyping(isTyping, in: room))
    }
    if let cursor = try fields.fields("cursor") {
      try cursor.allow(["x", "y", "visible", "anchor"])
      actions.append(.moveCursor(try cursor.cursor(), in: room))
    }
    return actions
  }

  func disconnect() throws(GatewayError) {
    let fields = try body(isBeacon: true)
    try fields.allow(["sessionToken"])
    sessions.disconnect(try fields.token("sessionToken", atMost: 128))
    completion(.json { $0.member("disconnected", true) })
  }

  func update(_ user: String, in room: RoomName) throws(GatewayError) {
    let fields = try body()
    try fields.allow(["sessionToken", "status", "message", "data", "typing", "cursor"])
    try access.check(.publish, in: room)
    try access.checkSpeaking(for: user)
    let session = try sessions.session(try fields.token("sessionToken", atMost: 128))
    guard session.profile.userID.utf8.elementsEqual(user.utf8) else {
      throw GatewayError(.unknownSession, "this is no session of the user")
    }
    guard room.isLobby || session.rooms.contains(room) else {
      throw GatewayError(.unknownRoom, "the session is not in this room")
    }
    let actions = try said(fields, in: room)
    session.lastHeartbeat = .now()
    sessions.perform(actions + [.heartbeat], session) { error in
      completion(error.map { .error($0) } ?? .json { $0.member("updated", true) })
    }
  }

  func remove(_ user: String, from room: RoomName) throws(GatewayError) {
    try access.checkReading(room)
    if !access.isUser(user) { try access.check(.moderate, in: room) }
    sessions.remove(user, from: room, completion: tellRemoved)
  }

  private func tellRemoved(_ result: Result<Int, GatewayError>) {
    switch result {
    case .success(let count): completion(.json { $0.member("removed", count) })
    case .failure(let error): completion(.error(error))
    }
  }

  func removeRoom(_ room: RoomName) throws(GatewayError) {
    try access.check(.moderate, in: room)
    guard !room.isLobby else { throw .lobbyStays }
    sessions.removeAll(from: room, completion: tellRemoved)
  }

  func signOut(_ user: String) throws(GatewayError) {
    guard access.isTrusted || access.isUser(user) || access.allowsEverywhere(.moderate) else {
      throw GatewayError(.forbidden, "this needs the right to moderate every room")
    }
    sessions.remove(user, from: .lobby, completion: tellRemoved)
  }
}

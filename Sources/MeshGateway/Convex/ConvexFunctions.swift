import NIOHTTP1
import PresenceMesh

/// Presence as functions that are called over HTTP, in the shape of Convex: a path such as
/// `presence:heartbeat`, and arguments.
struct ConvexFunctions {
  let core: GatewayCore
  let access: Access

  private static let listBound = 104

  func answer(
    _ request: HTTPRequest, isMutation: Bool, completion: @escaping (HTTPResponse) -> Void
  ) {
    func succeed(_ value: JSONValue) {
      completion(
        .json { writer in
          writer.member("status", "success")
          writer.key("value")
          writer.value(value)
          writer.key("logLines")
          writer.array { _ in }
        })
    }
    func fail(_ error: GatewayError) {
      var response = HTTPResponse.json { writer in
        writer.member("status", "error")
        writer.member("errorMessage", error.message)
        writer.key("errorData")
        writer.object { $0.member("code", error.code.rawValue) }
        writer.key("logLines")
        writer.array { _ in }
      }
      if error.code == .malformedJSON {
        response.status = HTTPResponseStatus(statusCode: error.code.httpStatus)
      }
      completion(response)
    }
    do throws(GatewayError) {
      let fields = try RequestFields(bytes: request.body)
      let path = try fields.text("path", atMost: 128)
      let name = path.split(separator: ":").last.map(String.init) ?? ""
      // Clients send an object, or a list of one.
      let arguments = fields.value["args"]?.array?.first ?? fields.value["args"] ?? .object([])
      let call = Call(
        convex: self, arguments: try RequestFields(arguments), succeed: succeed, fail: fail)
      guard try call.perform(name, isMutation: isMutation) else {
        throw GatewayError(.notFound, "there is no function \(path.debugDescription)")
      }
    } catch {
      fail(error)
    }
  }

  private struct Call {
    let convex: ConvexFunctions
    let arguments: RequestFields
    let succeed: (JSONValue) -> Void
    let fail: (GatewayError) -> Void

    private var core: GatewayCore { convex.core }
    private var access: Access { convex.access }
    private var sessions: HTTPSessions { HTTPSessions(core: core, access: access) }

    private func tellRemoved(_ result: Result<Int, GatewayError>) {
      switch result {
      case .success: succeed(.null)
      case .failure(let error): fail(error)
      }
    }

    /// False: there is no such function.
    func perform(_ name: String, isMutation: Bool) throws(GatewayError) -> Bool {
      switch (name, isMutation) {
      case ("heartbeat", true): try heartbeat()
      case ("disconnect", true):
        sessions.disconnect(try arguments.token("sessionToken", atMost: 128))
        succeed(.null)
      case ("updateRoomUser", true): try update()
      case ("removeRoomUser", true):
        let room = try arguments.room("roomId")
        let user = try arguments.text("userId", atMost: Limits.userIDBytes)
        try access.checkReading(room)
        if !access.isUser(user) { try access.check(.moderate, in: room) }
        sessions.remove(user, from: room, completion: tellRemoved)
      case ("removeRoom", true):
        let room = try arguments.room("roomId")
        try access.check(.moderate, in: room)
        guard !room.isLobby else { throw .lobbyStays }
        sessions.removeAll(from: room, completion: tellRemoved)
      case ("list", false): try list()
      case ("listRoom", false):
        let room = try arguments.room("roomId")
        try access.checkReading(room)
        succeed(users(in: room))
      case ("listUser", false): try listUser()
      default: return false
      }
      return true
    }

    private func heartbeat() throws(GatewayError) {
      let room = try arguments.room("roomId")
      let user = try arguments.text("userId", atMost: Limits.userIDBytes)
      let interval = try arguments.integer("interval", in: 100...3_600_000) ?? 10_000
      let session = try arguments.text("sessionId", atMost: 128)
      let known = core.sessions[core.mesh.sessionID(of: user, named: session)]?.profile
      let profile = known ?? core.mesh.user(user)?.profile ?? Profile(userID: user)
      var heartbeat = HTTPSessions.Heartbeat(
        room: room, profile: profile, sessionName: session,
        lease: .interval(.milliseconds(interval)))
      heartbeat.device = "convex"
      sessions.heartbeat(heartbeat) { result in
        switch result {
        case .failure(let error): fail(error)
        case .success(let (session, _)):
          succeed(
            .pairs([
              "roomToken": .string(
                core.tokens.token(for: room, notAfter: access.expiresAt)),
              "sessionToken": .string(core.tokens.token(for: session)),
            ]))
        }
      }
    }

    private func list() throws(GatewayError) {
      switch core.tokens.room(try arguments.token("roomToken", atMost: 256)) {
      case .room(let room): succeed(users(in: room))
      case .unknown: succeed(.array([]))
      case .hasEnded:
        throw GatewayError(.unauthorized, "the room token has ended: a heartbeat gives another")
      }
    }

    /// Users who are online, then those who have gone, most recent first.
    private func users(in room: RoomName) -> JSONValue {
      let onlineOnly = arguments.value["onlineOnly"]?.bool ?? false
      let limit = arguments.value["limit"]?.number.flatMap { Int(exactly: $0) } ?? listBound
      let users = core.mesh.room(room).users(
        onlineOnly: onlineOnly, limit: min(max(limit, 0), 1000))
      return .array(users.map { user in Self.word(user, of: user.sessions.last?.data) })
    }

    private static func word(_ user: User, of data: [UInt8]?) -> JSONValue {
      var members: [JSONValue.Member] = [
        .init(key: "userId", value: .string(user.id)),
        .init(key: "online", value: .bool(user.isOnline)),
        .init(
          key: "lastDisconnected", value: .integer(user.lastDisconnected?.milliseconds ?? 0)),
      ]
      if let data, !data.isEmpty, let value = try? JSONReader.value(of: data) {
        members.append(.init(key: "data", value: value))
      }
      return .object(members)
    }

    private func listUser() throws(GatewayError) {
      let user = try arguments.text("userId", atMost: Limits.userIDBytes)
      let rooms = core.mesh.rooms(ofUser: user).filter { access.allows(.read, in: $0) }
      succeed(
        .array(
          rooms.map { room in
            .pairs([
              "roomId": .string(room.text), "online": .bool(true), "lastDisconnected": .number(0),
            ])
          }))
    }

    private func update() throws(GatewayError) {
      let room = try arguments.room("roomId")
      let user = try arguments.text("userId", atMost: Limits.userIDBytes)
      try access.check(.publish, in: room)
      try access.checkSpeaking(for: user)
      guard let data = try arguments.data("data", atMost: Limits.presenceDataBytes) else {
        throw .missing("data", "JSON")
      }
      let mine = core.sessions.values.filter {
        UserKey($0.profile.userID) == UserKey(user)
          && (room.isLobby || $0.rooms.contains(room))
      }
      guard !mine.isEmpty else {
        throw GatewayError(.unknownUser, "the user has no session in this room at this node")
      }
      var left = mine.count
      for session in mine {
        core.act(.setData(data, in: room), session) { error in
          left -= 1
          if left == 0 {
            if let error { fail(error) } else { succeed(.null) }
          }
        }
      }
    }
  }
}

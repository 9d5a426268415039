import NIOCore
import NIOHTTP1
import PresenceMesh

/// The HTTP API: see section 5 of Docs/Gateway.md.
struct PresenceAPI {
  let core: GatewayCore
  let access: Access
  let request: HTTPRequest
  let completion: (HTTPResponse) -> Void

  private static let pageBound = 1000
  private static let pageSize = 100
  /// The most rooms of one question about several: their names stand in the address.
  private static let roomBound = 100

  // MARK: Paths

  /// The methods of a path, for `Allow`.
  func allowedMethods(_ path: [String]) -> String {
    switch (path.first, path.count) {
    case ("heartbeat", 1), ("disconnect", 1), ("demo", 2): "POST"
    case ("rooms", 2): "GET, DELETE"
    case ("rooms", 4): "PATCH, DELETE"
    case ("users", 3) where path[2] == "sessions": "DELETE"
    default: "GET"
    }
  }

  func answer(_ path: [String]) throws(GatewayError) {
    let method = request.method == .HEAD ? HTTPMethod.GET : request.method
    switch (method, path.first, path.count) {
    case (.POST, "heartbeat", 1): try heartbeat()
    case (.POST, "disconnect", 1): try disconnect()
    case (.GET, "rooms", 1): try listRooms()
    case (.GET, "rooms", 2): try listRoom(try room(path[1]))
    case (.DELETE, "rooms", 2): try removeRoom(try room(path[1]))
    case (.GET, "rooms", 3) where path[2] == "count": try count(try room(path[1]))
    case (.GET, "rooms", 3) where path[2] == "events": try follow(try room(path[1]))
    case (.PATCH, "rooms", 4) where path[2] == "users":
      try update(try user(path[3]), in: try room(path[1]))
    case (.DELETE, "rooms", 4) where path[2] == "users":
      try remove(try user(path[3]), from: try room(path[1]))
    case (.GET, "users", 2): try show(try user(path[1]))
    case (.GET, "users", 3) where path[2] == "rooms": try rooms(of: try user(path[1]))
    case (.GET, "users", 3) where path[2] == "events": try watch(try user(path[1]))
    case (.DELETE, "users", 3) where path[2] == "sessions": try signOut(try user(path[1]))
    case (.GET, "statistics", 1): try statistics()
    case (.GET, "nodes", 1): try nodes()
    case (.POST, "demo", 2) where path[1] == "link" && core.configuration.isDemo: try cutLinks()
    default:
      guard Self.isKnown(path, isDemo: core.configuration.isDemo) else {
        throw GatewayError(.notFound, "there is nothing at this path")
      }
      throw GatewayError(.methodNotAllowed, "this path takes \(allowedMethods(path))")
    }
  }

  private static func isKnown(_ path: [String], isDemo: Bool) -> Bool {
    switch (path.first, path.count) {
    case ("heartbeat", 1), ("disconnect", 1), ("rooms", 1), ("rooms", 2), ("users", 2),
      ("statistics", 1), ("nodes", 1):
      true
    case ("demo", 2): path[1] == "link" && isDemo
    case ("rooms", 3): ["count", "events"].contains(path[2])
    case ("rooms", 4): path[2] == "users"
    case ("users", 3): ["rooms", "events", "sessions"].contains(path[2])
    default: false
    }
  }

  // MARK: Parts of requests

  private func room(_ text: String) throws(GatewayError) -> RoomName {
    let name = text == "~" ? "" : text
    guard let room = RoomName(name) else { throw GatewayError(PresenceError.invalidRoomName(text)) }
    return room
  }

  /// A user id in a path.
  private func user(_ text: String) throws(GatewayError) -> String {
    guard 1...Limits.userIDBytes ~= text.utf8.count,
      !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
    else {
      throw .wrong(
        "the user", "an id of 1 to \(Limits.userIDBytes) bytes without control characters")
    }
    return text
  }

  /// - Parameter isBeacon: True: browsers send it without asking first, as text.
  private func body(isBeacon: Bool = false) throws(GatewayError) -> RequestFields {
    let type = request.headers.first(name: "content-type")?.lowercased() ?? "application/json"
    let kind = type.prefix { $0 != ";" && $0 != " " }
    guard kind == "application/json" || isBeacon && kind == "text/plain" else {
      throw GatewayError(.unsupportedMediaType, "the body must be application/json")
    }
    return try RequestFields(bytes: request.body)
  }

  private func number(
    _ name: String, in range: ClosedRange<Int>, otherwise: Int
  ) throws(GatewayError) -> Int {
    guard let text = request.parameter(name) else { return otherwise }
    guard let number = Int(text), range.contains(number) else {
      throw .wrong(name, "an integer from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  private func page() throws(GatewayError) -> (onlineOnly: Bool, limit: Int, offset: Int) {
    let onlineOnly: Bool
    switch request.parameter("onlineOnly") {
    case nil, "false": onlineOnly = false
    case "true": onlineOnly = true
    default: throw .wrong("onlineOnly", "true or false")
    }
    return (
      onlineOnly, try number("limit", in: 1...Self.pageBound, otherwise: Self.pageSize),
      try number("offset", in: 0...Int(Int32.max), otherwise: 0)
    )
  }

  // MARK: Sessions

  private var sessions: HTTPSessions { HTTPSessions(core: core, access: access) }

  private func heartbeat() throws(GatewayError) {
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
    heartbeat.bindsRoom = true
    heartbeat.device = try fields.optionalText("device", atMost: Limits.deviceBytes) ?? ""
    heartbeat.actions = try said(fields, in: room)
    sessions.heartbeat(heartbeat) { result in
      switch result {
      case .failure(let error): completion(.error(error))
      case .success(let (session, wasRestored)):
        completion(
          .json { writer in
            writer.member("sessionId", session.id.description)
            writer.member("sessionToken", core.tokens.token(for: session.id))
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

  private func disconnect() throws(GatewayError) {
    let fields = try body(isBeacon: true)
    try fields.allow(["sessionToken"])
    sessions.disconnect(try fields.token("sessionToken", atMost: 128))
    completion(.json { $0.member("disconnected", true) })
  }

  private func update(_ user: String, in room: RoomName) throws(GatewayError) {
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
    sessions.perform((actions + [.heartbeat])[...], session) { error in
      completion(error.map { .error($0) } ?? .json { $0.member("updated", true) })
    }
  }

  private func remove(_ user: String, from room: RoomName) throws(GatewayError) {
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

  private func removeRoom(_ room: RoomName) throws(GatewayError) {
    try access.check(.moderate, in: room)
    guard !room.isLobby else {
      throw GatewayError(.invalidRequest, "the lobby cannot be removed")
    }
    sessions.removeAll(from: room, completion: tellRemoved)
  }

  private func signOut(_ user: String) throws(GatewayError) {
    guard access.isTrusted || access.isUser(user) || access.allowsEverywhere(.moderate) else {
      throw GatewayError(.forbidden, "this needs the right to moderate every room")
    }
    sessions.remove(user, from: .lobby, completion: tellRemoved)
  }

  // MARK: Rooms

  private func listRooms() throws(GatewayError) {
    let rooms = core.mesh.rooms().filter { access.allows(.read, in: $0.name) }
    completion(
      .json { writer in
        writer.key("rooms")
        writer.array { writer in for room in rooms { writer.summary(room) } }
      })
  }

  private func listRoom(_ name: RoomName) throws(GatewayError) {
    try access.checkReading(name)
    let (onlineOnly, limit, offset) = try page()
    let room = core.mesh.room(name)
    let users = room.users(onlineOnly: onlineOnly, limit: limit, offset: offset)
    let count = room.count
    completion(
      .json { writer in
        writer.member("room", name.text)
        writer.key("users")
        writer.array { writer in for user in users { writer.user(user) } }
        writer.member("totalUsers", count.users)
        writer.member("totalConnections", count.sessions)
        writer.member("stale", core.mesh.isStale)
      })
  }

  private func count(_ name: RoomName) throws(GatewayError) {
    try access.checkReading(name)
    let count = core.mesh.room(name).count
    completion(
      .json { writer in
        writer.member("room", name.text)
        writer.member("users", count.users)
        writer.member("sessions", count.sessions)
      })
  }

  private func follow(_ name: RoomName) throws(GatewayError) {
    try access.checkReading(name)
    stream(RoomStream(core: core, room: name))
  }

  private func stream(_ stream: any EventStream) {
    var response = HTTPResponse(
      status: .ok, headers: ["content-type": "text/event-stream; charset=utf-8"])
    response.stream = stream
    response.streamEnd = access.expiresAt
    completion(response)
  }

  private func statistics() throws(GatewayError) {
    var names: [RoomName] = []
    for text in request.parameters("room") {
      let name = try room(text)
      try access.checkReading(name)
      names.append(name)
    }
    guard 1...Self.roomBound ~= names.count else {
      throw .wrong("room", "given from 1 to \(Self.roomBound) times")
    }
    let statistics = core.mesh.statistics(rooms: names)
    completion(
      .json { writer in
        writer.key("rooms")
        writer.array { writer in for room in statistics.rooms { writer.summary(room) } }
        writer.member("users", statistics.uniqueUsers)
        writer.member("sessions", statistics.uniqueSessions)
      })
  }

  // MARK: Users

  private func checkLobby() throws(GatewayError) {
    guard access.allows(.read, in: .lobby) else {
      throw GatewayError(.forbidden, "this needs the right to read the lobby")
    }
  }

  private func show(_ id: String) throws(GatewayError) {
    try checkLobby()
    guard let user = core.mesh.user(id) else {
      throw GatewayError(.unknownUser, "this user was not seen lately")
    }
    completion(
      HTTPResponse(
        status: .ok, headers: ["content-type": "application/json; charset=utf-8"],
        body: {
          var writer = JSONWriter(reserving: 512)
          writer.user(user)
          return writer.bytes
        }()))
  }

  private func rooms(of user: String) throws(GatewayError) {
    let rooms = core.mesh.rooms(ofUser: user).filter { access.allows(.read, in: $0) }
    // A token that may read rooms only learns of the user what these rooms tell.
    let isOnline =
      access.allows(.read, in: .lobby) ? core.mesh.isOnline(user) : !rooms.isEmpty
    completion(
      .json { writer in
        writer.member("userId", user)
        writer.member("online", isOnline)
        writer.key("rooms")
        writer.array { writer in for room in rooms { writer.string(room.text) } }
      })
  }

  private func watch(_ user: String) throws(GatewayError) {
    try checkLobby()
    stream(WatchStream(core: core, user: user))
  }

  // MARK: Nodes

  private func nodes() throws(GatewayError) {
    guard access.allowsEverywhere(.read) else {
      throw GatewayError(.forbidden, "this needs the right to read every room")
    }
    let (core, completion) = (core, completion)
    let read = { @Sendable [mesh = core.mesh] in
      (await mesh.nodes(), await mesh.stateHash(), await mesh.counters())
    }
    core.run(read) { nodes, hash, counters in
      completion(
        .json { writer in
          writer.member("node", core.mesh.nodeID.description)
          let digits = String(hash, radix: 16)
          writer.member("stateHash", String(repeating: "0", count: 16 - digits.count) + digits)
          writer.member("stale", core.mesh.isStale)
          writer.member("demo", core.configuration.isDemo)
          writer.member("cut", core.isCut)
          writer.member("sessions", core.sessions.count)
          writer.key("addresses")
          writer.array { writer in
            for address in core.mesh.boundAddresses { writer.string(address) }
          }
          writer.key("nodes")
          writer.array { writer in for node in nodes { writer.node(node) } }
          writer.key("counters")
          writer.object { writer in
            for counter in counters { writer.member(counter.name, counter.value) }
          }
        })
    }
  }

  private func cutLinks() throws(GatewayError) {
    let fields = try body()
    try fields.allow(["cut"])
    let isCut = try fields.flag("cut")
    core.isCut = isCut
    let completion = completion
    let cut = { @Sendable [mesh = core.mesh] in
      // These blocks have no addresses that could be wrong.
      _ = try? await mesh.block(isCut ? .everyone : .nobody)
    }
    core.run(cut) { _ in completion(.json { $0.member("cut", isCut) }) }
  }
}

extension JSONWriter {
  fileprivate mutating func node(_ node: Node) {
    object { writer in
      writer.member("id", node.id.description)
      writer.member("health", node.health.rawValue)
      writer.member("ageMs", node.age.inMilliseconds)
      writer.member("address", node.address)
      writer.member("roundTripUs", node.roundTrip.map { $0.inMicroseconds })
      writer.member("sessions", node.sessions)
      writer.member("settled", node.isSettled)
    }
  }
}

extension Duration {
  fileprivate var inMicroseconds: UInt64 {
    UInt64(components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000)
  }
}

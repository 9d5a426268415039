import NIOHTTP1
import PresenceMesh

// What is read of rooms, users and nodes.
extension PresenceAPI {
  // MARK: Rooms

  func listRooms() throws(GatewayError) {
    let rooms = core.mesh.rooms().filter { access.allows(.read, in: $0.name) }
    completion(
      .json { writer in
        writer.key("rooms")
        writer.array { writer in for room in rooms { writer.summary(room) } }
      })
  }

  func listRoom(_ name: RoomName) throws(GatewayError) {
    try access.checkReading(name)
    let (onlineOnly, limit, offset) = try page()
    let room = core.mesh.room(name)
    let users = room.users(onlineOnly: onlineOnly, limit: limit, offset: offset)
    let count = room.count
    let (core, completion) = (core, completion)
    let read = { @Sendable [mesh = core.mesh] in await mesh.roomHash(name) }
    core.run(read) { hash in
      completion(
        .json { writer in
          writer.member("room", name.text)
          writer.key("users")
          writer.array { writer in for user in users { writer.user(user) } }
          writer.member("totalUsers", count.users)
          writer.member("totalConnections", count.sessions)
          writer.member("hash", Self.digits(of: hash))
          writer.member("stale", core.mesh.isStale)
        })
    }
  }

  /// A hash in 16 hexadecimal digits.
  private static func digits(of hash: UInt64) -> String {
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  func count(_ name: RoomName) throws(GatewayError) {
    try access.checkReading(name)
    let count = core.mesh.room(name).count
    completion(
      .json { writer in
        writer.member("room", name.text)
        writer.member("users", count.users)
        writer.member("sessions", count.sessions)
      })
  }

  func follow(_ name: RoomName) throws(GatewayError) {
    try access.checkReading(name)
    try stream(RoomStream(core: core, room: name))
  }

  private func stream(_ stream: any EventStream) throws(GatewayError) {
    guard !core.isLeaving else { throw .leaving }
    var response = HTTPResponse(
      status: .ok, headers: ["content-type": "text/event-stream; charset=utf-8"])
    response.stream = stream
    response.streamEnd = access.expiresAt
    completion(response)
  }

  func statistics() throws(GatewayError) {
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

  func show(_ id: String) throws(GatewayError) {
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

  func rooms(of user: String) throws(GatewayError) {
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

  func watch(_ user: String) throws(GatewayError) {
    try checkLobby()
    try stream(WatchStream(core: core, user: user))
  }

  // MARK: Nodes

  func nodes() throws(GatewayError) {
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
          writer.member("stateHash", Self.digits(of: hash))
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

  func cutLinks() throws(GatewayError) {
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
      writer.member("complete", node.isComplete)
      writer.member("unverified", node.isUnverified)
      writer.member("differsMs", node.differsFor.map { UInt64($0.inMilliseconds) })
    }
  }
}

extension Duration {
  fileprivate var inMicroseconds: UInt64 {
    UInt64(components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000)
  }
}

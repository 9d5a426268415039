import Foundation
import MeshCRDT
import PresenceMesh
import Testing

@testable import MeshGateway

/// Two texts of one look: the letter as one scalar, and with its accent as a second one.
private let composed = "zo\u{EB}"
private let decomposed = "zoe\u{308}"

@Suite("Users are told apart by the bytes of their ids", .serialized)
struct IdentityTests {
  private static func heartbeat(_ user: String, _ session: String) -> String {
    #"{"room":"r","user":{"id":"\#(user)"},"sessionId":"\#(session)"}"#
  }

  private static func call(
    _ mesh: TestMesh, _ name: String, _ arguments: String
  ) async throws -> [String: Any] {
    try await mesh.ask(
      0, "POST", "/api/mutation", body: #"{"path":"presence:\#(name)","args":{\#(arguments)}}"#
    ).body
  }

  private static func code(_ answer: [String: Any]) -> String? {
    ((answer["errorData"] ?? answer["error"]) as? [String: Any])?["code"] as? String
  }

  /// The data of a user's sessions in the room.
  private static func data(_ mesh: TestMesh, _ user: String) throws -> [String] {
    let room = try #require(RoomName("r"))
    let sessions = mesh.nodes[0].room(room).user(user)?.sessions ?? []
    return sessions.map { String(decoding: $0.data, as: UTF8.self) }
  }

  @Test("Functions of the Convex shape change the sessions of the user that is named")
  func convex() async throws {
    let mesh = try await TestMesh.start(1)
    for (user, session) in [(composed, "a"), (decomposed, "b")] {
      let answer = try await Self.call(
        mesh, "heartbeat", #""roomId":"r","userId":"\#(user)","sessionId":"\#(session)""#)
      #expect(answer["status"] as? String == "success")
    }
    let answer = try await Self.call(
      mesh, "updateRoomUser", #""roomId":"r","userId":"\#(decomposed)","data":1"#)
    #expect(answer["status"] as? String == "success")
    try await HTTPTests.eventually("the one has it") {
      try Self.data(mesh, decomposed) == ["1"]
    }
    #expect(try Self.data(mesh, composed) == [""])
    // What the other calls its session is another one of this user.
    let own = try await Self.call(
      mesh, "heartbeat", #""roomId":"r","userId":"\#(decomposed)","sessionId":"a""#)
    #expect(own["status"] as? String == "success")
    try await HTTPTests.eventually("each has its own") {
      try Self.data(mesh, composed) == [""] && Self.data(mesh, decomposed).sorted() == ["", "1"]
    }
    await mesh.stop()
  }

  @Test("Two users call their sessions alike, at one node and at two", arguments: [0, 1])
  func sameNames(node: Int) async throws {
    let mesh = try await TestMesh.start(2)
    for (user, node) in [("eve", 0), ("ada", node)] {
      let answer = try await mesh.ask(
        node, "POST", "/api/v1/heartbeat", body: Self.heartbeat(user, "laptop"))
      #expect(answer.status == 200)
      try await HTTPTests.eventually("\(user) is seen") {
        mesh.nodes.allSatisfy { $0.isOnline(user) }
      }
    }
    for user in ["eve", "ada"] {
      let ids = mesh.nodes[0].user(user)?.sessions.map(\.id)
      #expect(ids == [mesh.nodes[1].sessionID(of: user, named: "laptop")])
      // The printed id stands for itself, of its user alone.
      let id = mesh.nodes[0].sessionID(of: user, named: "laptop")
      #expect(mesh.nodes[1].sessionID(of: user, named: "\(id)") == id)
      #expect(mesh.nodes[1].sessionID(of: "mallory", named: "\(id)") != id)
    }
    await mesh.stop()
  }

  @Test(
    "In a closed mesh a gateway speaks for the users that the certificate of its node names, and for no others"
  )
  func closedMesh() async throws {
    let mesh = try await TestMesh.start(2, terms: InviteTerms(users: ["bob*"]))
    for (node, user, status) in [(1, "bob-1", 200), (1, "ada", 403), (0, "ada", 200)] {
      let answer = try await mesh.ask(
        node, "POST", "/api/v1/heartbeat", body: Self.heartbeat(user, "laptop"))
      #expect(answer.status == status, "\(node) \(user)")
      if status == 403 { #expect(Self.code(answer.body) == "forbidden") }
    }
    try await HTTPTests.eventually("both nodes show both") {
      mesh.nodes.allSatisfy { $0.isOnline("bob-1") && $0.isOnline("ada") }
    }
    await mesh.stop()
  }

  @Test("The bound on sessions is one user's")
  func bound() async throws {
    let mesh = try await TestMesh.start(1) { $0.userBound = 1 }
    for (user, session, status) in [
      (composed, "a", 200), (decomposed, "b", 200), (composed, "c", 409),
    ] {
      let answer = try await mesh.ask(
        0, "POST", "/api/v1/heartbeat", body: Self.heartbeat(user, session))
      #expect(answer.status == status, "\(session)")
    }
    await mesh.stop()
  }

  @Test("An editor that is another user now is another session")
  func editor() async throws {
    let mesh = try await TestMesh.start(1)
    let socket = try await RawSocket(mesh.urls[0], path: "/yjs/r")
    var sessions: [SessionID] = []
    for (clock, user) in [(UInt8(1), composed), (2, decomposed)] {
      let state = Array(#"{"user":{"id":"\#(user)"}}"#.utf8)
      let entry = [1, 7, clock, UInt8(state.count)] + state
      try await socket.send(opcode: 2, [1, UInt8(entry.count)] + entry)
      try await HTTPTests.eventually("the room has the one who was said, and nobody else") {
        let room = mesh.nodes[0].room(try #require(RoomName("r")))
        return room.isOnline(user) && room.count.users == 1
      }
      sessions += mesh.nodes[0].sessions().map(\.id)
    }
    #expect(sessions.count == 2 && sessions.first != sessions.last)
    await mesh.stop()
  }

  @Test("Watches and topics of both are beside each other")
  func watches() async throws {
    let mesh = try await TestMesh.start(1)
    let native = try await RawSocket(mesh.urls[0])
    for user in [composed, decomposed] {
      try await native.send(#"{"type":"watch","userId":"\#(user)"}"#)
      let told = try #require(try await native.next("presence.watch")["userId"] as? String)
      #expect(told.utf8.elementsEqual(user.utf8))
    }
    #expect(try await mesh.metric("presence_gateway_watches") == 2)
    let phoenix = try await RawSocket(mesh.urls[0], path: "/socket/websocket?vsn=2.0.0")
    // A topic that is joined again closes the one before.
    for (ref, room) in [composed, decomposed].enumerated() {
      try await phoenix.send(#"["\#(ref)","\#(ref)","room:\#(room)","phx_join",{}]"#)
      while case .text(let text) = try await phoenix.next() {
        #expect(!text.contains("phx_close"), "\(text)")
        if text.contains("phx_reply") { break }
      }
    }
    await mesh.stop()
  }

  @Test("What is told of both in one tick is told of both")
  func tick() throws {
    let room = try #require(RoomName("r"))
    func user(_ id: String, _ number: UInt64) throws -> User {
      let snapshot = SessionSnapshot(
        id: SessionID(0, number), host: OriginID(1, 0, 0, 0),
        value: SessionValue(
          profile: Profile(userID: id), device: "", joinedAt: WallTime(milliseconds: 1)),
        places: [.init(room: room, presence: PresenceValue(enteredCounter: 1), cursor: nil)])
      let session = try #require(Session(snapshot, in: room, suspectSince: nil))
      return try #require(User(sessions: [session]))
    }
    let (one, other) = (try user(composed, 1), try user(decomposed, 2))
    let cursor = Cursor(x: 0, y: 0)
    let (changes, cursors) = RoomUpdate.coalesced([
      .status(one), .status(other), .typing(one), .typing(other),
      .cursor(user: one.id, session: SessionID(0, 1), cursor), .updated(one), .updated(other),
      .cursor(user: one.id, session: SessionID(0, 1), cursor), .offline(other),
    ])
    #expect(changes.count == 7)
    #expect(cursors.count == 1)
  }

  @Test("Free data that differs in its bytes is other data")
  func values() {
    #expect(JSONValue.string(composed) != .string(decomposed))
    #expect(JSONValue.pairs([composed: .null]) != .pairs([decomposed: .null]))
    #expect(JSONValue.array([.string(composed)]) == .array([.string(composed)]))
  }
}

@Suite("Sessions of one room", .serialized)
struct BoundSessionTests {
  @Test("A session that belongs to a room is refused in another one, on every node")
  func roomsOnAllNodes() async throws {
    let mesh = try await TestMesh.start(2)
    func beat(_ node: Int, _ room: String, _ user: String = "ada") async throws -> Int {
      try await mesh.ask(
        node, "POST", "/api/v1/heartbeat",
        body: #"{"room":"\#(room)","user":{"id":"\#(user)"},"sessionId":"c"}"#
      ).status
    }
    #expect(try await beat(0, "r1") == 200)
    try await HTTPTests.eventually("the session is seen at the other node") {
      RoomName("r1").map { mesh.nodes[1].room($0).users().count == 1 } ?? false
    }
    #expect(try await beat(1, "r2") == 409)
    #expect(try await beat(0, "r2") == 409)
    // Of another user it is another session.
    #expect(try await beat(1, "r2", "eve") == 200)
    #expect(try await beat(1, "r1") == 200)
    await mesh.stop()
  }
}

@Suite("The tokens of sessions", .serialized)
struct SessionTokenTests {
  /// The time that a token says its stay began at.
  private static func stay(_ token: String) -> String { "\(token.split(separator: ".")[1])" }

  @Test("They name the stay, however fast sessions are opened")
  func stays() async throws {
    let mesh = try await TestMesh.start(1)
    var sockets: [RawSocket] = []
    for _ in 0..<16 { sockets.append(try await RawSocket(mesh.urls[0])) }
    for (number, socket) in sockets.enumerated() {
      try await socket.send(#"{"type":"join","room":"r","user":{"id":"u\#(number)"}}"#)
    }
    for socket in sockets {
      let joined = try await socket.next("joined")
      let token = try #require(joined["sessionToken"] as? String)
      let id = try #require((joined["sessionId"] as? String).flatMap { SessionID($0) })
      try await HTTPTests.eventually("the session shows") { mesh.nodes[0].session(id) != nil }
      let joinedAt = mesh.nodes[0].session(id)?.value.joinedAt.milliseconds
      #expect(Self.stay(token) == joinedAt.map { "\($0)" })
    }
    await mesh.stop()
  }

  @Test("They are good for their stay alone, and none is good for any")
  func laterStays() async throws {
    let mesh = try await TestMesh.start(1)
    let body = #"{"room":"r","user":{"id":"ada"},"sessionId":"s"}"#
    func beat() async throws -> String {
      let answer = try await mesh.ask(0, "POST", "/api/v1/heartbeat", body: body)
      return try #require(answer.body["sessionToken"] as? String)
    }
    func update(_ token: String) async throws -> Int {
      try await mesh.ask(
        0, "PATCH", "/api/v1/rooms/r/users/ada",
        body: #"{"sessionToken":"\#(token)","status":"busy"}"#
      ).status
    }
    func disconnect(_ token: String) async throws {
      _ = try await mesh.ask(
        0, "POST", "/api/v1/disconnect", body: #"{"sessionToken":"\#(token)"}"#)
    }
    let first = try await beat()
    #expect(try await update(first) == 200)
    try await disconnect(first)
    // A stay is told from another one by its time.
    try await Task.sleep(for: .milliseconds(2))
    let second = try await beat()
    #expect(second != first)
    let id = mesh.nodes[0].sessionID(of: "ada", named: "s")
    let nameless = "\(id).0.\(mesh.nodes[0].seal(of: "session \(id) 0"))"
    for token in [first, nameless] {
      #expect(try await update(token) == 404)
      try await disconnect(token)
      try await Task.sleep(for: .milliseconds(100))
      #expect(mesh.nodes[0].isOnline("ada"))
    }
    #expect(try await update(second) == 200)
    try await disconnect(second)
    try await HTTPTests.eventually("it ends by its own") { !mesh.nodes[0].isOnline("ada") }
    await mesh.stop()
  }
}

import Foundation
import PresenceMesh
import Testing

@testable import MeshGateway

@Suite("The HTTP API", .serialized)
struct HTTPTests {
  private static func heartbeat(
    room: String, user: String, session: String, more: String = ""
  ) -> String {
    #"{"room":"\#(room)","user":{"id":"\#(user)"},"sessionId":"\#(session)"\#(more)}"#
  }

  @Test("A heartbeat at one node shows at another, and a disconnect ends it")
  func heartbeats() async throws {
    let mesh = try await TestMesh.start(2)
    let answer = try await mesh.ask(
      0, "POST", "/api/v1/heartbeat",
      body: Self.heartbeat(room: "design", user: "ada", session: "tab", more: #","status":"busy""#))
    #expect(answer.status == 200)
    let token = try #require(answer.body["sessionToken"] as? String)
    try await Self.eventually("the other node lists her") {
      let list = try await mesh.ask(1, "GET", "/api/v1/rooms/design?onlineOnly=true")
      let users = list.body["users"] as? [[String: Any]] ?? []
      return users.first?["userId"] as? String == "ada"
        && users.first?["status"] as? String == "busy"
    }
    for _ in 0..<2 {
      let end = try await mesh.ask(
        1, "POST", "/api/v1/disconnect", body: #"{"sessionToken":"\#(token)"}"#)
      #expect(end.status == 200)
    }
    try await Self.eventually("she is gone at both") {
      for node in 0..<2 {
        let count = try await mesh.ask(node, "GET", "/api/v1/rooms/design/count")
        if count.body["users"] as? Int != 0 { return false }
      }
      return true
    }
    await mesh.stop()
  }

  @Test("Both sides of a cut go on, say so, and come back together")
  func partition() async throws {
    let mesh = try await TestMesh.start(3)
    func beat(_ node: Int, _ user: String, _ status: String) async throws {
      let answer = try await mesh.ask(
        node, "POST", "/api/v1/heartbeat",
        body: Self.heartbeat(
          room: "r", user: user, session: user, more: #","status":"\#(status)""#))
      #expect(answer.status == 200)
    }
    func status(_ user: String, at node: Int) async throws -> String? {
      let list = try await mesh.ask(node, "GET", "/api/v1/rooms/r?onlineOnly=true")
      let users = list.body["users"] as? [[String: Any]] ?? []
      return users.first { $0["userId"] as? String == user }?["status"] as? String
    }
    try await beat(0, "ada", "online")
    try await beat(2, "bob", "online")
    try await Self.eventually("they see each other") {
      let (first, second) = (try await status("ada", at: 2), try await status("bob", at: 0))
      return first == "online" && second == "online"
    }
    _ = try await mesh.ask(2, "POST", "/api/v1/demo/link", body: #"{"cut":true}"#)
    try await beat(0, "ada", "away")
    try await beat(2, "bob", "busy")
    try await Self.eventually("each side goes on, and the one that is alone says so") {
      let nodes = try await mesh.ask(2, "GET", "/api/v1/nodes")
      let near = try await status("ada", at: 1)
      let own = try await status("bob", at: 2)
      let old = try await status("ada", at: 2)
      return near == "away" && own == "busy" && old == "online"
        && nodes.body["stale"] as? Bool == true
    }
    _ = try await mesh.ask(2, "POST", "/api/v1/demo/link", body: #"{"cut":false}"#)
    try await Self.eventually("all agree") {
      var hashes: Set<String> = []
      for node in 0..<3 {
        guard try await status("ada", at: node) == "away",
          try await status("bob", at: node) == "busy"
        else { return false }
        let nodes = try await mesh.ask(node, "GET", "/api/v1/nodes")
        hashes.insert(nodes.body["stateHash"] as? String ?? "")
      }
      return hashes.count == 1
    }
    await mesh.stop()
  }

  @Test("Who is removed while the host is cut off stays removed when it is heard again")
  func removalOverCut() async throws {
    let mesh = try await TestMesh.start(3)
    func beat() async throws -> (status: Int, code: String?) {
      let answer = try await mesh.ask(
        2, "POST", "/api/v1/heartbeat",
        body: Self.heartbeat(room: "r", user: "bob", session: "bobs"))
      return (answer.status, (answer.body["error"] as? [String: Any])?["code"] as? String)
    }
    func users(at node: Int) async throws -> Int? {
      try await mesh.ask(node, "GET", "/api/v1/rooms/r/count").body["users"] as? Int
    }
    #expect(try await beat().status == 200)
    try await Self.eventually("bob is seen") { try await users(at: 0) == 1 }
    _ = try await mesh.ask(2, "POST", "/api/v1/demo/link", body: #"{"cut":true}"#)
    let answer = try await mesh.ask(0, "DELETE", "/api/v1/users/bob/sessions")
    #expect(answer.body["removed"] as? Int == 1)
    try await Self.eventually("this side does not see bob") { try await users(at: 1) == 0 }
    // The other side cannot know.
    #expect(try await beat().status == 200)
    #expect(try await users(at: 2) == 1)
    _ = try await mesh.ask(2, "POST", "/api/v1/demo/link", body: #"{"cut":false}"#)
    try await Self.eventually("his host lets him go") { try await users(at: 2) == 0 }
    let late = try await beat()
    #expect(late.status == 410 && late.code == "session_removed")
    for node in 0..<3 { #expect(try await users(at: node) == 0) }
    await mesh.stop()
  }

  @Test("A token for one room learns nothing of another, and speaks for nobody else")
  func tokens() async throws {
    let keys = try await TokenKeys(json: Data(TokenKeys.newFile().utf8))
    let mesh = try await TestMesh.start(1, keys: keys)
    func bearer(_ user: String, _ rooms: [String], _ rights: Set<AccessRight>) async throws
      -> [String: String]
    {
      let token = try await keys.token(
        user: user, rooms: rooms, rights: rights, expiresIn: .seconds(60))
      return ["authorization": "Bearer \(token)"]
    }
    let all = try await bearer("root", ["*"], Set(AccessRight.allCases))
    let ada = try await bearer("ada", ["design"], [.read, .publish])
    let secret = Self.heartbeat(room: "secret", user: "root", session: "s")
    #expect(try await mesh.ask(0, "POST", "/api/v1/heartbeat", body: secret).status == 401)
    #expect(
      try await mesh.ask(0, "POST", "/api/v1/heartbeat", body: secret, headers: all).status == 200)

    // Neither by list, count, events, statistics nor queries about users.
    for path in [
      "/api/v1/rooms/secret", "/api/v1/rooms/secret/count", "/api/v1/rooms/secret/events",
      "/api/v1/statistics?room=design&room=secret", "/api/v1/rooms/nothing",
    ] {
      let answer = try await mesh.ask(0, "GET", path, headers: ada)
      #expect(answer.status == 404, "\(path)")
    }
    for path in ["/api/v1/users/root", "/api/v1/users/root/events", "/api/v1/nodes", "/metrics"] {
      #expect(try await mesh.ask(0, "GET", path, headers: ada).status == 403, "\(path)")
    }
    let rooms = try await mesh.ask(0, "GET", "/api/v1/rooms", headers: ada)
    #expect((rooms.body["rooms"] as? [Any])?.isEmpty == true)
    let of = try await mesh.ask(0, "GET", "/api/v1/users/root/rooms", headers: ada)
    #expect((of.body["rooms"] as? [Any])?.isEmpty == true && of.body["online"] as? Bool == false)

    for (body, status) in [
      (Self.heartbeat(room: "design", user: "bob", session: "t"), 403),
      (Self.heartbeat(room: "secret", user: "ada", session: "t"), 404),
      (Self.heartbeat(room: "design", user: "ada", session: "t"), 200),
      // What somebody else calls its session, too.
      (Self.heartbeat(room: "design", user: "ada", session: "s"), 200),
    ] {
      let answer = try await mesh.ask(
        0, "POST", "/api/v1/heartbeat", body: body, headers: ada)
      #expect(answer.status == status, "\(body)")
    }
    #expect(mesh.nodes[0].user("root")?.sessions.count == 1)
    #expect(
      try await mesh.ask(0, "DELETE", "/api/v1/rooms/design", headers: ada).status == 403)
    #expect(
      try await mesh.ask(0, "DELETE", "/api/v1/users/root/sessions", headers: ada).status == 403)
    await mesh.stop()
  }

  @Test("Every answer tells browsers what they may do")
  func securityHeaders() async throws {
    let mesh = try await TestMesh.start(1)
    for path in ["/", "/client.js", "/api/v1/rooms", "/nothing"] {
      let answer = try await mesh.ask(0, "GET", path)
      let headers = Dictionary(
        uniqueKeysWithValues: answer.headers.map {
          ("\($0.key)".lowercased(), "\($0.value)")
        })
      #expect(headers["x-content-type-options"] == "nosniff", "\(path)")
      #expect(headers["content-security-policy"]?.contains("default-src 'none'") == true)
    }
    let refused = try await mesh.ask(
      0, "GET", "/api/v1/rooms", headers: ["origin": "http://evil.example"])
    #expect(refused.status == 403)
    await mesh.stop()
  }

  @Test("An address beyond loopback needs leave, and keys")
  func remoteAddresses() async throws {
    var configuration = PresenceMesh.Configuration(identity: .inMemory)
    configuration.listen = .loopback(port: 0)
    configuration.multicast = false
    let mesh = try await PresenceMesh.join(configuration)
    await #expect(throws: GatewayStartError.self) {
      try await Gateway.start(mesh, GatewayConfiguration(address: "0.0.0.0:0"))
    }
    var allowed = GatewayConfiguration(address: "0.0.0.0:0")
    allowed.allowsRemote = true
    await #expect(throws: GatewayStartError.self) { try await Gateway.start(mesh, allowed) }
    allowed.keys = try await TokenKeys(json: Data(TokenKeys.newFile().utf8))
    let gateway = try await Gateway.start(mesh, allowed)
    let taken = GatewayConfiguration(
      address: "127.0.0.1:\(gateway.address.split(separator: ":")[1])")
    let error = await #expect(throws: GatewayStartError.self) {
      try await Gateway.start(mesh, taken)
    }
    #expect(error?.description.contains("is in use") == true)
    await gateway.stop()
    await mesh.leave()
  }

  static func eventually(
    _ what: Comment, _ condition: () async throws -> Bool
  ) async throws {
    let end = ContinuousClock.now.advanced(by: .seconds(60))
    while try await !condition() {
      guard ContinuousClock.now < end else {
        Issue.record(what)
        throw CancellationError()
      }
      try await Task.sleep(for: .milliseconds(100))
    }
  }
}

@Suite("The documentation of the gateway")
struct GatewayDocumentationTests {
  @Test("Every counter, error and file is named in Docs/Gateway.md")
  func everythingIsNamed() throws {
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../Docs/Gateway.md").standardizedFileURL
    let text = try String(contentsOf: path, encoding: .utf8)
    for name in GatewayCounters.Name.allCases {
      #expect(text.contains("`\(name.rawValue)`"), "\(name.rawValue)")
    }
    for code in GatewayError.Code.allCases {
      #expect(text.contains("`\(code.rawValue)`"), "\(code.rawValue)")
    }
    for message in ["welcome", "joined", "presence.sync", "presence.cursor", "presence.expired"] {
      #expect(text.contains("`\(message)`"))
    }
  }
}

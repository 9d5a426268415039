import Foundation
import PresenceMesh
import Testing

@testable import MeshGateway

@Suite("Sessions of clients", .serialized)
struct SessionTests {
  private static func heartbeat(_ user: String, _ session: String, expiresIn: Int = 60_000)
    -> String
  {
    #"{"room":"r","user":{"id":"\#(user)"},"sessionId":"\#(session)","expiresIn":\#(expiresIn)}"#
  }

  @Test("A user has 64 sessions at a node, however many are opened at once")
  func userBound() async throws {
    let mesh = try await TestMesh.start(1)
    var clients: [RawClient] = []
    for _ in 0..<80 { clients.append(try RawClient(mesh.urls[0])) }
    for (number, client) in clients.enumerated() {
      try await client.request(
        "POST /api/v1/heartbeat", body: Self.heartbeat("ada", "s\(number)"))
    }
    var opened: [(client: RawClient, token: String)] = []
    for client in clients {
      let answer = try #require(try await client.answer())
      let body = try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? [String: Any]
      if answer.status == 200, let token = body?["sessionToken"] as? String {
        opened.append((client, token))
      } else {
        #expect(answer.status == 409)
        #expect((body?["error"] as? [String: Any])?["code"] as? String == "too_many_sessions")
      }
    }
    #expect(opened.count == 64)
    #expect(try await mesh.metric("presence_gateway_sessions") == 64)
    // The bound is one user's, and there is room for as many as end.
    let bob = try await mesh.ask(
      0, "POST", "/api/v1/heartbeat", body: Self.heartbeat("bob", "b"))
    #expect(bob.status == 200)
    let (client, token) = try #require(opened.first)
    try await client.request("POST /api/v1/disconnect", body: #"{"sessionToken":"\#(token)"}"#)
    #expect(try await client.answer()?.status == 200)
    for (name, status) in [("more", 200), ("yet more", 409)] {
      let answer = try await mesh.ask(
        0, "POST", "/api/v1/heartbeat", body: Self.heartbeat("ada", name))
      #expect(answer.status == status, "\(name)")
    }
    await mesh.stop()
  }

  @Test("A session that comes back outlives the beacons of its end")
  func beacons() async throws {
    let mesh = try await TestMesh.start(2)
    func isThere() async throws -> Bool {
      for node in 0..<2 {
        let count = try await mesh.ask(node, "GET", "/api/v1/rooms/r/count")
        if count.body["sessions"] as? Int != 1 { return false }
      }
      return true
    }
    func token(_ client: RawClient) async throws -> String {
      let answer = try #require(try await client.answer())
      #expect(answer.status == 200)
      let body = try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? [String: Any]
      return try #require(body?["sessionToken"] as? String)
    }
    func beacon(_ token: String) -> String { #"{"sessionToken":"\#(token)"}"# }
    let client = try RawClient(mesh.urls[0])
    try await client.request("POST /api/v1/heartbeat", body: Self.heartbeat("ada", "tab"))
    let first = try await token(client)

    // Twice at its own node in one breath, and it is back at once.
    try await client.request("POST /api/v1/disconnect", body: beacon(first))
    try await client.request("POST /api/v1/disconnect", body: beacon(first))
    try await client.request("POST /api/v1/heartbeat", body: Self.heartbeat("ada", "tab"))
    for _ in 0..<2 { #expect(try await client.answer()?.status == 200) }
    let second = try await token(client)
    try await HTTPTests.eventually("it is back") { try await isThere() }
    // Longer than a node waits before it ends what it took over.
    try await Task.sleep(for: .milliseconds(600))
    #expect(try await isThere())

    // At the other node, where it comes back to.
    let other = try RawClient(mesh.urls[1])
    try await other.request("POST /api/v1/disconnect", body: beacon(second))
    try await other.request("POST /api/v1/heartbeat", body: Self.heartbeat("ada", "tab"))
    #expect(try await other.answer()?.status == 200)
    let third = try await token(other)
    try await Task.sleep(for: .milliseconds(600))
    try await HTTPTests.eventually("it is back there") { try await isThere() }

    // Beacons after the end, at either node, are answered as the first one was.
    for node in [1, 0, 1, 0] {
      let answer = try await mesh.ask(node, "POST", "/api/v1/disconnect", body: beacon(third))
      #expect(answer.status == 200 && answer.body["disconnected"] as? Bool == true)
    }
    try await HTTPTests.eventually("it is gone") {
      let count = try await mesh.ask(0, "GET", "/api/v1/rooms/r/count")
      return count.body["sessions"] as? Int == 0
    }
    await mesh.stop()
  }

  @Test("Nothing of clients stays behind when their connections end")
  func leaks() async throws {
    let mesh = try await TestMesh.start(1) { configuration in
      configuration.careInterval = .milliseconds(50)
      configuration.keptRoomTime = .milliseconds(200)
    }
    let url = mesh.urls[0]
    var clients: [RawClient] = []
    var natives: [RawSocket] = []
    for number in 0..<8 {
      let native = try await RawSocket(url)
      natives.append(native)
      try await native.send(
        #"{"type":"join","room":"n\#(number)","user":{"id":"n\#(number)"},"ref":1}"#)
      _ = try await native.next("presence.sync")
      try await native.send(#"{"type":"watch","userId":"ada","ref":2}"#)
      _ = try await native.next("presence.watch")
      let phoenix = try await RawSocket(url, path: "/socket/websocket?vsn=2.0.0")
      try await phoenix.send(
        #"["1","1","room:p\#(number)","phx_join",{"user_id":"p\#(number)"}]"#)
      let yjs = try await RawSocket(url, path: "/yjs/y\(number)")
      // An awareness update: one client, clock 1, the state {}.
      try await yjs.send(opcode: 2, [1, 6, 1, UInt8(number + 1), 1, 2, 0x7B, 0x7D])
      clients += [native.client, phoenix.client, yjs.client]
      for path in ["rooms/e\(number)", "users/ada"] {
        let events = try RawClient(url)
        try await events.request("GET /api/v1/\(path)/events")
        clients.append(events)
      }
    }
    // The connection that asks is one, too.
    for (name, count) in [("connections", 41), ("sessions", 24), ("rooms", 32), ("watches", 16)] {
      try await HTTPTests.eventually("all are counted: \(name)") {
        try await mesh.metric("presence_gateway_\(name)") == count
      }
    }
    // What lives on after its connection, lives for a second: said now, since opening all of the
    // above may take longer than that.
    for native in natives {
      try await native.send(#"{"type":"heartbeat","expiresIn":1000,"ref":3}"#)
      _ = try await native.next("ok")
    }
    for client in clients { client.shutDown() }
    for (name, count) in [("connections", 1), ("sessions", 0), ("rooms", 0), ("watches", 0)] {
      // Each is looked at, whatever the others are.
      try? await HTTPTests.eventually("none are left: \(name)") {
        try await mesh.metric("presence_gateway_\(name)") == count
      }
    }
    await mesh.stop()
  }

  @Test("Rooms that were left are remembered up to a bound, the one left last among them")
  func keptRooms() async throws {
    let mesh = try await TestMesh.start(1) { $0.keptRoomBound = 4 }
    let socket = try await RawSocket(mesh.urls[0])
    func join(_ room: String, resume: String? = nil) async throws -> [String: Any] {
      let more = resume.map { #","resume":"\#($0)""# } ?? ""
      try await socket.send(#"{"type":"join","room":"\#(room)"\#(more),"ref":1}"#)
      return try await socket.next("presence.sync")
    }
    func leave(_ room: String) async throws {
      try await socket.send(#"{"type":"leave","room":"\#(room)","ref":"left"}"#)
      _ = try await socket.next("ok")
    }
    var resumes: [String] = []
    for number in 0..<20 {
      resumes.append(try #require(try await join("r\(number)")["resume"] as? String))
      try await leave("r\(number)")
      #expect(try await mesh.metric("presence_gateway_rooms") <= 4)
    }
    #expect(try await mesh.metric("presence_gateway_rooms") == 4)
    // A room that is looked at again is none of those that may be forgotten.
    _ = try await join("r16")
    for number in 20..<30 {
      _ = try await join("r\(number)")
      try await leave("r\(number)")
    }
    #expect(try await mesh.metric("presence_gateway_rooms") == 5)
    // Whoever comes back to one that is kept goes on where it was: the word of its last message holds.
    let again = try await RawSocket(mesh.urls[0])
    try await again.send(#"{"type":"join","room":"r16","ref":1}"#)
    #expect(try await again.next("presence.sync")["resume"] as? String == resumes[16])
    let anew = try await join("r0")["resume"] as? String
    #expect(anew != nil && anew != resumes[0])
    await mesh.stop()
  }
}

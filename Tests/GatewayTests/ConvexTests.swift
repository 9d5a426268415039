import Foundation
import PresenceMesh
import Testing

@testable import MeshGateway

@Suite("Functions of the Convex shape", .serialized)
struct ConvexTests {
  private static func call(
    _ mesh: TestMesh, _ node: Int, _ path: String, _ arguments: String,
    headers: [String: String] = [:]
  ) async throws -> [String: Any] {
    try await mesh.ask(
      node, "POST", path, body: arguments, headers: headers
    ).body
  }

  private static func list(
    _ mesh: TestMesh, _ node: Int, _ token: String
  ) async throws -> [String: Any] {
    try await call(
      mesh, node, "/api/query",
      #"{"path":"presence:list","args":{"roomToken":"\#(token)"}}"#)
  }

  private static let heartbeat = """
    {"path":"presence:heartbeat","args":{"roomId":"r","userId":"ada","sessionId":"s"}}
    """

  @Test("The token of a room is understood by every node, until it ends")
  func roomTokens() async throws {
    let mesh = try await TestMesh.start(2) { $0.roomTokenTime = .seconds(4) }
    let answer = try await Self.call(mesh, 0, "/api/mutation", Self.heartbeat)
    let value = try #require(answer["value"] as? [String: Any])
    let token = try #require(value["roomToken"] as? String)
    #expect(try await Self.list(mesh, 0, token)["status"] as? String == "success")
    try await HTTPTests.eventually("it is refused in the end, at the other node too") {
      let answer = try await Self.list(mesh, 1, token)
      guard answer["status"] as? String == "error" else { return false }
      #expect((answer["errorData"] as? [String: Any])?["code"] as? String == "unauthorized")
      #expect(answer["value"] == nil)
      return true
    }
    // A token that nobody made shows an empty room, as the clients expect, also with a later end.
    var parts = token.split(separator: ".").map(String.init)
    parts[1] = "\(WallTime.now.milliseconds + 1_000_000)"
    for forged in [parts.joined(separator: "."), "x", "..", token + "0"] {
      let answer = try await Self.list(mesh, 0, forged)
      #expect((answer["value"] as? [Any])?.isEmpty == true, "\(forged)")
    }
    await mesh.stop()
  }

  @Test("A token lasts for a day at least, and is the same for the heartbeats of an hour")
  func ends() async throws {
    let mesh = try await TestMesh.start(1)
    let node = mesh.nodes[0]
    let tokens = ClientTokens(
      mesh: node, roomTime: GatewayConfiguration(address: "").roomTokenTime)
    let room = try #require(RoomName("r"))
    let hour: UInt64 = 3_600_000
    let begin = 500_000 * hour
    let at = { (time: UInt64) in WallTime(milliseconds: time) }
    let token = tokens.token(for: room, notAfter: nil, now: at(begin + 1))
    #expect(tokens.token(for: room, notAfter: nil, now: at(begin + hour)) == token)
    #expect(tokens.token(for: room, notAfter: nil, now: at(begin + hour + 1)) != token)
    #expect(tokens.room(token, now: at(begin + 25 * hour - 1)) == .room(room))
    #expect(tokens.room(token, now: at(begin + 25 * hour)) == .hasEnded)
    // It does not outlive the token of the client that it was given to.
    let short = tokens.token(for: room, notAfter: begin + 5, now: at(begin))
    #expect(tokens.room(short, now: at(begin + 4)) == .room(room))
    #expect(tokens.room(short, now: at(begin + 5)) == .hasEnded)
    #expect(tokens.room("\(short)0", now: at(begin)) == .unknown)
    await mesh.stop()
  }

  @Test("The token of a room ends with that of the client")
  func clientsToken() async throws {
    let keys = try await TokenKeys(json: Data(TokenKeys.newFile().utf8))
    let mesh = try await TestMesh.start(1, keys: keys)
    let token = try await keys.token(
      user: "ada", rooms: ["r"], rights: [.read, .publish], expiresIn: .seconds(600))
    let answer = try await Self.call(
      mesh, 0, "/api/mutation", Self.heartbeat, headers: ["authorization": "Bearer \(token)"])
    let value = try #require(answer["value"] as? [String: Any])
    let parts = try #require(value["roomToken"] as? String).split(separator: ".")
    let end = try #require(parts.count == 3 ? UInt64(parts[1]) : nil)
    #expect(end <= WallTime.now.milliseconds + 600_000)
    await mesh.stop()
  }

  @Test("The lobby takes data, and is not removed")
  func lobby() async throws {
    let mesh = try await TestMesh.start(1)
    _ = try await Self.call(mesh, 0, "/api/mutation", Self.heartbeat)
    let removed = try await Self.call(
      mesh, 0, "/api/mutation", #"{"path":"presence:removeRoom","args":{"roomId":""}}"#)
    #expect(removed["status"] as? String == "error")
    #expect((removed["errorData"] as? [String: Any])?["code"] as? String == "invalid_request")
    let updated = try await Self.call(
      mesh, 0, "/api/mutation",
      #"{"path":"presence:updateRoomUser","args":{"roomId":"","userId":"ada","data":{"a":1}}}"#)
    #expect(updated["status"] as? String == "success")
    try await HTTPTests.eventually("it shows there") {
      let sessions = mesh.nodes[0].user("ada")?.sessions ?? []
      return sessions.map(\.data) == [Array(#"{"a":1}"#.utf8)]
    }
    // Nobody's session has ended.
    let again = try await Self.call(mesh, 0, "/api/mutation", Self.heartbeat)
    #expect(again["status"] as? String == "success")
    #expect(mesh.nodes[0].sessions().count == 1)
    await mesh.stop()
  }
}

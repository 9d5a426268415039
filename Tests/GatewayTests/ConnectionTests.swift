import Foundation
import PresenceMesh
import Testing

@testable import MeshGateway

@Suite("Connections that do not behave", .serialized)
struct ConnectionTests {
  @Test(
    "A request that does not come in is closed after its own time, not that of silence",
    arguments: ["GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n", "GET /hea", "first"])
  func endlessHeaders(beginning: String) async throws {
    let mesh = try await TestMesh.start(1) { configuration in
      configuration.requestTimeout = .milliseconds(300)
      configuration.idleTimeout = .seconds(3600)
      configuration.careInterval = .milliseconds(50)
    }
    let client = try RawClient(mesh.urls[0])
    if beginning == "first" {
      // After a whole request the next one has its own time again.
      try await client.request("GET /healthz")
      #expect(try await client.answer()?.status == 200)
      try await client.send("GET /healthz HTTP/1.1\r\nx-a: b\r\n")
    } else {
      try await client.send(beginning)
    }
    #expect(try await client.rest() == "")
    #expect(try await mesh.metric("presence_gateway_connections_idle_closed_total") == 1)

    // A body that does not come is no different, and silence is.
    let silent = try RawClient(mesh.urls[0])
    let slow = try RawClient(mesh.urls[0])
    try await slow.send(
      "POST /api/v1/heartbeat HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\n{")
    #expect(try await slow.rest() == "")
    silent.readSome()
    #expect(!silent.isAtEnd)
    await mesh.stop()
  }

  /// Bytes that are no request, or more of one than is taken.
  enum NoRequest: String, CaseIterable, CustomTestStringConvertible {
    case headerWithoutColon, unknownVersion, noText, chunkWithoutSize, longHeader, manyHeaders

    var testDescription: String { rawValue }

    var bytes: String {
      switch self {
      case .headerWithoutColon: "GET /healthz HTTP/1.1\r\nbroken header\r\n\r\n"
      case .unknownVersion: "GET /healthz HTTP/9.1\r\n\r\n"
      case .noText: "\u{1}\u{2}\u{3}\r\n\r\n"
      case .chunkWithoutSize:
        "POST /api/v1/heartbeat HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nno size\r\n"
      case .longHeader:
        "GET /healthz HTTP/1.1\r\nx: \(String(repeating: "x", count: 200_000))\r\n\r\n"
      case .manyHeaders:
        "GET /healthz HTTP/1.1\r\n\(String(repeating: "x-one: 1\r\n", count: 10_000))\r\n"
      }
    }

    var answer: (status: Int, code: String) {
      switch self {
      case .longHeader, .manyHeaders: (431, "headers_too_large")
      default: (400, "invalid_request")
      }
    }
  }

  @Test(
    "What is no request is answered in the gateway's words, and the connection ends",
    arguments: NoRequest.allCases)
  func brokenRequests(_ request: NoRequest) async throws {
    let mesh = try await TestMesh.start(1)
    let client = try RawClient(mesh.urls[0])
    // One that was sound before it is answered as ever.
    try await client.request("GET /healthz")
    #expect(try await client.answer()?.status == 200)
    try await client.send(request.bytes)
    let answer = try #require(try await client.answer())
    #expect(answer.status == request.answer.status)
    #expect(answer.headers["content-type"]?.hasPrefix("application/json") == true)
    #expect(answer.headers["connection"] == "close")
    #expect(answer.headers["x-content-type-options"] == "nosniff")
    let body = try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? [String: Any]
    let error = body?["error"] as? [String: Any]
    #expect(error?["code"] as? String == request.answer.code)
    #expect(error?["message"] is String)
    #expect(try await client.rest() == "")
    await mesh.stop()
  }

  @Test("A client that does not read its answers is not read")
  func backPressure() async throws {
    let mesh = try await TestMesh.start(1) { configuration in
      configuration.messagesPerSecond = 1_000_000
    }
    let client = try RawClient(mesh.urls[0], receiveBytes: 16_384)
    // 64 MiB of requests whose answers would be several times as much: none of them is read.
    let padding = String(repeating: "x", count: 8000)
    let line = Array("GET /client.js HTTP/1.1\r\nhost: 127.0.0.1\r\nx: \(padding)\r\n\r\n".utf8)
    var sent = 0
    var lastSent = ContinuousClock.now
    while sent < 64 << 20 {
      if let count = try client.offer(line[(sent % line.count)...]) {
        sent += count
        lastSent = .now
      } else if ContinuousClock.now - lastSent > .seconds(2) {
        break
      } else {
        try await Task.sleep(for: .milliseconds(5))
      }
    }
    #expect(sent < 64 << 20, "the server read everything")
    // What it has read stays as it is.
    let read = try await mesh.metric("presence_gateway_requests_total")
    try await Task.sleep(for: .milliseconds(300))
    #expect(try await mesh.metric("presence_gateway_requests_total") == read + 1)
    // When the client reads again, it is read again.
    var got = 0
    try await RawClient.wait {
      client.readSome()
      got += client.takeAll()
      return got > 8 << 20
    }
    let more = try await mesh.metric("presence_gateway_requests_total")
    #expect(more > read + 2)
    await mesh.stop()
  }

  @Test("A HEAD of a stream is answered, and the connection goes on")
  func headOfStream() async throws {
    let mesh = try await TestMesh.start(1)
    let client = try RawClient(mesh.urls[0])
    for path in ["/api/v1/rooms/r/events", "/api/v1/users/ada/events"] {
      try await client.request("HEAD \(path)")
      let head = try #require(try await client.answer(to: "HEAD"))
      #expect(head.status == 200)
      #expect(head.headers["content-type"]?.hasPrefix("text/event-stream") == true)
      try await client.request("GET /healthz")
      let next = try #require(try await client.answer())
      #expect(next.status == 200 && next.body.contains("\"ok\""))
    }
    #expect(try await mesh.metric("presence_gateway_rooms") == 0)
    #expect(try await mesh.metric("presence_gateway_watches") == 0)
    await mesh.stop()
  }

  @Test("Whoever asks for leave to send too much is refused, without being told to go on")
  func expectations() async throws {
    let mesh = try await TestMesh.start(1)
    let client = try RawClient(mesh.urls[0])
    try await client.request(
      "POST /api/v1/heartbeat", ["content-length: 70000", "expect: 100-continue"])
    let refused = try #require(try await client.answer())
    #expect(refused.status == 413)
    #expect(refused.body.contains("\"too_large\""))
    #expect(try await client.rest() == "")

    let other = try RawClient(mesh.urls[0])
    try await other.request(
      "POST /api/v1/heartbeat", ["content-length: 2", "expect: 100-continue"])
    #expect(try await other.answer()?.status == 100)
    try await other.send("{}")
    #expect(try await other.answer()?.status == 400)
    await mesh.stop()
  }

  @Test("A stream of events ends with the token that it was asked for with")
  func streamsEndWithTokens() async throws {
    let keys = try await TokenKeys(json: Data(TokenKeys.newFile().utf8))
    let mesh = try await TestMesh.start(1, keys: keys) { configuration in
      configuration.careInterval = .milliseconds(50)
    }
    let long = try await keys.token(
      user: "ada", rooms: ["*"], rights: [.read], expiresIn: .seconds(3600))
    for path in ["/api/v1/rooms/r/events", "/api/v1/users/ada/events"] {
      let short = try await keys.token(
        user: "ada", rooms: ["*"], rights: [.read], expiresIn: .seconds(3))
      let ending = try RawClient(mesh.urls[0])
      try await ending.request("GET \(path)", ["authorization: Bearer \(short)"])
      let lasting = try RawClient(mesh.urls[0])
      try await lasting.request("GET \(path)", ["authorization: Bearer \(long)"])
      let text = try await ending.rest()
      #expect(text.hasPrefix("HTTP/1.1 200"))
      lasting.readSome()
      #expect(!lasting.isAtEnd)
    }
    await mesh.stop()
  }
}

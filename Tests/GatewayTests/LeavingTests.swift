import Foundation
import PresenceMesh
import Testing

@testable import MeshGateway

@Suite("Leaving", .serialized)
struct LeavingTests {
  @Test("A gateway that drains says so, begins nothing new, and ends what is there with 1001")
  func draining() async throws {
    let mesh = try await TestMesh.start(1) { $0.drainTime = .seconds(3600) }
    let socket = try await RawSocket(mesh.urls[0])
    try await socket.send(#"{"type":"join","room":"r","user":{"id":"ada"},"ref":1}"#)
    #expect(try await socket.next("joined")["room"] as? String == "r")
    #expect(try await mesh.ask(0, "GET", "/readyz").status == 200)

    let draining = Task { await mesh.gateways[0].drain() }
    try await HTTPTests.eventually("it is said") {
      try await mesh.ask(0, "GET", "/readyz").status == 503
    }
    let ready = try await mesh.ask(0, "GET", "/readyz")
    #expect(ready.status == 503 && ready.body["status"] as? String == "leaving")
    #expect(try await mesh.ask(0, "GET", "/healthz").status == 200)
    // Nothing new.
    let heartbeat = try await mesh.ask(
      0, "POST", "/api/v1/heartbeat",
      body: #"{"room":"r","user":{"id":"bob"},"sessionId":"b"}"#)
    #expect(heartbeat.status == 503)
    #expect((heartbeat.body["error"] as? [String: Any])?["code"] as? String == "unavailable")
    #expect(try await mesh.ask(0, "GET", "/api/v1/rooms/r/events").status == 503)
    let refused = try RawClient(mesh.urls[0])
    try await refused.request(
      "GET /api/v1/socket",
      [
        "connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13",
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
      ])
    #expect(try await refused.answer()?.status == 503)
    // What is there goes on.
    try await socket.send(
      #"{"type":"presence.status","room":"r","status":"busy","ref":2}"#)
    #expect(try await socket.next("ok")["ref"] as? Int == 2)

    draining.cancel()
    await draining.value
    await mesh.gateways[0].stop()
    var last: RawSocket.Message?
    while let message = try await socket.next() { last = message }
    #expect(last == .close(1001))
    await mesh.nodes[0].leave()
  }

  @Test("Draining ends by itself")
  func drainingEnds() async throws {
    let mesh = try await TestMesh.start(1) { $0.drainTime = .milliseconds(50) }
    await mesh.gateways[0].drain()
    #expect(try await mesh.ask(0, "GET", "/readyz").status == 503)
    await mesh.stop()
  }
}

import Foundation
import PresenceMesh
import Testing

@testable import MeshGateway

@Suite("Cursors at the rate that a client asks for", .serialized)
struct CursorRateTests {
  /// A socket that looks at the room `r`.
  private static func look(
    _ mesh: TestMesh, _ node: Int, _ more: String = ""
  ) async throws -> RawSocket {
    let socket = try await RawSocket(mesh.urls[node])
    try await socket.send(#"{"type":"join","room":"r"\#(more)}"#)
    return socket
  }

  /// The positions of a message of cursors.
  private static func places(_ message: [String: Any]) -> [Double] {
    let cursors = message["cursors"] as? [[String: Any]] ?? []
    return cursors.compactMap { $0["x"] as? Double }
  }

  @Test("120 moves a second at another node come so many times a second, the last one always")
  func rate() async throws {
    let mesh = try await TestMesh.start(2)
    let room = try #require(RoomName("r"))
    let session = try await mesh.nodes[0].openSession(Profile(userID: "ann"))
    try await session.enter(room)
    try await HTTPTests.eventually("she is seen") { mesh.nodes[1].room(room).isOnline("ann") }
    let sockets = [
      try await Self.look(mesh, 1, #","cursorRate":5"#), try await Self.look(mesh, 1),
      try await Self.look(mesh, 1, #","cursorRate":60"#),
    ]
    for socket in sockets { _ = try await socket.next("presence.sync") }
    let began = ContinuousClock.now
    for step in 1...120 {
      try await Task.sleep(until: began + .microseconds(step * 8333), clock: .continuous)
      try await session.moveCursor(to: Cursor(x: Double(step) / 120, y: 0.5), in: room)
    }
    var counts: [Int] = []
    for socket in sockets {
      counts.append(0)
      var last = 0.0
      while last < 1 {
        let places = Self.places(try await socket.next("presence.cursor"))
        #expect(places.count == 1)
        last = try #require(places.first)
        counts[counts.count - 1] += 1
      }
    }
    let (seconds, rest) = (ContinuousClock.now - began).components
    let time = Double(seconds) + Double(rest) * 1e-18
    #expect(1...Int(5 * time + 1) ~= counts[0], "\(counts) in \(time) s")
    for count in counts[1...] {
      #expect(counts[0]...Int(1000.0 / 33 * time + 1) ~= count, "\(counts) in \(time) s")
    }
    await mesh.stop()
  }

  @Test("What was held back when a client was cut off is told when it comes back")
  func comingBack() async throws {
    let mesh = try await TestMesh.start(1)
    let room = try #require(RoomName("r"))
    let session = try await mesh.nodes[0].openSession(Profile(userID: "ann"))
    try await session.enter(room)
    let slow = try await Self.look(mesh, 0, #","cursorRate":1"#)
    let quick = try await Self.look(mesh, 0)
    for socket in [slow, quick] { _ = try await socket.next("presence.sync") }
    for step in 1...2 {
      try await session.moveCursor(to: Cursor(x: Double(step) / 2, y: 0), in: room)
      _ = try await quick.next("presence.cursor")
    }
    try await session.setStatus(.busy, in: room)
    let resume = try #require(try await slow.next("presence.status")["resume"] as? String)
    slow.client.shutDown()
    let again = try await Self.look(mesh, 0, #","cursorRate":1,"resume":"\#(resume)""#)
    #expect(Self.places(try await again.next("presence.cursor")) == [1])
    #expect(try await mesh.metric("presence_gateway_resumed_total") == 1)
    await mesh.stop()
  }

  @Test("Who has gone has no cursor, though one was held back")
  func gone() async throws {
    let mesh = try await TestMesh.start(1)
    let room = try #require(RoomName("r"))
    let socket = try await Self.look(mesh, 0, #","cursorRate":2"#)
    _ = try await socket.next("presence.sync")
    let quick = try await Self.look(mesh, 0)
    // What moves before it would be in its snapshot.
    _ = try await quick.next("presence.sync")
    let ann = try await mesh.nodes[0].openSession(Profile(userID: "ann"))
    let bob = try await mesh.nodes[0].openSession(Profile(userID: "bob"))
    for session in [ann, bob] {
      try await session.enter(room)
      // A move before it would come with it.
      _ = try await quick.next("presence.online")
    }
    for step in 1...2 {
      for session in [ann, bob] {
        try await session.moveCursor(to: Cursor(x: Double(step) / 2, y: 0), in: room)
      }
      _ = try await quick.next("presence.cursor")
    }
    try await bob.leave()
    _ = try await socket.next("presence.offline")
    try await ann.moveCursor(to: Cursor(x: 0, y: 1), in: room)
    var last = 0.0
    while last < 1 {
      let told = try await socket.next("presence.cursor")
      let cursors = told["cursors"] as? [[String: Any]] ?? []
      #expect(cursors.map { $0["userId"] as? String } == ["ann"])
      last = try #require(cursors.first?["y"] as? Double)
    }
    await mesh.stop()
  }

  @Test("Other rates are refused", arguments: ["0", "61", "1.5", #""10""#, "-1", "true", "1e300"])
  func refusals(rate: String) async throws {
    let mesh = try await TestMesh.start(1)
    let socket = try await Self.look(mesh, 0, #","cursorRate":\#(rate),"ref":1"#)
    let error = try await socket.next("error")
    #expect(error["code"] as? String == "invalid_request")
    #expect((error["message"] as? String)?.contains("cursorRate") == true)
    // Nothing was done.
    try await socket.send(#"{"type":"leave","room":"r","ref":2}"#)
    #expect(try await socket.next("error")["code"] as? String == "unknown_room")
    await mesh.stop()
  }
}

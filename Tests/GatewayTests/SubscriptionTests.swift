import PresenceMesh
import Testing

@testable import MeshGateway

@Suite("A node that subscribes to no room serves its clients all the same", .serialized)
struct SubscriptionTests {
  @Test("A node subscribes to a room while a client is in it, and drops it when the last one goes")
  func room() async throws {
    let mesh = try await TestMesh.start(2)
    let room = try #require(RoomName("r"))
    try await mesh.nodes[1].subscribe(to: [])
    let ann = try await mesh.nodes[0].openSession(Profile(userID: "ann"))
    try await ann.enter(room)
    try await ann.setStatus(.busy, message: "before", in: room)
    try await HTTPTests.eventually("she is seen") { mesh.nodes[1].room(room).isOnline("ann") }
    func message() -> String? { mesh.nodes[1].room(room).user("ann")?.message }
    #expect(message() != "before")
    let socket = try await RawSocket(mesh.urls[1])
    try await socket.send(#"{"type":"join","room":"r"}"#)
    _ = try await socket.next("presence.sync")
    try await HTTPTests.eventually("what was said before is fetched") { message() == "before" }
    try await ann.moveCursor(to: Cursor(x: 0.25, y: 0.5), in: room)
    let moved = try await socket.next("presence.cursor")
    #expect((moved["cursors"] as? [[String: Any]])?.first?["x"] as? Double == 0.25)
    socket.client.shutDown()
    // The room is kept for as long as the client may come back.
    try await HTTPTests.eventually("it is dropped") { message() != "before" }
    #expect(mesh.nodes[1].room(room).isOnline("ann"))
    await mesh.stop()
  }
}

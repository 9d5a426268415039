import MeshCRDT
import Testing

@testable import PresenceMesh

@Suite("Nodes that subscribe to some rooms, on real sockets", .timeLimit(.minutes(10)))
struct SubscriptionTests {
  private let here = name("here")
  private let there = name("there")

  /// What a node knows of the word of Ann in a room.
  private func message(_ node: PresenceMesh, _ room: RoomName) -> String? {
    node.room(room).user("ann")?.message
  }

  @Test(
    "Of a room that it does not subscribe to a node knows who is there; once it does, it is sent all"
  )
  func subscribesToOneRoom() async throws {
    try await withMesh(of: 3) { nodes in
      let (host, whole, partial) = (nodes[0], nodes[1], nodes[2])
      try await partial.subscribe(to: [here])
      let ann = try await host.openSession(Profile(userID: "ann"))
      for (room, text) in [(here, "in here"), (there, "out there")] {
        try await ann.enter(room)
        try await ann.setStatus(.busy, message: text, in: room)
        try await ann.moveCursor(to: Cursor(x: 0.5, y: 0.25), in: room)
      }
      try await eventually("both rooms are sent to who subscribes to all") {
        message(whole, here) == "in here" && message(whole, there) == "out there"
      }
      try await eventually("the room is sent") { message(partial, here) == "in here" }
      try await eventually("where she is is known of all rooms") {
        partial.rooms(ofUser: "ann") == [here, there]
      }
      #expect(partial.room(there).isOnline("ann"))
      #expect(partial.statistics(rooms: [there]).uniqueUsers == 1)
      #expect(partial.rooms().map(\.name) == [here, there])
      // More may not come: the nodes agree about what is shared.
      for room in [here, .lobby] {
        try await eventually("all hold the same of \(room)") {
          let hashes = await [host.roomHash(room), whole.roomHash(room), partial.roomHash(room)]
          return Set(hashes).count == 1
        }
      }
      #expect(message(partial, there) != "out there")
      #expect(partial.room(there).user("ann")?.sessions.first?.cursor == nil)

      try await partial.subscribe(to: [there])
      try await eventually("the room is there, with its cursor") {
        message(partial, there) == "out there"
          && partial.room(there).user("ann")?.sessions.first?.cursor == Cursor(x: 0.5, y: 0.25)
      }
      try await eventually("all hold the same of it") {
        await partial.roomHash(there) == host.roomHash(there)
      }
      #expect(message(partial, here) != "in here")
      #expect(partial.rooms(ofUser: "ann") == [here, there])

      try await partial.subscribe(to: nil)
      try await eventually("the whole state is the same on all") {
        let hashes = await [host.stateHash(), whole.stateHash(), partial.stateHash()]
        return Set(hashes).count == 1
      }
      try await ann.leave()
      try await eventually("she is gone everywhere") { !nodes.contains { $0.isOnline("ann") } }
    }
  }

  @Test("A node subscribes to a room while its events are read")
  func subscribesToWhatIsRead() async throws {
    try await withMesh(of: 2) { nodes in
      try await nodes[1].subscribe(to: [])
      let ann = try await nodes[0].openSession(Profile(userID: "ann"))
      try await ann.enter(here)
      try await ann.setStatus(.busy, message: "first", in: here)
      try await eventually("she is known to be there") { nodes[1].room(here).isOnline("ann") }
      #expect(message(nodes[1], here) != "first")
      let messages = Shared<[String?]>([])
      let reader = Task { [here] in
        for await event in nodes[1].room(here).events {
          if case .snapshot = event { continue }
          messages.change { $0.append(nodes[1].room(here).user("ann")?.message) }
        }
      }
      try await eventually("what was said before is fetched") { messages.now.contains("first") }
      try await ann.setStatus(.away, message: "second", in: here)
      try await eventually("what is said is told") { messages.now.contains("second") }
      reader.cancel()
      await reader.value
      try await eventually("it is dropped again") { message(nodes[1], here) != "second" }
      #expect(nodes[1].room(here).isOnline("ann"))
    }
  }

  @Test("A session that moves between nodes of other subscriptions keeps its rooms")
  func movesToWhoSubscribesToNothing() async throws {
    try await withMesh(of: 3) { nodes in
      try await nodes[1].subscribe(to: [])
      let first = try await nodes[0].openSession(Profile(userID: "ann"))
      try await first.enter(here)
      try await eventually("she is known to be there") {
        nodes[1].rooms(ofUser: "ann") == [here] && nodes[2].room(here).isOnline("ann")
      }
      let second = try await nodes[1].openSession(Profile(userID: "ann"), id: first.id)
      #expect(second.wasRestored)
      for node in nodes {
        try await eventually("she is in the room, at the other host") {
          node.room(here).sessions().map(\.host) == [nodes[1].nodeID]
            && node.rooms(ofUser: "ann") == [here]
        }
      }
      // What it says there reaches who subscribes to the room, though its host does not.
      try await second.setStatus(.busy, message: "moved", in: here)
      for node in nodes {
        try await eventually("the word is told") { message(node, here) == "moved" }
      }
    }
  }

  @Test("A subscription to too many rooms is refused, and the one before stays")
  func tooManyRooms() async throws {
    try await withMesh(of: 2) { nodes in
      try await nodes[1].subscribe(to: [here])
      let many = Set((0...64).map { name("room-\($0)") })
      await #expect(throws: PresenceError.tooManySubscriptions(limit: 64)) {
        try await nodes[1].subscribe(to: many)
      }
      let ann = try await nodes[0].openSession(Profile(userID: "ann"))
      try await ann.enter(here)
      try await ann.setStatus(.busy, message: "in here", in: here)
      try await eventually("the room is sent") { message(nodes[1], here) == "in here" }
    }
  }
}

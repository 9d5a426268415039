import MeshCRDT
import Testing

@testable import PresenceMesh

@Suite("Nodes of a mesh on real sockets", .timeLimit(.minutes(10)))
struct MeshTests {
  private let here = name("here")

  @Test("Everybody sees who is online, with status and cursor, and who goes")
  func presenceOfOthers() async throws {
    try await withMesh(of: 3) { nodes in
      let session = try await nodes[0].openSession(
        Profile(userID: "ann", name: "Ann"), device: "laptop")
      #expect(!session.wasRestored)
      try await session.enter(here)
      try await session.setStatus(.busy, message: "In a meeting")
      try await session.moveCursor(to: Cursor(x: 0.25, y: 0.75), in: here)
      for node in nodes {
        let room = node.room(here)
        try await eventually("the cursor is seen") {
          room.user("ann")?.sessions.first?.cursor == Cursor(x: 0.25, y: 0.75)
        }
        try await eventually("the status is seen") { room.user("ann")?.status == .busy }
        #expect(room.user("ann")?.message == "In a meeting")
        #expect(room.user("ann")?.profile.name == "Ann")
        #expect(room.sessions().map(\.device) == ["laptop"])
        #expect(room.sessions().map(\.host) == [nodes[0].nodeID])
        #expect(node.isOnline("ann"))
        #expect(node.rooms(ofUser: "ann") == [here])
        #expect(node.rooms().map(\.name) == [here])
        #expect(node.statistics(rooms: [here, .lobby]).uniqueUsers == 1)
      }
      try await session.leave()
      for node in nodes {
        try await eventually("she is gone") { !node.isOnline("ann") }
        #expect(node.user("ann")?.lastDisconnected != nil)
        #expect(node.users(onlineOnly: true) == [])
      }
      await #expect(throws: PresenceError.unknownSession(session.id)) {
        try await session.setStatus(.away)
      }
      try await session.leave()
    }
  }

  @Test("Two tabs on two nodes: one closes, and two devices become one without going offline")
  func twoTabs() async throws {
    try await withMesh(of: 2) { nodes in
      let first = try await nodes[0].openSession(Profile(userID: "ann"), device: "one")
      _ = try await nodes[1].openSession(Profile(userID: "ann"), device: "two")
      for node in nodes {
        try await eventually("two devices") { node.user("ann")?.devices == 2 }
      }
      var kinds: [String] = []
      var reader = nodes[1].watch(user: "ann").makeAsyncIterator()
      _ = await reader.next()
      try await first.leave()
      while let event = await reader.next() {
        kinds.append(event.kind)
        if case .updated(let user) = event, user.devices == 1 { break }
      }
      #expect(kinds == ["updated"])
      try await eventually("one device") { nodes[0].user("ann")?.devices == 1 }
    }
  }

  @Test("Of one user's statuses the last one set wins on every node, also when it was set before")
  func oneStatus() async throws {
    try await withMesh(of: 2) { nodes in
      let sessions = [
        try await nodes[0].openSession(Profile(userID: "ann")),
        try await nodes[1].openSession(Profile(userID: "ann")),
      ]
      for (index, status) in [(0, Status.busy), (1, .away), (0, .busy), (1, .away), (0, .idle)] {
        try await sessions[index].setStatus(status)
        for node in nodes {
          try await eventually("\(status) is seen") { node.user("ann")?.status == status }
        }
      }
    }
  }

  @Test("A session that comes back elsewhere keeps what it said, and nobody sees it go")
  func movedSession() async throws {
    try await withMesh(of: 3) { nodes in
      let here = here
      let first = try await nodes[0].openSession(Profile(userID: "ann"))
      try await first.enter(here)
      try await first.setStatus(.busy, in: here)
      for node in nodes {
        try await eventually("busy") { node.room(here).user("ann")?.status == .busy }
      }
      let kinds = Shared<[String]>([])
      let watching = Task {
        for await event in nodes[2].room(here).events {
          kinds.change { $0.append(event.kind) }
        }
      }
      try await eventually("the watcher has begun") { !kinds.now.isEmpty }
      let told = Shared<[LocalSession.Event]>([])
      let events = first.events
      let listening = Task { for await event in events { told.change { $0.append(event) } } }
      let second = try await nodes[1].openSession(Profile(userID: "ann"), id: first.id)
      #expect(second.wasRestored)
      for node in nodes {
        try await eventually("hosted by the other") {
          node.room(here).sessions().map(\.host) == [nodes[1].nodeID]
        }
        #expect(node.room(here).user("ann")?.status == .busy)
      }
      await listening.value
      #expect(told.now == [.moved(to: nodes[1].nodeID)])
      watching.cancel()
      await watching.value
      let seen = kinds.now
      #expect(!seen.contains("offline") && !seen.contains("online"), "\(seen)")
      await #expect(throws: PresenceError.unknownSession(first.id)) { try await first.heartbeat() }
      let again = try await nodes[1].openSession(Profile(userID: "ann"), id: first.id)
      #expect(again.wasRestored)
      await #expect(throws: PresenceError.sessionOfAnotherUser(first.id)) {
        try await nodes[0].openSession(Profile(userID: "bob"), id: first.id)
      }
    }
  }

  @Test("A lease that is not renewed ends the session, and tells it so")
  func leaseEnds() async throws {
    try await withMesh(of: 2) { nodes in
      let session = try await nodes[0].openSession(
        Profile(userID: "ann"), lease: .timeToLive(.seconds(3600)))
      try await eventually("seen") { nodes[1].isOnline("ann") }
      let events = session.events
      try await session.setLease(.timeToLive(.milliseconds(50)))
      var told: [LocalSession.Event] = []
      for await event in events { told.append(event) }
      #expect(told == [.leaseEnded])
      try await eventually("gone") { !nodes[1].isOnline("ann") }
    }
  }

  @Test("Typing goes off by itself")
  func typingGoesOff() async throws {
    try await withMesh(of: 2) { nodes in
      let session = try await nodes[0].openSession(Profile(userID: "ann"))
      var reader = nodes[1].lobby.events.makeAsyncIterator()
      _ = await reader.next()
      try await session.setTyping()
      var isTyping: [Bool] = []
      while isTyping.count < 2, let event = await reader.next() {
        if case .typing(let user) = event { isTyping.append(user.isTyping) }
      }
      #expect(isTyping == [true, false])
    }
  }

  @Test("Who leaves politely is gone at once, and its readers end")
  func politeLeaving() async throws {
    try await withMesh(of: 2, beatPeriod: .seconds(60)) { nodes in
      _ = try await nodes[1].openSession(Profile(userID: "bob"))
      try await eventually("seen") { nodes[0].isOnline("bob") }
      let reader = Task { await nodes[1].events.reduce(0) { count, _ in count + 1 } }
      async let leaving: Void = nodes[1].leave()
      await nodes[1].leave()
      await leaving
      _ = await reader.value
      // Expiry would take 150 seconds.
      try await eventually("gone") { !nodes[0].isOnline("bob") }
      await #expect(throws: PresenceError.meshLeft) {
        try await nodes[1].openSession(Profile(userID: "bob"))
      }
    }
  }

  @Test("A node that is cut off says so, is hidden by the others, and is back after the cut")
  func cutAndHealed() async throws {
    try await withMesh(of: 3, beatPeriod: .milliseconds(200)) { nodes in
      _ = try await nodes[2].openSession(Profile(userID: "cid"))
      _ = try await nodes[0].openSession(Profile(userID: "ann"))
      try await eventually("seen") { nodes[0].isOnline("cid") && nodes[2].isOnline("ann") }
      try await nodes[2].block(.everyone)
      try await eventually("hidden") { !nodes[0].isOnline("cid") }
      try await eventually("stale") { nodes[2].isStale }
      #expect(nodes[2].isOnline("cid"))
      _ = try await nodes[2].openSession(Profile(userID: "dan"))
      try await nodes[2].block(.nobody)
      try await eventually("back") {
        nodes[0].isOnline("cid") && nodes[1].isOnline("dan") && nodes[2].isOnline("ann")
          && !nodes[2].isStale
      }
      try await eventually("equal hashes") {
        var hashes: Set<UInt64> = []
        for node in nodes { hashes.insert(await node.stateHash()) }
        return hashes.count == 1
      }
    }
  }

  @Test("Replaying the events of a busy mesh gives what a new reader sees")
  func replayOfABusyMesh() async throws {
    try await withMesh(of: 2) { nodes in
      let here = here
      let replica = Shared<PresenceSnapshot?>(nil)
      let reading = Task {
        for await event in nodes[1].room(here).events(buffer: 16) {
          replica.change { replica in
            if case .snapshot(let snapshot) = event { replica = snapshot }
            replica?.apply(event)
          }
        }
      }
      for number in 0..<8 {
        let session = try await nodes[0].openSession(
          Profile(userID: "u\(number % 3)"), id: testSession(UInt64(number)))
        try await session.enter(here)
      }
      for step in 0..<400 {
        let id = testSession(UInt64(step % 8))
        guard let session = await nodes[0].localSession(id) else { continue }
        try await session.moveCursor(to: Cursor(x: Double(step) / 400, y: 0), in: here)
        if step % 5 == 0 {
          try await session.setStatus(Status.allCases[step / 5 % 6], in: here)
        }
        if step % 7 == 0 { try await session.setTyping(step % 2 == 0, in: here) }
      }
      if let session = await nodes[0].localSession(testSession(3)) { try await session.leave() }
      try await eventually("the last cursor has come") {
        nodes[1].room(here).sessions().compactMap(\.cursor).map(\.column).max()
          == Cursor(x: 399.0 / 400, y: 0).column
      }
      try await eventually("the replica is what is there") {
        let now = nodes[1].hub.snapshot(.room(here))
        return now.roster.sessionCount == 7 && replica.now == now
      }
      reading.cancel()
    }
  }

  @Test(
    "A user is taken out of a room, and signed out, from a node that hosts no session of theirs")
  func signOutAndRemove() async throws {
    try await withMesh(of: 2) { nodes in
      let here = here
      var sessions: [LocalSession] = []
      for _ in 0..<2 {
        let session = try await nodes[0].openSession(Profile(userID: "ann"))
        try await session.enter(here)
        sessions.append(session)
      }
      let bob = try await nodes[0].openSession(Profile(userID: "bob"))
      try await nodes[0].room(here).enter(bob)
      try await eventually("three") { nodes[1].room(here).count.sessions == 3 }
      let first = sessions[0]
      let told = Shared<[LocalSession.Event]>([])
      let events = first.events
      let reading = Task { for await event in events { told.change { $0.append(event) } } }
      #expect(try await nodes[1].room(here).remove(user: "ann") == 2)
      try await eventually("bob alone") { nodes[0].room(here).count.sessions == 1 }
      #expect(nodes[1].user("ann")?.devices == 2)
      await #expect(throws: PresenceError.removedFromRoom(first.id, here)) {
        try await first.enter(here)
      }
      #expect(try await nodes[1].signOut(user: "ann") == 2)
      #expect(try await nodes[1].signOut(user: "ann") == 0)
      try await eventually("gone") { !nodes[0].isOnline("ann") }
      #expect(await nodes[0].localSessions().map(\.id) == [bob.id])
      await reading.value
      #expect(told.now == [.removed(from: here), .removed(from: .lobby)])
      // A heartbeat that comes late does not bring it back, through whatever node.
      await #expect(throws: PresenceError.unknownSession(first.id)) { try await first.heartbeat() }
      for node in nodes {
        await #expect(throws: PresenceError.sessionRemoved(first.id)) {
          try await node.openSession(Profile(userID: "ann"), id: first.id)
        }
      }
      let again = try await nodes[0].openSession(Profile(userID: "ann"))
      try await again.enter(here)
      try await eventually("back") { nodes[1].room(here).isOnline("ann") }
    }
  }

  @Test("Values beyond their bounds are refused, and nothing changes")
  func refusals() async throws {
    try await withMesh(of: 1) { nodes in
      let node = nodes[0]
      await #expect(throws: PresenceError.malformed(field: "user id")) {
        try await node.openSession(Profile(userID: ""))
      }
      let session = try await node.openSession(Profile(userID: "ann"))
      let long = String(repeating: "x", count: 141)
      await #expect(throws: PresenceError.tooLong(field: "message", bytes: 141, limit: 140)) {
        try await session.setStatus(.busy, message: long)
      }
      await #expect(throws: PresenceError.notInRoom(session.id, here)) {
        try await session.setTyping(in: here)
      }
      #expect(throws: PresenceError.unknownStatus("lurking")) { try Status.parsing("lurking") }
      #expect(throws: PresenceError.invalidRoomName("\n")) { try node.room("\n") }
      try await eventually("seen") { node.isOnline("ann") }
      #expect(node.user("ann")?.status == .online)
      #expect(node.user("ann")?.statusChangedAt == nil)
      #expect(try Status.parsing("away") == .away)
    }
  }
}

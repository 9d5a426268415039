import Foundation
import Testing

@Suite("Commands of the command-line peer", .serialized, .timeLimit(.minutes(10)))
struct CommandTests {
  @Test(
    "Wrong usage ends with 2",
    arguments: [
      ["frobnicate"], ["who", "--limit", "0"], ["up", "--listen", "nonsense"],
      ["up", "--send-rate", "5"], ["up", "--peer-rate", "fast"],
      ["status", "sleepy"],
      ["cursor", "0.5"], ["cursor", "2", "0"], ["join"], ["up", "--room", "design"],
      ["typing", "perhaps"], ["who", "--state", ""], ["up", "--ready-fd", "99"],
      ["--state"], ["--state="], ["--state=", "who"], ["--state", "", "who"],
    ])
  func wrongUsage(arguments: [String]) async throws {
    let outcome = try await Program.run(arguments)
    #expect(outcome.exitCode == 2)
    #expect(outcome.output.isEmpty)
    #expect(!outcome.errors.isEmpty)
  }

  @Test("Help names the exit codes and the commands")
  func help() async throws {
    let outcome = try await Program.run("--help")
    #expect(outcome.exitCode == 0)
    #expect(outcome.errors.isEmpty)
    for word in ["Exit codes", "up", "join", "who", "watch", "doctor", "bench"] {
      #expect(outcome.output.contains(word))
    }
    #expect(!outcome.output.contains("debug"))
  }

  @Test(
    "Without a running node, a command says how to start one and ends with 3",
    arguments: [["who"], ["peers"], ["watch"], ["status", "busy"], ["down"], ["counters"]])
  func noNode(arguments: [String]) async throws {
    let state = TestNode.freshState()
    let outcome = try await Program.run(arguments + ["--state", state])
    #expect(outcome.exitCode == 3)
    #expect(outcome.errors.contains("presence up"))
    #expect(!FileManager.default.fileExists(atPath: state))
  }

  @Test("The state directory can be named before the command and by the environment")
  func stateDirectoryNames() async throws {
    let node = try await TestNode()
    #expect(try await Program.run("--state", node.state, "who").exitCode == 0)
    #expect(try await Program.run("--state=\(node.state)", "who").exitCode == 0)
    #expect(
      try await Program.run("who", environment: ["PRESENCE_STATE": node.state]).exitCode == 0)
  }

  @Test("Listings have the documented names")
  func listingsHaveTheirNames() async throws {
    let node = try await TestNode(["--name", "Ada", "--user", "ada", "--room", "design"])
    let roster = try await node.run("who", "design", "--json").object()
    #expect(
      Set(roster.keys) == [
        "room", "node", "state_hash", "room_hash", "stale", "online_users", "online_sessions",
        "users",
      ])
    let user = try #require((roster["users"] as? [[String: Any]])?.first)
    #expect(
      Set(user.keys) == [
        "id", "name", "colour", "avatar", "online", "suspect", "status", "status_changed_at_ms",
        "message", "typing", "devices", "joined_at_ms", "last_seen_at_ms",
        "last_disconnected_at_ms", "sessions",
      ])
    #expect(user["last_seen_at_ms"] is NSNull)
    let session = try #require((user["sessions"] as? [[String: Any]])?.first)
    #expect(
      Set(session.keys) == [
        "id", "node", "device", "status", "message", "typing", "suspect", "joined_at_ms", "cursor",
      ])
    let rooms = try await node.run("rooms", "--json").object()
    #expect(
      Set(rooms.keys) == ["stale", "lobby", "rooms", "unique_users", "unique_sessions"])
    let peers = try await node.run("peers", "--json").object()
    #expect(
      Set(peers.keys) == [
        "node", "incarnation", "state_hash", "stale", "cloned", "addresses", "peers",
      ])
    let counters = try await node.run("counters", "--json").object()
    #expect(Set(counters.keys) == ["node", "counters"])
    let doctor = try await node.run("doctor", "--json").object()
    #expect(Set(doctor.keys) == ["ok", "checks"])
  }

  @Test("Piped output has no escape codes, and names cannot bring any in")
  func pipedOutputIsPlain() async throws {
    let node = try await TestNode(["--name", "\u{202E}Ada", "--user", "ada", "--room", "design"])
    for arguments in [["who", "design"], ["peers"], ["rooms"], ["doctor"], ["counters"]] {
      let outcome = try await Program.run(arguments + ["--state", node.state])
      #expect(!outcome.output.contains("\u{1B}"))
      #expect(!outcome.output.contains("\u{202E}"))
    }
    let json = try await node.run("who", "design", "--json")
    #expect(!json.output.contains("\u{202E}"))
    #expect(try await node.users("design")["ada"]?["name"] as? String == "\u{202E}Ada")
  }

  @Test("A mesh that was made, invited to and joined by hand is one mesh")
  func meshByHand() async throws {
    let (first, second) = (TestNode.freshState(), TestNode.freshState())
    defer {
      for state in [first, second] { try? FileManager.default.removeItem(atPath: state) }
    }
    let created = try await Program.run("mesh", "create", "--state", first)
    #expect(created.exitCode == 0)
    #expect(created.lines.count == 1)
    #expect(try await Program.run("mesh", "create", "--state", first).exitCode == 1)
    let node = try await TestNode(state: first)
    #expect(!node.child.errors.contains("A new mesh was made"))
    let joined = try await Program.run(
      ["mesh", "join", "-", "--state", second], input: try await node.invite() + "\n")
    #expect(joined.exitCode == 0)
    let other = try await TestNode(state: second)
    try await Program.eventually("they meet") {
      let peers = try await other.run("peers", "--json").object()["peers"] as? [[String: Any]]
      return peers?.count == 1
    }
    #expect(try await Program.run("mesh", "join", "nonsense", "--state", second).exitCode == 1)
  }

  @Test("Leaving ends the session everywhere; the node goes on")
  func leave() async throws {
    let node = try await TestNode(["--name", "Ada", "--room", "design"])
    #expect(try await node.run("leave", "--room", "design").exitCode == 0)
    #expect(try await node.run("who", "design", "--json").object()["online_users"] as? Int == 0)
    #expect(try await node.run("who", "--json").object()["online_users"] as? Int == 1)
    #expect(try await node.run("leave").exitCode == 0)
    #expect(try await node.run("who", "--json").object()["online_users"] as? Int == 0)
    let nobody = try await node.run("status", "busy")
    #expect(nobody.exitCode == 1)
    #expect(nobody.errors.contains("presence join"))
    #expect(node.child.isRunning)
  }
}

@Suite("Watching and joining a room from the command line", .serialized, .timeLimit(.minutes(10)))
struct WatchingTests {
  @Test("A watcher gets a snapshot and then every change, one JSON document a line")
  func watchJSON() async throws {
    let node = try await TestNode(["--name", "Ada", "--user", "ada", "--room", "design"])
    let watcher = try Child(["watch", "design", "--json", "--state", node.state])
    func events() throws -> [[String: Any]] {
      let lines = watcher.output.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
      return try lines.map { line in
        let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
        return try #require(value as? [String: Any])
      }
    }
    try await Program.eventually("the snapshot comes") { try !events().isEmpty }
    #expect(try events().first?["event"] as? String == "snapshot")
    _ = try await node.run("status", "away")
    try await Program.eventually("the status comes") {
      try events().contains { event in
        let user = event["user"] as? [String: Any]
        return event["event"] as? String == "status" && user?["status"] as? String == "away"
      }
    }
    _ = try await node.run("cursor", "0.5", "0.5")
    try await Program.eventually("the cursor comes") {
      try events().contains { event in
        let cursor = event["cursor"] as? [String: Any]
        return event["user_id"] as? String == "ada" && cursor?["x"] as? Double == 0.5
      }
    }
    #expect(try await node.run("down").exitCode == 0)
    #expect(try await watcher.exitCode() == 1)
  }

  @Test("A guest says what the lines of its standard input say, and leaves on SIGTERM")
  func joinFromLines() async throws {
    let node = try await TestNode()
    let guest = try Child(
      ["join", "design", "--name", "Grace", "--user", "grace", "--state", node.state],
      input: .text("busy with the figures\n/cursor 0.1 0.9\n"))
    try await Program.eventually("the node shows the guest") {
      let grace = try await node.users("design")["grace"]
      let session = (grace?["sessions"] as? [[String: Any]])?.first
      return grace?["status"] as? String == "busy"
        && grace?["message"] as? String == "with the figures" && session?["cursor"] is [String: Any]
    }
    guest.signal(SIGTERM)
    #expect(try await guest.exitCode() == 0)
    #expect(try await node.users("design")["grace"]?["online"] as? Bool == false)
    #expect(!guest.output.contains("\u{1B}"))
    #expect(guest.output.contains("Grace (grace)"))
  }

  @Test("A guest without a running node runs one itself")
  func joinRunsANode() async throws {
    let state = TestNode.freshState()
    defer { try? FileManager.default.removeItem(atPath: state) }
    let guest = try Child([
      "join", "design", "--name", "Grace", "--state", state, "--listen", "127.0.0.1:0",
      "--no-multicast",
    ])
    try await Program.eventually("the guest is there") {
      try await Program.run("who", "design", "--state", state).output.contains("Grace")
    }
    let left = try await Program.run("leave", "--state", state)
    #expect(left.exitCode == 0)
    #expect(try await guest.exitCode() == 0)
    #expect(guest.output.contains("has ended"))
    #expect(try await Program.run("who", "--state", state).exitCode == 3)
  }
}

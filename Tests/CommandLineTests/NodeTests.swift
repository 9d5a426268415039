import Foundation
import Testing

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

@Suite("A node on the command line", .serialized, .timeLimit(.minutes(10)))
struct NodeTests {
  @Test("A node prints one line when it is ready, and leaves politely on SIGTERM")
  func readyLineAndPoliteEnd() async throws {
    let node = try await TestNode(["--name", "Ada", "--room", "design"])
    #expect(node.child.output.split(separator: "\n").count == 1)
    #expect(node.child.output.hasPrefix("ready node="))
    #expect(try node.readyWord("node").count == 64)
    #expect(try node.readyWord("addresses").hasPrefix("127.0.0.1:"))
    #expect(node.child.errors.contains("presence invite"))
    let other = try await TestNode(["--invite", node.invite()])
    try await Program.eventually("the other node sees Ada") {
      try await other.users("design")["Ada"]?["online"] as? Bool == true
    }
    node.child.signal(SIGTERM)
    #expect(try await node.child.exitCode() == 0)
    #expect(!FileManager.default.fileExists(atPath: node.state + "/control"))
    // Said, not found out: the node is known to have left.
    try await Program.eventually("the other node hears the farewell") {
      let peers = try await other.run("peers", "--json").object()["peers"] as? [[String: Any]]
      return peers?.first?["health"] as? String == "left"
    }
    #expect(try await other.users("design")["Ada"]?["online"] as? Bool == false)
  }

  @Test("After SIGTERM a gateway says for a while that the node leaves; Ctrl-C ends without that")
  func draining() async throws {
    let arguments = ["--http", "127.0.0.1:0", "--http-drain", "60"]
    let node = try await TestNode(arguments)
    let url = try #require(URL(string: "http://\(node.readyWord("http"))/readyz"))
    func status() async throws -> Int? {
      let (_, response) = try await URLSession.shared.data(from: url)
      return (response as? HTTPURLResponse)?.statusCode
    }
    #expect(try await status() == 200)
    node.child.signal(SIGTERM)
    try await Program.eventually("it says so") { try await status() == 503 }
    // A second signal ends at once, whatever the first one was.
    node.child.signal(SIGINT)
    #expect(try await node.child.exitCode() == 130)

    let other = try await TestNode(arguments)
    other.child.signal(SIGINT)
    #expect(try await other.child.exitCode(within: .seconds(30)) == 0)
  }

  @Test("A node that subscribes to one room is sent that one alone, and knows who is in the others")
  func subscribesToOneRoom() async throws {
    let first = try await TestNode([
      "--name", "Ada", "--user", "ada", "--room", "design", "--room", "lab",
    ])
    let second = try await TestNode(["--subscribe", "design", "--invite", first.invite()])
    for room in ["design", "lab"] {
      #expect(
        try await first.run("status", "busy", "--message", room, "--room", room).exitCode == 0)
    }
    func message(_ room: String) async throws -> String? {
      try await second.users(room)["ada"]?["message"] as? String
    }
    try await Program.eventually("the room is told") { try await message("design") == "design" }
    try await Program.eventually("both hold the same of it") {
      let left = try await first.run("who", "design", "--json").object()["room_hash"] as? String
      let right = try await second.run("who", "design", "--json").object()["room_hash"] as? String
      return left?.count == 16 && left == right
    }
    try await Program.eventually("it is known who is in the other room") {
      try await second.users("lab")["ada"]?["online"] as? Bool == true
    }
    #expect(try await message("lab") != "lab")
  }

  @Test("A status, a message and a cursor show on a second node")
  func statusIsSeenElsewhere() async throws {
    let first = try await TestNode(["--name", "Ada", "--user", "ada", "--room", "design"])
    let second = try await TestNode([
      "--name", "Bob", "--room", "design", "--invite", first.invite(),
    ])
    try await Program.eventually("both nodes list both users") {
      let (left, right) = (try await first.users("design"), try await second.users("design"))
      return left.count == 2 && right.count == 2
    }
    #expect(try await first.run("status", "busy", "--message", "in a call").exitCode == 0)
    #expect(try await first.run("cursor", "0.25", "0.75", "--anchor", "title").exitCode == 0)
    try await Program.eventually("the second node shows status and cursor") {
      let ada = try await second.users("design")["ada"]
      let session = (ada?["sessions"] as? [[String: Any]])?.first
      let cursor = session?["cursor"] as? [String: Any]
      return ada?["status"] as? String == "busy" && ada?["message"] as? String == "in a call"
        && cursor?["x"] as? Double == 0.25 && cursor?["y"] as? Double == 0.75
        && cursor?["anchor"] as? String == "title"
    }
    try await Program.eventually("both nodes have the same state hash") {
      let left = try await first.run("peers", "--json").object()["state_hash"] as? String
      let right = try await second.run("peers", "--json").object()["state_hash"] as? String
      return left != nil && left == right
    }
  }

  @Test("A cut node says that its view is stale, and converges when healed")
  func cutAndHealed() async throws {
    let first = try await TestNode(["--name", "Ada", "--room", "design"])
    let second = try await TestNode([
      "--name", "Bob", "--room", "design", "--invite", first.invite(),
    ])
    try await Program.eventually("they meet") { try await first.users("design").count == 2 }
    #expect(try await second.run("debug", "block").exitCode == 0)
    // Of two nodes, neither can tell which of them is cut off: nobody is declared gone.
    for node in [first, second] {
      try await Program.eventually("the node says that it hears nobody") {
        try await node.run("who", "--json").object()["stale"] as? Bool == true
      }
    }
    #expect(try await first.users("design")["Bob"]?["suspect"] as? Bool == true)
    #expect(try await first.users("design")["Bob"]?["online"] as? Bool == true)
    #expect(try await second.run("status", "away").exitCode == 0)
    #expect(try await second.run("debug", "unblock").exitCode == 0)
    try await Program.eventually("what Bob said meanwhile arrives") {
      try await first.users("design")["Bob"]?["status"] as? String == "away"
    }
    #expect(try await first.run("who", "--json").object()["stale"] as? Bool == false)
  }

  @Test("A second process on one state directory is refused")
  func stateDirectoryIsLocked() async throws {
    let node = try await TestNode()
    let second = try await Program.run(
      "up", "--state", node.state, "--listen", "127.0.0.1:0", "--no-multicast")
    #expect(second.exitCode == 1)
    #expect(second.errors.contains("is in use by process \(node.child.processIdentifier)"))
    #expect(second.output.isEmpty)
    #expect(try await node.run("who").exitCode == 0)
  }

  @Test("A port in use is a clear error")
  func portInUse() async throws {
    let node = try await TestNode()
    let address = try node.readyWord("addresses")
    let state = TestNode.freshState()
    defer { try? FileManager.default.removeItem(atPath: state) }
    let second = try await Program.run("up", "--state", state, "--listen", address)
    #expect(second.exitCode == 1)
    #expect(second.errors.contains("is in use"))
    #expect(second.output.isEmpty)
  }

  @Test("A node that was killed leaves a socket behind that nobody stumbles over")
  func staleSocketIsReplaced() async throws {
    let node = try await TestNode()
    node.child.signal(SIGKILL)
    #expect(try await node.child.exitCode() == -SIGKILL)
    #expect(FileManager.default.fileExists(atPath: node.state + "/control"))
    let refused = try await node.run("who")
    #expect(refused.exitCode == 3)
    #expect(refused.errors.contains("presence up"))
    let next = try await TestNode(state: node.state)
    #expect(try next.readyWord("node") == node.readyWord("node"))
    #expect(try await next.run("who").exitCode == 0)
    #expect(try await next.run("peers", "--json").object()["incarnation"] as? Int == 2)
  }

  @Test("A state directory that others can read is refused")
  func openDirectoryIsRefused() async throws {
    let state = TestNode.freshState()
    defer { try? FileManager.default.removeItem(atPath: state) }
    try FileManager.default.createDirectory(
      atPath: state, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
    let outcome = try await Program.run("up", "--state", state, "--listen", "127.0.0.1:0")
    #expect(outcome.exitCode == 1)
    #expect(outcome.errors.contains("chmod 0700"))
    let doctor = try await Program.run("doctor", "--state", state, "--json")
    #expect(doctor.exitCode == 1)
    #expect(try doctor.object()["ok"] as? Bool == false)
  }

  @Test("The control socket is for the owner alone, also where the path is too long for one")
  func socketPermissions() async throws {
    let node = try await TestNode()
    let attributes = try FileManager.default.attributesOfItem(atPath: node.state + "/control")
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    let short = TestNode.freshState()
    defer { try? FileManager.default.removeItem(atPath: short) }
    let long = short + String(repeating: "/a-rather-long-name", count: 8)
    let deep = try await TestNode(state: long)
    #expect(try await deep.run("who").exitCode == 0)
    #expect(try await deep.run("down").exitCode == 0)
    #expect(try await deep.child.exitCode() == 0)
    #expect(try await deep.run("who").exitCode == 3)
  }

  @Test("A node writes its ready line to a descriptor and its id to a file")
  func readyDescriptorAndPidFile() async throws {
    let pidFile = TestNode.freshState() + ".pid"
    let node = try await TestNode(["--pid-file", pidFile, "--ready-fd", "1"])
    #expect(node.child.output.split(separator: "\n").count == 1)
    let text = try String(contentsOfFile: pidFile, encoding: .utf8)
    #expect(text == "\(node.child.processIdentifier)\n")
    node.child.signal(SIGINT)
    #expect(try await node.child.exitCode() == 0)
    #expect(!FileManager.default.fileExists(atPath: pidFile))
  }
}

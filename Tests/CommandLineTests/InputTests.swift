import Foundation
import Testing

@Suite("Standard input of the command-line peer", .serialized, .timeLimit(.minutes(10)))
struct InputTests {
  private func guest(of node: TestNode, input: Child.Input) throws -> Child {
    try Child(
      ["join", "design", "--name", "Grace", "--user", "grace", "--json", "--state", node.state],
      input: input)
  }

  @Test("A guest whose input is a pipe says what comes, quits on /quit, and is gone at once")
  func quitsByPipe() async throws {
    let node = try await TestNode()
    let guest = try guest(of: node, input: .pipe)
    try guest.say("busy hi")
    try await Program.eventually("the node shows the guest") {
      let grace = try await node.users("design")["grace"]
      return grace?["status"] as? String == "busy" && grace?["message"] as? String == "hi"
    }
    try guest.say("/quit")
    try guest.endInput()
    #expect(try await guest.exitCode() == 0)
    #expect(!guest.errors.contains("crashed"))
    #expect(try await node.users("design")["grace"]?["online"] as? Bool == false)
  }

  @Test("A guest without a running node quits on /quit, too, and its node leaves")
  func quitsWithItsOwnNode() async throws {
    let state = TestNode.freshState()
    defer { try? FileManager.default.removeItem(atPath: state) }
    let outcome = try await Program.run(
      [
        "join", "design", "--name", "X", "--json", "--state", state, "--listen", "127.0.0.1:0",
        "--no-multicast",
      ], input: "busy hi\n/quit\n")
    #expect(outcome.exitCode == 0)
    #expect(!outcome.errors.contains("crashed"))
    #expect(try await Program.run("who", "--state", state).exitCode == 3)
  }

  @Test(
    "Whatever comes before /quit, a guest quits politely",
    arguments: [
      "/quit", "/quit\n", "/quit\r\n", "\n \n/quit\n", "\u{0}\u{1}\u{1B}[A\n/quit\n",
      "busy \u{202E}x\n/cursor nan inf\n/cursor 1e999 -1\n/typing\n/nonsense\n/\n/quit\n",
      String(repeating: "long ", count: 50_000) + "\n/quit\n",
      String(repeating: "\u{0}", count: 4096) + "\n/quit\n",
      String(repeating: "👩‍💻", count: 300) + "\n/quit",
    ])
  func quitsAfterAnything(input: String) async throws {
    let node = try await TestNode()
    let guest = try guest(of: node, input: .text(input))
    #expect(try await guest.exitCode() == 0)
    #expect(!guest.errors.contains("crashed"))
    #expect(try await node.users("design")["grace"]?["online"] as? Bool == false)
  }

  @Test("A line that is too long is told, and the next one is taken")
  func longLineIsTold() async throws {
    let node = try await TestNode()
    let guest = try guest(of: node, input: .pipe)
    try guest.say(String(repeating: "x", count: 10_000))
    try guest.say("away")
    try await Program.eventually("the node shows the guest") {
      try await node.users("design")["grace"]?["status"] as? String == "away"
    }
    #expect(guest.errors.contains("more than 4096 bytes was passed over"))
    try guest.say("/quit")
    #expect(try await guest.exitCode() == 0)
  }

  @Test("Lines that come faster than the node answers are all said, and in their order")
  func manyLinesAreSaid() async throws {
    let node = try await TestNode()
    let watcher = try Child(["watch", "design", "--json", "--state", node.state])
    try await Program.eventually("the watcher is there") { watcher.output.contains("snapshot") }
    let lines = (0..<400).map { "line \($0)" }
    let guest = try guest(of: node, input: .text(lines.joined(separator: "\n") + "\n/quit\n"))
    #expect(try await guest.exitCode() == 0)
    func said() -> [Int] {
      watcher.output.split(separator: "\n").compactMap { document in
        guard let start = document.range(of: "\"message\":\"line ") else { return nil }
        return Int(document[start.upperBound...].prefix { $0 != "\"" })
      }
    }
    try await Program.eventually("the last line is said: \(said().last ?? -1)") {
      said().last == lines.count - 1
    }
    #expect(said() == said().sorted())
  }

  @Test("The end of a line as other systems write it is no part of a message")
  func foreignLineEnds() async throws {
    let node = try await TestNode()
    let guest = try guest(of: node, input: .pipe)
    try guest.say("busy in a call\r")
    try await Program.eventually("the node shows the message") {
      try await node.users("design")["grace"]?["message"] as? String == "in a call"
    }
    try guest.say("/quit\r")
    #expect(try await guest.exitCode() == 0)
  }

  @Test("An invite is read from a line of a bounded length")
  func inviteLineIsBounded() async throws {
    for input in ["", "\n", String(repeating: "\u{0}", count: 1 << 20)] {
      let outcome = try await Program.run(
        ["mesh", "join", "-", "--state", TestNode.freshState()], input: input)
      #expect(outcome.exitCode == 2)
      #expect(outcome.errors.contains("no invite on the standard input"))
    }
    // An input without an end.
    let child = try Child(
      ["mesh", "join", "-", "--state", TestNode.freshState()],
      wrapper: ["/bin/sh", "-c", "exec \"$0\" \"$@\" </dev/zero"])
    #expect(try await child.exitCode() == 2)
  }
}

import Foundation
import Testing

@Suite("A node as a process of its system", .serialized, .timeLimit(.minutes(10)))
struct ProcessTests {
  /// A shell command that replaces itself by the executable and its arguments.
  private func shell(_ before: String = "", redirecting: String = "") -> [String] {
    ["/bin/sh", "-c", "\(before) exec \"$0\" \"$@\" \(redirecting)"]
  }

  /// What `other` says of the only node that it knows.
  private func health(seenBy other: TestNode) async throws -> String? {
    let peers = try await other.run("peers", "--json").object()["peers"] as? [[String: Any]]
    return peers?.first?["health"] as? String
  }

  // MARK: Signals

  @Test("Signals that come while a node ends do not abort it: it says its farewell")
  func laterSignalsChangeNothing() async throws {
    for later in [[SIGHUP], [SIGTERM, SIGHUP, SIGTERM]] {
      let node = try await TestNode(["--name", "Ada", "--room", "design"])
      let other = try await TestNode(["--invite", node.invite()])
      try await Program.eventually("the other node sees Ada") {
        try await other.users("design")["Ada"]?["online"] as? Bool == true
      }
      node.child.signal(SIGTERM)
      for number in later { node.child.signal(number) }
      #expect(try await node.child.exitCode() == 0)
      // Said, not found out.
      try await Program.eventually("the other node hears the farewell") {
        try await health(seenBy: other) == "left"
      }
    }
  }

  @Test("A node that drains its gateway goes on doing so when a signal comes, but for Ctrl-C")
  func drainingGoesOn() async throws {
    let node = try await TestNode(["--http", "127.0.0.1:0", "--http-drain", "60"])
    node.child.signal(SIGTERM)
    node.child.signal(SIGHUP)
    node.child.signal(SIGTERM)
    for _ in 0..<10 { #expect(try await node.run("who").exitCode == 0) }
    #expect(node.child.isRunning)
    node.child.signal(SIGINT)
    #expect(try await node.child.exitCode() == 130)
  }

  @Test("A guest leaves politely, also when a second signal comes")
  func guestLeaves() async throws {
    let node = try await TestNode()
    let guest = try Child(["join", "design", "--name", "Grace", "--state", node.state])
    try await Program.eventually("the node shows the guest") {
      try await node.users("design")["Grace"]?["online"] as? Bool == true
    }
    guest.signal(SIGTERM)
    guest.signal(SIGHUP)
    #expect(try await guest.exitCode() == 0)
    #expect(try await node.users("design")["Grace"]?["online"] as? Bool == false)
  }

  @Test("A node under nohup outlives its terminal")
  func ignoredHangUpStaysIgnored() async throws {
    let node = try await TestNode(wrapper: shell("trap '' HUP;"))
    node.child.signal(SIGHUP)
    for _ in 0..<10 { #expect(try await node.run("who").exitCode == 0) }
    node.child.signal(SIGTERM)
    #expect(try await node.child.exitCode() == 0)
  }

  // MARK: Descriptors

  @Test(
    "A process whose standard descriptors are closed has them on /dev/null",
    arguments: [">&- 2>&-", "<&-", "<&- >&- 2>&-", "2>&-"])
  func closedDescriptors(redirecting: String) async throws {
    let state = TestNode.freshState()
    defer { try? FileManager.default.removeItem(atPath: state) }
    let child = try Child(
      ["--state", state, "up", "--listen", "127.0.0.1:0", "--no-multicast", "--name", "Ada"],
      environment: ["PRESENCE_DEBUGGABLE": "1"], wrapper: shell(redirecting: redirecting))
    try await Program.eventually("the node gets ready") {
      try #require(child.isRunning)
      return try await Program.run("who", "--state", state).output.contains("Ada")
    }
    #if os(Linux)
      for (descriptor, sign) in ["<&-", ">&-", "2>&-"].enumerated() {
        guard redirecting.split(separator: " ").contains(Substring(sign)) else { continue }
        let link = "/proc/\(child.processIdentifier)/fd/\(descriptor)"
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "/dev/null")
      }
    #endif
    for arguments in [["who"], ["peers", "--json"], ["mesh", "invite"], ["doctor"], ["down"]] {
      let command = try Child(
        arguments + ["--state", state], wrapper: shell(redirecting: redirecting))
      #expect(try await command.exitCode() == 0)
    }
    #expect(try await child.exitCode() == 0)
  }

  // MARK: Files

  @Test("A start that fails leaves the files of the node that runs")
  func failedStartLeavesFiles() async throws {
    let pidFile = TestNode.freshState() + ".pid"
    defer { try? FileManager.default.removeItem(atPath: pidFile) }
    let node = try await TestNode(["--pid-file", pidFile])
    func start(_ state: String, _ arguments: String...) async throws -> Program.Outcome {
      try await Program.run(
        ["up", "--state", state, "--listen", "127.0.0.1:0", "--no-multicast"] + arguments)
    }
    let otherState = TestNode.freshState()
    defer { try? FileManager.default.removeItem(atPath: otherState) }
    for state in [node.state, otherState] {
      let second = try await start(state, "--pid-file", pidFile)
      #expect(second.exitCode == 1)
      #expect(second.errors.contains("process \(node.child.processIdentifier)"))
      #expect(second.output.isEmpty)
      #expect(
        try String(contentsOfFile: pidFile, encoding: .utf8)
          == "\(node.child.processIdentifier)\n")
    }
    #expect(try await start(node.state).exitCode == 1)
    #expect(
      try String(contentsOfFile: node.state + "/lock", encoding: .utf8)
        == "\(node.child.processIdentifier)\n")
    #expect(try await node.run("who").exitCode == 0)
  }

  @Test("A file of a process id that a killed node left is taken over; nothing else is")
  func pidFilesOfOthers() async throws {
    let pidFile = TestNode.freshState() + ".pid"
    defer { try? FileManager.default.removeItem(atPath: pidFile) }
    let killed = try await TestNode(["--pid-file", pidFile])
    killed.child.signal(SIGKILL)
    #expect(try await killed.child.exitCode() == -SIGKILL)
    #expect(FileManager.default.fileExists(atPath: pidFile))
    let next = try await TestNode(["--pid-file", pidFile])
    #expect(
      try String(contentsOfFile: pidFile, encoding: .utf8) == "\(next.child.processIdentifier)\n")
    // Somebody else put a file of their own there meanwhile.
    try FileManager.default.removeItem(atPath: pidFile)
    try "a letter".write(toFile: pidFile, atomically: false, encoding: .utf8)
    #expect(try await next.run("down").exitCode == 0)
    #expect(try await next.child.exitCode() == 0)
    for path in [pidFile, "/dev/null"] {
      let refused = try await Program.run(
        "up", "--state", next.state, "--listen", "127.0.0.1:0", "--pid-file", path)
      #expect(refused.exitCode == 1)
      #expect(refused.errors.contains("--pid-file"))
    }
    #expect(try String(contentsOfFile: pidFile, encoding: .utf8) == "a letter")
    #expect(FileManager.default.fileExists(atPath: "/dev/null"))
  }

  @Test("No symbolic or hard link is followed to a file that is written, and none is removed")
  func linksAreNotFollowed() async throws {
    let base = TestNode.freshState()
    let files = FileManager.default
    try files.createDirectory(atPath: base, withIntermediateDirectories: true)
    defer { try? files.removeItem(atPath: base) }
    let (victim, pidFile) = (base + "/victim", base + "/pid")
    let up = [
      "up", "--state", base + "/state", "--listen", "127.0.0.1:0", "--no-multicast", "--pid-file",
      pidFile,
    ]
    // What the victim holds could be the file of a process id.
    for content in ["", "1\n"] {
      try content.write(toFile: victim, atomically: false, encoding: .utf8)
      for target in [victim, base + "/nothing"] {
        try files.createSymbolicLink(atPath: pidFile, withDestinationPath: target)
        let refused = try await Program.run(up)
        #expect(refused.exitCode == 1 && refused.errors.contains("symbolic link"))
        #expect(try files.destinationOfSymbolicLink(atPath: pidFile) == target)
        try files.removeItem(atPath: pidFile)
      }
      try files.linkItem(atPath: victim, toPath: pidFile)
      #expect(try await Program.run(up).errors.contains("another name"))
      try files.removeItem(atPath: pidFile)
      #expect(try String(contentsOfFile: victim, encoding: .utf8) == content)
    }
    #expect(!files.fileExists(atPath: base + "/nothing"))
    try "1\n".write(toFile: pidFile, atomically: false, encoding: .utf8)
    try files.setAttributes([.posixPermissions: 0o666], ofItemAtPath: pidFile)
    #expect(try await Program.run(up).errors.contains("can be written to by others"))
    if geteuid() == 0 {
      try files.setAttributes([.posixPermissions: 0o644], ofItemAtPath: pidFile)
      #expect(chown(pidFile, 65_534, 65_534) == 0)
      #expect(try await Program.run(up).errors.contains("can be written to by others"))
    }
    try files.removeItem(atPath: pidFile)
    // A link that is put there while the node runs is not removed either.
    let node = try await TestNode(["--pid-file", pidFile])
    try files.moveItem(atPath: pidFile, toPath: base + "/moved")
    try files.createSymbolicLink(atPath: pidFile, withDestinationPath: base + "/moved")
    #expect(try await node.run("down").exitCode == 0)
    #expect(try await node.child.exitCode() == 0)
    #expect(try files.destinationOfSymbolicLink(atPath: pidFile) == base + "/moved")

    // The file of keys, and the report of a simulation.
    let keys = base + "/keys"
    for target in [victim, base + "/nothing"] {
      try files.createSymbolicLink(atPath: keys, withDestinationPath: target)
      #expect(try await Program.run("token", "--new-key", keys).exitCode == 1)
      try files.removeItem(atPath: keys)
    }
    let report = base + "/report"
    try files.createDirectory(atPath: report, withIntermediateDirectories: false)
    let before = "<!-- A report of presence simulate. -->"
    try before.write(toFile: victim, atomically: false, encoding: .utf8)
    for target in [victim, base + "/nothing"] {
      try files.createSymbolicLink(
        atPath: report + "/index.html", withDestinationPath: target)
      let refused = try await Program.run(
        "simulate", "--seeds", "1", "--nodes", "2", "--seconds", "1", "--sweep-nodes", "none",
        "--sweep-loss", "1", "--report", report)
      #expect(refused.exitCode == 1 && refused.errors.contains("not a plain file"))
      try files.removeItem(atPath: report + "/index.html")
    }
    #expect(try String(contentsOfFile: victim, encoding: .utf8) == before)
    #expect(!files.fileExists(atPath: base + "/nothing"))
  }

  @Test("A node is found by each name of its state directory, whichever of them is long")
  func symbolicLinksToTheState() async throws {
    let base = TestNode.freshState()
    try FileManager.default.createDirectory(atPath: base, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: base) }
    for bytes in [100, 180] {
      let long = base + "/" + String(repeating: "l", count: bytes - base.utf8.count - 1)
      let short = base + "/s"
      try? FileManager.default.removeItem(atPath: short)
      try FileManager.default.createSymbolicLink(atPath: short, withDestinationPath: long)
      try FileManager.default.createDirectory(
        atPath: long, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
      for (first, second) in [(long, short), (short, long)] {
        let node = try await TestNode(state: first)
        #expect(try await Program.run("who", "--state", second).exitCode == 0)
        #expect(try await Program.run("down", "--state", second).exitCode == 0)
        #expect(try await node.child.exitCode() == 0)
      }
    }
  }
}

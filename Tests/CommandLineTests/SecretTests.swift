import Foundation
import MeshCrypto
import PresenceMesh
import Testing

@Suite("Secrets on the command line", .serialized, .timeLimit(.minutes(10)))
struct SecretTests {
  private let state = TestNode.freshState()
  private let invite: String
  private let file: String

  init() async throws {
    let maker = state + "-maker"
    defer { try? FileManager.default.removeItem(atPath: maker) }
    invite = try await Program.run("mesh", "create", "--open", "--state", maker).lines.first ?? ""
    file = state + ".invite"
    try Data((invite + "\n").utf8).write(to: URL(filePath: file))
    try setMode(0o600)
  }

  private func setMode(_ mode: Int, of path: String? = nil) throws {
    try FileManager.default.setAttributes(
      [.posixPermissions: NSNumber(value: mode)], ofItemAtPath: path ?? file)
  }

  private func remove() {
    for path in [file, state] { try? FileManager.default.removeItem(atPath: path) }
  }

  /// The ways to give an invite.
  enum Way: CaseIterable, Sendable { case file, input, variable, argument, assigned }

  /// The arguments, the input and the environment of a way.
  private func given(_ way: Way) -> ([String], input: String, environment: [String: String]) {
    switch way {
    case .file: (["--invite-file", file], "", [:])
    case .input: (["--invite-file", "-"], invite + "\n", [:])
    case .variable: ([], "", ["PRESENCE_INVITE": invite])
    case .argument: (["--invite", invite], "", [:])
    case .assigned: (["--invite=\(invite)"], "", [:])
    }
  }

  @Test("An invite is taken from a file, the input, the environment and an argument")
  func ways() async throws {
    defer { remove() }
    for way in Way.allCases {
      var (arguments, input, environment) = given(way)
      if way == .argument || way == .assigned { arguments = [invite] }
      let joined = try await Program.run(
        ["mesh", "join", "--state", state] + arguments, input: input, environment: environment)
      #expect(joined.exitCode == 0, "\(way)")
      #expect(try await Program.run("mesh", "invite", "--state", state).lines.first == invite)
      try FileManager.default.removeItem(atPath: state)
    }
    let node = try await TestNode(environment: ["PRESENCE_INVITE": invite])
    for way in [["--invite-file", "-"], ["--invite", "-"], ["--invite=-"]] {
      let guest = try await Program.run(
        ["join", "design", "--name", "Ada", "--state", node.state] + way,
        input: "\(invite)\n/quit\n")
      #expect(guest.exitCode == 0, "\(way)")
    }
    let nothing = try await Program.run("mesh", "join", "--state", state)
    #expect(nothing.exitCode == 2 && nothing.errors.contains("--invite-file"))
    for command in [["up"], ["join", "design", "--name", "Ada"], ["mesh", "join"]] {
      let value = command[0] == "mesh" ? [invite] : ["--invite", invite]
      let both = try await Program.run(
        command + ["--invite-file", file, "--state", state] + value)
      #expect(both.exitCode == 2 && both.errors.contains("choose one"))
    }
    #expect(!FileManager.default.fileExists(atPath: state))
  }

  @Test("Files with secrets that others may use are refused, whichever command they are for")
  func openFiles() async throws {
    defer { remove() }
    let keys = state + ".keys"
    defer { try? FileManager.default.removeItem(atPath: keys) }
    #expect(try await Program.run("token", "--new-key", keys).exitCode == 0)
    for mode in [0o644, 0o640, 0o620] {
      try setMode(mode)
      try setMode(mode, of: keys)
      let up = ["up", "--state", state, "--listen", "127.0.0.1:0", "--no-multicast"]
      for (path, arguments) in [
        (file, ["mesh", "join", "--invite-file", file, "--state", state]),
        (file, up + ["--invite-file", file]),
        (file, ["join", "design", "--name", "Ada", "--state", state, "--invite-file", file]),
        (keys, up + ["--http", "127.0.0.1:0", "--http-keys", keys]),
        (keys, ["token", "--keys", keys, "--user", "ada", "--room", "design"]),
      ] {
        let refused = try await Program.run(arguments)
        #expect(refused.exitCode == 1)
        #expect(refused.errors.contains("chmod 0600 \(path)"))
        #expect(refused.output.isEmpty)
      }
    }
    try setMode(0o600, of: keys)
    let token = try await Program.run(
      "token", "--keys", keys, "--user", "ada", "--room", "design")
    #expect(token.exitCode == 0)
  }

  @Test("No error repeats an invite")
  func errorsKeepQuiet() async throws {
    defer { remove() }
    let key = invite.dropFirst(40)
    for arguments in [
      ["mesh", "join", invite, invite], ["up", invite], ["up", "--peer", invite],
      ["up", "--invite", invite, "--nonsense"], ["join", invite, "--name", "Ada"],
      ["mesh", "invite", invite], ["mesh", "join", String(invite.dropLast())],
    ] {
      let refused = try await Program.run(arguments + ["--state", state])
      #expect(refused.exitCode != 0)
      #expect(!refused.errors.contains(key), "\(arguments.map { $0.prefix(20) })")
    }
    // A new mesh is told of, but its key is not for a log.
    let node = try await TestNode()
    #expect(node.child.errors.contains("presence invite"))
    #expect(!node.child.errors.contains("presence-mesh:"))
  }

  #if os(Linux)
    @Test("A running node shows its invite neither in its arguments nor in its environment")
    func processList() async throws {
      defer { remove() }
      for way in Way.allCases where way != .input {
        let (arguments, _, environment) = given(way)
        let node = try await TestNode(
          arguments, environment: environment.merging(["PRESENCE_DEBUGGABLE": "1"]) { $1 })
        for name in ["cmdline", "environ"] {
          let url = URL(filePath: "/proc/\(node.child.processIdentifier)/\(name)")
          let text = String(decoding: try Data(contentsOf: url), as: UTF8.self)
          #expect(!text.isEmpty && !text.contains("presence-mesh:1"), "\(way) in \(name)")
        }
        #expect(try Invite(line: await node.invite()).mesh == Invite(line: invite).mesh)
      }
    }

    /// How often each text stands in the memory of a process that a core dump would hold; `nil` when
    /// that cannot be found out.
    private func count(_ needles: [String], in process: Int32) async throws -> [Int]? {
      let script =
        URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "Support/find-in-memory.py").path
      let told = try await Tool.run(
        ["/usr/bin/env", "python3", script, "\(process)"],
        input: needles.joined(separator: "\n"), environment: ProcessInfo.processInfo.environment)
      let counts = told.output.split(whereSeparator: \.isWhitespace)
      return told.exitCode == 0 ? counts.compactMap { Int($0) } : nil
    }

    @Test("Keys and invites stand in no memory of a node that a core dump would hold")
    func memory() async throws {
      defer { remove() }
      let key = try #require(Invite(line: invite).key).withBytes { start in
        (0..<32).map {
          start[$0] < 16 ? "0\(String(start[$0], radix: 16))" : String(start[$0], radix: 16)
        }
      }.joined()
      for way in Way.allCases where way != .input {
        let (arguments, _, environment) = given(way)
        let node = try await TestNode(
          arguments, environment: environment.merging(["PRESENCE_DEBUGGABLE": "1"]) { $1 })
        let needles = ["--no-multicast", String(invite.dropFirst(40)), "0x" + key, key]
        guard let found = try await count(needles, in: node.child.processIdentifier) else { return }
        #expect(found.count == 4 && found[0] > 0)
        #expect(found.dropFirst().allSatisfy { $0 == 0 }, "\(way)")
      }
    }

    @Test("A process that holds keys leaves no core dumps, unless a developer asks for them")
    func coreDumps() async throws {
      defer { remove() }
      for (environment, isProtected) in [([:], true), (["PRESENCE_DEBUGGABLE": "1"], false)] {
        let user = OtherUser.isAvailable ? OtherUser.wrapper : []
        let node = try await TestNode(
          environment: environment,
          wrapper: user + ["/bin/sh", "-c", "ulimit -S -c 1; exec \"$0\" \"$@\""])
        let folder = "/proc/\(node.child.processIdentifier)"
        let limits = try String(contentsOfFile: "\(folder)/limits", encoding: .utf8)
        let core = try #require(limits.split(separator: "\n").first { $0.contains("core file") })
        #expect(core.split(whereSeparator: \.isWhitespace).contains("0") == isProtected)
        if geteuid() != 0 || OtherUser.isAvailable {
          // The system gives what it tells of such a process to root.
          var status = stat()
          #expect(stat("\(folder)/environ", &status) == 0)
          #expect((status.st_uid == 0) == isProtected)
        }
        for inherited in [[:], environment] {
          let doctor = try await Program.run(
            ["doctor", "--state", node.state, "--json"], environment: inherited)
          let checks = try doctor.object()["checks"] as? [[String: Any]]
          let check = checks?.first { $0["name"] as? String == "core dumps" }
          #expect(check?["result"] as? String == (isProtected ? "ok" : "warn"))
        }
      }
    }
  #endif
}

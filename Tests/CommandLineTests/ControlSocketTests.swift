import Foundation
import Testing

@testable import presence

@Suite("The control socket", .serialized, .timeLimit(.minutes(10)))
struct ControlSocketTests {
  private let base = TestNode.freshState()

  init() throws {
    try FileManager.default.createDirectory(
      atPath: base, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
  }

  private func remove() { try? FileManager.default.removeItem(atPath: base) }

  private func link(_ name: String, to destination: String) throws {
    try FileManager.default.createSymbolicLink(
      atPath: name, withDestinationPath: destination)
  }

  private func setMode(_ mode: Int, of path: String) throws {
    try FileManager.default.setAttributes(
      [.posixPermissions: NSNumber(value: mode)], ofItemAtPath: path)
  }

  /// A path of so many bytes in the folder of the test.
  private func long(_ bytes: Int, in folder: String) -> String {
    folder + "/" + String(repeating: "l", count: bytes - folder.utf8.count - 1)
  }

  private func who(_ state: String) async throws -> Program.Outcome {
    try await Program.run("who", "--state", state)
  }

  // MARK: Where it is

  @Test("A node is found below a parent that is a link, also when its directory was not there yet")
  func linkedParents() async throws {
    defer { remove() }
    try FileManager.default.createDirectory(
      atPath: base + "/real", withIntermediateDirectories: true)
    try link(base + "/link", to: base + "/real")
    for rest in [
      "/new/state", "/" + String(repeating: "l", count: 100),
      "/" + String(repeating: "m", count: 180),
    ] {
      for (first, second) in [("/link", "/real"), ("/real", "/link")] {
        let node = try await TestNode(state: base + first + rest)
        #expect(try await who(base + second + rest).exitCode == 0)
        #expect(try await Program.run("down", "--state", base + second + rest).exitCode == 0)
        #expect(try await node.child.exitCode() == 0)
        #expect(try await who(base + second + rest).exitCode == 3)
        try FileManager.default.removeItem(atPath: base + first + rest)
      }
    }
  }

  @Test("Paths are resolved as far as they lead to something")
  func resolvedPaths() throws {
    defer { remove() }
    try FileManager.default.createDirectory(
      atPath: base + "/real", withIntermediateDirectories: true)
    try link(base + "/link", to: base + "/real")
    let real = ControlSocket.resolved(base)
    #expect(ControlSocket.resolved(base + "/link") == real + "/real")
    #expect(ControlSocket.resolved(base + "/link/a/b") == real + "/real/a/b")
    #expect(ControlSocket.resolved(base + "/no/a") == real + "/no/a")
    #expect(ControlSocket.resolved("/nowhere") == "/nowhere")
    #expect(ControlSocket.resolved("/") == "/")
  }

  @Test("The socket of a long path is in the user's runtime folder, and is found without its name")
  func runtimeFolder() async throws {
    defer { remove() }
    let runtime = base + "/run"
    let state = long(180, in: base)
    for (mode, isUsed) in [(0o700, true), (0o755, false), (0o770, false)] {
      try? FileManager.default.removeItem(atPath: runtime)
      try FileManager.default.createDirectory(atPath: runtime, withIntermediateDirectories: false)
      try setMode(mode, of: runtime)
      let node = try await TestNode(state: state, environment: ["XDG_RUNTIME_DIR": runtime])
      let place = try FileManager.default.destinationOfSymbolicLink(atPath: state + "/control")
      #expect(place.hasPrefix(runtime + "/presence-mesh/") == isUsed)
      for environment in [[:], ["XDG_RUNTIME_DIR": "/nowhere"]] {
        let told = try await Program.run(["who", "--state", state], environment: environment)
        #expect(told.exitCode == 0)
      }
      node.child.signal(SIGKILL)
      _ = try await node.child.exitCode()
      #expect(try await who(state).exitCode == 3)
      // What a killed node left is replaced, and a polite end leaves nothing.
      let next = try await TestNode(state: state, environment: ["XDG_RUNTIME_DIR": runtime])
      #expect(try await who(state).exitCode == 0)
      #expect(try await next.run("down").exitCode == 0)
      #expect(try await next.child.exitCode() == 0)
      for path in [place, state + "/control"] {
        #expect((try? FileManager.default.attributesOfItem(atPath: path)) == nil)
      }
    }
  }

  @Test("A folder in the runtime folder that others made or may write to is passed over")
  func foreignFolders() async throws {
    defer { remove() }
    let (runtime, state) = (base + "/run", long(180, in: base))
    let folder = runtime + "/presence-mesh"
    try FileManager.default.createDirectory(
      atPath: runtime, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    func isUsed() async throws -> Bool {
      let node = try await TestNode(state: state, environment: ["XDG_RUNTIME_DIR": runtime])
      #expect(try await who(state).exitCode == 0)
      let place = try FileManager.default.destinationOfSymbolicLink(
        atPath: node.state + "/control")
      return place.hasPrefix(runtime)
    }
    #expect(try await isUsed())
    try setMode(0o777, of: folder)
    #expect(try await !isUsed())
    try FileManager.default.removeItem(atPath: folder)
    try FileManager.default.createDirectory(
      atPath: base + "/else", withIntermediateDirectories: false,
      attributes: [.posixPermissions: 0o700])
    try link(folder, to: base + "/else")
    #expect(try await !isUsed())
    try FileManager.default.removeItem(atPath: folder)
    try Data().write(to: URL(filePath: folder))
    #expect(try await !isUsed())
  }

  // MARK: Whose it is

  @Test("A client refuses a socket, and folders of it, that others could have made or may use")
  func clientChecks() async throws {
    defer { remove() }
    let runtime = base + "/run"
    try FileManager.default.createDirectory(
      atPath: runtime, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    for state in [base + "/short", long(180, in: base)] {
      let node = try await TestNode(state: state, environment: ["XDG_RUNTIME_DIR": runtime])
      var socket = state + "/control"
      var folders = [state]
      if let place = try? FileManager.default.destinationOfSymbolicLink(atPath: socket) {
        socket = place
        folders.append(runtime + "/presence-mesh")
      }
      #expect(
        try FileManager.default.attributesOfItem(
          atPath: socket)[.posixPermissions] as? Int == 0o600)
      func expectRefusal(_ words: String) async throws {
        for command in [["who"], ["mesh", "invite"], ["down"]] {
          let refused = try await Program.run(command + ["--state", state])
          #expect(refused.exitCode == 1 && refused.errors.contains(words))
        }
        let doctor = try await Program.run("doctor", "--state", state)
        #expect(doctor.exitCode == 1 && doctor.output.contains(words))
      }
      for (path, open, closed) in [(socket, 0o666, 0o600)] + folders.map({ ($0, 0o755, 0o700) }) {
        try setMode(open, of: path)
        try await expectRefusal("chmod 0\(String(closed, radix: 8))")
        try setMode(closed, of: path)
        #expect(try await who(state).exitCode == 0)
      }
      if geteuid() == 0 {
        for path in [socket] + folders.dropFirst() {
          #expect(chown(path, 65_534, 65_534) == 0)
          try await expectRefusal("belongs to user 65534")
          #expect(chown(path, 0, 0) == 0)
        }
        #expect(chown(state, 65_534, 65_534) == 0)
        // Root may ask the nodes of others, but this socket is not theirs.
        #expect(try await who(state).exitCode == 1)
        #expect(chown(state, 0, 0) == 0)
      }
      #expect(node.child.isRunning)
      #expect(try await node.run("down").exitCode == 0)
      #expect(try await node.child.exitCode() == 0)
      try Data().write(to: URL(filePath: state + "/control"))
      #expect(try await who(state).errors.contains("is not a socket"))
    }
  }

  @Test("Doctor tells of a folder in which others could replace the state directory, and of modes")
  func doctorLooksAround() async throws {
    defer { remove() }
    let state = base + "/open/between/state"
    try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
    try setMode(0o700, of: state)
    func check() async throws -> (result: String, detail: String)? {
      let checks = try await Program.run("doctor", "--state", state, "--json").object()["checks"]
      let worst = (checks as? [[String: Any]])?.last { check in
        ["state directory", "permissions"].contains(check["name"] as? String)
      }
      return worst.flatMap { worst in
        (worst["result"] as? String).map { ($0, worst["detail"] as? String ?? "") }
      }
    }
    #expect(try await check()?.result == "ok")
    try setMode(0o777, of: base + "/open")
    let shared = try await check()
    #expect(shared?.result == "warn" && shared?.detail.hasSuffix(base + "/open/") == true)
    // As /tmp is: only the owner of what is in it can move that.
    try setMode(0o1777, of: base + "/open")
    #expect(try await check()?.result == "ok")
    for (name, mode) in [("durable", 0o644), ("mesh", 0o700)] {
      try Data().write(to: URL(filePath: state + "/" + name))
      try setMode(mode, of: state + "/" + name)
      let wide = try await check()
      #expect(wide?.result == "fail" && wide?.detail.contains("/" + name) == true)
      try FileManager.default.removeItem(atPath: state + "/" + name)
    }
  }

  @Test("A node obeys its user and root")
  func whoIsObeyed() {
    #expect(PeerCredentials.mayControl(1000, node: 1000))
    #expect(PeerCredentials.mayControl(0, node: 1000))
    #expect(!PeerCredentials.mayControl(1001, node: 1000))
    #expect(!PeerCredentials.mayControl(1000, node: 0))
  }

  #if os(Linux)
    private static let hasPython = FileManager.default.isExecutableFile(
      atPath: "/usr/bin/python3")

    @Test(
      "Root may ask a node of another user, and that user a node of root not",
      .enabled(if: OtherUser.isAvailable))
    func rootMayAsk() async throws {
      defer { remove() }
      for state in [base + "/state", long(180, in: base)] {
        try setMode(0o711, of: base)
        try FileManager.default.createDirectory(
          atPath: state, withIntermediateDirectories: false,
          attributes: [.posixPermissions: 0o700])
        #expect(chown(state, OtherUser.id, OtherUser.id) == 0)
        let node = try await TestNode(state: state, wrapper: OtherUser.wrapper)
        #expect(try await who(state).exitCode == 0)
        #expect(try await node.run("down").exitCode == 0)
        #expect(try await node.child.exitCode() == 0)
      }
      let own = try await TestNode(state: base + "/own")
      let refused = try await OtherUser.run([Program.url.path, "who", "--state", own.state])
      #expect(refused.exitCode == 1 && refused.words.contains("belongs to user 0"))
    }

    @Test(
      "A client of another user is refused, counted and logged, though the permissions let it in",
      .enabled(if: OtherUser.isAvailable && Self.hasPython))
    func serverChecks() async throws {
      defer { remove() }
      let state = base + "/state"
      let node = try await TestNode(state: state)
      for (path, mode) in [(base, 0o711), (state, 0o711), (state + "/control", 0o666)] {
        try setMode(mode, of: path)
      }
      let script = """
        import socket, sys
        s = socket.socket(socket.AF_UNIX)
        s.connect(sys.argv[1])
        s.sendall(b'{"down":{}}\\n')
        print(s.makefile().read())
        """
      for _ in 0..<3 {
        let told = try await OtherUser.run(["/usr/bin/python3", "-c", script, state + "/control"])
        // The connection may be closed before the request is sent.
        #expect(!told.words.contains("done"))
      }
      for (path, mode) in [(state, 0o700), (state + "/control", 0o600)] {
        try setMode(mode, of: path)
      }
      #expect(node.child.isRunning)
      let counters = try await node.run("counters", "--json").object()["counters"]
      let refused = (counters as? [[String: Any]])?
        .first { $0["name"] as? String == "controlClientsRefused" }
      #expect(refused?["value"] as? Int == 3)
      // The first and the second, not the third.
      #expect(node.child.errors.components(separatedBy: "refused at the control socket").count == 3)
      #expect(node.child.errors.contains("user=\(OtherUser.id)"))
      #expect(try await node.run("doctor").output.contains("controlClientsRefused is 3"))
    }

    @Test(
      "Where a path is too long and no folder is safe, the error says so; nothing of others is used",
      .enabled(if: OtherUser.isAvailable), arguments: [0o777, 0o700])
    func nothingSafe(mode: Int) async throws {
      defer { remove() }
      let folder = "/tmp/presence-mesh-\(OtherUser.id)"
      try? FileManager.default.removeItem(atPath: folder)
      // Somebody else was faster.
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: false,
        attributes: [.posixPermissions: 0o700])
      defer { try? FileManager.default.removeItem(atPath: folder) }
      try setMode(mode, of: folder)
      let state = long(180, in: base)
      try FileManager.default.createDirectory(
        atPath: state, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
      try setMode(0o711, of: base)
      #expect(chown(state, OtherUser.id, OtherUser.id) == 0)
      let told = try await OtherUser.run(
        [Program.url.path, "up", "--state", state, "--listen", "127.0.0.1:0", "--no-multicast"],
        environment: ["XDG_RUNTIME_DIR": "/tmp"])
      #expect(told.exitCode == 1)
      #expect(told.words.contains("103 at most") && told.words.contains(folder))
      #expect(told.words.contains("XDG_RUNTIME_DIR") && told.words.contains("shorter path"))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
  #endif
}

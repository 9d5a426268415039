import ArgumentParser
import Foundation
import MeshGateway
import PresenceMesh

/// `presence up`: runs a node until it is told to end.
struct UpCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "up",
    abstract: "Run a node, and with --name a session on it.",
    discussion: """
      Prints one line on the standard output when it is ready:

        ready node=<64 hexadecimal digits> addresses=<host:port>,… [http=<host:port>]

      With no mesh known it makes one, and tells on the standard error how others join. Ctrl-C, \
      SIGTERM or `presence down` leave politely: the sessions are gone everywhere at once. \
      After SIGTERM or SIGHUP a gateway first says at /readyz that the node leaves (--http-drain). \
      Ctrl-C meanwhile ends at once, and others see the sessions go some seconds later; other \
      signals change nothing then.
      """)

  @OptionGroup var state: StateOptions
  @OptionGroup(title: "Node") var node: NodeOptions
  @OptionGroup(title: "Gateway") var gateway: GatewayOptions
  @OptionGroup(title: "Session") var profile: ProfileOptions

  @Option(help: "Open a session for a user of this name.")
  var name: String?

  @Option(help: ArgumentHelp("Enter this room; may be repeated.", valueName: "room"))
  var room: [RoomName] = []

  @Option(
    name: [.customLong("subscribe"), .customLong("follow")],
    help: ArgumentHelp(
      "Subscribe to this room only; may be repeated. Default: all rooms.",
      discussion: """
        Nothing of what is said in other rooms is sent to the node, but who is in them. It subscribes \
        to a room for as long as somebody watches it here.
        """,
      valueName: "room"))
  var subscribe: [RoomName] = []

  @Option(help: ArgumentHelp("Write the ready line to this descriptor too.", valueName: "n"))
  var readyFd: Int32?

  @Option(
    help: ArgumentHelp("Write the process id here while running.", valueName: "file"),
    completion: .file())
  var pidFile: String?

  mutating func validate() throws {
    if name == nil, !room.isEmpty || profile.user != nil {
      throw ValidationError("--room and --user are about a session: give it a --name.")
    }
    if subscribe.count > Limits.roomsSubscribed {
      throw ValidationError("--subscribe may be given \(Limits.roomsSubscribed) times at most.")
    }
    if let readyFd, readyFd < 1 || readyFd == STDERR_FILENO {
      throw ValidationError("--ready-fd needs a descriptor that is open for writing.")
    }
    if let readyFd, fcntl(readyFd, F_GETFD) < 0 {
      throw ValidationError("--ready-fd: descriptor \(readyFd) is not open.")
    }
  }

  func run() async throws {
    let directory = try state.path()
    let endings = Endings()
    let pidFile = try pidFile.map { try PidFile(path: $0) }
    defer { pidFile?.remove() }
    if let pidFile { endings.beforeExit { pidFile.remove() } }
    try await RunningNode.with(state: directory, options: node) { node in
      try node.announceNewMesh()
      if !subscribe.isEmpty { try await node.mesh.subscribe(to: Set(subscribe)) }
      let gateway = try await gateway.start(
        node.mesh, logger: RunningNode.logger(self.node.logLevel))
      do {
        if let name { try await openSession(name: name, on: node.mesh) }
        try announce(node.mesh, gateway)
        let signal = await Self.firstOf(endings.signals, node.shutdownRequests)
        // Supervisors end a node so, and whoever sends it clients is to see it first. Of signals that
        // come together, the system delivers SIGHUP before SIGTERM.
        if signal == SIGTERM || signal == SIGHUP { await gateway?.drain() }
      } catch {
        await gateway?.stop()
        throw error
      }
      await gateway?.stop()
    }
  }

  private func openSession(name: String, on mesh: PresenceMesh) async throws {
    let session = try await mesh.openSession(
      Profile(userID: profile.user ?? name, name: name, colour: profile.colour),
      device: profile.device)
    for room in room { try await session.enter(room) }
  }

  private func announce(_ mesh: PresenceMesh, _ gateway: Gateway?) throws {
    var line = "ready node=\(mesh.nodeID) addresses=\(mesh.addresses.joined(separator: ","))"
    if let gateway { line += " http=\(gateway.address)" }
    if let readyFd, readyFd != STDOUT_FILENO {
      // Whoever waited may be gone; the node is there all the same.
      try? Output.write(line + "\n", to: readyFd)
      close(readyFd)
    }
    do {
      try Output.print(line)
    } catch is OutputClosed {
      // A node is not there for the sake of its output.
    }
  }

  /// Waits for a signal or a request to end. The signal, if it was one.
  private static func firstOf(
    _ signals: AsyncStream<Int32>, _ requests: AsyncStream<Void>
  ) async -> Int32? {
    await withTaskGroup(of: Int32?.self) { group in
      group.addTask { await signals.first { _ in true } }
      group.addTask {
        for await _ in requests { break }
        return nil
      }
      let first = await group.next() ?? nil
      group.cancelAll()
      return first
    }
  }
}

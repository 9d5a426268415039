import Foundation
import Logging
import PresenceMesh
import Synchronization

/// A node that this process runs, with its control socket.
struct RunningNode: Sendable {
  let mesh: PresenceMesh
  /// Says when a client asked the node to end.
  let shutdownRequests: AsyncStream<Void>

  /// The port that nodes listen on when they are told nothing else.
  private static let standardPort: UInt16 = 7946

  /// Joins the mesh, opens the control socket, does something, and leaves politely.
  ///
  /// - Throws: ``CommandFailure`` when the node cannot start; whatever `body` throws.
  static func with<Value: Sendable>(
    state: String, options: NodeOptions, _ body: (RunningNode) async throws -> Value
  ) async throws -> Value {
    let mesh = try await join(state: state, options: options)
    let (requests, continuation) = AsyncStream<Void>.makeStream(
      bufferingPolicy: .bufferingNewest(1))
    do {
      let refusals = ControlRefusals(logger: logger(options.logLevel))
      let handler = ControlHandler(mesh: mesh, refusals: refusals) { continuation.yield() }
      let server = try await ControlServer(state: state, handler: handler)
      let serving = Task { await server.run() }
      // A node that is put out of the mesh has nothing more to do.
      let watching = Task {
        await mesh.untilExpelled()
        if mesh.expulsion != nil { continuation.yield() }
      }
      defer { watching.cancel() }
      let waiting = Task { try await tellWhenNotAdmitted(mesh) }
      defer { waiting.cancel() }
      let result: Result<Value, any Error>
      do {
        result = .success(try await body(RunningNode(mesh: mesh, shutdownRequests: requests)))
      } catch {
        result = .failure(error)
      }
      // Who asked for the end is told that it comes.
      await server.settle()
      serving.cancel()
      await serving.value
      await mesh.leave()
      if let reason = mesh.expulsion { throw CommandFailure("\(reason)") }
      return try result.get()
    } catch {
      await mesh.leave()
      throw error
    }
  }

  /// Tells that no member was reached which gives this node the key of the mesh.
  private static func tellWhenNotAdmitted(_ mesh: PresenceMesh) async throws {
    try await Task.sleep(for: .seconds(5))
    guard mesh.epochs.isEmpty, mesh.expulsion == nil else { return }
    Output.note(
      "presence: no member of the mesh was reached yet, and this node is alone until one is: is one "
        + "running, and does the invite name its address? Else name one with --peer")
  }

  /// The log on the standard error.
  static func logger(_ level: LogLevel) -> Logger {
    Logger(label: "presence") { _ in NoteLogHandler(level: level.level) }
  }

  private static func join(state: String, options: NodeOptions) async throws -> PresenceMesh {
    var configuration = PresenceMesh.Configuration(
      identity: .stateDirectory(state),
      logger: logger(options.logLevel))
    if let invite = try options.invite.text() { configuration.membership = .invite(invite) }
    configuration.peers = options.peer
    configuration.multicast = !options.isMulticastOff
    if let rate = options.sendRate { configuration.sendRate = rate.bytes }
    if let rate = options.peerRate { configuration.peerRate = rate.bytes }
    guard options.listen.isEmpty else {
      configuration.listen = .addresses(options.listen)
      return try await join(configuration)
    }
    configuration.listen = .allInterfaces(port: standardPort)
    do {
      return try await PresenceMesh.join(configuration)
    } catch PresenceError.network(let reason) {
      // Another node of this machine has it, most likely: the mesh finds this one all the same.
      configuration.listen = .allInterfaces(port: 0)
      let mesh = try await join(configuration)
      Output.note("presence: \(reason). Listening on another port instead.")
      return mesh
    } catch {
      throw CommandFailure("\(error)")
    }
  }

  private static func join(_ configuration: PresenceMesh.Configuration) async throws -> PresenceMesh
  {
    do {
      return try await PresenceMesh.join(configuration)
    } catch {
      throw CommandFailure("\(error)")
    }
  }

  /// Tells how to let others in, when this node made the mesh. The invite itself is for people: a
  /// log would keep the key.
  func announceNewMesh() throws {
    guard mesh.isNewMesh else { return }
    guard isatty(STDERR_FILENO) == 1 else {
      return Output.note(
        "A new mesh was made. `presence invite` prints an invite by which others join it.")
    }
    Output.note(
      """
      A new mesh was made. Others join it within a day by `presence up --invite-file -` and this line: \
      keep it like a password. `presence invite` prints others.

        \(try mesh.invite())

      """)
  }
}

/// Writes the log to the standard error, made safe for a terminal.
struct NoteLogHandler: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level

  init(level: Logger.Level) { logLevel = level }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { $1 }
    let details = all.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
    Output.note("\(ClockText.time(of: Date())) \(event.level.rawValue): \(event.message)\(details)")
  }
}

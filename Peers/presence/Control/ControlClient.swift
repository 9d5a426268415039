import Foundation
import NIOCore
import NIOPosix
import PresenceMesh

/// A connection to the running node.
struct ControlClient {
  private let channel: any Channel
  private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
  private var lines: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator

  /// Connects to the node of a state directory, does something, and closes the connection.
  /// - Throws: ``CommandFailure`` when no node is running, or its socket cannot be reached.
  static func with<Value>(
    state: String, _ body: (inout ControlClient) async throws -> Value
  ) async throws -> Value {
    let connection = try await connect(state: state)
    return try await connection.executeThenClose { inbound, outbound in
      var client = ControlClient(
        channel: connection.channel, outbound: outbound, lines: inbound.makeAsyncIterator())
      return try await body(&client)
    }
  }

  /// Asks one thing of the node of a state directory.
  static func ask(_ request: ControlRequest, state: String) async throws -> ControlResponse {
    try await with(state: state) { client in try await client.ask(request) }
  }

  /// True when a node is running that takes connections.
  static func isRunning(state: String) async -> Bool {
    guard let connection = try? await connect(state: state) else { return false }
    try? await connection.executeThenClose { _, _ in }
    return true
  }

  private static func connect(state: String) async throws -> LineChannel {
    guard let place = try ControlSocket.find(state: state) else {
      throw CommandFailure.noNode(state: state)
    }
    let path = place.path
    do {
      let connection = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        .connect(unixDomainSocketPath: path) { channel in
          LineChannel.lines(on: channel, bound: ControlLimits.responseBytes)
        }
      // Who listens is asked once more: the path was looked at before.
      let server = try? await PeerCredentials(of: connection.channel)
      guard server?.user == place.owner else {
        try? await connection.executeThenClose { _, _ in }
        throw CommandFailure("\(path) is not listened on by its owner, user \(place.owner)")
      }
      return connection
    } catch let failure as CommandFailure {
      throw failure
    } catch let error as IOError {
      switch error.errnoCode {
      // Nothing there; or left over by a node that was killed.
      case ENOENT, ENOTDIR, ECONNREFUSED: throw CommandFailure.noNode(state: state)
      case EACCES, EPERM:
        throw CommandFailure("\(path) belongs to another user: run this as its owner")
      default:
        throw CommandFailure("cannot reach \(path): \(SystemError.message(error.errnoCode))")
      }
    } catch {
      throw CommandFailure("cannot reach \(path): \(error)")
    }
  }

  /// Asks and waits for the answer.
  /// - Throws: ``CommandFailure`` when the node refused, went away or does not answer.
  mutating func ask(_ request: ControlRequest) async throws -> ControlResponse {
    try await send(request)
    let channel = channel
    let timeout = channel.eventLoop.scheduleTask(
      in: .nanoseconds(ControlLimits.answerTimeout.wholeMicroseconds * 1000)
    ) { channel.close(promise: nil) }
    defer { timeout.cancel() }
    let response: ControlResponse = try await next() ?? .failed(Self.silence.message)
    if case .failed(let reason) = response { throw CommandFailure(reason) }
    return response
  }

  /// Asks for something that has no answer of its own.
  mutating func command(_ request: ControlRequest) async throws { _ = try await ask(request) }

  /// Asks for records instead of answers. The first one waits only as long as an answer.
  mutating func watch(room: String, session: String?) async throws {
    try await send(.watch(room: room, session: session))
  }

  /// The next record; `nil` when the node ended.
  mutating func nextRecord() async throws -> WatchRecord? { try await next() }

  /// The node went away, or is paused.
  static let silence = CommandFailure(
    "the node ended or does not answer: `presence doctor` tells more")

  private func send(_ request: ControlRequest) async throws {
    do {
      try await outbound.write(request)
    } catch {
      throw Self.silence
    }
  }

  private mutating func next<Value: Decodable>() async throws -> Value? {
    let line: ByteBuffer?
    do {
      line = try await lines.next()
    } catch {
      try Task.checkCancellation()
      throw Self.silence
    }
    guard let line else { return nil }
    do {
      return try JSON.value(Value.self, from: Data(line.readableBytesView))
    } catch {
      throw CommandFailure("the running node has another version: restart it with this one")
    }
  }
}

extension ControlResponse {
  /// The answer was of another kind than the request asks for.
  static var mismatch: CommandFailure {
    CommandFailure("the running node has another version: restart it with this one")
  }
}

import Foundation
import NIOCore
import NIOPosix
import PresenceMesh
import Synchronization

/// Answers commands on the control socket of a running node.
final class ControlServer: Sendable {
  private typealias Listener = NIOAsyncChannel<LineChannel, Never>

  private let state: String
  private let listener: Listener
  private let handler: ControlHandler
  private let connectionCount = Mutex(0)
  /// Requests whose answers are not written yet.
  private let pendingCount = Mutex(0)

  /// Opens the socket. The caller holds the lock of the state directory.
  init(state: String, handler: ControlHandler) async throws {
    let path = try ControlSocket.prepare(state: state)
    self.handler = handler
    self.state = state
    do {
      listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        .bind(unixDomainSocketPath: path) { channel in
          LineChannel.lines(on: channel, bound: ControlLimits.requestBytes)
        }
    } catch {
      throw CommandFailure("cannot open the control socket \(path): \(error)")
    }
    // The directory around it is closed to others already.
    guard chmod(path, 0o600) == 0 else {
      throw CommandFailure("cannot protect the control socket \(path): \(SystemError.message())")
    }
  }

  /// Serves clients until the task is cancelled, and removes the socket then.
  func run() async {
    try? await listener.executeThenClose { connections in
      // Nobody finds the socket from the moment on that nobody listens.
      defer { ControlSocket.remove(state: state) }
      try await withThrowingDiscardingTaskGroup { group in
        for try await connection in connections {
          group.addTask { await self.serve(connection) }
        }
        group.cancelAll()
      }
    }
  }

  /// Waits until what was asked is answered, for a moment at most.
  func settle() async {
    for _ in 0..<100 where pendingCount.withLock({ $0 }) > 0 {
      try? await Task.sleep(for: .milliseconds(10))
    }
  }

  private func serve(_ connection: LineChannel) async {
    guard await isAllowed(connection) else { return }
    let isAllowed = connectionCount.withLock { count in
      count += 1
      return count <= ControlLimits.connections
    }
    defer { connectionCount.withLock { $0 -= 1 } }
    // An error here is a client that went away: that is its own affair.
    try? await connection.executeThenClose { inbound, outbound in
      guard isAllowed else {
        let limit = ControlLimits.connections
        try await outbound.write(
          ControlResponse.failed("the node has \(limit) clients already: end some"))
        return
      }
      for try await line in inbound {
        guard let request = try? JSON.value(ControlRequest.self, from: Data(line.readableBytesView))
        else {
          let failure = "the running node does not know this request: it has another version"
          try await outbound.write(ControlResponse.failed(failure))
          continue
        }
        if case .watch(let room, let session) = request {
          await watch(room: room, session: session, to: outbound, on: connection.channel)
          return
        }
        pendingCount.withLock { $0 += 1 }
        defer { pendingCount.withLock { $0 -= 1 } }
        try await outbound.write(await handler.answer(request))
      }
    }
  }
}

extension ControlServer {
  /// False for clients of other users: the permissions of the socket keep them away, and this does
  /// where those were changed.
  private func isAllowed(_ connection: LineChannel) async -> Bool {
    let client = try? await PeerCredentials(of: connection.channel)
    if let client, PeerCredentials.mayControl(client.user) { return true }
    handler.refusals.count(client)
    try? await connection.executeThenClose { _, outbound in
      try await outbound.write(
        ControlResponse.failed("this node obeys user \(geteuid()) and root alone"))
    }
    return false
  }

  /// Writes records until the mesh is left, the client goes away, or the task is cancelled.
  private func watch(
    room: String, session: String?, to writer: NIOAsyncChannelOutboundWriter<ByteBuffer>,
    on channel: any Channel
  ) async {
    let watching = Task { try await handler.watch(room: room, session: session, to: writer) }
    // The client says no more, and is waited for by nobody: it is gone when its connection is.
    channel.closeFuture.whenComplete { _ in watching.cancel() }
    await withTaskCancellationHandler {
      _ = await watching.result
    } onCancel: {
      watching.cancel()
    }
  }
}

extension NIOAsyncChannelOutboundWriter where OutboundOut == ByteBuffer {
  /// Writes a value as a line of JSON. Waits while the other side is slow.
  func write(_ value: some Encodable) async throws {
    var line = ByteBuffer(bytes: try JSON.data(value))
    line.writeInteger(UInt8(ascii: "\n"))
    try await write(line)
  }
}

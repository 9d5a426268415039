import NIOCore
import NIOHTTP1
import NIOWebSocket
import PresenceMesh

/// Sets up the handlers of a new connection: HTTP, which may become a WebSocket.
struct Pipeline {
  let core: GatewayCore

  func install(in channel: any Channel) throws {
    guard !core.isClosing, core.connections.count < core.configuration.connectionBound else {
      core.counters.count(.connectionsRefused)
      return channel.close(promise: nil)
    }
    core.counters.count(.connectionsAccepted)
    let http = HTTPConnection(core: core)
    let upgrade = SocketUpgrade(core: core)
    let pipeline = channel.pipeline.syncOperations
    let upgrader = NIOWebSocketServerUpgrader(
      maxFrameSize: core.configuration.messageBytes,
      shouldUpgrade: upgrade.decider(on: channel.eventLoop),
      upgradePipelineHandler: upgrade.installer(on: channel.eventLoop))
    let box = NIOLoopBound(http, eventLoop: channel.eventLoop)
    var limits = NIOHTTPDecoderLimitConfiguration()
    limits.maxHeaderFieldSize = core.configuration.headerBytes
    limits.maxHeaderListSize = core.configuration.headerBytes
    try pipeline.configureHTTPServerPipeline(
      withServerUpgrade: (
        upgraders: [upgrader],
        completionHandler: { context in
          context.pipeline.syncOperations.removeHandler(box.value, promise: nil)
        }
        // The connection answers broken requests itself, in its own words.
      ), withErrorHandling: false, withEncoderConfiguration: .init(),
      withDecoderLimitConfiguration: limits)
    try pipeline.addHandler(http)
  }
}

/// Decides whether a request becomes a WebSocket, and what speaks over it.
final class SocketUpgrade {
  private let core: GatewayCore
  private var logic: (any SocketLogic)?
  private var access: Access?

  init(core: GatewayCore) { self.core = core }

  /// Says yes with headers, or no: then the request is answered as HTTP.
  func decider(
    on eventLoop: any EventLoop
  ) -> @Sendable (any Channel, HTTPRequestHead) -> EventLoopFuture<HTTPHeaders?> {
    let box = NIOLoopBound(self, eventLoop: eventLoop)
    return { channel, head in
      let promise = channel.eventLoop.makePromise(of: HTTPHeaders?.self)
      box.value.decide(head) { promise.succeed($0) }
      return promise.futureResult
    }
  }

  func installer(
    on eventLoop: any EventLoop
  ) -> @Sendable (any Channel, HTTPRequestHead) -> EventLoopFuture<Void> {
    let box = NIOLoopBound(self, eventLoop: eventLoop)
    return { channel, _ in
      channel.eventLoop.makeCompletedFuture {
        let upgrade = box.value
        guard let logic = upgrade.logic, let access = upgrade.access else { return }
        upgrade.logic = nil
        try channel.pipeline.syncOperations.addHandler(
          WebSocketConnection(core: upgrade.core, logic: logic, access: access))
      }
    }
  }

  private func decide(_ head: HTTPRequestHead, completion: @escaping (HTTPHeaders?) -> Void) {
    guard !core.isLeaving, Origins(core.configuration).allow(head.headers) else {
      // The request is answered as HTTP, with the reason.
      return completion(nil)
    }
    let target = HTTPRequest.split(head.uri)
    guard let path = HTTPRequest.decoded(path: target.path),
      let query = HTTPRequest.decoded(query: target.query)
    else { return completion(nil) }
    let offered = head.headers[canonicalForm: "sec-websocket-protocol"].map(String.init)
    let (token, chosen) = Self.token(offered, headers: head.headers, query: query)
    Authentication(core: core).access(token: token) { [self] access in
      guard let access else {
        core.counters.count(.tokensRefused)
        return completion(nil)
      }
      guard let logic = logic(path, query, access) else { return completion(nil) }
      self.logic = logic
      self.access = access
      completion(chosen.map { ["Sec-WebSocket-Protocol": $0] } ?? [:])
    }
  }

  /// The token of a client, and the subprotocol to be chosen of those that it offers.
  private static func token(
    _ offered: [String], headers: HTTPHeaders, query: [(name: String, value: String)]
  ) -> (token: String?, chosen: String?) {
    var token = HTTPRequest.token(headers, query: query)
    for prefix in ["presencemesh.bearer."] {
      if let found = offered.first(where: { $0.hasPrefix(prefix) }) {
        token = token ?? String(found.dropFirst(prefix.count))
      }
    }
    if let found = offered.first(where: { $0.hasPrefix("base64url.bearer.phx.") }) {
      let coded = String(found.dropFirst("base64url.bearer.phx.".count))
      token = token ?? base64URLText(coded)
    }
    // Supabase's clients call it so.
    token = token ?? query.first { $0.name == "apikey" }?.value
    return (token, offered.first { $0 == "presencemesh" || $0 == "phoenix" })
  }

  private func logic(
    _ path: [String], _ query: [(name: String, value: String)], _ access: Access
  ) -> (any SocketLogic)? {
    switch path {
    case ["api", "v1", "socket"]: return NativeSocket(core: core, access: access)
    case ["socket", "websocket"], ["realtime", "v1", "websocket"]:
      let version = query.first { $0.name == "vsn" }?.value ?? "1.0.0"
      return PhoenixSocket(
        core: core, access: access, version: version.hasPrefix("2") ? .two : .one)
    case _ where path.count == 2 && path[0] == "yjs":
      guard let room = RoomName(path[1] == "~" ? "" : path[1]), access.allows(.read, in: room)
      else { return nil }
      return YjsSocket(core: core, access: access, room: room)
    default: return nil
    }
  }
}

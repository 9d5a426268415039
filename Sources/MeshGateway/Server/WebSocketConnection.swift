import NIOCore
import NIOWebSocket
import PresenceMesh

/// What speaks over a WebSocket. Called on the gateway's loop.
protocol SocketLogic: AnyObject {
  /// The socket is open.
  func begin(_ socket: WebSocketConnection)
  func receive(text: [UInt8])
  func receive(binary: [UInt8])
  /// There is room again after an update was skipped: the latest state is to be told.
  func resynchronize()
  /// Called every few seconds.
  func care(_ now: NIODeadline)
  /// The socket is gone.
  func end()
}

/// One WebSocket: checks frames, puts fragments together, keeps time, and never queues more than a
/// bound.
final class WebSocketConnection: ChannelInboundHandler, GatewayConnection {
  typealias InboundIn = WebSocketFrame
  typealias OutboundOut = WebSocketFrame

  /// Why a socket is closed: see section 4 of Docs/Gateway.md.
  enum Closing: UInt16 {
    case leaving = 1001
    case brokenFrame = 1002
    case wrongKind = 1003
    case ruleBroken = 1008
    case tooBig = 1009
    case takenOver = 4001
    case idle = 4002
    case tokenEnded = 4003
  }

  let core: GatewayCore
  private let logic: any SocketLogic
  private var context: ChannelHandlerContext?
  private var fragments: [UInt8] = []
  private var fragmentKind: WebSocketOpcode?
  private(set) var lastHeard = NIODeadline.now()
  private var hasPinged = false
  private var isClosed = false
  private var hasSkipped = false
  private var messageRate: RateLimit
  private var byteRate: RateLimit
  private let tokenEnd: UInt64?

  init(core: GatewayCore, logic: any SocketLogic, access: Access) {
    self.core = core
    self.logic = logic
    tokenEnd = access.expiresAt
    let configuration = core.configuration
    messageRate = RateLimit(
      perSecond: configuration.messagesPerSecond, burst: 2 * configuration.messagesPerSecond)
    byteRate = RateLimit(
      perSecond: configuration.bytesPerSecond, burst: 2 * configuration.bytesPerSecond)
  }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    core.connections[ObjectIdentifier(self)] = self
    core.counters.count(.socketsOpened)
    logic.begin(self)
  }

  func handlerRemoved(context: ChannelHandlerContext) { finish() }

  func channelInactive(context: ChannelHandlerContext) {
    finish()
    context.fireChannelInactive()
  }

  private func finish() {
    guard context != nil else { return }
    context = nil
    isClosed = true
    core.connections[ObjectIdentifier(self)] = nil
    logic.end()
  }

  // MARK: Reading

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let frame = unwrapInboundIn(data)
    guard !isClosed else { return }
    lastHeard = .now()
    hasPinged = false
    guard frame.maskKey != nil, !frame.rsv1, !frame.rsv2, !frame.rsv3 else {
      core.counters.count(.socketsBroken)
      return close(.brokenFrame, "frames of clients are masked, without extensions")
    }
    switch frame.opcode {
    case .text, .binary:
      guard fragmentKind == nil else {
        return close(.brokenFrame, "a new message inside of another")
      }
      if frame.fin { return message(frame.opcode, Array(frame.unmaskedData.readableBytesView)) }
      fragmentKind = frame.opcode
      fragments = []
      append(frame)
    case .continuation:
      guard fragmentKind != nil else { return close(.brokenFrame, "a continuation of nothing") }
      append(frame)
    case .connectionClose:
      let data = frame.unmaskedData
      guard Self.isClosing(data) else { return close(.brokenFrame, "a malformed close") }
      isClosed = true
      let reply = WebSocketFrame(fin: true, opcode: .connectionClose, data: data)
      context.writeAndFlush(wrapOutboundOut(reply)).assumeIsolated().whenComplete { _ in
        context.close(promise: nil)
      }
    case .ping:
      let reply = WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData)
      context.writeAndFlush(wrapOutboundOut(reply), promise: nil)
    case .pong: break
    default: close(.brokenFrame, "an unknown kind of frame")
    }
  }

  /// True for what a close frame may hold: nothing, or a code of those that are sent.
  private static func isClosing(_ data: ByteBuffer) -> Bool {
    guard data.readableBytes > 0 else { return true }
    guard let code = data.getInteger(at: data.readerIndex, as: UInt16.self) else { return false }
    return 1000...1003 ~= code || 1007...1014 ~= code || 3000...4999 ~= code
  }

  private func append(_ frame: WebSocketFrame) {
    fragments += frame.unmaskedData.readableBytesView
    guard fragments.count <= core.configuration.messageBytes else {
      return close(.tooBig, "a message has at most \(core.configuration.messageBytes) bytes")
    }
    guard frame.fin, let kind = fragmentKind else { return }
    fragmentKind = nil
    let whole = fragments
    fragments = []
    message(kind, whole)
  }

  private func message(_ kind: WebSocketOpcode, _ bytes: [UInt8]) {
    core.counters.count(.messagesReceived)
    guard bytes.count <= core.configuration.messageBytes else {
      return close(.tooBig, "a message has at most \(core.configuration.messageBytes) bytes")
    }
    let now = NIODeadline.now()
    guard messageRate.take(now: now), byteRate.take(bytes.count, now: now) else {
      core.counters.count(.limitsHit)
      return refuse(
        GatewayError(
          .tooManyRequests,
          """
          at most \(core.configuration.messagesPerSecond) messages and \
          \(core.configuration.bytesPerSecond) bytes a second: this message was not heard
          """))
    }
    if kind == .text { logic.receive(text: bytes) } else { logic.receive(binary: bytes) }
  }

  private func refuse(_ error: GatewayError) {
    core.counters.count(.messagesRefused)
    (logic as? any RefusingLogic)?.refuse(error)
  }

  // MARK: Writing

  /// Sends a message that must arrive. A client that does not read is not read either, so that these
  /// do not pile up.
  func send(text: ByteBuffer) { write(.text, text) }

  func send(binary: ByteBuffer) { write(.binary, binary) }

  /// Sends messages that the latest state makes good for. False: there is no room; then
  /// ``SocketLogic/resynchronize()`` is called when there is.
  func sendUpdate(text messages: [ByteBuffer]) -> Bool {
    guard hasRoom() else { return false }
    for message in messages { write(.text, message, flushes: false) }
    context?.flush()
    return true
  }

  func sendUpdate(binary message: ByteBuffer) -> Bool {
    guard hasRoom() else { return false }
    write(.binary, message)
    return true
  }

  private func hasRoom() -> Bool {
    guard let context, !isClosed else { return false }
    guard context.channel.isWritable else {
      hasSkipped = true
      core.counters.count(.updatesSkipped)
      return false
    }
    return true
  }

  private func write(_ opcode: WebSocketOpcode, _ data: ByteBuffer, flushes: Bool = true) {
    guard let context, !isClosed else { return }
    core.counters.count(.messagesSent)
    core.counters.count(.bytesSent, data.readableBytes)
    let frame = WebSocketFrame(fin: true, opcode: opcode, data: data)
    if flushes {
      context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
    } else {
      context.write(wrapOutboundOut(frame), promise: nil)
    }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    let isWritable = context.channel.isWritable
    context.channel.setOption(.autoRead, value: isWritable).whenFailure { _ in }
    if isWritable, hasSkipped, !isClosed {
      hasSkipped = false
      core.counters.count(.resynchronized)
      logic.resynchronize()
    }
    context.fireChannelWritabilityChanged()
  }

  // MARK: Closing

  func close(_ code: Closing, _ reason: String) {
    guard let context, !isClosed else { return }
    isClosed = true
    var data = context.channel.allocator.buffer(capacity: 2 + reason.utf8.count)
    data.writeInteger(code.rawValue)
    data.writeString(String(reason.prefix(100)))
    let frame = WebSocketFrame(fin: true, opcode: .connectionClose, data: data)
    context.writeAndFlush(wrapOutboundOut(frame)).assumeIsolated().whenComplete { _ in
      context.close(promise: nil)
    }
    // A client that does not read must not keep it open.
    let box = NIOLoopBound(context, eventLoop: context.eventLoop)
    context.eventLoop.scheduleTask(in: .seconds(2)) { box.value.close(promise: nil) }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    core.counters.count(.socketsBroken)
    context.close(promise: nil)
  }

  /// Sends a ping; whatever is heard next moves ``lastHeard``.
  func ping() {
    guard let context, !isClosed else { return }
    hasPinged = true
    context.writeAndFlush(
      wrapOutboundOut(WebSocketFrame(fin: true, opcode: .ping, data: ByteBuffer())), promise: nil)
  }

  func care(_ now: NIODeadline) {
    let silence = now - lastHeard
    let bound = TimeAmount.milliseconds(Int64(core.configuration.idleTimeout.inMilliseconds))
    if silence > bound {
      core.counters.count(.connectionsIdleClosed)
      return close(.idle, "nothing was heard")
    }
    if silence > .nanoseconds(bound.nanoseconds / 3), !hasPinged { ping() }
    if let tokenEnd, WallTime.now.milliseconds > tokenEnd {
      return close(.tokenEnded, "the token has ended")
    }
    logic.care(now)
  }

  func closeForLeaving() { close(.leaving, "the node leaves") }
}

/// Logic that can tell its client of a refusal.
protocol RefusingLogic: SocketLogic {
  func refuse(_ error: GatewayError)
}

import Foundation
import NIOCore
import NIOHTTP1
import NIOWebSocket
import PresenceMesh

/// One HTTP connection: collects each request, has it answered, and keeps time.
final class HTTPConnection: ChannelInboundHandler, RemovableChannelHandler, GatewayConnection {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let core: GatewayCore
  private let routes: Routes
  private var context: ChannelHandlerContext?
  private var head: HTTPRequestHead?
  private var body: [UInt8] = []
  private var isTooLarge = false
  /// When the request that is coming in began, or the connection fell silent.
  private var since = NIODeadline.now()
  /// True from the first bytes of a request to its last.
  private var isComingIn = false
  /// True when the last bytes held a message, so that they were no part of an unfinished head.
  private var hasReadMessage = false
  private var isAnswering = false
  /// True after bytes that are no request: nothing more is taken from the client.
  private var isBroken = false
  private var stream: (any EventStream)?
  private var hasSkipped = false
  /// When the token of the stream ends.
  private var streamEnd: UInt64?
  private var rate: RateLimit
  private var byteRate: RateLimit

  init(core: GatewayCore) {
    self.core = core
    routes = Routes(core: core)
    rate = RateLimit(
      perSecond: core.configuration.messagesPerSecond,
      burst: 2 * core.configuration.messagesPerSecond)
    byteRate = RateLimit(
      perSecond: core.configuration.bytesPerSecond, burst: 2 * core.configuration.bytesPerSecond)
  }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    core.connections[ObjectIdentifier(self)] = self
  }

  func handlerRemoved(context: ChannelHandlerContext) { finish() }

  func channelInactive(context: ChannelHandlerContext) {
    finish()
    context.fireChannelInactive()
  }

  private func finish() {
    stream?.end()
    stream = nil
    context = nil
    core.connections[ObjectIdentifier(self)] = nil
  }

  // MARK: Requests

  func channelReadComplete(context: ChannelHandlerContext) {
    // Bytes have come, and no message of them: a head has begun.
    if !hasReadMessage { noteComing() }
    hasReadMessage = false
    context.fireChannelReadComplete()
  }

  private func noteComing() {
    guard !isComingIn, !isAnswering, stream == nil else { return }
    isComingIn = true
    since = .now()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    hasReadMessage = true
    guard !isBroken else { return }
    switch unwrapInboundIn(data) {
    case .head(let head):
      self.head = head
      body = []
      isTooLarge = false
      noteComing()
      let length = head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0
      if length > core.configuration.messageBytes {
        isTooLarge = true
        // Whoever waits for leave to send it does not send it.
        if head.headers.contains(name: "expect") {
          self.head = nil
          answer(head)
        }
      } else if head.headers.first(name: "expect")?.lowercased() == "100-continue" {
        context.writeAndFlush(
          wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))),
          promise: nil)
      }
    case .body(let buffer):
      guard !isTooLarge else { return }
      if body.count + buffer.readableBytes > core.configuration.messageBytes {
        isTooLarge = true
        body = []
      } else {
        body += buffer.readableBytesView
      }
    case .end:
      guard let head else { return }
      self.head = nil
      answer(head)
    }
  }

  private func answer(_ head: HTTPRequestHead) {
    core.counters.count(.requests)
    isComingIn = false
    isAnswering = true
    let body = body
    self.body = []
    let isAllowed = Origins(core.configuration).allow(head.headers)
    func respond(_ response: HTTPResponse) {
      self.respond(response, to: head, originIsAllowed: isAllowed)
    }
    guard rate.take(), byteRate.take(body.count) else {
      core.counters.count(.limitsHit)
      return respond(.error(GatewayError(.tooManyRequests, "slow down")))
    }
    guard !isTooLarge else {
      return respond(
        .error(
          GatewayError(
            .tooLarge, "a body has at most \(core.configuration.messageBytes) bytes")))
    }
    guard isAllowed else {
      core.counters.count(.originsRefused)
      return respond(.error(GatewayError(.originRefused, Origins.advice)))
    }
    if head.method == .OPTIONS, head.headers.contains(name: "access-control-request-method") {
      var response = HTTPResponse(status: .noContent)
      response.headers.add(
        name: "access-control-allow-methods", value: "GET, POST, PATCH, DELETE")
      response.headers.add(
        name: "access-control-allow-headers", value: "authorization, content-type")
      response.headers.add(name: "access-control-max-age", value: "600")
      return respond(response)
    }
    let request: HTTPRequest
    do { request = try HTTPRequest(head, body: body) } catch { return respond(.error(error)) }
    routes.answer(request, completion: respond)
  }

  // MARK: Answers

  private func respond(
    _ response: HTTPResponse, to head: HTTPRequestHead, originIsAllowed: Bool
  ) {
    guard let context else { return }
    if response.status.code >= 400 { core.counters.count(.requestsRefused) }
    isAnswering = false
    since = .now()
    var headers = response.headers
    SecurityHeaders.add(to: &headers)
    if originIsAllowed, let origin = head.headers.first(name: "origin") {
      headers.replaceOrAdd(name: "access-control-allow-origin", value: origin)
      headers.add(name: "vary", value: "origin")
    }
    let keepsAlive = head.isKeepAlive && !core.isLeaving && !isTooLarge
    let isHead = head.method == .HEAD
    if response.stream == nil || isHead {
      headers.replaceOrAdd(name: "content-length", value: "\(response.body.count)")
    }
    if !keepsAlive { headers.replaceOrAdd(name: "connection", value: "close") }
    context.write(
      wrapOutboundOut(
        .head(HTTPResponseHead(version: .http1_1, status: response.status, headers: headers))),
      promise: nil)
    if !isHead, !response.body.isEmpty {
      context.write(
        wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: response.body)))), promise: nil)
    }
    if let stream = response.stream, !isHead {
      context.flush()
      begin(stream, until: response.streamEnd)
      return
    }
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    if keepsAlive { return }
    // The body of a request that was refused for its size may be on its way.
    if isTooLarge { closeAfterLastWords(context) } else { context.close(promise: nil) }
  }

  private func begin(_ stream: any EventStream, until end: UInt64?) {
    self.stream = stream
    streamEnd = end
    stream.begin(
      EventStreamWriter { [weak self] buffer in
        guard let self, let context = self.context else { return false }
        guard context.channel.isWritable else {
          // What is new when there is room again is told from the beginning.
          self.hasSkipped = true
          self.core.counters.count(.updatesSkipped)
          return false
        }
        self.core.counters.count(.messagesSent)
        self.core.counters.count(.bytesSent, buffer.readableBytes)
        context.writeAndFlush(self.wrapOutboundOut(.body(.byteBuffer(buffer))), promise: nil)
        return true
      })
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    // A client that does not read its answers is not read.
    context.channel.setOption(.autoRead, value: context.channel.isWritable).whenFailure { _ in }
    if context.channel.isWritable, hasSkipped {
      hasSkipped = false
      core.counters.count(.resynchronized)
      stream?.resynchronize()
    }
    context.fireChannelWritabilityChanged()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    // A request that does not become a WebSocket is answered, with the reason.
    if error is NIOWebSocketUpgradeError { return }
    // What follows after a broken request is not looked at.
    if isBroken { return }
    guard let error = error as? HTTPParserError, stream == nil, !isAnswering,
      context.channel.isActive
    else { return context.close(promise: nil) }
    refuse(error, context: context)
  }

  /// Answers bytes that are no request, and ends the connection: where the next request would begin
  /// is not known.
  private func refuse(_ error: HTTPParserError, context: ChannelHandlerContext) {
    isBroken = true
    isComingIn = false
    head = nil
    body = []
    core.counters.count(.requests)
    core.counters.count(.requestsRefused)
    let response = HTTPResponse.error(
      error == .headerOverflow
        ? GatewayError(
          .headersTooLarge,
          "the first line and the headers have at most \(core.configuration.headerBytes) bytes")
        : GatewayError(.invalidRequest, "this is no request of HTTP/1.1: \(error)"))
    var headers = response.headers
    SecurityHeaders.add(to: &headers)
    headers.replaceOrAdd(name: "content-length", value: "\(response.body.count)")
    headers.replaceOrAdd(name: "connection", value: "close")
    context.write(
      wrapOutboundOut(
        .head(HTTPResponseHead(version: .http1_1, status: response.status, headers: headers))),
      promise: nil)
    context.write(
      wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: response.body)))), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    closeAfterLastWords(context)
  }

  /// Ends the connection when the client has, or after a moment. To close it while bytes of the
  /// client are still to be read would take back the answer, which may not have arrived.
  private func closeAfterLastWords(_ context: ChannelHandlerContext) {
    context.close(mode: .output, promise: nil)
    let box = NIOLoopBound(context, eventLoop: context.eventLoop)
    context.eventLoop.scheduleTask(in: .seconds(1)) { box.value.close(promise: nil) }
  }

  // MARK: Time

  func care(_ now: NIODeadline) {
    guard let context else { return }
    if stream != nil {
      if let streamEnd, WallTime.now.milliseconds > streamEnd { return context.close(promise: nil) }
      // Proxies close connections on which nothing comes.
      guard context.channel.isWritable else { return }
      context.writeAndFlush(
        wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: ": \n\n")))), promise: nil)
      return
    }
    guard !isAnswering else { return }
    let bound =
      isComingIn ? core.configuration.requestTimeout : core.configuration.idleTimeout
    if now - since > .milliseconds(Int64(bound.inMilliseconds)) {
      core.counters.count(.connectionsIdleClosed)
      context.close(promise: nil)
    }
  }

  func closeForLeaving() { context?.close(promise: nil) }
}

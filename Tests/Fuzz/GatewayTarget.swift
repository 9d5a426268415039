import Foundation
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PresenceMesh

@testable import MeshGateway

/// The gateway's own pipeline, over one socket for each input: bytes of HTTP, or frames of a WebSocket.
///
/// What comes back is HTTP, or frames that a server may send, with JSON in them; and a connection that
/// ended leaves nothing behind.
final class GatewayTarget: Sendable {
  private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
  private let core: NIOLoopBound<GatewayCore>
  private let node: PresenceMesh

  init() throws {
    // The join is asynchronous, and libFuzzer is not.
    let (done, box) = (DispatchSemaphore(value: 0), NIOLockedValueBox<PresenceMesh?>(nil))
    Task.detached {
      var configuration = PresenceMesh.Configuration(identity: .inMemory)
      configuration.listen = .loopback(port: 0)
      configuration.multicast = false
      configuration.logger = Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }
      let node = try? await PresenceMesh.join(configuration)
      box.withLockedValue { $0 = node }
      done.signal()
    }
    done.wait()
    guard let node = box.withLockedValue({ $0 }) else { throw CocoaError(.featureUnsupported) }
    self.node = node
    let loop = group.next()
    core = try loop.submit {
      var configuration = GatewayConfiguration(address: "127.0.0.1:0")
      configuration.isDemo = false
      configuration.sessionBound = 64
      configuration.messagesPerSecond = 1_000_000
      configuration.bytesPerSecond = 1_000_000_000
      return NIOLoopBound(
        GatewayCore(
          mesh: node, configuration: configuration, eventLoop: loop,
          logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }), eventLoop: loop)
    }.wait()
  }

  /// Bytes as they come, in pieces.
  func testHTTP(_ input: [UInt8]) {
    guard let client = connect() else { return }
    defer { client.close() }
    // A zero byte, which no request has, parts what comes at once.
    for piece in input.split(separator: 0) {
      client.write(Array(piece))
      client.read(patience: 1)
    }
    client.shutdown()
    client.read(patience: 5000)
    let answer = client.received
    check(
      answer.isEmpty || answer.starts(with: "HTTP/1.1 ".utf8),
      "not HTTP: \(String(decoding: answer.prefix(80), as: UTF8.self))")
    checkEmpty()
  }

  /// Frames, behind a request that becomes a WebSocket.
  func testSocket(_ bytes: [UInt8]) {
    guard let client = connect() else { return }
    defer { client.close() }
    var input = FuzzInput(bytes)
    let paths = [
      "/api/v1/socket", "/socket/websocket?vsn=2.0.0", "/socket/websocket?vsn=1.0.0", "/yjs/design",
    ]
    let path = paths[input.below(paths.count)]
    client.write(
      Array(
        """
        GET \(path) HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n
        """.utf8))
    client.read(patience: 30_000)
    check(client.received.starts(with: "HTTP/1.1 101".utf8), "no WebSocket at \(path)")
    guard let head = client.received.firstRange(of: Array("\r\n\r\n".utf8)) else {
      return check(false, "a head without an end")
    }
    client.received.removeSubrange(..<head.upperBound)
    let isText = !path.hasPrefix("/yjs")
    for _ in 0..<16 where !input.isAtEnd {
      client.write(Self.frame(&input, isText: isText))
      client.read(patience: 1)
    }
    client.shutdown()
    client.read(patience: 5000)
    Self.checkFrames(client.received, isText: isText)
    checkEmpty()
  }

  /// A frame of a client, mostly a whole message with a mask.
  private static func frame(_ input: inout FuzzInput, isText: Bool) -> [UInt8] {
    let form = input.byte()
    if form >= 0xF0 { return input.blob(atMost: 600) }
    let payload = input.blob(atMost: 2000)
    var first: UInt8 = isText ? 0x81 : 0x82
    if form & 0x80 != 0 { first = input.byte() }
    let mask: [UInt8] = form & 0x40 == 0 ? [1, 2, 3, 4] : []
    let flag: UInt8 = mask.isEmpty ? 0 : 0x80
    var frame = [first]
    if payload.count < 126 {
      frame.append(flag | UInt8(payload.count))
    } else {
      frame += [flag | 126, UInt8(payload.count >> 8), UInt8(truncatingIfNeeded: payload.count)]
    }
    frame += mask
    frame += payload.enumerated().map { mask.isEmpty ? $1 : $1 ^ mask[$0 & 3] }
    return frame
  }

  /// Frames of a server: whole, without a mask, of known kinds, and JSON where they are text.
  private static func checkFrames(_ bytes: [UInt8], isText: Bool) {
    var rest = bytes[...]
    while rest.count >= 2 {
      let (first, second) = (rest.removeFirst(), rest.removeFirst())
      check(first & 0x70 == 0, "bits that are not agreed on")
      check(second & 0x80 == 0, "a server's frame with a mask")
      var count = Int(second)
      let more = count == 126 ? 2 : count == 127 ? 8 : 0
      guard rest.count >= more else { return }
      if more > 0 { count = rest.prefix(more).reduce(0) { $0 << 8 | Int($1) } }
      rest = rest.dropFirst(more)
      guard rest.count >= count else { return }
      let payload = Array(rest.prefix(count))
      rest = rest.dropFirst(count)
      switch first & 0x0F {
      case 1:
        check(first & 0x80 != 0 && isText, "text where none is expected")
        check(
          (try? JSONReader.value(of: payload)) != nil,
          "no JSON: \(String(decoding: payload, as: UTF8.self))")
      case 2: check(!isText, "bytes where none are expected")
      case 8, 9, 10: check(count < 126, "a long control frame")
      default: check(false, "a frame of kind \(first & 0x0F)")
      }
    }
  }

  private func connect() -> Client? {
    var ends: [CInt] = [-1, -1]
    guard socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends) == 0 else {
      check(false, "no sockets")
      return nil
    }
    let core = core
    let channel = try? ClientBootstrap(group: group)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try Pipeline(core: core.value).install(in: channel)
        }
      }
      .withConnectedSocket(ends[0]).wait()
    check(channel != nil, "no channel")
    return Client(ends[1])
  }

  /// Waits until the gateway has let go of the connection.
  private func checkEmpty() {
    let core = core
    for _ in 0..<2000 {
      let count = try? core.eventLoop.submit { core.value.connections.count }.wait()
      if count == 0 { return }
      usleep(10_000)
    }
    check(false, "a connection is left")
  }
}

/// The other end of a connection.
private final class Client {
  private let descriptor: CInt
  var received: [UInt8] = []
  private var isEnded = false

  init(_ descriptor: CInt) { self.descriptor = descriptor }

  func close() { _ = Foundation.close(descriptor) }

  func shutdown() { _ = Foundation.shutdown(descriptor, CInt(SHUT_WR)) }

  func write(_ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
      }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }

  /// Reads until nothing has come for so many milliseconds, or the other end is closed; where somebody is
  /// patient, until something has come.
  func read(patience: CInt) {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    var patience = patience
    while !isEnded {
      var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard Foundation.poll(&poll, 1, patience) > 0 else { return }
      let count = recv(descriptor, &buffer, buffer.count, 0)
      guard count > 0 else {
        isEnded = true
        return
      }
      received += buffer.prefix(count)
      patience = 1
    }
  }
}

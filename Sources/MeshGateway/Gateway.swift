import Foundation
public import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket
public import PresenceMesh

/// Serves the browsers and programs of this machine or site: the HTTP and WebSocket API, the page, and
/// endpoints for clients of Yjs, Phoenix and Convex. See Docs/Gateway.md.
///
/// ```swift
/// let gateway = try await Gateway.start(mesh, GatewayConfiguration(address: "127.0.0.1:7980"))
/// print(gateway.url)
/// ```
public final class Gateway: Sendable {
  /// Where it listens, with the port that it was given: such as `127.0.0.1:7980`.
  public let address: String
  /// The address of the page.
  public var url: String { "http://\(address)/" }

  private let channel: any Channel
  private let group: MultiThreadedEventLoopGroup
  private let core: NIOLoopBound<GatewayCore>
  private let drainTime: Duration

  private init(
    channel: any Channel, group: MultiThreadedEventLoopGroup, core: NIOLoopBound<GatewayCore>,
    address: String, drainTime: Duration
  ) {
    self.drainTime = drainTime
    self.channel = channel
    self.group = group
    self.core = core
    self.address = address
  }

  /// Begins to listen.
  ///
  /// - Throws: ``GatewayStartError``: nothing is left running.
  public static func start(
    _ mesh: PresenceMesh, _ configuration: GatewayConfiguration,
    logger: Logger = Logger(label: "presence-gateway")
  ) async throws(GatewayStartError) -> Gateway {
    let (host, port) = try parts(of: configuration.address)
    let isLoopback =
      (try? SocketAddress(ipAddress: host, port: port)).map { $0.isLoopback }
      ?? (host == "localhost")
    if !isLoopback {
      guard configuration.allowsRemote else {
        throw GatewayStartError(
          """
          \(configuration.address) can be reached from elsewhere: add --http-allow, and a file of \
          keys for tokens (--http-keys)
          """)
      }
      guard configuration.keys != nil else {
        throw GatewayStartError(
          """
          \(configuration.address) can be reached from elsewhere, so clients need tokens: make a \
          file of keys with 'presence token --new-key FILE', and add --http-keys FILE
          """)
      }
    }
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let eventLoop = group.next()
    do {
      let core = try await eventLoop.submit {
        NIOLoopBound(
          GatewayCore(
            mesh: mesh, configuration: configuration, eventLoop: eventLoop, logger: logger),
          eventLoop: eventLoop)
      }.get()
      let channel = try await ServerBootstrap(group: group)
        .serverChannelOption(.backlog, value: 1024)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
        .childChannelOption(
          .writeBufferWaterMark, value: .init(low: 64 * 1024, high: 256 * 1024)
        )
        .childChannelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            try Pipeline(core: core.value).install(in: channel)
          }
        }
        .bind(host: host, port: port).get()
      let bound = channel.localAddress?.port ?? port
      let shown = host.contains(":") ? "[\(host)]:\(bound)" : "\(host):\(bound)"
      if configuration.keys == nil {
        logger.notice(
          """
          the gateway trusts whoever reaches \(shown): any program of this machine may speak for \
          any user
          """)
      }
      return Gateway(
        channel: channel, group: group, core: core, address: shown,
        drainTime: configuration.drainTime)
    } catch {
      try? await group.shutdownGracefully()
      throw GatewayStartError(describe(error, address: configuration.address))
    }
  }

  /// Lets whoever spreads clients over nodes see that this one leaves, before ``stop()``: `/readyz`
  /// answers 503, and no sessions, sockets or event streams are begun any more. What is there goes
  /// on. Returns after ``GatewayConfiguration/drainTime``, or at once when the task is cancelled.
  public func drain() async {
    let core = core
    try? await channel.eventLoop.submit { core.value.leave() }.get()
    try? await Task.sleep(for: drainTime)
  }

  /// Tells all clients that the node leaves, closes their connections (sockets with 1001) and stops
  /// listening. Returns when that is done, a fifth of a second later.
  public func stop() async {
    try? await channel.close()
    let core = core
    try? await channel.eventLoop.submit { core.value.close() }.get()
    // Time for the last words to go.
    try? await Task.sleep(for: .milliseconds(200))
    try? await group.shutdownGracefully()
  }

  private static func parts(
    of address: String
  ) throws(GatewayStartError) -> (host: String, port: Int) {
    guard let colon = address.lastIndex(of: ":"), colon != address.startIndex,
      let port = UInt16(address[address.index(after: colon)...])
    else { throw GatewayStartError("\(address.debugDescription) is not host:port") }
    var host = String(address[..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    return (host, Int(port))
  }

  private static func describe(_ error: any Error, address: String) -> String {
    if let error = error as? IOError, error.errnoCode == EADDRINUSE {
      return "\(address) is in use: choose another port with --http, or 0 for any free one"
    }
    if let error = error as? IOError, error.errnoCode == EACCES {
      return "\(address) needs rights that this process does not have: choose a port above 1023"
    }
    return "cannot listen on \(address): \(error)"
  }
}

/// Why the gateway did not start, in words.
public struct GatewayStartError: Error, Hashable, CustomStringConvertible, Sendable {
  /// What is wrong, and what to do.
  public let description: String

  init(_ description: String) { self.description = description }
}

extension SocketAddress {
  fileprivate var isLoopback: Bool {
    switch self {
    case .v4(let address):
      return UInt32(bigEndian: address.address.sin_addr.s_addr) >> 24 == 127
    case .v6: return ipAddress == "::1"
    case .unixDomainSocket: return true
    }
  }
}

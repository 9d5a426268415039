import PresenceMesh

/// How the gateway serves.
public struct GatewayConfiguration: Sendable {
  /// Where it listens, such as `127.0.0.1:7980`; port 0 takes any free one.
  public var address: String
  /// True: addresses beyond loopback may be listened on, with ``keys``.
  public var allowsRemote = false
  /// What tokens are verified with; `nil`: the trusted mode.
  public var keys: TokenKeys?
  /// Origins of pages, beside the gateway's own, that may use it: such as `https://app.example`.
  public var origins: Set<String> = []
  /// True: anybody may cut this node's links, for demonstrations.
  public var isDemo = false

  // Limits: see section 7 of Docs/Gateway.md.
  /// The most connections at once.
  public var connectionBound = 4096
  /// The most sessions of clients at once.
  public var sessionBound = 65_536
  /// The most sessions of one user at this node.
  public var userBound = 64
  /// Messages of one client a second, and how many may come at once.
  public var messagesPerSecond = 240
  /// Bytes of one client a second.
  public var bytesPerSecond = 262_144
  /// The most bytes of a body or a message.
  public var messageBytes = 65_536
  /// How long a request may take to come in.
  public var requestTimeout: Duration = .seconds(15)
  /// How long a connection may be silent; sockets are asked for a sign of life before that.
  public var idleTimeout: Duration = .seconds(65)
  /// How long ``Gateway/drain()`` goes on serving while `/readyz` says that the node leaves.
  public var drainTime: Duration = .seconds(1)
  /// The most bytes of the first line and the headers of a request, and of one of them.
  var headerBytes = 65_536
  /// How often connections are looked after.
  var careInterval: Duration = .seconds(5)
  /// How long a room that nobody looks at any more is remembered for those who come back.
  var keptRoomTime: Duration = .seconds(30)
  /// The most rooms that are remembered so.
  var keptRoomBound = 256
  /// How long the token of a room that a heartbeat gives is good for.
  var roomTokenTime: Duration = .seconds(24 * 3600)

  /// The standard settings.
  public init(address: String) { self.address = address }
}

public import Logging
package import MeshCrypto
import MeshTransport

extension PresenceMesh {
  /// How a node joins a mesh. A value that is set up and then given to ``PresenceMesh/join(_:)``.
  public struct Configuration: Sendable {
    /// Who the node is, in this life and the next.
    public enum Identity: Hashable, Sendable {
      /// A directory that keeps the node's key, the mesh and what must survive a restart. It is made
      /// with mode 0700 when it is not there; one process at a time may use it.
      case stateDirectory(String)
      /// A new node that nothing remembers: for tests and for processes that come and go.
      case inMemory
    }

    /// Where to listen. One UDP socket for each address.
    public enum Listening: Hashable, Sendable {
      /// All interfaces, IPv4 and, where the system has it, IPv6. Port 0 takes any free one.
      case allInterfaces(port: UInt16)
      /// This machine alone. Port 0 takes any free one.
      case loopback(port: UInt16)
      /// These addresses, such as `192.0.2.1:7946` or `[::1]:0`. All must be there.
      case addresses([String])
    }

    /// Who the node is.
    public var identity: Identity
    /// Which mesh it joins.
    public var membership: Membership
    /// Where it listens. All interfaces and any free port, unless told otherwise.
    public var listen: Listening = .allInterfaces(port: 0)
    /// Addresses of other nodes, `host:port` or `[IPv6]:port`; without a port it is 7946. Those of
    /// an invite and those remembered in the state directory are tried too.
    public var peers: [String] = []
    /// Whether to find other nodes on the LAN by multicast. Nothing is said there that tells who the
    /// node or the mesh is to somebody without the mesh's key.
    public var multicast = true
    /// The time between two heartbeats of the node, 100 ms…1 h. Others hide its sessions when they
    /// hear nothing of it for 2.5 times that.
    public var beatPeriod: Duration = .seconds(2)
    /// The most bytes that the node sends in a second, 10,000…4,000,000,000; `nil`: as many as there
    /// are. What does not go at once waits by kind, each kind with its share of the bytes, and the
    /// newest takes the place of what it replaces: under load everything is a little older, nothing
    /// starves.
    public var sendRate: Int? = 64_000_000
    /// The most bytes that the node sends to one address in a second, in the same bounds.
    public var peerRate: Int? = 32_000_000
    /// How many events may wait for a reader before it has to begin anew, 1…65,536.
    public var eventBuffer = 256
    /// How often to report to swift-metrics; `nil`: never. See ``MetricsReporter``.
    public var metricsPeriod: Duration?
    /// Where the node logs to. Secrets are never logged.
    public var logger: Logger
    /// A name for the log, to tell several nodes of one process apart.
    public var name = ""

    /// Makes a configuration with the defaults.
    public init(
      identity: Identity, membership: Membership = .storedOrNew,
      logger: Logger = Logger(label: "presence-mesh")
    ) {
      self.identity = identity
      self.membership = membership
      self.logger = logger
    }
  }

  /// Which mesh a node joins. It may hold a secret, and does not print.
  public struct Membership: Sendable {
    enum Kind: Sendable {
      case invite(SecretBytes)
      case stored
      case storedOrNew(isOpen: Bool)
      case new(isOpen: Bool)
    }

    let kind: Kind

    /// The mesh of an invite, a line that begins with `presence-mesh:`. The state directory remembers it.
    public static func invite(_ line: String) -> Membership {
      invite(SecretBytes(Array(line.utf8)))
    }

    /// The mesh of an invite whose line never was an ordinary text.
    package static func invite(_ line: SecretBytes) -> Membership {
      Membership(kind: .invite(line))
    }

    /// The mesh that the state directory remembers.
    public static let stored = Membership(kind: .stored)

    /// The mesh that the state directory remembers; a new closed one when it remembers none.
    public static let storedOrNew = Membership(kind: .storedOrNew(isOpen: false))

    /// The mesh that the state directory remembers; a new one when it remembers none. Whoever has the key of
    /// an open mesh is a member of it, and may say anything; nobody can be put out of it.
    public static func storedOrNew(open isOpen: Bool) -> Membership {
      Membership(kind: .storedOrNew(isOpen: isOpen))
    }

    /// A new closed mesh. A state directory that remembers another is not changed: that is an error.
    public static let new = Membership(kind: .new(isOpen: false))

    /// A new mesh, closed or open.
    public static func new(open isOpen: Bool) -> Membership {
      Membership(kind: .new(isOpen: isOpen))
    }
  }
}

extension PresenceMesh.Membership: CustomStringConvertible, CustomReflectable {
  /// What kind of membership it is, without the secret.
  public var description: String {
    switch kind {
    case .invite: "<by an invite>"
    case .stored: "<stored>"
    case .storedOrNew: "<stored or new>"
    case .new: "<new>"
    }
  }

  /// Nothing to look into.
  public var customMirror: Mirror { Mirror(self, children: []) }
}

extension PresenceMesh.Configuration {
  static let beatPeriods: ClosedRange<Duration> = .milliseconds(100)...(.seconds(3600))
  static let rates = 10_000...4_000_000_000
  static let eventBuffers = 1...65_536
  /// The shortest time between two reports.
  static let shortestMetricsPeriod: Duration = .milliseconds(100)

  /// Refuses what is outside of its bounds.
  func validate() throws(PresenceError) {
    guard Self.beatPeriods.contains(beatPeriod) else {
      throw .invalidSetting("beatPeriod", problem: "is \(beatPeriod): choose 100 ms…1 h")
    }
    for (name, rate) in [("sendRate", sendRate), ("peerRate", peerRate)] {
      guard let rate, !Self.rates.contains(rate) else { continue }
      throw .invalidSetting(
        name, problem: "is \(rate): choose 10,000…4,000,000,000 bytes a second")
    }
    guard Self.eventBuffers.contains(eventBuffer) else {
      throw .invalidSetting("eventBuffer", problem: "is \(eventBuffer): choose 1…65,536")
    }
    if let metricsPeriod, metricsPeriod < Self.shortestMetricsPeriod {
      throw .invalidSetting("metricsPeriod", problem: "is \(metricsPeriod): choose 100 ms or more")
    }
  }

  func listeningAddresses() throws(PresenceError) -> [MeshDriver.Listen] {
    switch listen {
    case .allInterfaces(let port): return MeshDriver.Options.allInterfaces(port: port)
    case .loopback(let port): return MeshDriver.Options.loopback(port: port)
    case .addresses(let addresses):
      var result: [MeshDriver.Listen] = []
      for address in addresses { result.append(MeshDriver.Listen(try Endpoint(reading: address))) }
      return result
    }
  }
}

extension Endpoint {
  /// Reads an address of a user of the library.
  init(reading text: String) throws(PresenceError) {
    do throws(TransportError) {
      try self.init(parsing: text, defaultPort: MeshDriver.Options.standardPort)
    } catch {
      throw PresenceError(error)
    }
  }
}

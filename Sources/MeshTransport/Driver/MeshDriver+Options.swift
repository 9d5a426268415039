package import MeshEngine
package import NIOCore

extension MeshDriver {
  /// An address to listen on.
  package struct Listen: Hashable, Sendable {
    package var endpoint: Endpoint
    /// True when the driver does without it if it cannot be had.
    package var isOptional: Bool

    package init(_ endpoint: Endpoint, isOptional: Bool = false) {
      self.endpoint = endpoint
      self.isOptional = isOptional
    }
  }

  /// The groups to which nodes announce themselves on the LAN.
  package struct Multicast: Hashable, Sendable {
    /// One group of each family, with the port.
    package var groups: [PeerAddress]

    package init(groups: [PeerAddress]) { self.groups = groups }

    /// The group and port of all nodes: 239.255.77.77 (RFC 2365, local scope) and
    /// ff02::7072:6573:656e:6365 (link-local scope), port 7947.
    package static let standard = Multicast(port: 7947)

    /// The groups of all nodes with a port of their own.
    package init(port: UInt16) {
      groups = [
        PeerAddress(ipv4: 0xEFFF_4D4D, port: port),
        PeerAddress(high: 0xFF02_0000_0000_0000, low: 0x7072_6573_656E_6365, port: port),
      ]
    }
  }

  /// The settings of a driver.
  package struct Options: Sendable {
    /// The port of a node that was not given another.
    package static let standardPort: UInt16 = 7946

    /// The addresses to listen on: one socket for each. Where several have port 0, all get the
    /// port that the first was given, if it is free.
    package var listen: [Listen]
    /// Addresses of other nodes, configured or remembered.
    package var peers: [PeerAddress]
    /// Where to announce and to listen for announcements; `nil`: neither.
    package var multicast: Multicast?
    /// The loop that owns the engine; `nil`: one of the process's own.
    package var eventLoop: (any EventLoop)?

    package init(
      listen: [Listen] = Options.allInterfaces(port: Options.standardPort),
      peers: [PeerAddress] = [], multicast: Multicast? = .standard,
      eventLoop: (any EventLoop)? = nil
    ) {
      self.listen = listen
      self.peers = peers
      self.multicast = multicast
      self.eventLoop = eventLoop
    }

    /// All interfaces: IPv4, and IPv6 where the system has it.
    package static func allInterfaces(port: UInt16) -> [Listen] {
      [
        Listen(Endpoint(host: "0.0.0.0", port: port)),
        Listen(Endpoint(host: "::", port: port), isOptional: true),
      ]
    }

    /// This machine alone: IPv4, and IPv6 where the system has it.
    package static func loopback(port: UInt16) -> [Listen] {
      [
        Listen(Endpoint(host: "127.0.0.1", port: port)),
        Listen(Endpoint(host: "::1", port: port), isOptional: true),
      ]
    }
  }
}

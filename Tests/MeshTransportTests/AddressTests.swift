import MeshEngine
import NIOCore
import Testing

@testable import MeshTransport

@Suite("Addresses")
struct AddressTests {
  @Test(
    "An address that is printed and read again is the same",
    arguments: [
      PeerAddress(ipv4: 0x7F00_0001, port: 7946), PeerAddress(ipv4: 0xFFFF_FFFF, port: 65_535),
      PeerAddress(ipv4: 0, port: 0), PeerAddress(high: 0, low: 1, port: 1),
      PeerAddress(high: 0x2001_0DB8_0000_0000, low: 0x0000_0000_00FF_0001, port: 443),
      PeerAddress(high: 0xFE80_0000_0000_0000, low: 7, port: 9, zone: 3),
    ])
  func printedAddressIsReadAgain(address: PeerAddress) throws {
    #expect(try PeerAddress(parsing: address.description) == address)
  }

  @Test(
    "An address survives the way to the system's form and back",
    arguments: [
      PeerAddress(ipv4: 0xC000_0201, port: 7946), PeerAddress(high: 0, low: 1, port: 80),
      PeerAddress(high: 0x2001_0DB8_1122_3344, low: 0x5566_7788_99AA_BBCC, port: 65_535),
      PeerAddress(high: 0xFE80_0000_0000_0000, low: 0x1234, port: 9, zone: 2),
    ])
  func systemFormIsReversible(address: PeerAddress) throws {
    #expect(address.withSystemAddress { pointer, _ in PeerAddress(pointer) } == address)
  }

  @Test("The addresses of NIO are understood")
  func addressesOfNIOAreUnderstood() throws {
    let ipv4 = try SocketAddress(ipAddress: "192.0.2.7", port: 5000)
    #expect(PeerAddress(ipv4) == PeerAddress(ipv4: 0xC000_0207, port: 5000))
    let ipv6 = try SocketAddress(ipAddress: "2001:db8::5", port: 5001)
    #expect(
      PeerAddress(ipv6) == PeerAddress(high: 0x2001_0DB8_0000_0000, low: 5, port: 5001))
    #expect(PeerAddress(try SocketAddress(unixDomainSocketPath: "/nowhere")) == nil)
  }

  @Test(
    "A host and a port are read in all their forms",
    arguments: [
      ("192.0.2.1:80", "192.0.2.1", 80), ("[::1]:65535", "::1", 65_535), ("[::1]", "::1", 7946),
      ("::1", "::1", 7946), ("node.example:1", "node.example", 1),
      ("node.example", "node.example", 7946),
    ] as [(String, String, UInt16)])
  func formsAreRead(text: String, host: String, port: UInt16) throws {
    let endpoint = try Endpoint(parsing: text, defaultPort: 7946)
    #expect(endpoint == Endpoint(host: host, port: port))
    #expect(try Endpoint(parsing: endpoint.description) == endpoint)
  }

  @Test(
    "What is no address is refused with the text and the way to write one",
    arguments: [
      "", ":80", "host:", "host:port", "host:65536", "host:-1", "host:+1", "[::1", "[::1]80",
      "host",
      "::1", "a b:1", "host:1:2", "[]:1",
    ])
  func malformedAddressIsRefused(text: String) {
    #expect {
      try Endpoint(parsing: text)
    } throws: { error in
      "\(error)".contains("'\(text)' is no address") && "\(error)".contains("host:port")
    }
  }

  @Test("A name where a numeric address must be is refused")
  func nameIsNoNumericAddress() {
    #expect(throws: TransportError.self) { try PeerAddress(parsing: "localhost:80") }
  }

  @Test("A host name is looked up")
  func hostNameIsLookedUp() async throws {
    let addresses = try await Endpoint(host: "localhost", port: 81).resolve()
    #expect(!addresses.isEmpty)
    #expect(addresses.allSatisfy { $0.isLoopback && $0.port == 81 })
  }

  @Test("A host name without an address is an error with the name")
  func unknownHostNameIsAnError() async {
    await #expect {
      _ = try await Endpoint(host: "no..host", port: 81).resolve()
    } throws: { error in
      "\(error)".contains("'no..host'")
    }
  }

  @Test("Kinds of addresses are told apart")
  func kindsAreToldApart() throws {
    func address(_ text: String) throws -> PeerAddress { try PeerAddress(parsing: text) }
    #expect(try address("0.0.0.0:1").isWildcard && address("[::]:1").isWildcard)
    #expect(try !address("0.0.0.1:1").isWildcard && !address("[::1]:1").isWildcard)
    #expect(try address("127.3.2.1:1").isLoopback && address("[::1]:1").isLoopback)
    #expect(try !address("128.0.0.1:1").isLoopback && !address("[::2]:1").isLoopback)
    #expect(try address("[fe80::1]:1").isLinkLocal && address("169.254.1.1:1").isLinkLocal)
    #expect(try !address("[fec0::1]:1").isLinkLocal && !address("192.0.2.1:1").isLinkLocal)
  }

  @Test("A wildcard stands for the addresses of its family, loopback last")
  func wildcardIsExpanded() throws {
    let interfaces = [
      NetworkInterface(
        name: "lo", index: 1, isLoopback: true, takesMulticast: true,
        addresses: [
          PeerAddress(ipv4: 0x7F00_0001, port: 0), PeerAddress(high: 0, low: 1, port: 0),
        ]),
      NetworkInterface(
        name: "eth0", index: 2, isLoopback: false, takesMulticast: true,
        addresses: [
          PeerAddress(ipv4: 0xC000_0202, port: 0),
          PeerAddress(high: 0xFE80_0000_0000_0000, low: 1, port: 0, zone: 2),
          PeerAddress(high: 0xFD00_0000_0000_0000, low: 2, port: 0),
        ]),
    ]
    let ipv4 = PeerAddress(ipv4: 0, port: 9).expanded(over: interfaces)
    #expect(ipv4.map(\.description) == ["192.0.2.2:9", "127.0.0.1:9"])
    let ipv6 = PeerAddress(high: 0, low: 0, port: 9).expanded(over: interfaces)
    #expect(ipv6.map(\.description) == ["[fd00:0:0:0:0:0:0:2]:9", "[0:0:0:0:0:0:0:1]:9"])
    let one = PeerAddress(ipv4: 0xC000_0202, port: 9)
    #expect(one.expanded(over: interfaces) == [one])
  }
}

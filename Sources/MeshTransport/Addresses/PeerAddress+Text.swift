package import MeshEngine

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension PeerAddress {
  /// Reads a numeric address and a port: `192.0.2.1:7946`, `[2001:db8::1]:7946`,
  /// `[fe80::1%eth0]:7946`. No name is looked up.
  package init(parsing text: String) throws(TransportError) {
    let endpoint = try Endpoint(parsing: text)
    guard let address = endpoint.numericAddress else {
      throw .malformedAddress(text, problem: "'\(endpoint.host)' is not a numeric address")
    }
    self = address
  }

  /// Reads a numeric host without a port; `nil` for a name.
  init?(numericHost host: String, port: UInt16) {
    var ipv4 = in_addr()
    if inet_pton(AF_INET, host, &ipv4) == 1 {
      self.init(ipv4: UInt32(bigEndian: ipv4.s_addr), port: port)
      return
    }
    let parts = host.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
    var zone: UInt32 = 0
    if parts.count == 2 {
      zone = UInt32(parts[1]) ?? if_nametoindex(String(parts[1]))
      guard zone > 0 else { return nil }
    }
    var ipv6 = sockaddr_in6()
    guard inet_pton(AF_INET6, String(parts[0]), &ipv6.sin6_addr) == 1 else { return nil }
    ipv6.sin6_port = port.bigEndian
    ipv6.sin6_scope_id = zone
    self.init(ipv6)
  }
}

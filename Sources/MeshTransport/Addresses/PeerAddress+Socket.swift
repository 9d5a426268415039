package import MeshEngine
import NIOCore

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension PeerAddress {
  /// The address of a datagram's sender; `nil` for a socket that has no IP address.
  init?(_ address: SocketAddress) {
    switch address {
    case .v4(let address): self.init(address.address)
    case .v6(let address): self.init(address.address)
    case .unixDomainSocket: return nil
    }
  }

  /// An IPv4 address as the system writes it.
  init(_ address: sockaddr_in) {
    self.init(
      ipv4: UInt32(bigEndian: address.sin_addr.s_addr), port: UInt16(bigEndian: address.sin_port))
  }

  /// An IPv6 address as the system writes it. The scope is kept for link-local addresses alone.
  init(_ address: sockaddr_in6) {
    let words = withUnsafeBytes(of: address.sin6_addr) { bytes in
      (
        UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      )
    }
    let isLinkLocal = words.0 >> 54 == 0xFE80 >> 6
    self.init(
      high: words.0, low: words.1, port: UInt16(bigEndian: address.sin6_port),
      zone: isLinkLocal ? address.sin6_scope_id : 0)
  }

  /// The address behind a pointer that the system gave out; `nil` when it is no IP address.
  init?(_ pointer: UnsafePointer<sockaddr>?) {
    guard let pointer else { return nil }
    let raw = UnsafeRawPointer(pointer)
    switch CInt(pointer.pointee.sa_family) {
    case AF_INET: self.init(raw.loadUnaligned(as: sockaddr_in.self))
    case AF_INET6: self.init(raw.loadUnaligned(as: sockaddr_in6.self))
    default: return nil
    }
  }

  /// Writes the address for the system, IPv4 as IPv4. Returns the length of what was written.
  func store(into storage: UnsafeMutablePointer<sockaddr_storage>) -> socklen_t {
    let raw = UnsafeMutableRawPointer(storage)
    if let ipv4 {
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      address.sin_addr.s_addr = ipv4.bigEndian
      #if canImport(Darwin)
        address.sin_len = UInt8(MemoryLayout<sockaddr_in>.size)
      #endif
      raw.storeBytes(of: address, as: sockaddr_in.self)
      return socklen_t(MemoryLayout<sockaddr_in>.size)
    }
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_port = port.bigEndian
    address.sin6_scope_id = zone
    address.sin6_addr = in6Address
    #if canImport(Darwin)
      address.sin6_len = UInt8(MemoryLayout<sockaddr_in6>.size)
    #endif
    raw.storeBytes(of: address, as: sockaddr_in6.self)
    return socklen_t(MemoryLayout<sockaddr_in6>.size)
  }

  /// The sixteen bytes as the system writes them.
  var in6Address: in6_addr {
    var address = in6_addr()
    withUnsafeMutableBytes(of: &address) { bytes in
      bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
      bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
    }
    return address
  }

  /// Lends the address to a call of the system.
  func withSystemAddress<Result>(
    _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    var storage = sockaddr_storage()
    let length = store(into: &storage)
    return withUnsafePointer(to: storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
    }
  }

  /// The same address with another port.
  package func withPort(_ port: UInt16) -> PeerAddress {
    PeerAddress(high: high, low: low, port: port, zone: zone)
  }

  /// The same address with another interface.
  func withZone(_ zone: UInt32) -> PeerAddress {
    PeerAddress(high: high, low: low, port: port, zone: zone)
  }

  /// True for 0.0.0.0 and ::, which stand for all addresses of the machine.
  package var isWildcard: Bool { ipv4 == 0 || (high == 0 && low == 0) }

  /// True for 127.0.0.0/8 and ::1.
  package var isLoopback: Bool {
    if let ipv4 { return ipv4 >> 24 == 127 }
    return high == 0 && low == 1
  }

  /// True for 169.254.0.0/16 and fe80::/10.
  package var isLinkLocal: Bool {
    if let ipv4 { return ipv4 >> 16 == 0xA9FE }
    return high >> 54 == 0xFE80 >> 6
  }

  /// True when both have the same address, whatever their ports.
  func hasSameHost(as other: PeerAddress) -> Bool {
    high == other.high && low == other.low && zone == other.zone
  }
}

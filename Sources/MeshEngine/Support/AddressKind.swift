import MeshCRDT

/// A range of addresses that one party is likely to hold all of.
struct AddressRange: Hashable, Comparable, Sendable {
  private let high: UInt64
  private let low: UInt64

  /// The network of an address, as far as it can be told from outside: /24 of IPv4, /48 of IPv6.
  static func prefix(of address: PeerAddress) -> Self {
    address.ipv4 == nil
      ? Self(high: address.high & ~0xFFFF, low: 0)
      : Self(high: 0, low: address.low & ~0xFF)
  }

  /// The host of an address: the address without its port. Of IPv6 the /64 that a host has to itself,
  /// but for link-local addresses.
  static func host(of address: PeerAddress) -> Self {
    address.ipv4 == nil && address.kind != .linkLocal
      ? Self(high: address.high, low: 0) : Self(high: address.high, low: address.low)
  }

  static func < (left: Self, right: Self) -> Bool {
    left.high == right.high ? left.low < right.low : left.high < right.high
  }
}

/// How far an address reaches.
enum AddressKind: Int, Comparable, Sendable {
  /// No node can have it as its own: unspecified, multicast, broadcast, reserved.
  case unusable
  case loopback
  /// Of one link.
  case linkLocal
  /// Of a network that is not reached from everywhere.
  case local
  case global

  static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension PeerAddress {
  /// How far the address reaches. Sources: RFC 6890, RFC 4291, RFC 4193, RFC 6598.
  var kind: AddressKind {
    guard port != 0 else { return .unusable }
    if let ipv4 { return Self.kind(ipv4: ipv4) }
    // ::, ::1 and the addresses that once stood for IPv4.
    guard high != 0 else { return low == 1 ? .loopback : .unusable }
    if high >> 56 == 0xFF { return .unusable }
    if high >> 54 == 0xFE80 >> 6 { return .linkLocal }
    if high >> 57 == 0xFC >> 1 { return .local }
    return .global
  }

  private static func kind(ipv4 address: UInt32) -> AddressKind {
    switch address >> 24 {
    case 0, 224...255: .unusable
    // A whole network is rarely larger than its last byte: its broadcast address.
    case _ where address & 0xFF == 0xFF: .unusable
    case 127: .loopback
    case 10: .local
    // 100.64/10, 169.254/16, 172.16/12, 192.168/16.
    case 100 where address >> 22 & 0x3 == 1: .local
    case 169 where address >> 16 & 0xFF == 254: .local
    case 172 where address >> 20 & 0xF == 1: .local
    case 192 where address >> 16 & 0xFF == 168: .local
    default: .global
    }
  }

  /// True when a node at this address may tell of another address: it is unicast, needs no interface
  /// of this machine, and reaches as far as the one who tells. So nobody outside of a network makes a
  /// node of it try the others of that network, or itself.
  func mayTell(of other: PeerAddress) -> Bool {
    let kind = other.kind
    guard kind != .unusable, kind != .linkLocal else { return false }
    // Who is on this link may know its local network.
    return kind >= (self.kind == .linkLocal ? .local : self.kind)
  }
}

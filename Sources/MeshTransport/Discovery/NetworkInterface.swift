import MeshEngine

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A network interface that is up, as the system lists it now.
struct NetworkInterface: Hashable, Sendable {
  let name: String
  let index: UInt32
  let isLoopback: Bool
  /// True when groups can be joined on it. Loopback counts, though Linux does not flag it.
  let takesMulticast: Bool
  /// Its addresses, with port 0.
  var addresses: [PeerAddress]

  var hasIPv4: Bool { addresses.contains { $0.ipv4 != nil } }
  var hasIPv6: Bool { addresses.contains { $0.ipv4 == nil } }

  /// The interfaces that are up and have an address, in the system's order. Empty when the system
  /// would not say.
  static func all() -> [NetworkInterface] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [] }
    defer { freeifaddrs(list) }
    var interfaces: [NetworkInterface] = []
    var entry = list
    while let current = entry?.pointee {
      entry = current.ifa_next
      let flags = Int(current.ifa_flags)
      guard flags & Int(IFF_UP) != 0, let namePointer = current.ifa_name,
        let address = PeerAddress(current.ifa_addr.map { UnsafePointer($0) })
      else { continue }
      let name = String(cString: namePointer)
      if let known = interfaces.firstIndex(where: { $0.name == name }) {
        interfaces[known].addresses.append(address.withPort(0))
      } else {
        let isLoopback = flags & Int(IFF_LOOPBACK) != 0
        interfaces.append(
          NetworkInterface(
            name: name, index: if_nametoindex(namePointer), isLoopback: isLoopback,
            takesMulticast: isLoopback || flags & Int(IFF_MULTICAST) != 0,
            addresses: [address.withPort(0)]))
      }
    }
    return interfaces
  }
}

extension PeerAddress {
  /// The addresses that a bound one stands for, to show to people: a wildcard is all addresses of
  /// its family on the interfaces, link-local ones left out and loopback last.
  func expanded(over interfaces: [NetworkInterface]) -> [PeerAddress] {
    guard isWildcard else { return [self] }
    let wantsIPv4 = ipv4 != nil
    let all = interfaces.flatMap(\.addresses).filter {
      ($0.ipv4 != nil) == wantsIPv4 && !$0.isLinkLocal
    }
    return (all.filter { !$0.isLoopback } + all.filter(\.isLoopback)).map { $0.withPort(port) }
  }
}

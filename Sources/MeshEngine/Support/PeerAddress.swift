import MeshCRDT

/// An address of a node: IPv6, or IPv4 mapped into it, and a port.
package struct PeerAddress: Hashable, Comparable, Sendable {
  package let high: UInt64
  package let low: UInt64
  package let port: UInt16
  /// The interface of a link-local address, as this machine numbers it; 0 for other addresses. It
  /// never leaves the machine.
  package let zone: UInt32

  package init(high: UInt64, low: UInt64, port: UInt16, zone: UInt32 = 0) {
    self.high = high
    self.low = low
    self.port = port
    self.zone = zone
  }

  private static let mappedPrefix: UInt64 = 0xFFFF_0000_0000

  /// An IPv4 address, first byte highest.
  package init(ipv4: UInt32, port: UInt16) {
    self.init(high: 0, low: Self.mappedPrefix | UInt64(ipv4), port: port)
  }

  /// The IPv4 address, if it is one.
  package var ipv4: UInt32? {
    high == 0 && low & ~0xFFFF_FFFF == Self.mappedPrefix ? UInt32(truncatingIfNeeded: low) : nil
  }

  /// The 18 bytes of address and port.
  package var bytes: [UInt8] {
    high.bigEndianBytes + low.bigEndianBytes
      + [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)]
  }

  package static func < (left: Self, right: Self) -> Bool {
    if left.high != right.high { return left.high < right.high }
    if left.low != right.low { return left.low < right.low }
    return left.port == right.port ? left.zone < right.zone : left.port < right.port
  }
}

extension PeerAddress: CustomStringConvertible {
  /// `192.0.2.1:7900` or `[2001:db8:0:0:0:0:0:1]:7900`.
  package var description: String {
    if let ipv4 {
      return [24, 16, 8, 0].map { "\(ipv4 >> UInt32($0) & 0xFF)" }.joined(separator: ".")
        + ":\(port)"
    }
    let groups = [high, low].flatMap { word in
      [48, 32, 16, 0].map { String(word >> UInt64($0) & 0xFFFF, radix: 16) }
    }
    let zoned = zone == 0 ? "" : "%\(zone)"
    return "[" + groups.joined(separator: ":") + zoned + "]:\(port)"
  }
}

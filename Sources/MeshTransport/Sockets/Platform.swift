#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Where the C libraries differ.
enum Platform {
  #if canImport(Glibc)
    static let datagramSocket = CInt(SOCK_DGRAM.rawValue)
  #else
    static let datagramSocket = SOCK_DGRAM
  #endif

  /// A call of the system that would wait returns instead.
  static let withoutWaiting = CInt(MSG_DONTWAIT)
  static let endOfReading = CInt(SHUT_RD)

  static let ipLevel = CInt(IPPROTO_IP)
  static let ipv6Level = CInt(IPPROTO_IPV6)

  #if canImport(Darwin)
    static let joinIPv6Group = IPV6_JOIN_GROUP
  #else
    static let joinIPv6Group = IPV6_ADD_MEMBERSHIP
  #endif

  /// Closes a descriptor. What the system says to that changes nothing.
  static func closeDescriptor(_ descriptor: CInt) { _ = close(descriptor) }

  /// The system's words for an error number.
  static func message(_ number: CInt) -> String {
    guard let text = strerror(number) else { return "error \(number)" }
    return String(cString: text)
  }
}

/// Sets a socket option. Returns 0, or the error number.
///
/// `value` is one of the system's plain structures or numbers.
func setOption<Value>(_ descriptor: CInt, level: CInt, name: CInt, to value: Value) -> CInt {
  let status = withUnsafeBytes(of: value) {
    setsockopt(descriptor, level, name, $0.baseAddress, socklen_t($0.count))
  }
  return status == 0 ? 0 : errno
}

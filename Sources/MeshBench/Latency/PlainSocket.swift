import Foundation

/// A blocking UDP socket on 127.0.0.1: what the floor is measured with.
final class PlainSocket: Sendable {
  private let descriptor: CInt
  let port: UInt16

  init() throws(BenchError) {
    #if canImport(Darwin)
      let kind = SOCK_DGRAM
    #else
      let kind = CInt(SOCK_DGRAM.rawValue)
    #endif
    let descriptor = socket(AF_INET, kind, 0)
    guard descriptor >= 0 else { throw Self.error() }
    var address = Self.loopback(port: 0)
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0
      }
    }
    var length = size
    let isNamed = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        getsockname(descriptor, $0, &length) == 0
      }
    }
    guard isBound, isNamed else {
      let error = Self.error()
      close(descriptor)
      throw error
    }
    self.descriptor = descriptor
    port = UInt16(bigEndian: address.sin_port)
  }

  deinit { close(descriptor) }

  private static func error() -> BenchError {
    .socketFailed(strerror(errno).map { String(cString: $0) } ?? "error \(errno)")
  }

  private static func loopback(port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
  }

  /// Sends to a port of this machine. True when the system took it.
  func send(_ bytes: [UInt8], toPort port: UInt16) -> Bool {
    var address = Self.loopback(port: port)
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(
          descriptor, bytes, bytes.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
          == bytes.count
      }
    }
  }

  /// Waits for the next datagram. Returns its length; negative: the socket is of no use any more.
  func receive(into buffer: inout [UInt8]) -> Int { recv(descriptor, &buffer, buffer.count, 0) }
}

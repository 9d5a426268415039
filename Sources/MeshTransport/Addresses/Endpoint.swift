package import MeshEngine
import NIOCore
import NIOPosix

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A host and a port as people write them. The host is a name or a numeric address.
package struct Endpoint: Hashable, Sendable {
  /// A name, or a numeric address without brackets.
  package var host: String
  package var port: UInt16

  /// The most addresses of one host name that are used.
  package static let addressesPerHost = 8

  package init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Reads `host:port` or `[IPv6]:port`; without a port the default one is taken, if there is one.
  package init(parsing text: String, defaultPort: UInt16? = nil) throws(TransportError) {
    let host: Substring
    let portText: Substring?
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else {
        throw .malformedAddress(text, problem: "the closing bracket is missing")
      }
      host = text[text.index(after: text.startIndex)..<end]
      let rest = text[text.index(after: end)...]
      guard rest.isEmpty || rest.hasPrefix(":") else {
        throw .malformedAddress(text, problem: "something other than a port follows the bracket")
      }
      portText = rest.isEmpty ? nil : rest.dropFirst()
    } else if text.count(where: { $0 == ":" }) > 1 {
      guard defaultPort != nil else {
        throw .malformedAddress(text, problem: "an IPv6 address stands in brackets, then its port")
      }
      host = text[...]
      portText = nil
    } else if let colon = text.firstIndex(of: ":") {
      host = text[..<colon]
      portText = text[text.index(after: colon)...]
    } else {
      host = text[...]
      portText = nil
    }
    guard !host.isEmpty else { throw .malformedAddress(text, problem: "the host is missing") }
    guard host.utf8.count <= 255, !host.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) else {
      throw .malformedAddress(text, problem: "the host has spaces or is too long")
    }
    self.host = String(host)
    if let portText {
      guard portText.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(portText)
      else { throw .malformedAddress(text, problem: "the port is not a number from 0 to 65535") }
      self.port = port
    } else if let defaultPort {
      port = defaultPort
    } else {
      throw .malformedAddress(text, problem: "the port is missing")
    }
  }

  /// The address, when the host is a numeric one.
  package var numericAddress: PeerAddress? { PeerAddress(numericHost: host, port: port) }

  /// All addresses of the host, at most ``addressesPerHost``, in the system's order of preference.
  /// Names are looked up on a thread of their own, off every event loop.
  package func resolve() async throws(TransportError) -> [PeerAddress] {
    if let numericAddress { return [numericAddress] }
    let endpoint = self
    let result: Result<[PeerAddress], TransportError>
    do {
      result = try await NIOThreadPool.singleton.runIfActive { endpoint.lookUp() }
    } catch {
      throw .unresolvable(host: host, reason: "\(error)")
    }
    return try result.get()
  }

  /// Asks the system's resolver. Blocks.
  private func lookUp() -> Result<[PeerAddress], TransportError> {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Platform.datagramSocket
    var list: UnsafeMutablePointer<addrinfo>?
    let status = getaddrinfo(host, nil, &hints, &list)
    guard status == 0 else {
      let reason = gai_strerror(status).map { String(cString: $0) } ?? "error \(status)"
      return .failure(.unresolvable(host: host, reason: reason))
    }
    defer { freeaddrinfo(list) }
    var addresses: [PeerAddress] = []
    var entry = list
    while let current = entry, addresses.count < Self.addressesPerHost {
      if let address = PeerAddress(current.pointee.ai_addr.map { UnsafePointer($0) }) {
        let address = address.withPort(port)
        if !addresses.contains(address) { addresses.append(address) }
      }
      entry = current.pointee.ai_next
    }
    guard !addresses.isEmpty else {
      return .failure(.unresolvable(host: host, reason: "it has neither IPv4 nor IPv6"))
    }
    return .success(addresses)
  }
}

extension Endpoint: CustomStringConvertible {
  /// The text that ``init(parsing:defaultPort:)`` reads.
  package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

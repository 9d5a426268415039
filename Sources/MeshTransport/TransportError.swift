/// Why the transport could not start, or could not make sense of an address. Nothing was left open.
package enum TransportError: Error, Hashable, Sendable {
  /// Another socket holds the port.
  case portInUse(host: String, port: UInt16)
  /// The system lets only privileged users bind the port.
  case portForbidden(host: String, port: UInt16)
  /// No interface of this machine has the address.
  case addressNotHere(host: String, port: UInt16)
  /// The system has no IPv4, or no IPv6.
  case familyUnavailable(host: String, port: UInt16)
  /// The system refused for another reason, in its own words.
  case bindFailed(host: String, port: UInt16, reason: String)
  /// There was no address to listen on, or none of the optional ones could be had.
  case nothingToListenOn
  /// Text that is no address.
  case malformedAddress(String, problem: String)
  /// A host name without an address.
  case unresolvable(host: String, reason: String)
}

extension TransportError: CustomStringConvertible {
  /// What happened, and what to do about it.
  package var description: String {
    switch self {
    case .portInUse(let host, let port):
      """
      UDP port \(port) on \(host) is in use: stop the program that holds it, or choose another \
      port (0 takes any free one)
      """
    case .portForbidden(let host, let port):
      "UDP port \(port) on \(host) is reserved by the system: choose a port above 1023"
    case .addressNotHere(let host, let port):
      """
      cannot listen on \(host), port \(port): no interface of this machine has that address; \
      listen on 0.0.0.0 or [::] for all interfaces
      """
    case .familyUnavailable(let host, let port):
      """
      cannot listen on \(host), port \(port): this system has no \
      \(host.contains(":") ? "IPv6" : "IPv4"); listen on the other family
      """
    case .bindFailed(let host, let port, let reason):
      "cannot listen on \(host), port \(port): \(reason)"
    case .nothingToListenOn:
      "there is no address to listen on: name at least one, such as 0.0.0.0:0"
    case .malformedAddress(let text, let problem):
      "'\(text)' is no address: \(problem); write host:port or [IPv6]:port"
    case .unresolvable(let host, let reason):
      "the host name '\(host)' has no address (\(reason)): check the spelling and the network"
    }
  }
}

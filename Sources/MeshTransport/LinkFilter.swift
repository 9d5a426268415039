package import MeshEngine

/// Whom a driver does not talk to: a cut cable for demonstrations and tests.
package enum LinkFilter: Hashable, Sendable {
  /// Everything passes.
  case open
  /// Nothing passes to or from these addresses. Announcements still go out to the LAN.
  case blocking(Set<PeerAddress>)
  /// Nothing passes at all.
  case everyone

  /// True when nothing passes to or from an address.
  package func blocks(_ address: PeerAddress) -> Bool {
    switch self {
    case .open: false
    case .blocking(let addresses): addresses.contains(address)
    case .everyone: true
    }
  }
}

package import MeshCRDT

/// What is known of another node, for people to look at.
package struct PeerStatus: Hashable, Sendable {
  package let origin: OriginID
  package let health: NodeHealth
  package let generation: UInt64
  /// Milliseconds since its last heartbeat left it.
  package let ageMilliseconds: UInt64
  /// The address that it was last heard from, if there is a path to it.
  package let address: PeerAddress?
  /// The time of a round trip by the last digest, in microseconds.
  package let roundTripMicroseconds: UInt64?
  package let sessions: Int
  package let version: UInt64
  /// True when everything that it said it has is here.
  package let isSettled: Bool
  /// True when it was taken for offline while this node heard nobody: it may be this node that is cut
  /// off.
  package let isUnverified: Bool
  /// For how many milliseconds every digest that was compared with it has differed; `nil`: the last one
  /// was equal, or none was compared yet. Moments are usual while something changes.
  package let differsMilliseconds: UInt64?
}

package import MeshCRDT

/// What is known of another node, for people to look at.
package struct PeerStatus: Hashable, Sendable {
  package let origin: OriginID
  package let health: NodeHealth
  package let incarnation: Incarnation?
  /// Milliseconds since its last beat, as far as this node can tell.
  package let ageMilliseconds: UInt64
  /// The address of the best path to it, if there is one.
  package let address: PeerAddress?
  /// The time of a round trip by the last comparison, in microseconds.
  package let roundTripMicroseconds: UInt64?
  package let sessions: Int
  package let version: UInt64
  /// True when its newest checkpoint is complete here.
  package let isComplete: Bool
  /// True when it became offline while this node heard nobody: it may be this node that is cut off.
  package let isUnverified: Bool
  /// For how many milliseconds every comparison with it has found a difference; `nil`: the last one found
  /// none, or there was none yet. Moments are usual while something changes.
  package let differsMilliseconds: UInt64?
}

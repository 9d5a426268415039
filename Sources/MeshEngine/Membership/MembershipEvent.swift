import MeshCRDT

/// The health of an origin became another.
struct HealthTransition: Hashable, Sendable {
  let origin: OriginID
  let from: NodeHealth
  let to: NodeHealth
  /// False: the origin was taken for offline while this node heard nobody, so that it may be this node
  /// that is cut off. A transition from offline to offline says that others were heard since.
  var isVerified = true
}

/// What the failure detector found.
enum MembershipEvent: Hashable, Sendable {
  case changed(HealthTransition)
  /// The origin is not visible, nor waits for its log to be shown: only what is complete is held of it.
  case putBack(OriginID)
  /// The origin is visible again, or waits for its log.
  case takenUp(OriginID)
  /// A newer sign of life of the origin has to be asked for.
  case probe(OriginID)
  /// The origin was silent for so long that it is forgotten, here with what is known of its chain: it
  /// goes into ``RemovedPeers``.
  case forgotten(OriginID, BeatClock?)
}

extension NodeHealth {
  /// True when the sessions of an origin are shown.
  var isVisible: Bool { self == .online || self == .suspect }
}

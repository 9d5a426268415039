import MeshCRDT

/// What an engine does by time. Each part has its own timers, wrapped in a case of its own.
enum EngineTimer: Hashable, Sendable {
  case paths(PathTimer)
  /// What waits for its share of the bytes may go.
  case outbox
  case comparison(ComparisonTimer)
  /// A peer is to be compared with.
  case compare
  /// Missing batches of an origin are to be asked for.
  case repair(OriginID)
  /// The health of some origin may be another.
  case membership
  /// It may be that nobody is heard any more.
  case staleness
  /// A beat of this node is due.
  case beat
  /// Beats that waited for company are to be sent on.
  case beats
  /// Something of the sessions that this node hosts is due.
  case hosting
  /// The mesh key is missing still.
  case admission
  /// A newer mesh key is to be used, or older ones no more.
  case epoch
  /// Some certificate begins or ends.
  case trust
  /// Sessions are to be reported.
  case view
}

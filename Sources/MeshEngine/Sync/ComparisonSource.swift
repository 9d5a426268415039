import MeshCRDT
import MeshWire

/// What comparisons read of the records that a node holds.
protocol ComparisonSource {
  /// The tree of all complete checkpoints, its hashes computed.
  mutating func summaries() -> HashTree
  /// The complete checkpoint of an origin, and what is held at it.
  func completed(_ origin: OriginID) -> (checkpoint: Authentic<Checkpoint>, replica: OriginReplica)?
  /// A fetch of a checkpoint; `nil`: of another incarnation than is held.
  mutating func fetch(of checkpoint: Authentic<Checkpoint>) -> OriginFetch?
}

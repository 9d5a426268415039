import MeshCRDT

/// A verified checkpoint as a sign of life.
struct CheckpointSign: Hashable, Sendable {
  let origin: OriginID
  let terms: ChainTerms
  let isLeaving: Bool
  /// The age of the checkpoint's beat as whoever sent it told, and with it what may have waited in the
  /// socket while this node paused. It counts at first contact only.
  let age: Span
  /// True when the origin itself sent it on its own path.
  let isOwnWord: Bool

  init(
    origin: OriginID, terms: ChainTerms, isLeaving: Bool = false, age: Span, isOwnWord: Bool
  ) {
    self.origin = origin
    self.terms = terms
    self.isLeaving = isLeaving && !PlantedBug.isActive(.farewellIgnored)
    self.age = age
    self.isOwnWord = isOwnWord
  }
}

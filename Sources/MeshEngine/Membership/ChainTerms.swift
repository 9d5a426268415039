import MeshCRDT

/// What a checkpoint says about its origin's present heartbeat chain.
struct ChainTerms: Hashable, Sendable {
  let incarnation: Incarnation
  /// The number of the chain, from 1.
  let chain: UInt64
  /// The number of the chain with which the schedule began, and the start of this chain after the
  /// start of that one. A chain whose schedule is another than before is a first contact.
  let schedule: UInt64
  let offset: Span
  let period: Span
  /// The beat at the moment of signing, and its value: what later ones are verified by.
  let beat: UInt64
  let value: Hash128

  /// Periods outside of what the wire allows are taken for the nearest that it does.
  init(
    incarnation: Incarnation, chain: UInt64, schedule: UInt64, offset: Span, period: Span,
    beat: UInt64, value: Hash128
  ) {
    self.incarnation = incarnation
    self.chain = chain
    self.schedule = schedule
    self.offset = offset
    self.period = min(
      max(period, MembershipLimits.shortestPeriod), MembershipLimits.longestPeriod)
    self.beat = beat
    self.value = value
  }
}

import MeshCRDT2

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
  /// A beat whose value is signed: what later ones are verified by.
  let basis: UInt64
  let value: Hash128
  /// The beat at the moment of signing. It is not below the basis.
  let beat: UInt64

  /// The terms of a checkpoint that signs the value of its own beat.
  init(
    incarnation: Incarnation, chain: UInt64, schedule: UInt64, offset: Span, period: Span,
    beat: UInt64, value: Hash128
  ) {
    self.init(
      incarnation: incarnation, chain: chain, schedule: schedule, offset: offset, period: period,
      basis: beat, value: value, beat: beat)
  }

  /// The terms of a checkpoint that signs the anchor of its chain, each chain a schedule of its own.
  init(incarnation: Incarnation, chain: UInt64, period: Span, anchor: Hash128, beat: UInt64) {
    self.init(
      incarnation: incarnation, chain: chain, schedule: chain, offset: Span(nanoseconds: 0),
      period: period, basis: 0, value: anchor, beat: beat)
  }

  /// Periods outside of what the wire allows are taken for the nearest that it does.
  private init(
    incarnation: Incarnation, chain: UInt64, schedule: UInt64, offset: Span, period: Span,
    basis: UInt64, value: Hash128, beat: UInt64
  ) {
    self.incarnation = incarnation
    self.chain = chain
    self.schedule = schedule
    self.offset = offset
    self.period = min(
      max(period, MembershipLimits.shortestPeriod), MembershipLimits.longestPeriod)
    self.basis = basis
    self.value = value
    self.beat = beat
  }
}

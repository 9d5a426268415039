/// When this node's beats are due: beat *i* of a chain at *start + i · period*.
///
/// A *schedule* goes on over several chains: a chain says with which chain its schedule began, and how
/// long after that one's start it starts itself. So others keep what they know of the node's age when
/// its period changes or its chain ends.
struct BeatSchedule: Hashable, Sendable {
  /// The number of the chain, from 1.
  let chain: UInt64
  /// The number of the chain with which the schedule began.
  let schedule: UInt64
  /// The start of the chain after the start of the schedule, in whole milliseconds.
  let offset: Span
  let period: Span
  /// The moment of beat 0.
  let start: MonotonicTime

  /// Why a new chain has to begin.
  enum Renewal: Hashable, Sendable {
    /// The last beat is reached.
    case exhausted
    /// Beats are to come at other intervals.
    case periodChanged
    /// The node's clock did not go on while the node slept: the schedule is late from now on.
    case clockStoodStill
  }

  private init(chain: UInt64, schedule: UInt64, offset: Span, period: Span, start: MonotonicTime) {
    self.chain = chain
    self.schedule = schedule
    self.offset = offset
    // Whole milliseconds, as the checkpoint says them.
    self.period = .milliseconds(
      min(max(period, MembershipLimits.shortestPeriod), MembershipLimits.longestPeriod)
        .milliseconds)
    self.start = start
  }

  /// The schedule of an incarnation's first chain.
  init(startingAt now: MonotonicTime, period: Span) {
    self.init(
      chain: 1, schedule: 1, offset: Span(nanoseconds: 0), period: period, start: now)
  }

  /// The beat whose moment has come last, at most 4,095.
  func beat(at now: MonotonicTime) -> UInt64 {
    min(now.since(start).nanoseconds / period.nanoseconds, MembershipLimits.chainLength - 1)
  }

  /// The moment of a beat.
  func moment(ofBeat index: UInt64) -> MonotonicTime {
    start + period.scaled(min(index, MembershipLimits.chainLength), over: 1)
  }

  /// The first moment of a beat after a time: when the node next has to send one.
  func nextMoment(after now: MonotonicTime) -> MonotonicTime {
    now < start ? start : moment(ofBeat: beat(at: now) + 1)
  }

  /// Why a new chain has to begin now; `nil`: this one goes on.
  func renewal(at now: MonotonicTime, period: Span, clockStoodStill: Bool) -> Renewal? {
    if clockStoodStill { return .clockStoodStill }
    if beat(at: now) >= MembershipLimits.chainLength - 1 { return .exhausted }
    return next(after: .periodChanged, at: now, period: period).period == self.period
      ? nil : .periodChanged
  }

  /// The schedule of the next chain. It starts now, or less than a millisecond ago.
  func next(after renewal: Renewal, at now: MonotonicTime, period: Span) -> BeatSchedule {
    if renewal == .clockStoodStill {
      return Self(
        chain: chain + 1, schedule: chain + 1, offset: Span(nanoseconds: 0), period: period,
        start: now)
    }
    let elapsed = Span.milliseconds(now.since(start).milliseconds)
    return Self(
      chain: chain + 1, schedule: schedule, offset: offset + elapsed, period: period,
      start: start + elapsed)
  }
}

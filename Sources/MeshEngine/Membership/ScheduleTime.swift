/// A moment on a node's own clock that may lie before the clock's zero: signed nanoseconds.
///
/// An origin may have been silent for longer than this machine is up. A time that cannot be negative
/// would be held at zero there, and the origin believed younger than it is. All arithmetic ends at
/// the bounds in place of overflowing; they are 292 years away.
struct ScheduleTime: Hashable, Comparable, Sendable {
  let nanoseconds: Int64

  init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  init(_ time: MonotonicTime) {
    nanoseconds = Int64(clamping: time.nanoseconds)
  }

  /// The moment as a time of the clock: 0 for one before its zero.
  var clamped: MonotonicTime { MonotonicTime(nanoseconds: UInt64(clamping: nanoseconds)) }

  static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

  static func + (time: Self, span: Span) -> Self {
    time.moved(by: Int64(clamping: span.nanoseconds))
  }

  static func - (time: Self, span: Span) -> Self {
    time.moved(by: -Int64(clamping: span.nanoseconds))
  }

  /// The signed nanoseconds since another moment.
  func since(_ other: Self) -> Int64 {
    let (difference, overflow) = nanoseconds.subtractingReportingOverflow(other.nanoseconds)
    guard overflow else { return difference }
    return nanoseconds < other.nanoseconds ? .min : .max
  }

  func moved(by delta: Int64) -> Self {
    let (sum, overflow) = nanoseconds.addingReportingOverflow(delta)
    guard overflow else { return Self(nanoseconds: sum) }
    return Self(nanoseconds: delta < 0 ? .min : .max)
  }
}

/// The start of an origin's schedule on this node's clock, as early as anything heard has shown.
///
/// It moves later by a thousandth of the time since it was set: two clocks may disagree by ±500 ppm
/// each, and a living origin whose clock is the slower one must not grow old by that.
struct ScheduleReference: Hashable, Sendable {
  private var value: ScheduleTime
  private var setAt: ScheduleTime

  init(_ value: ScheduleTime, setAt now: MonotonicTime) {
    self.value = value
    setAt = ScheduleTime(now)
  }

  /// The reference at a time, with the allowance for drift.
  func value(at now: MonotonicTime) -> ScheduleTime {
    let elapsed = max(0, ScheduleTime(now).since(setAt))
    return value.moved(by: elapsed / MembershipLimits.driftDivisor)
  }

  /// Takes another value if it is the earlier one.
  mutating func lower(to candidate: ScheduleTime, at now: MonotonicTime) {
    if candidate < value(at: now) { self = Self(candidate, setAt: now) }
  }

  /// Moves the reference with the schedule that it stands for.
  mutating func shift(by nanoseconds: Int64) { value = value.moved(by: nanoseconds) }

  /// The first moment that is at least `span` after the reference at that moment.
  ///
  /// With *y* since the reference was set, *y − ⌊y / 1000⌋ ≥ k* holds first for
  /// *y = k + ⌊(k − 1) / 999⌋*.
  func moment(after span: Span) -> ScheduleTime {
    let wait = (value + span).since(setAt)
    guard wait > 0 else { return setAt }
    return setAt.moved(by: wait).moved(by: (wait - 1) / (MembershipLimits.driftDivisor - 1))
  }
}

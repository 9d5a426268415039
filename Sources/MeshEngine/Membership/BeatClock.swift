import MeshCRDT

/// What this node knows of one origin's heartbeat chain: its newest beat, and how old that is.
///
/// The age rests on a *reference*, the start of the origin's schedule on this node's clock: the
/// earliest *t − i · period* over all beats *i* that were heard at a time *t*. A beat that was held
/// back, played again or overtaken gives a later one, which changes nothing. So a relay makes nobody
/// younger than this node's own hearing allows.
///
/// **At first contact** nothing was heard in time yet, and the ages that others tell count as well, the
/// largest of them. They end with the origin's own word on its own path, or with a new beat that comes
/// 2.5 periods or more after first contact: an origin whose new beats keep coming is alive, whatever
/// was told. So a member that tells a false age hides a living origin from a newcomer for little more
/// than its time to live, and a dead one that others know to be dead is not shown.
///
/// **What nobody says counts in what was heard:** an age is not signed, and any member can pass a path proof
/// on and speak by it. So also the age that comes with the origin's own word is passed over, and nobody makes
/// a living origin old for good.
///
/// **What an origin gains that lies:** an age is at least the time since its newest beat came, so
/// beats ahead of their schedule make nobody older than honest ones would, and use up the chain; the
/// honest beats after them count as late. An origin speaks for itself alone.
///
/// Bound: if a beat of the schedule was once heard within *ε*, then no beat is taken for younger than it
/// is by more than *ε* and two thousandths of the time since: one for the allowance, one for clocks that
/// really differ.
struct BeatClock: Hashable, Sendable {
  private(set) var incarnation: Incarnation
  private(set) var chain: UInt64
  private(set) var period: Span
  /// The newest beat of the chain that was heard, by itself or by a checkpoint, and its value.
  private(set) var newest: UInt64
  private(set) var value: Hash128

  private(set) var schedule: UInt64
  private var offset: Span
  /// The start of the chain, by what was heard here.
  private var observed: ScheduleReference
  /// The same by what others told; `nil` when that does not count any more.
  private var told: ScheduleReference?
  private var contactAt: MonotonicTime

  /// The clock of an origin of which a checkpoint is heard for the first time.
  ///
  /// - Parameters:
  ///   - age: the age of the checkpoint's beat, as whoever sent it told. It counts for others' words alone.
  ///   - isOwnWord: true when the origin itself sent it on its own path.
  init(_ terms: ChainTerms, age: Span, isOwnWord: Bool, at now: MonotonicTime) {
    incarnation = terms.incarnation
    chain = terms.chain
    period = terms.period
    newest = terms.beat
    schedule = terms.schedule
    offset = terms.offset
    value = terms.value
    contactAt = now
    let arrived = ScheduleTime(now) - Self.distance(terms.beat, terms.period)
    observed = ScheduleReference(arrived, setAt: now)
    told =
      isOwnWord || PlantedBug.isActive(.toldAgeIgnored)
      ? nil : ScheduleReference(arrived - age, setAt: now)
  }

  /// True while ages that others tell count.
  var takesToldAges: Bool { told != nil }

  // MARK: Checkpoints

  /// Takes in a verified checkpoint; one that is known already counts as another teller's age.
  ///
  /// A lower incarnation or chain changes nothing. Of two chains with one number the first counts.
  /// - Returns: true if the checkpoint is a sign of life that is newer than all before.
  mutating func accept(
    _ terms: ChainTerms, age: Span, isOwnWord: Bool, at now: MonotonicTime
  ) -> Bool {
    guard (terms.incarnation, terms.chain) >= (incarnation, chain) else { return false }
    guard terms.incarnation == incarnation, terms.chain == chain || terms.schedule == schedule
    else {
      self = Self(terms, age: age, isOwnWord: isOwnWord, at: now)
      return true
    }
    let isNew = terms.chain > chain || terms.beat > newest
    if terms.chain > chain { turn(to: terms) }
    if isOwnWord {
      told = nil
    } else {
      told?.lower(to: ScheduleTime(now) - age - Self.distance(terms.beat, period), at: now)
    }
    if isNew { hear(terms.beat, terms.value, at: now) }
    return isNew
  }

  /// Goes on with the next chain of the same schedule.
  private mutating func turn(to terms: ChainTerms) {
    let delta =
      Int64(clamping: terms.offset.nanoseconds)
      .subtractingReportingOverflow(Int64(clamping: offset.nanoseconds)).partialValue
    observed.shift(by: delta)
    told?.shift(by: delta)
    chain = terms.chain
    offset = terms.offset
    period = terms.period
  }

  // MARK: Beats

  /// What a beat turned out to be.
  enum Verdict: Hashable, Sendable {
    /// It is the newest of its chain: to be sent on.
    case fits
    /// It is not newer than what is known.
    case known
    /// It does not belong to the chain.
    case wrong
    /// It is so far ahead that it was not verified: a checkpoint is to be asked for.
    case tooFar
  }

  /// A verdict and its price.
  struct Receipt: Hashable, Sendable {
    let verdict: Verdict
    /// The hashes that were computed, at most 512.
    let hashes: UInt64
  }

  /// Verifies a beat and takes it in. State changes only where the beat belongs to the chain.
  mutating func accept(
    beat index: UInt64, value: Hash128, of origin: OriginID, hash: some TreeHash,
    at now: MonotonicTime
  ) -> Receipt {
    guard index < MembershipLimits.chainLength else { return Receipt(verdict: .wrong, hashes: 0) }
    guard index > newest else { return Receipt(verdict: .known, hashes: 0) }
    let steps = index - newest
    guard steps <= MembershipLimits.stepsPerBeat else {
      return Receipt(verdict: .tooFar, hashes: 0)
    }
    var function = BeatHash(origin: origin, incarnation: incarnation)
    guard function.apply(steps, to: value, by: hash) == self.value else {
      return Receipt(verdict: .wrong, hashes: steps)
    }
    hear(index, value, at: now)
    return Receipt(verdict: .fits, hashes: steps)
  }

  /// The value of the newest beat. It is there always.
  var newestValue: Hash128? { value }

  private mutating func hear(_ index: UInt64, _ value: Hash128, at now: MonotonicTime) {
    newest = index
    self.value = value
    let arrived = ScheduleTime(now) - Self.distance(index, period)
    observed.lower(to: arrived, at: now)
    if PlantedBug.isActive(.heldBackBeatIsYoung) {
      observed = ScheduleReference(arrived, setAt: now)
    }
    if now >= contactAt + timeToLive { told = nil }
  }

  // MARK: Ages

  /// How long the origin may be silent: 2.5 periods.
  var timeToLive: Span {
    period.scaled(
      PlantedBug.isActive(.timeToLiveShort) ? 1 : MembershipLimits.timeToLiveHalfPeriods, over: 2)
  }

  /// The age of the newest beat. It grows by at least 999 ms in a second, and shrinks only with a newer
  /// sign of life.
  func age(at now: MonotonicTime) -> Span { age(ofBeat: newest, at: now) }

  /// The age of a beat of the chain: what goes with a checkpoint that is sent on.
  func age(ofBeat index: UInt64, at now: MonotonicTime) -> Span {
    let due = reference(at: now) + Self.distance(index, period)
    return Span(nanoseconds: UInt64(clamping: ScheduleTime(now).since(due)))
  }

  /// The first moment at which the newest beat is at least so old, if no newer one comes.
  func moment(ofAge age: Span) -> MonotonicTime {
    let span = Self.distance(newest, period) + age
    let heard = observed.moment(after: span)
    return min(heard, told?.moment(after: span) ?? heard).clamped
  }

  private func reference(at now: MonotonicTime) -> ScheduleTime {
    let heard = observed.value(at: now)
    return min(heard, told?.value(at: now) ?? heard)
  }

  /// The time from the start of a chain to a beat.
  private static func distance(_ index: UInt64, _ period: Span) -> Span {
    period.scaled(index, over: 1)
  }
}

import MeshCRDT

extension FailureDetector {
  /// One origin that is watched.
  struct Member: Sendable {
    let origin: OriginID
    /// `nil` until its first checkpoint.
    private(set) var clock: BeatClock?
    var health = NodeHealth.offline
    private(set) var isVerified = true
    var isComplete = false
    /// False until its first health was reported, whatever that is: not before it is known.
    var isReported = false
    /// When it is shown at the latest; `nil`: it does not wait for its log.
    private(set) var shownBy: MonotonicTime?
    /// False while it is hidden, and does not wait for its log.
    private(set) var isTakenUp = true
    private var isLeaving = false
    /// True while it is offline, from first contact on, until a sign of life that is younger than its time to
    /// live: what is granted brings nobody back.
    private var isSilent = true
    private let openedAt: MonotonicTime
    /// When it is probed next; `nil`: there is no reason to.
    private var probeAt: MonotonicTime?

    init(origin: OriginID, clock: BeatClock?, at now: MonotonicTime) {
      self.origin = origin
      self.clock = clock
      openedAt = now
    }

    /// True while it may be shown soon: nothing is known of it yet, or its log is still to be complete.
    var isAwaited: Bool { clock == nil || shownBy != nil }

    // MARK: Signs of life

    mutating func accept(_ sign: CheckpointSign, isComplete: Bool, at now: MonotonicTime) {
      guard var clock else {
        let clock = BeatClock(sign.terms, age: sign.age, isOwnWord: sign.isOwnWord, at: now)
        self.clock = clock
        noteSign(clock, at: now)
        self.isComplete = isComplete
        isLeaving = sign.isLeaving
        return
      }
      guard sign.terms.incarnation >= clock.incarnation else { return }
      let isNewLife = sign.terms.incarnation > clock.incarnation
      if isNewLife { isTakenUp = true }
      let ageBefore = clock.age(at: now)
      let isNew = clock.accept(
        sign.terms, age: sign.age, isOwnWord: sign.isOwnWord, at: now)
      self.clock = clock
      self.isComplete = isComplete
      // Nothing of an incarnation is said after its leaving.
      isLeaving = sign.isLeaving || (isLeaving && !isNewLife)
      if isNew || clock.age(at: now) < ageBefore { noteSign(clock, at: now) }
    }

    mutating func accept(
      beat index: UInt64, value: Hash128, hash: some TreeHash, at now: MonotonicTime
    ) -> BeatClock.Receipt? {
      guard var clock else { return nil }
      let receipt = clock.accept(beat: index, value: value, of: origin, hash: hash, at: now)
      self.clock = clock
      if receipt.verdict == .fits { noteSign(clock, at: now) }
      return receipt
    }

    private mutating func noteSign(_ clock: BeatClock, at now: MonotonicTime) {
      if clock.age(at: now) < clock.timeToLive { isSilent = false }
    }

    // MARK: Evaluating

    /// What an evaluation goes by, besides the member itself.
    struct Rules {
      let forgetAfter: Span
      let isLarge: Bool
      let isCutOff: Bool
      /// What the member's age is lowered by.
      let grant: Span

      /// The age at which a newer sign of life is asked for.
      static func probeAge(_ period: Span, isLarge: Bool) -> Span {
        isLarge ? period.scaled(3, over: 2) : period.scaled(11, over: 10)
      }
    }

    enum Verdict {
      case keep(until: MonotonicTime, isProbed: Bool)
      case forget
    }

    /// Judges the member, and says when to do so again.
    mutating func evaluate(by rules: Rules, at now: MonotonicTime) -> Verdict {
      guard let clock else {
        // What it said may be known here alone, in the place of an earlier life that others hold.
        let forgetAt = openedAt + min(rules.forgetAfter, MembershipLimits.probation)
        return forgetAt <= now ? .forget : .keep(until: forgetAt, isProbed: false)
      }
      let kept = max(rules.forgetAfter, clock.period.scaled(10, over: 1))
      let tried = max(
        MembershipLimits.probation,
        clock.period.scaled(MembershipLimits.probationPeriods, over: 1))
      let forgetAt = max(clock.moment(ofAge: kept + rules.grant), openedAt + tried)
      if forgetAt <= now { return .forget }
      let rawAge = clock.age(at: now).nanoseconds
      let age = Span(nanoseconds: rawAge - min(rawAge, rules.grant.nanoseconds))
      var (wanted, limit) = judge(age, timeToLive: clock.timeToLive, by: rules)
      if isLeaving, !PlantedBug.isActive(.leftShown) { (wanted, limit) = (.left, nil) }
      if mayBecome(wanted, at: now) {
        let staysVerified = health == .offline && isVerified
        isVerified = wanted != .offline || !rules.isCutOff || staysVerified
        health = wanted
        isSilent = wanted == .offline
      }
      isTakenUp = health.isVisible || shownBy != nil
      var next = forgetAt
      if let limit { next = min(next, clock.moment(ofAge: limit + rules.grant)) }
      if let shownBy { next = min(next, shownBy) }
      guard !isLeaving else { return .keep(until: next, isProbed: false) }
      let isProbed = probe(clock.period, age: age, isLarge: rules.isLarge, at: now)
      let probeAge = Rules.probeAge(clock.period, isLarge: rules.isLarge)
      let probeMoment = probeAt ?? clock.moment(ofAge: probeAge + rules.grant)
      return .keep(until: min(next, probeMoment), isProbed: isProbed)
    }

    /// The health at an age, and the age at which it becomes another.
    private func judge(
      _ age: Span, timeToLive: Span, by rules: Rules
    ) -> (health: NodeHealth, limit: Span?) {
      let suspectAge = timeToLive.scaled(rules.isLarge ? 4 : 2, over: rules.isLarge ? 5 : 4)
      if isSilent { return (.offline, nil) }
      if age < suspectAge { return (.online, suspectAge) }
      if age < timeToLive { return (.suspect, timeToLive) }
      let cutOffLimit = timeToLive.scaled(MembershipLimits.cutOffFactor, over: 1)
      if rules.isCutOff, health.isVisible, age < cutOffLimit { return (.suspect, cutOffLimit) }
      return (.offline, nil)
    }

    /// An origin that was hidden is shown when its log is complete, or a second later.
    private mutating func mayBecome(_ wanted: NodeHealth, at now: MonotonicTime) -> Bool {
      guard wanted.isVisible, !health.isVisible, !isComplete else {
        shownBy = nil
        return true
      }
      let due = shownBy ?? now + MembershipLimits.completionWait
      shownBy = due <= now ? nil : due
      return due <= now
    }

    /// True when the member is to be probed now: first at 1.1 periods, in a large mesh 1.5, and then
    /// again after a pause that grows with its age.
    private mutating func probe(
      _ period: Span, age: Span, isLarge: Bool, at now: MonotonicTime
    ) -> Bool {
      guard age >= Rules.probeAge(period, isLarge: isLarge) else {
        probeAt = nil
        return false
      }
      if let probeAt, now < probeAt { return false }
      let pause =
        if isLarge && health.isVisible {
          max(period.scaled(1, over: 4), .milliseconds(250))
        } else {
          min(
            max(period, age.scaled(1, over: 4), .seconds(1)),
            MembershipLimits.longestProbePause)
        }
      probeAt = now + pause
      return true
    }
  }
}

import MeshCRDT

/// Judges from the ages of their beats which origins are alive.
///
/// An origin is *suspect* from half of its time to live on (2.5 periods), in a large mesh, where beats wait at
/// each hop, from four fifths on, *offline* from all of it on,
/// and *left* when it said so. While this node is cut off (``Staleness``) nobody becomes offline before
/// three times the time to live, and then not verified by others. Hidden origins are kept for
/// max(30 min, 10 periods) and then forgotten.
///
/// An origin that becomes visible again is shown when its log is complete, or a second later: what ended
/// while it could not be heard is not shown once more.
///
/// One deadline says when the next origin has to be evaluated; nothing is done for the others. Cost:
/// O(log n) for a sign of life, for an evaluation, and for a pause of this node; O(n log n) when the
/// node is not cut off any more. Bound: 4,096 origins.
struct FailureDetector: Sendable {
  private let forgetAfter: Span
  private var rows: [OriginID: Int] = [:]
  private var prefixes: [UInt64: Int] = [:]
  private var members: [Member?] = []
  private var free: [Int] = []
  private var deadlines = DeadlineHeap()
  private var pauses = PauseLog()
  private var periods = SortedPeriods()
  private var isCutOff = false
  /// Origins that count as offline while nobody is heard.
  private var unverifiedCount = 0

  /// True in a mesh where beats are sent on by neighbours: they come later, and probes are sooner.
  var isLarge = false

  /// - Parameter forgetAfter: how long a silent origin is kept at the least.
  init(forgetAfter: Span = .seconds(1800)) { self.forgetAfter = forgetAfter }

  // MARK: Reading

  var count: Int { rows.count }

  /// The origins that are shown, this node not among them.
  var visibleCount: Int { periods.count }

  /// True when no other origin is shown, nor would be but for this node's not hearing anybody.
  var isAlone: Bool { visibleCount == 0 && unverifiedCount == 0 }

  /// The lower median of the visible origins' periods.
  var typicalPeriod: Span? { periods.median }

  /// When ``advance(to:limit:)`` is due; `nil`: not before something is heard.
  var deadline: MonotonicTime? { deadlines.first?.time }

  /// The health of an origin; `nil` when it is not watched.
  func health(of origin: OriginID) -> NodeHealth? { member(origin)?.health }

  /// The health of an origin that events told of last; `nil`: none did yet.
  func reportedHealth(of origin: OriginID) -> NodeHealth? {
    member(origin).flatMap { $0.isReported ? $0.health : nil }
  }

  /// False when an origin counts as offline while nobody else could be heard.
  func isVerified(_ origin: OriginID) -> Bool { member(origin)?.isVerified ?? true }

  /// What is known of an origin's chain.
  func clock(of origin: OriginID) -> BeatClock? { member(origin)?.clock }

  private func member(_ origin: OriginID) -> Member? { rows[origin].flatMap { members[$0] } }

  // MARK: Signs of life

  /// Watches an origin that was heard by its batches alone: it is not shown, and is forgotten if no
  /// checkpoint comes.
  ///
  /// - Parameter isNewLife: true when the incarnation is higher than the one that is watched. Beats of that one
  ///   do not count for it.
  /// - Returns: `nil` if there is no room.
  mutating func open(
    _ origin: OriginID, isNewLife: Bool = false, at now: MonotonicTime
  ) -> [MembershipEvent]? {
    var events: [MembershipEvent] = []
    let before = isNewLife ? rows[origin].flatMap { drop($0) } : nil
    if let before, before.health != .offline {
      let transition = HealthTransition(origin: origin, from: before.health, to: .offline)
      events.append(.changed(transition))
    }
    guard rows[origin] == nil else { return [] }
    guard let row = insert(origin, clock: nil, at: now) else { return nil }
    members[row]?.isReported = before?.isReported ?? false
    evaluate(row, at: now, into: &events)
    return events
  }

  /// Takes in a verified checkpoint, a new one or one that another teller sent as well.
  ///
  /// - Parameters:
  ///   - isComplete: true when the origin's log is complete at its newest checkpoint.
  ///   - remembered: the clock of the note of a forgotten origin.
  /// - Returns: `nil` if there is no room for the origin, and nothing changed.
  mutating func accept(
    _ sign: CheckpointSign, isComplete: Bool, remembered: BeatClock? = nil, at now: MonotonicTime
  ) -> [MembershipEvent]? {
    guard let row = rows[sign.origin] ?? insert(sign.origin, clock: remembered, at: now) else {
      return nil
    }
    var events: [MembershipEvent] = []
    update(row) { member in member.accept(sign, isComplete: isComplete, at: now) }
    if prefixes[sign.origin.word0] == nil { prefixes[sign.origin.word0] = row }
    evaluate(row, at: now, into: &events)
    return events
  }

  /// What became of a beat.
  struct BeatReception: Sendable {
    let origin: OriginID
    let receipt: BeatClock.Receipt
    let events: [MembershipEvent]
  }

  /// Verifies a beat and takes it in.
  /// - Returns: `nil` if no checkpoint is held that it could belong to. Of two origins with one prefix
  ///   the one that came first is heard.
  mutating func accept(
    beat index: UInt64, value: Hash128, prefix: UInt64, hash: some TreeHash, at now: MonotonicTime
  ) -> BeatReception? {
    guard let row = prefixes[prefix], let origin = members[row]?.origin,
      let receipt = members[row]?.accept(beat: index, value: value, hash: hash, at: now)
    else { return nil }
    var events: [MembershipEvent] = []
    if receipt.verdict == .fits { evaluate(row, at: now, into: &events) }
    return BeatReception(origin: origin, receipt: receipt, events: events)
  }

  /// Says whether the log of an origin is complete at its newest checkpoint.
  mutating func setComplete(
    _ isComplete: Bool, for origin: OriginID, at now: MonotonicTime
  ) -> [MembershipEvent] {
    guard let row = rows[origin], members[row]?.isComplete != isComplete else { return [] }
    var events: [MembershipEvent] = []
    members[row]?.isComplete = isComplete
    if isComplete, members[row]?.shownBy != nil { evaluate(row, at: now, into: &events) }
    return events
  }

  /// Watches an origin no longer: one that is in quarantine, or whose log was dropped. No transition is
  /// reported.
  /// - Returns: what is known of its chain.
  mutating func remove(_ origin: OriginID) -> BeatClock? {
    rows[origin].flatMap { drop($0)?.clock }
  }

  // MARK: Time

  /// Grants a pause of this node that ended just now: no origin is judged by its silence meanwhile.
  mutating func grant(_ pause: Span, at now: MonotonicTime) { pauses.note(pause, endedAt: now) }

  /// Says that nobody is heard. Origins that are visible stay so for up to three times their time to
  /// live.
  mutating func beginCutOff() { isCutOff = true }

  /// Says that somebody was heard again after a silence, which is granted to all.
  mutating func endCutOff(silence: Span, at now: MonotonicTime) -> [MembershipEvent] {
    isCutOff = false
    grant(silence, at: now)
    var events: [MembershipEvent] = []
    for row in members.indices { evaluate(row, at: now, into: &events) }
    return events
  }

  /// Evaluates the origins whose deadline has come, and reports what changed.
  ///
  /// - Parameter limit: the most evaluations. If more are due, the deadline is not after `now` on return.
  mutating func advance(
    to now: MonotonicTime, limit: Int = MembershipLimits.evaluationsPerTurn
  ) -> [MembershipEvent] {
    var events: [MembershipEvent] = []
    var rest = limit
    while rest > 0, let first = deadlines.first, first.time <= now {
      evaluate(first.row, at: now, into: &events)
      rest -= 1
    }
    return events
  }

  // MARK: Rows

  private mutating func insert(
    _ origin: OriginID, clock: BeatClock?, at now: MonotonicTime
  ) -> Int? {
    guard rows.count < MembershipLimits.origins else { return nil }
    let row = free.popLast() ?? members.count
    if row == members.count { members.append(nil) }
    members[row] = Member(origin: origin, clock: clock, at: now)
    rows[origin] = row
    return row
  }

  /// Changes a member, and keeps the periods of the visible ones.
  private mutating func update(_ row: Int, _ change: (inout Member) -> Void) {
    guard var member = members[row] else { return }
    let before = member.health.isVisible ? member.clock?.period : nil
    change(&member)
    let after = member.health.isVisible ? member.clock?.period : nil
    unverifiedCount += (member.isVerified ? 0 : 1) - (members[row]?.isVerified == false ? 1 : 0)
    members[row] = member
    guard before != after else { return }
    if let before { periods.remove(before) }
    if let after { periods.insert(after) }
  }

  private mutating func drop(_ row: Int) -> Member? {
    guard let member = members[row] else { return nil }
    update(row) { $0.health = .offline }
    if !member.isVerified { unverifiedCount -= 1 }
    members[row] = nil
    rows[member.origin] = nil
    if prefixes[member.origin.word0] == row { prefixes[member.origin.word0] = nil }
    deadlines.remove(row)
    free.append(row)
    return member
  }

  private mutating func evaluate(
    _ row: Int, at now: MonotonicTime, into events: inout [MembershipEvent]
  ) {
    guard let before = members[row] else { return deadlines.remove(row) }
    let rules = Member.Rules(
      forgetAfter: forgetAfter, isLarge: isLarge, isCutOff: isCutOff,
      grant: before.clock.map { pauses.grant(age: $0.age(at: now), at: now) }
        ?? Span(nanoseconds: 0))
    var verdict = Member.Verdict.forget
    update(row) {
      verdict = $0.evaluate(by: rules, at: now)
      $0.isReported = $0.isReported || !$0.isAwaited
    }
    guard case .keep(let next, let isProbed) = verdict, let after = members[row] else {
      _ = drop(row)
      if before.health.isVisible {
        events.append(
          .changed(
            HealthTransition(origin: before.origin, from: before.health, to: .offline)))
      }
      return events.append(.forgotten(before.origin, before.clock))
    }
    let isOther = (before.health, before.isVerified) != (after.health, after.isVerified)
    if after.isReported && (isOther || !before.isReported) {
      events.append(
        .changed(
          HealthTransition(
            origin: after.origin, from: before.health, to: after.health,
            isVerified: after.isVerified)))
    }
    if before.isTakenUp != after.isTakenUp {
      events.append(after.isTakenUp ? .takenUp(after.origin) : .putBack(after.origin))
    }
    if isProbed { events.append(.probe(after.origin)) }
    // Later than now in any case, so that a turn ends.
    let due = max(next, now + Span(nanoseconds: 1))
    deadlines.set(row, at: isLarge ? due.roundedUp(to: MembershipLimits.largeMeshStep) : due)
  }
}

import MeshCRDT
import Testing

@testable import MeshEngine

@Suite("Failure detection")
struct FailureDetectorTests {
  private let origin = TestOrigin()
  private let detector = Tested(FailureDetector())

  /// The transitions and when they came.
  private func transitions(_ events: [TimedEvent]) -> [String] {
    events.compactMap { event in
      event.transition.map {
        "\(event.milliseconds) \($0.from)-\($0.to)\($0.isVerified ? "" : " unverified")"
      }
    }
  }

  private func probes(_ events: [TimedEvent]) -> [UInt64] {
    events.compactMap { event in
      if case .probe = event.event { event.milliseconds } else { nil }
    }
  }

  // MARK: Thresholds

  @Test("An origin is online, suspect after 1.25 periods, and offline after 2.5")
  func thresholds() {
    #expect(
      detector.accept(origin.sign(), at: at(1000)) == [
        .changed(HealthTransition(origin: origin.id, from: .offline, to: .online))
      ])
    // A thousandth of the time since the reference was set is allowed for drift.
    #expect(
      transitions(detector.run(to: at(60_000))) == [
        "3502 online-suspect", "6005 suspect-offline",
      ])
    #expect(detector.visibleCount == 0)
  }

  @Test("A beat in time keeps an origin online, and its deadline moves")
  func beatsKeepOnline() {
    detector.accept(origin.sign(), at: at(0))
    for beat: UInt64 in 1...100 {
      #expect(transitions(detector.run(to: at(beat * 2000 + 100))) == [])
      #expect(detector.accept(beat, of: origin, at: at(beat * 2000 + 100)) == [])
    }
    #expect(detector.health(origin) == .online)
  }

  @Test("Between two deadlines no origin is evaluated, however many there are")
  func nothingBeforeDeadline() throws {
    for number: UInt64 in 0..<200 {
      detector.accept(TestOrigin(number).sign(), at: at(number))
    }
    let deadline = try #require(detector.deadline)
    #expect(deadline >= at(2200))
    #expect(detector.change { $0.advance(to: deadline - Span(nanoseconds: 1)) } == [])
    #expect(detector.deadline == deadline)
    #expect(detector.change { $0.advance(to: deadline) }.count == 1)
  }

  @Test("A turn evaluates no more origins than it may, and leaves the deadline in the past")
  func turnIsBounded() throws {
    for number: UInt64 in 0..<50 {
      detector.accept(TestOrigin(number).sign(), at: at(0))
    }
    let deadline = try #require(detector.deadline)
    #expect(detector.change { $0.advance(to: deadline, limit: 20) }.count == 20)
    #expect(detector.deadline == deadline)
    #expect(detector.change { $0.advance(to: deadline) }.count == 30)
    #expect(try #require(detector.deadline) > deadline)
  }

  @Test("An origin that said that it leaves has left, is not probed, and is forgotten in time")
  func leaving() {
    detector.accept(origin.sign(), at: at(0))
    let events = detector.accept(origin.sign(beat: 1, isLeaving: true), at: at(2000))
    #expect(
      events == [
        .changed(HealthTransition(origin: origin.id, from: .online, to: .left)),
        .putBack(origin.id),
      ])
    // Nothing of this incarnation is heard any more.
    detector.accept(origin.sign(beat: 2), at: at(4000))
    #expect(detector.health(origin) == .left)
    let later = detector.run(to: at(1_900_000))
    #expect(probes(later) == [])
    #expect(later.count == 1)
    #expect(later.allSatisfy { $0.milliseconds > 1_800_000 })
    #expect(detector.health(origin) == nil)
  }

  @Test("A higher incarnation comes back from leaving, a lower one changes nothing")
  func incarnations() {
    let next = TestOrigin(incarnation: 2)
    detector.accept(origin.sign(isLeaving: true), at: at(0))
    detector.accept(next.sign(), at: at(1000))
    #expect(detector.health(origin) == .online)
    #expect(detector.accept(origin.sign(beat: 9, isLeaving: true), at: at(1500)) == [])
    #expect(detector.health(origin) == .online)
    #expect(detector.accept(1, of: next, at: at(3000)) == [])
    #expect(detector.value.clock(of: origin.id)?.newest == 1)
  }

  @Test("An origin whose age at first contact is beyond the uptime is never shown")
  func oldAtFirstContact() {
    let old = origin.sign(age: .seconds(40 * 3600), isOwnWord: false)
    #expect(
      detector.accept(old, at: at(1_680_000)) == [
        reported(.offline), .putBack(origin.id), .probe(origin.id),
      ])
    let events = detector.run(to: at(1_680_000 + 11_000))
    #expect(transitions(events) == [])
    // It is given ten seconds to be heard better, and then forgotten.
    #expect(
      events.last
        == TimedEvent(
          time: 1_690_000_000_000,
          event: .forgotten(origin.id, events.last.flatMap { forgotten($0.event) })))
    #expect(detector.count == 0)
  }

  /// The first health of an origin.
  private func reported(_ health: NodeHealth) -> MembershipEvent {
    .changed(HealthTransition(origin: origin.id, from: .offline, to: health))
  }

  private func forgotten(_ event: MembershipEvent) -> BeatClock? {
    if case .forgotten(_, let clock) = event { clock } else { nil }
  }

  // MARK: Coming back

  @Test("An origin is shown when its log is complete, and nothing is said of it before")
  func shownWhenComplete() {
    #expect(detector.accept(origin.sign(), isComplete: false, at: at(0)) == [])
    #expect(detector.health(origin) == .offline)
    #expect(
      detector.change { $0.setComplete(true, for: origin.id, at: at(300)) } == [
        .changed(HealthTransition(origin: origin.id, from: .offline, to: .online))
      ])
  }

  @Test("An origin whose log does not become complete is shown a second later")
  func shownAfterSecond() {
    detector.accept(origin.sign(), isComplete: false, at: at(0))
    detector.accept(1, of: origin, at: at(600))
    #expect(transitions(detector.run(to: at(1500))) == ["1000 offline-online"])
  }

  @Test("A visible origin stays visible while its log is incomplete")
  func visibleStays() {
    detector.accept(origin.sign(), at: at(0))
    #expect(detector.accept(origin.sign(beat: 1), isComplete: false, at: at(2000)) == [])
    #expect(detector.health(origin) == .online)
    #expect(transitions(detector.run(to: at(4600))) == ["4502 online-suspect"])
  }

  @Test("An origin that is silent again before its log is complete is not shown")
  func notShownWhenSilent() {
    let quick = TestOrigin(2, period: ms(100))
    detector.accept(quick.sign(), isComplete: false, at: at(0))
    #expect(transitions(detector.run(to: at(5000))) == ["250 offline-offline"])
  }

  // MARK: Probes

  @Test("In a small mesh a silent origin is probed from 1.1 periods on, more and more seldom")
  func probesBackOff() {
    detector.accept(origin.sign(), at: at(0))
    let probes = probes(detector.run(to: at(1_000_000)))
    #expect(Array(probes.prefix(3)) == [2202, 4202, 6202])
    let pauses = zip(probes, probes.dropFirst()).map { $1 - $0 }
    #expect(pauses == pauses.sorted())
    #expect(pauses.last == 60_000)
    #expect(probes.count < 40)
  }

  @Test("In a large mesh a visible origin is probed from 1.5 periods on, every quarter period")
  func probesInLargeMesh() {
    detector.value.isLarge = true
    detector.accept(origin.sign(), at: at(0))
    let probes = probes(detector.run(to: at(5000)))
    #expect(probes == [3008, 3520, 4032, 4544])
  }

  @Test("A newer sign of life ends the probes")
  func beatEndsProbes() {
    detector.accept(origin.sign(), at: at(0))
    #expect(probes(detector.run(to: at(2300))) == [2202])
    detector.accept(1, of: origin, at: at(2300))
    #expect(probes(detector.run(to: at(4100))) == [])
    #expect(probes(detector.run(to: at(4250))) == [4204])
  }

  // MARK: Pauses and cuts

  @Test("A pause of this node is granted to the others once until they are heard again")
  func pauseIsGrantedOnce() {
    detector.accept(origin.sign(), at: at(0))
    detector.change { $0.grant(.seconds(60), at: at(61_000)) }
    #expect(detector.run(to: at(61_000)) == [])
    #expect(
      transitions(detector.run(to: at(70_000))) == [
        "62562 online-suspect", "65065 suspect-offline",
      ])
  }

  @Test("A node whose timers are always late hides the dead at most one pause later")
  func lateTimers() {
    detector.accept(origin.sign(), at: at(0))
    var hiddenAt: UInt64?
    for tick: UInt64 in 1...40 where hiddenAt == nil {
      let now = at(tick * 550)
      detector.change { $0.grant(ms(550), at: now) }
      for event in detector.run(to: now) where event.transition?.to == .offline {
        hiddenAt = tick * 550
      }
    }
    // 5.0 s of life and 0.55 s of grace, at the next tick.
    #expect(hiddenAt == 6050)
  }

  @Test("A pause does not bring back an origin that was hidden before it")
  func pauseRevivesNobody() {
    detector.accept(origin.sign(), at: at(0))
    detector.run(to: at(6000))
    #expect(detector.health(origin) == .offline)
    detector.change { $0.grant(.seconds(100), at: at(106_000)) }
    #expect(transitions(detector.run(to: at(120_000))) == [])
  }

  @Test("A beat that was held back brings nobody back, whatever pause was granted")
  func heldBeatRevivesNobody() {
    detector.accept(origin.sign(), at: at(0))
    detector.run(to: at(106_000))
    detector.change { $0.grant(.seconds(100), at: at(106_000)) }
    detector.accept(1, of: origin, at: at(106_000))
    #expect(detector.health(origin) == .offline)
  }

  @Test("Beats that waited in the socket during a pause do not end its grant")
  func socketBacklog() {
    detector.accept(origin.sign(), at: at(0))
    detector.change { $0.grant(.seconds(60), at: at(61_000)) }
    for beat: UInt64 in 1...5 { #expect(detector.accept(beat, of: origin, at: at(61_000)) == []) }
    #expect(transitions(detector.run(to: at(62_000))) == [])
    #expect(detector.accept(31, of: origin, at: at(62_000)) == [])
    // From then on the time that was lost does not count.
    #expect(
      transitions(detector.run(to: at(70_000))) == [
        "64502 online-suspect", "67005 suspect-offline",
      ])
  }

  @Test("Who died behind a pause is hidden one time to live after it, whatever was heard since")
  func deadAfterPause() {
    detector.accept(origin.sign(), at: at(0))
    detector.change { $0.grant(.seconds(18), at: at(20_000)) }
    // The beat of 14 s, which somebody else had heard: 6 s of the pause lie behind it.
    detector.accept(7, of: origin, at: at(23_000))
    #expect(detector.health(origin) == .suspect)
    #expect(transitions(detector.run(to: at(60_000))) == ["25000 suspect-offline"])
  }

  @Test("An origin is put back when it is hidden, and taken up when it waits to be shown")
  func puttingBack() {
    func marks(_ events: [MembershipEvent]?) -> [MembershipEvent] {
      (events ?? []).filter { $0 == .putBack(origin.id) || $0 == .takenUp(origin.id) }
    }
    // It was heard of before it is first shown.
    #expect(marks(detector.accept(origin.sign(), isComplete: false, at: at(0))) == [])
    #expect(marks(detector.run(to: at(4900)).map(\.event)) == [])
    #expect(marks(detector.run(to: at(6000)).map(\.event)) == [.putBack(origin.id)])
    // Its next sign of life finds it incomplete: it waits, and falls silent before it is shown.
    #expect(marks(detector.accept(3, of: origin, at: at(6100))) == [.takenUp(origin.id)])
    #expect(detector.health(origin) == .offline)
    #expect(marks(detector.run(to: at(12_000)).map(\.event)) == [.putBack(origin.id)])
    // A new life is taken up whole until it is judged.
    let old = TestOrigin(incarnation: 2).sign(age: .seconds(60), isOwnWord: false)
    #expect(
      marks(detector.accept(old, isComplete: false, at: at(100_000))) == [.putBack(origin.id)])
  }

  @Test("A node that is cut off hides nobody before three times the time to live, then unverified")
  func cutOff() {
    detector.accept(origin.sign(), at: at(0))
    detector.run(to: at(2500))
    detector.change { $0.beginCutOff() }
    #expect(
      transitions(detector.run(to: at(60_000))) == [
        "2502 online-suspect", "15015 suspect-offline unverified",
      ])
    #expect(!detector.value.isVerified(origin.id))
  }

  @Test("When others are heard again, who is hidden unverified is verified or seen")
  func cutOffEnds() {
    let other = TestOrigin(2)
    detector.accept(origin.sign(), at: at(0))
    detector.accept(other.sign(), at: at(0))
    detector.change { $0.beginCutOff() }
    detector.run(to: at(20_000))
    #expect(detector.change { $0.endCutOff(silence: ms(20_000), at: at(20_000)) }.count == 2)
    #expect(detector.value.isVerified(origin.id))
    #expect(detector.health(origin) == .offline)
    detector.accept(10, of: other, at: at(20_000))
    #expect(detector.health(other) == .online)
    #expect(detector.health(origin) == .offline)
  }

  @Test("The silence of a cut is granted to those that are still visible")
  func silenceIsGranted() {
    detector.accept(origin.sign(), at: at(0))
    detector.run(to: at(2500))
    detector.change { $0.beginCutOff() }
    detector.run(to: at(10_000))
    #expect(detector.health(origin) == .suspect)
    #expect(detector.change { $0.endCutOff(silence: ms(10_000), at: at(10_000)) }.count == 1)
    #expect(detector.health(origin) == .online)
    #expect(
      transitions(detector.run(to: at(20_000))) == [
        "12500 online-suspect", "15000 suspect-offline",
      ])
  }

  @Test("A cut does not bring back an origin that was hidden before it")
  func cutRevivesNobody() {
    detector.accept(origin.sign(), at: at(0))
    detector.run(to: at(6000))
    detector.change { $0.beginCutOff() }
    #expect(transitions(detector.run(to: at(30_000))) == [])
    #expect(detector.value.isVerified(origin.id))
  }

  // MARK: Bounds

  @Test(
    "A cut shows nobody who is heard of behind it and was silent too long",
    arguments: [false, true])
  func cutGrantsNothingToNews(isRemembered: Bool) {
    // Of a dead origin a node hears from others, when it is not cut off any more; it may have known it before.
    var remembered: BeatClock?
    if isRemembered {
      detector.accept(origin.sign(isOwnWord: false), at: at(100))
      remembered = detector.change { $0.remove(origin.id) }
    }
    detector.change { $0.beginCutOff() }
    detector.change { _ = $0.endCutOff(silence: ms(20_000), at: at(30_000)) }
    // Its newest beat was due at 20 s, and is 10 s old.
    detector.accept(
      origin.sign(beat: 10, age: ms(10_000), isOwnWord: false), isComplete: false,
      remembered: remembered, at: at(30_000))
    #expect(detector.run(to: at(40_000)).allSatisfy { $0.transition?.to != .online })
    #expect(detector.health(origin) == .offline)
    // A new sign of life shows it.
    detector.accept(20, of: origin, at: at(40_100))
    detector.run(to: at(41_200))
    #expect(detector.health(origin) == .online)
  }

  @Test("Origins without a checkpoint are not shown, and forgotten after ten seconds")
  func withoutCheckpoint() {
    #expect(detector.change { $0.open(origin.id, at: at(0)) } == [])
    #expect(detector.change { $0.open(origin.id, at: at(0)) } == [])
    #expect(detector.health(origin) == .offline)
    #expect(detector.accept(1, of: origin, at: at(10)) == nil)
    #expect(detector.change { $0.open(origin.id, at: at(9000)) } == [])
    #expect(
      detector.run(to: at(1_900_000)) == [
        TimedEvent(time: 10_000_000_000, event: .forgotten(origin.id, nil))
      ])
  }

  @Test(
    "A new life is not shown by the beats of the one before, and what was told of that is taken back"
  )
  func newLife() {
    detector.accept(origin.sign(), at: at(0))
    #expect(
      detector.change { $0.open(origin.id, isNewLife: true, at: at(100)) } == [
        .changed(HealthTransition(origin: origin.id, from: .online, to: .offline))
      ])
    #expect(detector.value.reportedHealth(of: origin.id) == .offline)
    #expect(detector.accept(1, of: origin, at: at(200)) == nil)
    #expect(
      detector.accept(TestOrigin(incarnation: 2).sign(), at: at(300)) == [
        .changed(HealthTransition(origin: origin.id, from: .offline, to: .online))
      ])
  }

  @Test("Beyond 4,096 origins a further one is refused, until one goes")
  func bound() {
    for number: UInt64 in 1...4096 {
      #expect(detector.change { $0.open(testOrigin(number), at: at(0)) } != nil)
    }
    #expect(detector.change { $0.open(testOrigin(5000), at: at(0)) } == nil)
    #expect(detector.accept(TestOrigin(5000).sign(), at: at(0)) == nil)
    _ = detector.change { $0.remove(testOrigin(17)) }
    #expect(detector.accept(TestOrigin(5000).sign(), at: at(0))?.count == 1)
    #expect(detector.count == 4096)
  }

  @Test("A forgotten origin that is taken up again keeps what was known of its age")
  func remembered() {
    detector.accept(origin.sign(), at: at(0))
    let clock = detector.change { $0.remove(origin.id) }
    #expect(detector.deadline == nil)
    #expect(detector.visibleCount == 0)
    // Another origin has its row by now.
    detector.accept(TestOrigin(2).sign(), at: at(1000))
    #expect(detector.accept(1, of: origin, at: at(2000)) == nil)
    detector.accept(
      origin.sign(beat: 1, age: ms(0), isOwnWord: false), remembered: clock, at: at(62_000))
    #expect(detector.health(origin) == .offline)
    #expect(detector.value.clock(of: origin.id)?.age(at: at(62_000)).milliseconds == 59_938)
  }

  @Test("The typical period is the lower median of the visible origins")
  func typicalPeriod() {
    let periods: [UInt64] = [2000, 3_600_000, 500, 3_600_000]
    for (number, period) in periods.enumerated() {
      detector.accept(TestOrigin(UInt64(number), period: ms(period)).sign(), at: at(0))
    }
    #expect(detector.typicalPeriod == ms(2000))
    detector.run(to: at(1300))
    #expect(detector.health(TestOrigin(2)) == .offline)
    #expect(detector.typicalPeriod == ms(3_600_000))
    detector.run(to: at(6000))
    #expect(detector.visibleCount == 2)
  }

  // MARK: Against a plain evaluation

  @Test("Deadlines miss nothing: at any time, healths are those of the ages", arguments: 0..<20)
  func deadlinesMissNothing(seed: Int) {
    var random = RandomSource(seed: UInt64(seed))
    let origins = (0..<24).map { number in
      TestOrigin(UInt64(number), period: ms(UInt64(100 + random.below(3000))))
    }
    for origin in origins {
      detector.accept(
        origin.sign(age: ms(UInt64(random.below(4000))), isOwnWord: random.chance(0.5)),
        at: at(1000))
    }
    var now = at(1000)
    for _ in 0..<600 {
      now = now + Span(nanoseconds: UInt64(random.below(60_000_000)))
      let origin = origins[random.below(origins.count)]
      let due = origin.schedule.beat(at: now)
      if random.chance(0.6) {
        detector.accept(due > 3 ? due - UInt64(random.below(3)) : due, of: origin, at: now)
      }
      detector.run(to: now)
      for origin in origins {
        guard let clock = detector.value.clock(of: origin.id) else { continue }
        let age = clock.age(at: now)
        let expected: NodeHealth =
          age < clock.timeToLive.scaled(1, over: 2)
          ? .online : age < clock.timeToLive ? .suspect : .offline
        #expect(detector.health(origin) == expected)
      }
    }
  }
}

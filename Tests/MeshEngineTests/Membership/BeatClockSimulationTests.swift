import MeshCRDT
import Testing

@testable import MeshEngine

/// A receiver in a ``BeatWorld``: a failure detector that hears what arrives.
private struct Receiver {
  let world: BeatWorld
  let detector = Tested(FailureDetector())
  /// Where the receiver is in the list of arrivals.
  private var next = 0

  init(_ world: BeatWorld) { self.world = world }

  var origin: OriginID { world.chains[0].id }

  /// Hears everything up to a true time, and lets the detector evaluate what is due by then.
  mutating func run(to time: Int64, before step: (BeatWorld.Arrival) -> Void = { _ in }) {
    while next < world.arrivals.count, world.arrivals[next].time <= time {
      let arrival = world.arrivals[next]
      next += 1
      step(arrival)
      hear(arrival)
    }
    detector.run(to: world.receiverClock.reading(at: time))
  }

  private func hear(_ arrival: BeatWorld.Arrival) {
    let now = world.receiverClock.reading(at: arrival.time)
    detector.run(to: now)
    switch arrival.word {
    case .beat(let chain, let index):
      // A beat names no chain: it is tried by the one that is held.
      detector.accept(index, of: world.chains[chain], at: now)
    case .checkpoint(let chain, let index, let age, let isOwnWord):
      let origin = world.chains[chain]
      detector.accept(origin.sign(beat: index, age: age, isOwnWord: isOwnWord), at: now)
    }
  }

  /// The age of the newest sign of life by the receiver, in nanoseconds.
  func age(at time: Int64) -> Int64? {
    detector.value.clock(of: origin).map {
      Int64(clamping: $0.age(at: world.receiverClock.reading(at: time)).nanoseconds)
    }
  }

  /// The true time since the moment of the newest beat that the receiver knows.
  func trueAge(at time: Int64) -> Int64? {
    guard let clock = detector.value.clock(of: origin) else { return nil }
    return world.beats.last { UInt64($0.chain) + 1 == clock.chain && $0.index == clock.newest }
      .map { time - $0.moment }
  }
}

@Suite("Ages of beats, from many seeds")
struct BeatClockSimulationTests {
  /// Loss, pauses and relays that hold beats back; at the end nothing comes but what was held back. The
  /// chain changes while beats come, or afterwards.
  private static func hostile(_ seed: Int) -> BeatWorld.Settings {
    BeatWorld.Settings(
      loss: 0.1, pauses: 0.05, held: 0.7, beats: 160, renewalAfter: seed % 2 == 0 ? 70 : 120,
      directPart: 0.6)
  }

  /// What an age may be too small by: the least latency, and two thousandths of the time since a beat
  /// came within it.
  private static func bound(since time: Int64, until now: Int64) -> Int64 {
    80_000_000 + (now - time) / 1000 * 201 / 100 + 100_000
  }

  @Test(
    "Whatever relays do, no sign of life is taken for younger than the bound", arguments: 0..<60)
  func noneIsYounger(seed: Int) {
    let world = BeatWorld(seed: UInt64(seed), Self.hostile(seed))
    var receiver = Receiver(world)
    // Beats in time that the receiver has heard: latency below 80 ms, and sent at their moment.
    let inTime = world.beats.filter { beat in
      beat.arrival.map { $0 - beat.moment <= 80_000_000 } ?? false
    }
    var checked = 0
    for step in 1...400 {
      let now =
        60_000_000_000 + (world.lastSent + 400_000_000_000 - 60_000_000_000) * Int64(step) / 400
      receiver.run(to: now)
      guard let last = inTime.last(where: { ($0.arrival ?? now) <= now })?.arrival,
        let age = receiver.age(at: now), let trueAge = receiver.trueAge(at: now)
      else { continue }
      #expect(age >= trueAge - Self.bound(since: last, until: now), "at step \(step)")
      checked += 1
    }
    #expect(checked > 300)
  }

  @Test(
    "A dead origin is offline at the latest its time to live and the bound after its last beat",
    arguments: 0..<60)
  func deadAreHidden(seed: Int) throws {
    let world = BeatWorld(seed: 1000 + UInt64(seed), Self.hostile(seed))
    var receiver = Receiver(world)
    let last = try #require(
      world.beats.last { beat in beat.arrival.map { $0 - beat.moment <= 80_000_000 } ?? false }?
        .arrival)
    let timeToLive = Int64(
      world.chains.map { $0.schedule.period.scaled(5, over: 2).nanoseconds }.max() ?? 0)
    let due = world.lastSent + timeToLive
    let latest = due + 2 * Self.bound(since: last, until: due)
    receiver.run(to: latest)
    #expect(receiver.detector.health(world.chains[0]) == .offline)
    // And stays so, whatever comes later.
    for minute in 1...6 {
      receiver.run(to: latest + Int64(minute) * 60_000_000_000)
      #expect(receiver.detector.health(world.chains[0]) == .offline)
    }
  }

  @Test(
    "A living origin whose beats come within a fifth of its period is never suspect",
    arguments: 0..<30)
  func livingAreOnline(seed: Int) {
    let extremes: [(Int64, Int64)] = [(500, -500), (-500, 500), (500, 500), (0, 0)]
    let world = BeatWorld(
      seed: 2000 + UInt64(seed),
      BeatWorld.Settings(
        latencyMilliseconds: 1...400, held: 0.5, beats: 600, renewalAfter: 1000),
      drift: seed % 5 == 4 ? nil : extremes[seed % 5])
    #expect(world.arrivals.count > 600)
    #expect(Self.changes(of: world, until: world.lastSent) == [.online])
  }

  @Test("Over the days of a whole chain, a slow and a fast origin are never suspect")
  func driftOverDays() {
    for drift: (Int64, Int64) in [(500, -500), (-500, 500)] {
      let world = BeatWorld(
        seed: 7,
        BeatWorld.Settings(
          periodMilliseconds: 60_000, latencyMilliseconds: 1...9000, beats: 4000), drift: drift)
      #expect(Self.changes(of: world, until: world.lastSent) == [.online])
    }
  }

  @Test("An age never shrinks but by a newer sign of life, and never grows faster than time")
  func agesGrowSteadily() {
    for seed in 0..<30 {
      let world = BeatWorld(seed: 3000 + UInt64(seed), Self.hostile(seed))
      var receiver = Receiver(world)
      var before: (age: Int64, time: Int64, chain: UInt64, newest: UInt64)?
      for step in 1...800 {
        let now = 60_000_000_000 + Int64(step) * 700_000_000
        receiver.run(to: now)
        guard let age = receiver.age(at: now),
          let clock = receiver.detector.value.clock(of: receiver.origin)
        else { continue }
        #expect(age >= 0)
        let time = Int64(clamping: world.receiverClock.reading(at: now).nanoseconds)
        if let before, (before.chain, before.newest) == (clock.chain, clock.newest),
          !clock.takesToldAges
        {
          let elapsed = time - before.time
          #expect(age - before.age >= elapsed - elapsed / 1000 - 2)
          #expect(age - before.age <= elapsed)
        }
        before = (age, time, clock.chain, clock.newest)
      }
    }
  }

  @Test("A relay that tells smaller ages at first contact is outvoted by one that tells the truth")
  func smallerAgesAreOutvoted() {
    for seed in 0..<100 {
      var random = RandomSource(seed: 4000 + UInt64(seed))
      let origin = TestOrigin(UInt64(seed))
      let silence = ms(UInt64(5001 + random.below(600_000)))
      let honest = random.below(6)
      let ages = (0..<6).map { $0 == honest ? silence : ms(UInt64(random.below(5000))) }
      let detector = Tested(FailureDetector())
      let start = at(700_000)
      for age in ages {
        detector.accept(origin.sign(beat: 9, age: age, isOwnWord: false), at: start)
      }
      #expect(detector.health(origin) == .offline)
    }
  }

  /// The healths of an origin, one after another.
  private static func changes(of world: BeatWorld, until end: Int64) -> [NodeHealth] {
    var healths: [NodeHealth] = []
    let detector = Tested(FailureDetector())
    func note(_ events: [MembershipEvent]) {
      for case .changed(let transition) in events { healths.append(transition.to) }
    }
    for arrival in world.arrivals where arrival.time <= end {
      let now = world.receiverClock.reading(at: arrival.time)
      note(detector.run(to: now).map(\.event))
      switch arrival.word {
      case .beat(let chain, let index):
        note(detector.accept(index, of: world.chains[chain], at: now) ?? [])
      case .checkpoint(let chain, let index, let age, let isOwnWord):
        let sign = world.chains[chain].sign(beat: index, age: age, isOwnWord: isOwnWord)
        note(detector.accept(sign, at: now) ?? [])
      }
    }
    return healths
  }
}

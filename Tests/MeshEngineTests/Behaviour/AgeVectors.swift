import MeshCRDT

@testable import MeshEngine

/// Checkpoints and beats of one origin, with the times at which they come, and the ages that follow.
struct AgeVectors {
  private let name: String
  private var steps: [[String: Any]] = []
  private var clock: BeatClock?
  private var origin: TestOrigin

  private init(_ name: String, period: UInt64 = 2000) {
    self.name = name
    origin = TestOrigin(period: ms(period))
  }

  /// A checkpoint of the present chain comes.
  private mutating func checkpoint(
    _ beat: UInt64, age: UInt64 = 0, own: Bool, at time: UInt64
  ) {
    let terms = origin.terms(beat: beat)
    if clock == nil {
      clock = BeatClock(terms, age: ms(age), isOwnWord: own, at: at(time))
    } else {
      _ = clock?.accept(terms, age: ms(age), isOwnWord: own, at: at(time))
    }
    note(
      [
        "checkpoint": [
          "incarnation": terms.incarnation.counter, "chain": terms.chain,
          "schedule": terms.schedule, "offset": terms.offset.milliseconds,
          "period": terms.period.milliseconds, "beat": beat, "age": age, "own_word": own,
        ] as [String: Any]
      ], at: time)
  }

  private mutating func beat(_ index: UInt64, at time: UInt64) {
    let value = origin.value(index)
    let receipt = clock?.accept(
      beat: index, value: value, of: origin.id, hash: mixing, at: at(time))
    note(["beat": index, "fits": receipt?.verdict == .fits], at: time)
  }

  private mutating func silence(until time: UInt64) { note([:], at: time) }

  private mutating func note(_ step: [String: Any], at time: UInt64) {
    guard let clock else { return }
    var step = step
    let age = clock.age(at: at(time))
    step["at"] = time
    step["age_microseconds"] = age.nanoseconds / 1000
    step["health"] =
      age >= clock.timeToLive
      ? "offline" : age >= clock.timeToLive.scaled(1, over: 2) ? "suspect" : "online"
    steps.append(step)
  }

  private var described: [String: Any] { ["name": name, "steps": steps] }

  static func cases() -> [Any] {
    var result: [Any] = []
    func add(_ name: String, period: UInt64 = 2000, _ body: (inout AgeVectors) -> Void) {
      var one = AgeVectors(name, period: period)
      body(&one)
      result.append(one.described)
    }
    add("beats in time, then silence") {
      $0.checkpoint(0, own: true, at: 1000)
      for index in 1...3 as ClosedRange<UInt64> { $0.beat(index, at: 1000 + 2000 * index) }
      for time in [8000, 9499, 9500, 11_999, 12_000, 20_000] as [UInt64] { $0.silence(until: time) }
    }
    add("a beat that is held back makes nobody younger") {
      $0.checkpoint(0, own: true, at: 0)
      $0.beat(1, at: 2000)
      $0.beat(2, at: 9000)
      $0.beat(3, at: 9500)
      $0.silence(until: 11_500)
    }
    add("the largest age that others tell counts until 2.5 periods after first contact") {
      $0.checkpoint(5, age: 1000, own: false, at: 100_000)
      $0.checkpoint(5, age: 4000, own: false, at: 100_500)
      $0.checkpoint(5, age: 20, own: false, at: 100_600)
      $0.beat(6, at: 101_000)
      $0.beat(7, at: 103_000)
      $0.beat(8, at: 105_000)
      $0.silence(until: 106_000)
    }
    add("the origin's own word ends what others told") {
      $0.checkpoint(5, age: 60_000, own: false, at: 100_000)
      $0.checkpoint(5, age: 300, own: true, at: 100_100)
      $0.silence(until: 101_100)
    }
    add("a checkpoint of a higher chain goes on with the schedule") {
      $0.checkpoint(4, own: true, at: 8000)
      $0.origin.renew(.periodChanged, at: at(9000), period: ms(3000))
      $0.checkpoint(0, own: true, at: 9700)
      $0.beat(1, at: 12_000)
      $0.silence(until: 14_000)
    }
    add("a chain of another schedule is a first contact") {
      $0.checkpoint(4, own: true, at: 8000)
      $0.beat(6, at: 12_000)
      $0.origin.renew(.clockStoodStill, at: at(50_000), period: ms(2000))
      $0.checkpoint(0, own: false, at: 60_000)
      $0.beat(1, at: 62_000)
    }
    add("a higher incarnation is a first contact, a lower one says nothing") {
      $0.checkpoint(9, own: true, at: 18_000)
      let old = $0.origin
      $0.origin = TestOrigin(incarnation: 2, startingAt: at(20_000))
      $0.checkpoint(0, age: 5, own: true, at: 20_005)
      let new = $0.origin
      $0.origin = old
      $0.checkpoint(10, own: true, at: 20_100)
      $0.origin = new
      $0.beat(1, at: 22_000)
    }
    add("a reference drifts by a thousandth of the time that has passed", period: 60_000) {
      $0.checkpoint(0, own: true, at: 0)
      $0.beat(1, at: 60_000)
      $0.beat(2, at: 119_970)
      $0.beat(100, at: 6_005_000)
      $0.silence(until: 6_200_000)
    }
    add("a beat more than 512 ahead is not verified") {
      $0.checkpoint(3, own: true, at: 6000)
      $0.beat(516, at: 1_032_000)
      $0.beat(515, at: 1_032_100)
      $0.beat(516, at: 1_032_200)
    }
    return result
  }
}

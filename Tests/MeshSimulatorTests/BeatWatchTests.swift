import MeshCRDT
import Testing

@testable import MeshEngine
@testable import MeshSimulator

/// A clock of an origin's beats, as an engine keeps it, and the watch that says how old it must believe it to be.
@Suite("What the checks of dead origins excuse")
struct BeatWatchTests {
  private struct NoHash: TreeHash {
    func hash128(_ bytes: [UInt8]) -> Hash128 { .empty }
    func hash256(_ bytes: [UInt8]) -> Hash256 { Hash256(.empty, .empty) }
  }

  private let origin = OriginID(1, 2, 3, 4)
  private let incarnation: Incarnation
  private var clock: BeatClock
  private var watch = BeatWatch()

  /// The node hears of the origin at 60 s. Its beats are due each 2 s from 0 s on.
  init() throws {
    incarnation = try #require(Incarnation(counter: 1, nonce: 1))
    clock = BeatClock(
      Self.terms(incarnation, beat: 0), age: .seconds(0), isOwnWord: true,
      at: MonotonicTime(milliseconds: 0))
  }

  private static func terms(_ incarnation: Incarnation, beat: UInt64) -> ChainTerms {
    ChainTerms(
      incarnation: incarnation, chain: 1, schedule: 1, offset: .seconds(0), period: .seconds(2),
      beat: beat, value: .empty)
  }

  private func nanoseconds(_ milliseconds: UInt64) -> UInt64 { milliseconds * World.millisecond }

  private func standing(at milliseconds: UInt64) -> BeatStanding {
    BeatStanding(
      schedule: .init(incarnation: incarnation, number: clock.schedule), chain: clock.chain,
      index: clock.newest, age: clock.age(at: MonotonicTime(milliseconds: milliseconds)),
      isTold: clock.takesToldAges)
  }

  private mutating func note(at milliseconds: UInt64) {
    watch.note(standing(at: milliseconds), of: origin, at: nanoseconds(milliseconds))
  }

  private mutating func meet(beat: UInt64, age: UInt64, isOwnWord: Bool, at milliseconds: UInt64) {
    clock = BeatClock(
      Self.terms(incarnation, beat: beat), age: .milliseconds(age), isOwnWord: isOwnWord,
      at: MonotonicTime(milliseconds: milliseconds))
    note(at: milliseconds)
  }

  private mutating func hear(beat: UInt64, at milliseconds: UInt64) {
    let receipt = clock.accept(
      beat: beat, value: .empty, of: origin, hash: NoHash(),
      at: MonotonicTime(milliseconds: milliseconds))
    #expect(receipt.verdict == .fits)
    note(at: milliseconds)
  }

  private func silence(
    diedAt: UInt64, at milliseconds: UInt64, areLies: Bool = false
  ) -> BeatWatch.Silence {
    watch.silence(
      of: origin, diedAt: nanoseconds(diedAt), standing(at: milliseconds), areLies: areLies)
  }

  /// The age that the clock believes is the silence that the watch demands, but for the drift.
  private func expectExact(diedAt: UInt64, at milliseconds: UInt64) {
    let silence = silence(diedAt: diedAt, at: milliseconds)
    let span = (nanoseconds(milliseconds) - silence.since) / World.millisecond
    let age = standing(at: milliseconds).age.milliseconds
    #expect(age + silence.allowance / World.millisecond + span / 500 + 1 >= span)
    #expect(age <= span + 1)
  }

  @Test("A late beat, after a first contact through others, counts from its coming, no later")
  mutating func lateSign() {
    // Others have not heard of it for 50 s. It dies at 90 s; its beat of then comes at 130 s.
    meet(beat: 5, age: 50_000, isOwnWord: false, at: 60_000)
    #expect(silence(diedAt: 90_000, at: 60_000).since == nanoseconds(90_000))
    hear(beat: 45, at: 130_000)
    #expect(standing(at: 130_000).age.milliseconds < 100)
    #expect(
      silence(diedAt: 90_000, at: 130_000)
        == BeatWatch.Silence(since: nanoseconds(130_000), allowance: 0))
    // What is known already is no sign.
    note(at: 140_000)
    #expect(silence(diedAt: 90_000, at: 140_000).since == nanoseconds(130_000))
    for time: UInt64 in [131_000, 135_000, 190_000] { expectExact(diedAt: 90_000, at: time) }
  }

  @Test("While told ages count nothing is excused but a period")
  mutating func toldAge() {
    meet(beat: 20, age: 20_000, isOwnWord: false, at: 60_000)
    hear(beat: 28, at: 64_000)
    #expect(standing(at: 64_000).isTold)
    #expect(
      silence(diedAt: 57_000, at: 64_000)
        == BeatWatch.Silence(since: nanoseconds(57_000), allowance: BeatWatch.period))
  }

  @Test("Where members lie, an age that one told counts from its coming while told ages count")
  mutating func lie() {
    meet(beat: 20, age: 0, isOwnWord: false, at: 60_000)
    #expect(
      silence(diedAt: 50_000, at: 61_000, areLies: true)
        == BeatWatch.Silence(since: nanoseconds(60_000), allowance: BeatWatch.period))
    #expect(silence(diedAt: 50_000, at: 61_000).since == nanoseconds(50_000))
    // The origin itself has spoken.
    meet(beat: 30, age: 0, isOwnWord: true, at: 62_000)
    #expect(silence(diedAt: 50_000, at: 63_000, areLies: true).since == nanoseconds(50_000))
  }

  @Test("Whom the origin itself spoke to is excused a period, whatever comes late")
  mutating func ownWord() {
    meet(beat: 30, age: 0, isOwnWord: true, at: 61_900)
    hear(beat: 45, at: 130_000)
    #expect(
      silence(diedAt: 90_500, at: 130_000)
        == BeatWatch.Silence(since: nanoseconds(90_500), allowance: BeatWatch.period))
    expectExact(diedAt: 90_500, at: 130_000)
  }

  @Test("The origin's own word soon after first contact through others is a first contact by it")
  mutating func ownWordSoonAfter() {
    meet(beat: 29, age: 500, isOwnWord: false, at: 60_000)
    _ = clock.accept(
      Self.terms(incarnation, beat: 30), age: .seconds(0), isOwnWord: true,
      at: MonotonicTime(milliseconds: 61_000))
    note(at: 61_000)
    hear(beat: 45, at: 130_000)
    #expect(silence(diedAt: 90_000, at: 130_000).since == nanoseconds(90_000))
    expectExact(diedAt: 90_000, at: 130_000)
  }

  @Test("A beat that came in time excuses nothing")
  mutating func timely() {
    meet(beat: 20, age: 20_000, isOwnWord: false, at: 60_000)
    hear(beat: 34, at: 68_010)
    watch.noteTimely(origin, standing(at: 68_010).schedule)
    hear(beat: 45, at: 130_000)
    #expect(
      silence(diedAt: 90_000, at: 130_000)
        == BeatWatch.Silence(since: nanoseconds(90_000), allowance: 0))
    expectExact(diedAt: 90_000, at: 130_000)
  }

  @Test("A schedule is met anew: what was late in the one before excuses nothing in it")
  mutating func nextSchedule() {
    meet(beat: 20, age: 20_000, isOwnWord: false, at: 60_000)
    hear(beat: 40, at: 80_500)
    clock = BeatClock(
      ChainTerms(
        incarnation: incarnation, chain: 2, schedule: 2, offset: .seconds(0), period: .seconds(2),
        beat: 0, value: .empty), age: .seconds(0), isOwnWord: true,
      at: MonotonicTime(milliseconds: 84_000))
    note(at: 84_000)
    hear(beat: 2, at: 130_000)
    #expect(
      silence(diedAt: 89_000, at: 130_000)
        == BeatWatch.Silence(since: nanoseconds(89_000), allowance: BeatWatch.period))
  }
}

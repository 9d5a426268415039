import MeshCRDT
import Testing

@testable import MeshEngine

@Suite("Clocks of others' beats")
struct BeatClockTests {
  private let origin = TestOrigin()

  private func clock(
    beat: UInt64 = 0, age: Span = ms(0), isOwnWord: Bool = true, at now: MonotonicTime
  ) -> Tested<BeatClock> {
    Tested(BeatClock(origin.terms(beat: beat), age: age, isOwnWord: isOwnWord, at: now))
  }

  // MARK: Verifying

  @Test("A beat costs as many hashes as beats were missed")
  func priceOfBeat() {
    let clock = clock(at: at(0))
    #expect(clock.accept(1, of: origin, at: at(2000)) == .init(verdict: .fits, hashes: 1))
    #expect(clock.accept(8, of: origin, at: at(16_000)) == .init(verdict: .fits, hashes: 7))
    #expect(clock.newest == 8)
    #expect(clock.value.value == origin.value(8))
  }

  @Test("An old, repeated or overtaken beat costs nothing and is known")
  func knownBeats() {
    let clock = clock(at: at(0))
    _ = clock.accept(5, of: origin, at: at(10_000))
    for beat: UInt64 in [5, 4, 0] {
      #expect(clock.accept(beat, of: origin, at: at(10_001)) == .init(verdict: .known, hashes: 0))
    }
  }

  @Test("A wrong value costs its hashes and changes nothing")
  func wrongBeats() {
    let clock = clock(at: at(0))
    let before = clock.value
    let receipt = clock.change {
      $0.accept(
        beat: 7, value: origin.value(8), of: origin.id, hash: mixing, at: at(14_000))
    }
    #expect(receipt == .init(verdict: .wrong, hashes: 7))
    let other = clock.change {
      $0.accept(
        beat: 7, value: origin.value(7), of: testOrigin(2), hash: mixing, at: at(14_000))
    }
    #expect(other.verdict == .wrong)
    let beyond = clock.change {
      $0.accept(
        beat: 4096, value: origin.value(1), of: origin.id, hash: mixing, at: at(14_000))
    }
    #expect(beyond == .init(verdict: .wrong, hashes: 0))
    #expect(clock.value == before)
  }

  @Test("A beat that is more than 512 ahead is not verified: a checkpoint has to be asked for")
  func farBeats() {
    let clock = clock(at: at(0))
    #expect(clock.accept(513, of: origin, at: at(9)) == .init(verdict: .tooFar, hashes: 0))
    #expect(clock.newest == 0)
    #expect(clock.accept(512, of: origin, at: at(9)) == .init(verdict: .fits, hashes: 512))
    #expect(clock.accept(1025, of: origin, at: at(9)).verdict == .tooFar)
    #expect(clock.accept(origin.terms(beat: 1000), age: ms(0), isOwnWord: false, at: at(9)))
    #expect(clock.accept(1025, of: origin, at: at(9)) == .init(verdict: .fits, hashes: 25))
  }

  // MARK: Ages

  @Test("An age grows with the time since the newest beat's moment, less a thousandth")
  func ageGrows() {
    let clock = clock(at: at(5000))
    #expect(clock.age(at: at(6000)) == ms(999))
    // Two milliseconds late are within the allowance of two seconds.
    clock.accept(1, of: origin, at: at(7002))
    #expect(clock.age(at: at(7002)) == ms(0))
    #expect(clock.age(at: at(9002)) == ms(1998))
  }

  @Test("A beat that was held back is as old as it is")
  func heldBeatIsOld() {
    let clock = clock(at: at(0))
    _ = clock.accept(1, of: origin, at: at(2000))
    #expect(clock.accept(2, of: origin, at: at(64_000)).verdict == .fits)
    #expect(clock.age(at: at(64_000)).milliseconds == 59_938)
  }

  @Test("A clock that never heard a beat in time judges by the earliest that it heard")
  func earliestCounts() {
    let clock = clock(age: ms(0), isOwnWord: true, at: at(9000))
    _ = clock.accept(1, of: origin, at: at(9500))
    #expect(clock.age(at: at(9500)) == ms(0))
    // Beat 1 in time shows that beat 0 was 1.5 s late.
    #expect(clock.value.age(ofBeat: 0, at: at(9500)) == ms(2000))
  }

  @Test("An age beyond the uptime of this machine is believed")
  func ageBeyondUptime() {
    let clock = clock(age: .seconds(40 * 3600), isOwnWord: false, at: at(1_680_000))
    #expect(clock.age(at: at(1_680_000)) == .seconds(40 * 3600))
  }

  @Test("The moment of an age is the first at which the origin is that old", arguments: 0..<200)
  func momentOfAge(seed: Int) {
    var random = RandomSource(seed: UInt64(seed))
    let start = MonotonicTime(nanoseconds: 1_000_000_000_000 + random.next() % 1_000_000_000)
    let clock = Tested(
      BeatClock(
        origin.terms(beat: 3), age: ms(UInt64(random.below(9000))),
        isOwnWord: random.chance(0.5), at: start))
    let now = start + Span(nanoseconds: random.next() % 9_000_000_000)
    if random.chance(0.5) { _ = clock.accept(4, of: origin, at: now) }
    let age = clock.age(at: now) + Span(nanoseconds: 1 + random.next() % 9_000_000_000)
    let moment = clock.value.moment(ofAge: age)
    #expect(clock.age(at: moment) >= age)
    #expect(clock.age(at: moment - Span(nanoseconds: 1)) < age)
  }

  // MARK: First contact

  @Test("At first contact the largest age that is told counts")
  func largestToldAge() {
    let clock = clock(age: ms(100), isOwnWord: false, at: at(50_000))
    #expect(!clock.accept(origin.terms(beat: 0), age: ms(9000), isOwnWord: false, at: at(50_000)))
    #expect(!clock.accept(origin.terms(beat: 0), age: ms(50), isOwnWord: false, at: at(50_000)))
    #expect(clock.age(at: at(50_000)) == ms(9000))
  }

  @Test("A beat that comes with first contact does not end what is told of a dead origin")
  func greetingKeepsToldAge() {
    let clock = clock(age: ms(600_000), isOwnWord: false, at: at(700_000))
    #expect(clock.accept(30, of: origin, at: at(700_001)).verdict == .fits)
    #expect(clock.age(at: at(700_001)).milliseconds == 540_000)
  }

  @Test("A new beat 2.5 periods after first contact ends the ages that were told")
  func liarIsRefuted() {
    let clock = clock(age: ms(600_000), isOwnWord: false, at: at(700_000))
    _ = clock.accept(2, of: origin, at: at(704_000))
    #expect(clock.age(at: at(704_000)) >= ms(590_000))
    _ = clock.accept(3, of: origin, at: at(706_000))
    #expect(clock.age(at: at(706_000)) < ms(10))
    #expect(!clock.takesToldAges)
    #expect(
      !clock.accept(origin.terms(beat: 3), age: ms(600_000), isOwnWord: false, at: at(706_000)))
    #expect(clock.age(at: at(706_000)) < ms(10))
  }

  @Test("The origin's own word on its own path ends the ages that were told")
  func ownWordCounts() {
    let clock = clock(age: ms(600_000), isOwnWord: false, at: at(700_000))
    _ = clock.accept(origin.terms(beat: 0), age: ms(0), isOwnWord: true, at: at(700_100))
    #expect(clock.age(at: at(700_100)).milliseconds == 99)
  }

  @Test("An age that comes as the origin's own word makes nobody older: any member can forge one")
  func ownAgesAreIgnored() {
    let first = clock(age: .seconds(900_000), isOwnWord: true, at: at(700_000))
    #expect(first.age(at: at(700_000)) == ms(0))
    let later = clock(age: ms(0), isOwnWord: false, at: at(700_000))
    for beat: UInt64 in [0, 1] {
      _ = later.accept(
        origin.terms(beat: beat), age: .seconds(900_000), isOwnWord: true, at: at(702_000))
    }
    #expect(later.age(at: at(702_000)) == ms(0))
    #expect(!later.takesToldAges)
  }

  // MARK: Chains

  @Test("A new chain of the same schedule keeps what is known of the origin's age")
  func chainGoesOn() {
    var origin = origin
    let clock = clock(at: at(0))
    origin.renew(.periodChanged, at: at(100_000), period: ms(500))
    // Held back for a minute, and told with the age 0.
    #expect(clock.accept(origin.terms(beat: 0), age: ms(0), isOwnWord: false, at: at(160_000)))
    #expect(clock.age(at: at(160_000)).milliseconds == 59_840)
    #expect(clock.accept(10, of: origin, at: at(160_000)).verdict == .fits)
    #expect(clock.age(at: at(160_000)).milliseconds == 54_840)
  }

  @Test("A chain that begins a schedule is a first contact: the origin's clock stood still")
  func scheduleBegins() {
    var origin = origin
    let clock = clock(at: at(0))
    origin.renew(.clockStoodStill, at: at(100_000), period: ms(2000))
    #expect(clock.accept(origin.terms(beat: 0), age: ms(70), isOwnWord: false, at: at(900_000)))
    #expect(clock.age(at: at(900_000)) == ms(70))
    #expect(clock.takesToldAges)
  }

  @Test("A lower chain and a lower incarnation change nothing")
  func oldTermsAreIgnored() {
    var second = TestOrigin(incarnation: 2)
    let first = second.terms(beat: 4000)
    second.renew(.periodChanged, at: at(9000), period: ms(500))
    let clock = Tested(
      BeatClock(second.terms(beat: 1), age: ms(0), isOwnWord: true, at: at(9500)))
    let before = clock.value
    #expect(!clock.accept(first, age: ms(0), isOwnWord: true, at: at(9600)))
    #expect(!clock.accept(origin.terms(beat: 4000), age: ms(0), isOwnWord: true, at: at(9600)))
    #expect(clock.value == before)
    let third = TestOrigin(incarnation: 3)
    #expect(clock.accept(third.terms(beat: 0), age: ms(9), isOwnWord: true, at: at(9600)))
    #expect(clock.incarnation == third.incarnation)
  }

  @Test(
    "An origin that signs a start in the future, or beats ahead of time, is not held for younger")
  func lyingOriginGainsNothing() {
    let clock = clock(at: at(0))
    let future = ChainTerms(
      incarnation: origin.incarnation, chain: 2, schedule: 1, offset: .seconds(1 << 40),
      period: ms(2000), beat: 0, value: .empty)
    _ = clock.accept(future, age: ms(0), isOwnWord: true, at: at(10_000))
    #expect(clock.age(at: at(10_000)) <= ms(10))
    #expect(clock.age(at: at(20_000)) >= ms(9980))
    let ahead = self.clock(at: at(0))
    _ = ahead.accept(500, of: origin, at: at(1000))
    #expect(ahead.age(at: at(11_000)).milliseconds == 9990)
  }
}

import MeshCRDT

@testable import MeshEngine

/// A clock that is off by some parts in a million, and reads 0 at another time than the true one.
struct DriftingClock {
  let partsPerMillion: Int64
  let zero: Int64

  /// What the clock reads at a true time in nanoseconds.
  func reading(at time: Int64) -> MonotonicTime {
    MonotonicTime(
      nanoseconds: UInt64(clamping: time + time / 1_000_000 * partsPerMillion + zero))
  }

  /// The first true time at which the clock reads a time or later, to a microsecond.
  func time(of reading: MonotonicTime) -> Int64 {
    let local = Int64(clamping: reading.nanoseconds) - zero
    return local - local / (1_000_000 + partsPerMillion) * partsPerMillion + 1000
  }
}

/// One origin, one receiver, and what lies between them, from a seed.
///
/// Everything that the receiver hears is made beforehand: beats that come directly, copies that relays
/// hold back for up to five minutes, and checkpoints with ages as honest and lying relays tell them.
struct BeatWorld {
  enum Word {
    case beat(chain: Int, index: UInt64)
    case checkpoint(chain: Int, index: UInt64, age: Span, isOwnWord: Bool)
  }

  /// Something that is heard, at a true time.
  struct Arrival {
    let time: Int64
    let word: Word
  }

  /// A beat that was sent, and the moment that it belongs to.
  struct SentBeat {
    let chain: Int
    let index: UInt64
    let moment: Int64
    let sent: Int64
    let arrival: Int64?
  }

  struct Settings {
    var periodMilliseconds: UInt64 = 2000
    /// The least and the most that a direct beat takes.
    var latencyMilliseconds: ClosedRange<UInt64> = 1...80
    var loss = 0.0
    /// How likely the origin pauses after a beat.
    var pauses = 0.0
    /// How likely a beat is also heard from a relay that held it back.
    var held = 0.0
    var beats = 200
    /// The beat after which the period is another one.
    var renewalAfter: Int?
    /// The part of the beats after which nothing comes directly any more.
    var directPart = 1.0
  }

  var random: RandomSource
  let originClock: DriftingClock
  let receiverClock: DriftingClock
  private(set) var chains: [TestOrigin] = []
  private(set) var beats: [SentBeat] = []
  private(set) var arrivals: [Arrival] = []
  private var settings: Settings
  private var now: Int64

  init(seed: UInt64, _ settings: Settings, drift: (Int64, Int64)? = nil) {
    random = RandomSource(seed: seed)
    self.settings = settings
    let drawn = (Int64(random.below(1001)) - 500, Int64(random.below(1001)) - 500)
    let zeros = (Int64(random.below(1_000_000)), Int64(random.below(1_000_000)))
    let (origin, receiver) = drift ?? drawn
    originClock = DriftingClock(partsPerMillion: origin, zero: zeros.0 * 1_000_000)
    receiverClock = DriftingClock(partsPerMillion: receiver, zero: zeros.1 * 1_000_000)
    now = 60_000_000_000
    chains = [
      TestOrigin(
        seed + 1, period: ms(settings.periodMilliseconds),
        startingAt: originClock.reading(at: now))
    ]
    contact()
    for number in 1...settings.beats { speak(isDirect: isDirect(number), number: number) }
    arrivals.sort { $0.time < $1.time }
  }

  var lastSent: Int64 { beats.last?.sent ?? 0 }

  private func isDirect(_ number: Int) -> Bool {
    Double(number) <= settings.directPart * Double(settings.beats)
  }

  /// The origin's first checkpoint: by itself or by relays, some of which tell smaller ages.
  private mutating func contact() {
    let latency = self.latency()
    beats.append(SentBeat(chain: 0, index: 0, moment: now, sent: now, arrival: now + latency))
    let isOwnWord = random.chance(0.3)
    arrivals.append(
      Arrival(
        time: now + latency,
        word: .checkpoint(chain: 0, index: 0, age: ms(0), isOwnWord: isOwnWord)))
    for _ in 0..<random.below(4) {
      let wait = Int64(random.below(3000)) * 1_000_000
      let age = UInt64(wait) * UInt64(random.below(3)) / 2
      arrivals.append(
        Arrival(
          time: now + latency + wait,
          word: .checkpoint(
            chain: 0, index: 0, age: Span(nanoseconds: min(age, UInt64(wait))), isOwnWord: false)))
    }
  }

  private mutating func latency() -> Int64 {
    let range = settings.latencyMilliseconds
    let spread = Int(range.upperBound - range.lowerBound) * 1000 + 1
    return Int64(range.lowerBound) * 1_000_000 + Int64(random.below(spread)) * 1000
  }

  /// The origin sends its next beat, or after a pause the one whose moment came last.
  private mutating func speak(isDirect: Bool, number: Int) {
    let origin = chains[chains.count - 1]
    now = originClock.time(of: origin.schedule.nextMoment(after: originClock.reading(at: now)))
    if random.chance(settings.pauses) {
      now += Int64(random.below(20_000)) * Int64(settings.periodMilliseconds) * 1000
    }
    if number == settings.renewalAfter {
      var next = origin
      next.renew(
        .periodChanged, at: originClock.reading(at: now),
        period: origin.schedule.period.scaled(random.chance(0.5) ? 3 : 1, over: 2))
      chains.append(next)
    }
    send(isDirect: isDirect)
  }

  private mutating func send(isDirect: Bool) {
    let chain = chains.count - 1
    let schedule = chains[chain].schedule
    let index = schedule.beat(at: originClock.reading(at: now))
    let moment = min(now, originClock.time(of: schedule.moment(ofBeat: index)))
    // A chain is known by its checkpoint, which beat 0 stands for.
    let word: Word =
      index == 0
      ? .checkpoint(chain: chain, index: 0, age: ms(0), isOwnWord: false)
      : .beat(chain: chain, index: index)
    let arrival =
      isDirect && (index == 0 || !random.chance(settings.loss)) ? now + latency() : nil
    beats.append(
      SentBeat(chain: chain, index: index, moment: moment, sent: now, arrival: arrival))
    if let arrival { arrivals.append(Arrival(time: arrival, word: word)) }
    guard random.chance(settings.held) || index == 0 else { return }
    for _ in 0...random.below(3) {
      let held = Int64(random.below(300_000)) * 1_000_000
      arrivals.append(Arrival(time: now + held, word: word))
      if random.chance(0.2) {
        arrivals.append(
          Arrival(
            time: now + held,
            word: .checkpoint(chain: chain, index: index, age: ms(0), isOwnWord: false)))
      }
    }
  }
}

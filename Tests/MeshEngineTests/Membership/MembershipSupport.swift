import MeshCRDT

@testable import MeshEngine

/// A fast hash for tests: it mixes all bytes, and is not one-way.
struct MixingHash: TreeHash {
  func hash128(_ bytes: [UInt8]) -> Hash128 { hash256(bytes).high }

  func hash256(_ bytes: [UInt8]) -> Hash256 {
    var (a, b) = (0x9e37_79b9_7f4a_7c15 as UInt64, UInt64(bytes.count))
    bytes.withUnsafeBytes { buffer in
      var offset = 0
      while offset < buffer.count {
        var word: UInt64 = 0
        if offset + 8 <= buffer.count {
          word = buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        } else {
          for index in offset..<buffer.count { word = word << 8 | UInt64(buffer[index]) }
        }
        a = (a ^ word) &* 0xff51_afd7_ed55_8ccd
        b = (b &+ word ^ a >> 29) &* 0xc4ce_b9fe_1a85_ec53
        a ^= b >> 31
        offset += 8
      }
    }
    return Hash256(Hash128(a ^ b >> 17, b ^ a << 13), Hash128(a &+ b, b))
  }
}

let mixing = MixingHash()

func testOrigin(_ number: UInt64) -> OriginID { OriginID(number, 0, 0, 1) }

func testIncarnation(_ counter: UInt64) -> Incarnation {
  guard let incarnation = Incarnation(counter: counter, nonce: 7) else {
    fatalError("incarnations count from 1")
  }
  return incarnation
}

func at(_ milliseconds: UInt64) -> MonotonicTime { MonotonicTime(milliseconds: milliseconds) }

func ms(_ count: UInt64) -> Span { .milliseconds(count) }

/// An origin with a chain and a schedule on the clock of whoever tests it.
struct TestOrigin {
  let id: OriginID
  let incarnation: Incarnation
  var schedule: BeatSchedule
  var chain: HeartbeatChain

  init(
    _ number: UInt64 = 1, incarnation: UInt64 = 1, period: Span = ms(2000),
    startingAt start: MonotonicTime = at(0)
  ) {
    id = testOrigin(number)
    self.incarnation = testIncarnation(incarnation)
    schedule = BeatSchedule(startingAt: start, period: period)
    chain = HeartbeatChain(
      seed: Hash128(number, incarnation), origin: id, incarnation: self.incarnation, hash: mixing)
  }

  mutating func renew(_ renewal: BeatSchedule.Renewal, at now: MonotonicTime, period: Span) {
    schedule = schedule.next(after: renewal, at: now, period: period)
    chain = HeartbeatChain(
      seed: Hash128(id.word0, incarnation.counter &+ schedule.chain << 32), origin: id,
      incarnation: incarnation, hash: mixing)
  }

  func value(_ beat: UInt64) -> Hash128 { chain.value(ofBeat: beat, hash: mixing) ?? .empty }

  func terms(beat: UInt64) -> ChainTerms {
    ChainTerms(
      incarnation: incarnation, chain: schedule.chain, schedule: schedule.schedule,
      offset: schedule.offset, period: schedule.period, beat: beat, value: value(beat))
  }

  func sign(
    beat: UInt64 = 0, age: Span = ms(0), isOwnWord: Bool = true, isLeaving: Bool = false
  ) -> CheckpointSign {
    CheckpointSign(
      origin: id, terms: terms(beat: beat), isLeaving: isLeaving, age: age, isOwnWord: isOwnWord)
  }
}

/// A value that is changed inside of expectations.
@dynamicMemberLookup
final class Tested<Value> {
  var value: Value

  init(_ value: Value) { self.value = value }

  @discardableResult
  func change<Result>(_ change: (inout Value) -> Result) -> Result { change(&value) }

  subscript<Part>(dynamicMember path: KeyPath<Value, Part>) -> Part { value[keyPath: path] }
}

extension Tested<BeatClock> {
  /// Takes in a beat of a test origin.
  @discardableResult
  func accept(
    _ beat: UInt64, of origin: TestOrigin, at now: MonotonicTime
  ) -> BeatClock.Receipt {
    value.accept(beat: beat, value: origin.value(beat), of: origin.id, hash: mixing, at: now)
  }

  @discardableResult
  func accept(
    _ terms: ChainTerms, age: Span, isOwnWord: Bool = false, at now: MonotonicTime
  ) -> Bool {
    value.accept(terms, age: age, isOwnWord: isOwnWord, at: now)
  }

  func age(at now: MonotonicTime) -> Span { value.age(at: now) }
}

extension Tested<FailureDetector> {
  /// Takes in a checkpoint; one that is refused is an event of nobody.
  @discardableResult
  func accept(
    _ sign: CheckpointSign, isComplete: Bool = true, remembered: BeatClock? = nil,
    at now: MonotonicTime
  ) -> [MembershipEvent]? {
    value.accept(sign, isComplete: isComplete, remembered: remembered, at: now)
  }

  /// Takes in a beat of a test origin, and returns what it led to; `nil` if it is of nobody.
  @discardableResult
  func accept(
    _ beat: UInt64, of origin: TestOrigin, at now: MonotonicTime
  ) -> [MembershipEvent]? {
    value.accept(
      beat: beat, value: origin.value(beat), prefix: origin.id.word0, hash: mixing, at: now)?
      .events
  }

  /// Advances deadline by deadline up to a time, as an engine does.
  @discardableResult
  func run(to end: MonotonicTime) -> [TimedEvent] {
    var events: [TimedEvent] = []
    while let deadline = value.deadline, deadline <= end {
      events += value.advance(to: deadline).map {
        TimedEvent(time: deadline.nanoseconds, event: $0)
      }
    }
    return events
  }

  func health(_ origin: TestOrigin) -> NodeHealth? { value.health(of: origin.id) }
}

/// An event and when it came.
struct TimedEvent: Hashable {
  let time: UInt64
  let event: MembershipEvent

  var milliseconds: UInt64 { time / 1_000_000 }

  var transition: HealthTransition? {
    if case .changed(let transition) = event { transition } else { nil }
  }
}

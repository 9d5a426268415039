import MeshCRDT
import Testing

@testable import MeshEngine

@Suite("Staleness")
struct StalenessTests {
  private let staleness = Tested(Staleness(startingAt: at(1000)))

  @Test("A node is cut off after 1.25 typical periods without a datagram")
  func silence() {
    #expect(staleness.value.deadline(typicalPeriod: ms(2000)) == at(3500))
    #expect(!staleness.change { $0.evaluate(at: at(3499), typicalPeriod: ms(2000)) })
    #expect(staleness.change { $0.evaluate(at: at(3500), typicalPeriod: ms(2000)) })
    #expect(staleness.isCutOff)
    #expect(!staleness.change { $0.evaluate(at: at(9000), typicalPeriod: ms(2000)) })
    #expect(staleness.value.deadline(typicalPeriod: ms(2000)) == nil)
  }

  @Test("A datagram ends the cut, and tells how long nobody was heard")
  func datagramEnds() {
    #expect(staleness.change { $0.hear(at: at(2000)) } == nil)
    #expect(staleness.change { $0.evaluate(at: at(4500), typicalPeriod: ms(2000)) })
    #expect(staleness.change { $0.hear(at: at(60_000)) } == ms(58_000))
    #expect(!staleness.isCutOff)
    #expect(staleness.value.deadline(typicalPeriod: ms(2000)) == at(62_500))
  }

  @Test("A node alone is not cut off")
  func alone() {
    #expect(staleness.value.deadline(typicalPeriod: nil) == nil)
    #expect(!staleness.change { $0.evaluate(at: at(1_000_000), typicalPeriod: nil) })
  }

  @Test("A pause of this node is no silence of the others")
  func pause() {
    staleness.change { $0.grant(ms(60_000), at: at(62_000)) }
    #expect(!staleness.change { $0.evaluate(at: at(62_000), typicalPeriod: ms(2000)) })
    #expect(staleness.change { $0.evaluate(at: at(63_500), typicalPeriod: ms(2000)) })
  }

  @Test("However long periods are, a minute is believed")
  func longPeriods() {
    #expect(staleness.value.deadline(typicalPeriod: .seconds(3600)) == at(76_000))
    #expect(
      staleness.value.deadline(typicalPeriod: Span(nanoseconds: .max)) == at(76_000))
  }

  @Test("One period of an hour, or of 100 ms, does not move the typical period of many")
  func medianIsRobust() {
    let periods = Tested(SortedPeriods())
    #expect(periods.median == nil)
    for _ in 0..<5 { periods.change { $0.insert(ms(2000)) } }
    for outlier in [ms(100), ms(100), ms(3_600_000), ms(3_600_000)] {
      periods.change { $0.insert(outlier) }
      #expect(periods.median == ms(2000))
    }
    let two = Tested(SortedPeriods())
    two.change { $0.insert(.seconds(3600)) }
    two.change { $0.insert(ms(2000)) }
    #expect(two.median == ms(2000))
  }

  @Test("The median is that of a sorted list, whatever is inserted and removed")
  func medianOfMany() {
    var random = RandomSource(seed: 3)
    let periods = Tested(SortedPeriods())
    var plain: [UInt64] = []
    for _ in 0..<2000 {
      let period = UInt64(100 + random.below(30))
      if random.chance(0.45), let place = plain.firstIndex(of: period) {
        plain.remove(at: place)
        periods.change { $0.remove(ms(period)) }
      } else {
        plain.append(period)
        periods.change { $0.insert(ms(period)) }
      }
      #expect(periods.median?.milliseconds == plain.sorted()[max(0, (plain.count - 1) / 2)])
      #expect(periods.count == plain.count)
    }
    periods.change { $0.remove(ms(7)) }
    #expect(periods.count == plain.count)
  }
}

@Suite("Pauses of this node")
struct PauseLogTests {
  /// What is granted at 6 s to an origin whose newest beat belongs to a time.
  private func grant(_ log: Tested<PauseLog>, since time: UInt64) -> Span {
    log.value.grant(age: ms(6000 - time), at: at(6000))
  }

  @Test("The longest part of a pause behind a beat is granted, and no sum")
  func longestCounts() {
    let log = Tested(PauseLog())
    #expect(grant(log, since: 0) == ms(0))
    log.change { $0.note(ms(500), endedAt: at(1000)) }
    log.change { $0.note(ms(3000), endedAt: at(5000)) }
    log.change { $0.note(ms(400), endedAt: at(6000)) }
    #expect(grant(log, since: 0) == ms(3000))
    #expect(grant(log, since: 2000) == ms(3000))
    #expect(grant(log, since: 3000) == ms(2000))
    #expect(grant(log, since: 4700) == ms(400))
    #expect(grant(log, since: 5000) == ms(400))
    #expect(grant(log, since: 5900) == ms(100))
    #expect(grant(log, since: 6000) == ms(0))
    #expect(log.count == 2)
  }

  @Test("Grants are those of a plain list; beyond 16 pauses they may be more, never less or longer")
  func likePlainList() {
    var random = RandomSource(seed: 11)
    for _ in 0..<50 {
      let log = Tested(PauseLog())
      var plain: [(end: UInt64, span: Span)] = []
      for step: UInt64 in 1...60 {
        // Mostly falling, so that many are kept apart.
        let span = ms(10_000 - step * 100 + UInt64(random.below(130)))
        log.change { $0.note(span, endedAt: at(step * 10)) }
        plain.append((step * 10, span))
        #expect(log.count <= 16)
        let longest = plain.map(\.span).max() ?? ms(0)
        for since in stride(from: UInt64(0), to: step * 10 + 10, by: 7) {
          let exact =
            plain.filter { $0.end > since }.map { min($0.span, ms($0.end - since)) }.max() ?? ms(0)
          let granted = log.value.grant(age: ms(step * 10 + 10 - since), at: at(step * 10 + 10))
          #expect(granted >= exact)
          #expect(granted <= longest)
          if plain.count <= 16 { #expect(granted == exact) }
        }
      }
      #expect(log.count == 16)
    }
  }
}

@Suite("The own period")
struct BeatPeriodTests {
  @Test("A small mesh has the configured period, a large one that of the budget")
  func periods() {
    let period = BeatPeriod(configured: ms(2000))
    #expect(period.period(members: 1) == ms(2000))
    #expect(period.period(members: 833) == ms(2000))
    #expect(period.period(members: 1000) == ms(2400))
    #expect(period.period(members: 4096) == ms(9831))
    #expect(period.period(members: .max / 100_000_000_000) == .seconds(3600))
    #expect(period.period(members: -1) == ms(2000))
  }

  @Test("A thousand idle members: 11.3 kB of beats a second, silence noticed after 6 s")
  func aims() {
    let period = BeatPeriod(configured: ms(2000)).period(members: 1000)
    #expect(1000 * MembershipLimits.beatBytes * 1000 / period.milliseconds == 11_250)
    #expect(period.scaled(5, over: 2) == ms(6000))
  }

  @Test("A period changes when it differs by more than a quarter, or with a new chain")
  func hysteresis() {
    let period = Tested(BeatPeriod(configured: ms(2000)))
    #expect(!period.change { $0.update(members: 1041, beginsChain: false) })
    #expect(period.current == ms(2000))
    #expect(period.change { $0.update(members: 1042, beginsChain: false) })
    #expect(period.current == ms(2501))
    #expect(!period.change { $0.update(members: 834, beginsChain: false) })
    #expect(period.change { $0.update(members: 834, beginsChain: true) })
    #expect(period.current == ms(2002))
    #expect(!period.change { $0.update(members: 834, beginsChain: true) })
    #expect(period.change { $0.update(members: 2000, beginsChain: false) })
    #expect(period.current == ms(4800))
    #expect(period.change { $0.update(members: 3, beginsChain: false) })
    #expect(period.current == ms(2000))
  }

  @Test("Periods keep within what the wire allows")
  func bounds() {
    #expect(BeatPeriod(configured: ms(1)).current == ms(100))
    #expect(BeatPeriod(configured: .seconds(100_000)).current == .seconds(3600))
    #expect(BeatPeriod(configured: ms(2000), bytesPerSecond: 0).bytesPerSecond == 1)
  }
}

@Suite("Deadlines of rows")
struct DeadlineHeapTests {
  @Test(
    "The first deadline is that of a plain list, whatever is set and removed", arguments: 0..<20)
  func likePlainList(seed: Int) {
    var random = RandomSource(seed: UInt64(seed))
    let heap = Tested(DeadlineHeap())
    var plain: [Int: UInt64] = [:]
    for _ in 0..<2000 {
      let row = random.below(40)
      if random.chance(0.3) {
        heap.change { $0.remove(row) }
        plain[row] = nil
      } else {
        let time = UInt64(random.below(200))
        heap.change { $0.set(row, at: at(time)) }
        plain[row] = time
      }
      let first = plain.min { ($0.value, $0.key) < ($1.value, $1.key) }
      #expect(heap.value.first?.row == first?.key)
      #expect(heap.value.first?.time == first.map { at($0.value) })
      #expect(heap.count == plain.count)
    }
  }
}

@Suite("Times that may be before the clock's zero")
struct ScheduleTimeTests {
  @Test("A moment before the zero of the clock is negative, and 0 as a time of the clock")
  func negative() {
    let moment = ScheduleTime(at(1000)) - ms(5000)
    #expect(moment.nanoseconds == -4_000_000_000)
    #expect(moment.clamped == at(0))
    #expect((moment + ms(4500)).clamped == at(500))
    #expect(ScheduleTime(at(0)).since(moment) == 4_000_000_000)
  }

  @Test("A reference moves by a thousandth, and tells the first moment of an age to the nanosecond")
  func reference() {
    let reference = ScheduleReference(ScheduleTime(at(1)), setAt: at(2))
    #expect(reference.value(at: at(3002)) == ScheduleTime(at(4)))
    #expect(reference.value(at: at(1)) == ScheduleTime(at(1)))
    for nanoseconds: UInt64 in 0..<5000 {
      let span = ms(1) + Span(nanoseconds: nanoseconds)
      let moment = reference.moment(after: span).clamped
      let before = moment - Span(nanoseconds: 1)
      #expect(ScheduleTime(moment) >= reference.value(at: moment) + span)
      #expect(moment == at(2) || ScheduleTime(before) < reference.value(at: before) + span)
    }
  }

  @Test("Arithmetic ends at its bounds")
  func bounds() {
    let last = ScheduleTime(MonotonicTime(nanoseconds: .max))
    #expect((last + Span(nanoseconds: .max)).nanoseconds == .max)
    let first = ScheduleTime(at(0)) - Span(nanoseconds: .max) - Span(nanoseconds: .max)
    #expect(first.nanoseconds == .min)
    #expect(last.since(first) == .max)
    #expect(first.since(last) == .min)
  }
}

import MeshCRDT
import Testing

@testable import MeshEngine

/// Records what is hashed, and counts.
private final class RecordingHash: TreeHash {
  nonisolated(unsafe) var inputs: [[UInt8]] = []

  func hash128(_ bytes: [UInt8]) -> Hash128 { mixing.hash128(bytes) }

  func hash256(_ bytes: [UInt8]) -> Hash256 {
    inputs.append(bytes)
    return mixing.hash256(bytes)
  }
}

@Suite("Heartbeat chains")
struct HeartbeatChainTests {
  private static let origin = OriginID(0x0102_0304_0506_0708, 2, 3, 4)
  private static let seed = Hash128(0x1112_1314_1516_1718, 0x2122_2324_2526_2728)

  @Test("The hash of a step covers the domain, the origin, the incarnation and the value")
  func inputOfStep() {
    let recording = RecordingHash()
    let chain = HeartbeatChain(
      seed: Self.seed, origin: Self.origin, incarnation: testIncarnation(0x0a0b_0c0d),
      hash: recording)
    let expected =
      Array("PresenceMesh/2 beat".utf8) + Self.origin.bytes
      + [0x0a, 0x0b, 0x0c, 0x0d, 0, 0, 0, 0, 0, 0, 0, 7]
      + [
        0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27,
        0x28,
      ]
    #expect(recording.inputs.first == expected)
    #expect(recording.inputs.count == 4096)
    #expect(chain.anchor == chain.value(ofBeat: 0, hash: mixing))
  }

  @Test("Every beat hashes to the one before it, and beat 0 is the anchor")
  func beatsFollowEachOther() {
    let chain = HeartbeatChain(
      seed: Self.seed, origin: Self.origin, incarnation: testIncarnation(1), hash: mixing)
    var function = BeatHash(origin: Self.origin, incarnation: testIncarnation(1))
    var value = Self.seed
    for beat in stride(from: UInt64(4095), through: 0, by: -1) {
      value = function.apply(1, to: value, by: mixing)
      #expect(chain.value(ofBeat: beat, hash: mixing) == value)
    }
    #expect(chain.anchor == value)
    #expect(chain.value(ofBeat: 4096, hash: mixing) == nil)
  }

  @Test("A beat costs at most 63 hashes")
  func costOfBeat() {
    let chain = HeartbeatChain(
      seed: Self.seed, origin: Self.origin, incarnation: testIncarnation(1), hash: mixing)
    var most = 0
    for beat: UInt64 in 0..<4096 {
      let recording = RecordingHash()
      _ = chain.value(ofBeat: beat, hash: recording)
      most = max(most, recording.inputs.count)
    }
    #expect(most == 63)
  }

  @Test("Chains of other origins and other incarnations have other values")
  func chainsDiffer() {
    let anchors = [
      (Self.origin, UInt64(1)), (Self.origin, 2), (testOrigin(1), 1),
    ].map {
      HeartbeatChain(
        seed: Self.seed, origin: $0.0, incarnation: testIncarnation($0.1), hash: mixing
      ).anchor
    }
    #expect(Set(anchors).count == 3)
  }

  @Test("A chain does not print what it has not revealed")
  func chainKeepsItsSeed() {
    let chain = HeartbeatChain(
      seed: Self.seed, origin: Self.origin, incarnation: testIncarnation(1), hash: mixing)
    var text = "\(chain)"
    dump(chain, to: &text)
    #expect(!text.contains("\(Self.seed.high)"))
    #expect(text.contains("\(chain.anchor.high)"))
  }
}

@Suite("Schedules of beats")
struct BeatScheduleTests {
  private static let first = BeatSchedule(startingAt: at(1000), period: ms(2000))

  @Test("The beat of a time is the one whose moment came last")
  func beatOfTime() {
    #expect(Self.first.beat(at: at(500)) == 0)
    #expect(Self.first.beat(at: at(2999)) == 0)
    #expect(Self.first.beat(at: at(3000)) == 1)
    #expect(Self.first.beat(at: at(1000 + 2000 * 9 + 1999)) == 9)
    #expect(Self.first.moment(ofBeat: 9) == at(19_000))
    #expect(Self.first.nextMoment(after: at(3000)) == at(5000))
    #expect(Self.first.nextMoment(after: at(4999)) == at(5000))
    #expect(Self.first.nextMoment(after: at(0)) == at(1000))
  }

  @Test("A node that slept goes on with the beat of its waking")
  func sleepSkipsBeats() {
    #expect(Self.first.beat(at: at(1000 + 3_600_000)) == 1800)
  }

  @Test("A chain ends with beat 4,095, and not before")
  func chainEnds() {
    let last = Self.first.moment(ofBeat: 4095)
    let before = last - Span(nanoseconds: 1)
    #expect(Self.first.renewal(at: before, period: ms(2000), clockStoodStill: false) == nil)
    #expect(Self.first.renewal(at: last, period: ms(2000), clockStoodStill: false) == .exhausted)
    #expect(Self.first.beat(at: last + ms(1_000_000)) == 4095)
  }

  @Test("Another period, and a clock that stood still, need a new chain")
  func renewals() {
    let now = at(10_000)
    #expect(
      Self.first.renewal(at: now, period: ms(2400), clockStoodStill: false) == .periodChanged)
    #expect(
      Self.first.renewal(at: now, period: ms(2000), clockStoodStill: true) == .clockStoodStill)
    #expect(
      Self.first.renewal(
        at: now, period: ms(2000) + Span(nanoseconds: 5), clockStoodStill: false) == nil)
  }

  @Test("The next chain of a schedule starts a whole number of milliseconds after the first one")
  func offsets() {
    let now = at(10_000) + Span(nanoseconds: 700_000)
    let second = Self.first.next(after: .periodChanged, at: now, period: ms(500))
    #expect(second.chain == 2)
    #expect(second.schedule == 1)
    #expect(second.offset == ms(9000))
    #expect(second.start == at(10_000))
    let third = second.next(after: .exhausted, at: at(12_345), period: ms(500))
    #expect(third.offset == ms(11_345))
    #expect(third.schedule == 1)
    let fourth = third.next(after: .clockStoodStill, at: now + ms(9000), period: ms(500))
    #expect(fourth.schedule == 4)
    #expect(fourth.offset == ms(0))
    #expect(fourth.start == now + ms(9000))
  }

  @Test("A period outside of what the wire allows is the nearest that it does")
  func periodBounds() {
    #expect(BeatSchedule(startingAt: at(0), period: ms(0)).period == ms(100))
    #expect(BeatSchedule(startingAt: at(0), period: .seconds(90_000)).period == .seconds(3600))
  }
}

import MeshCRDT
import Testing

@testable import MeshEngine

@Suite("Quarantine")
struct QuarantineTests {
  @Test("An incarnation in quarantine is not heard, nor a lower one; a higher one ends it")
  func higherIncarnationEnds() {
    let quarantine = Tested(Quarantine())
    let origin = testOrigin(1)
    #expect(quarantine.change { $0.add(origin, testIncarnation(5)) } == .added(evicted: nil))
    #expect(quarantine.value.contains(origin, testIncarnation(5)))
    #expect(quarantine.value.contains(origin, testIncarnation(4)))
    #expect(!quarantine.value.contains(origin, testIncarnation(6)))
    #expect(!quarantine.value.contains(testOrigin(2), testIncarnation(5)))
    #expect(!quarantine.change { $0.release(origin, by: testIncarnation(5)) })
    #expect(quarantine.change { $0.release(origin, by: testIncarnation(6)) })
    #expect(quarantine.count == 0)
  }

  @Test("Of one origin the highest incarnation is noted")
  func highestIsNoted() {
    let quarantine = Tested(Quarantine())
    let origin = testOrigin(1)
    #expect(quarantine.change { $0.add(origin, testIncarnation(5)) } == .added(evicted: nil))
    #expect(quarantine.change { $0.add(origin, testIncarnation(3)) } == .known)
    #expect(quarantine.change { $0.add(origin, testIncarnation(5)) } == .known)
    #expect(quarantine.change { $0.add(origin, testIncarnation(8)) } == .added(evicted: nil))
    #expect(quarantine.value.contains(origin, testIncarnation(7)))
    #expect(quarantine.count == 1)
  }

  @Test("Beyond 4,096 origins the one that was noted first goes, and is named")
  func bound() {
    let quarantine = Tested(Quarantine())
    for number: UInt64 in 0..<4096 {
      #expect(
        quarantine.change { $0.add(testOrigin(number), testIncarnation(1)) } == .added(evicted: nil)
      )
    }
    #expect(
      quarantine.change { $0.add(testOrigin(9999), testIncarnation(1)) }
        == .added(evicted: testOrigin(0)))
    #expect(!quarantine.value.contains(testOrigin(0), testIncarnation(1)))
    #expect(quarantine.value.contains(testOrigin(1), testIncarnation(1)))
    #expect(quarantine.count == 4096)
  }
}

@Suite("Removed peers")
struct RemovedPeersTests {
  private let origin = TestOrigin()
  private let removed = Tested(RemovedPeers())

  private func forget(at now: MonotonicTime) {
    var clock = BeatClock(origin.terms(beat: 0), age: ms(0), isOwnWord: true, at: at(0))
    _ = clock.accept(beat: 1, value: origin.value(1), of: origin.id, hash: mixing, at: at(2000))
    #expect(
      removed.change {
        $0.add(origin.id, incarnation: origin.incarnation, sequence: 7, clock: clock)
      }
        == nil)
  }

  private func accept(_ beat: UInt64, at now: MonotonicTime) -> (BeatClock.Verdict, Bool)? {
    removed.change {
      $0.accept(
        beat: beat, value: origin.value(beat), prefix: origin.id.word0, hash: mixing, at: now
      )
    }.map { ($0.receipt.verdict, $0.isRevived) }
  }

  private func admits(_ incarnation: UInt64, _ sequence: UInt64) -> Bool {
    removed.value.admits(
      origin.id, incarnation: testIncarnation(incarnation), sequence: sequence)
  }

  @Test("Only newer words than those of the note bring a forgotten origin back")
  func newerWords() {
    #expect(admits(1, 1))
    forget(at: at(2_000_000))
    #expect(!admits(1, 6))
    #expect(!admits(1, 7))
    #expect(admits(1, 8))
    #expect(admits(2, 1))
    // Batches of a higher incarnation alone.
    #expect(!admits(1, 0))
    #expect(admits(2, 0))
  }

  @Test("A newer beat that comes in time lets the checkpoint of the note bring its origin back")
  func beatRevives() throws {
    forget(at: at(600_000))
    let (verdict, isRevived) = try #require(accept(400, at: at(800_050)))
    #expect(verdict == .fits)
    #expect(isRevived)
    #expect(admits(1, 7))
    #expect(!admits(1, 6))
    let note = try #require(removed.change { $0.remove(origin.id) })
    #expect(note.clock?.newest == 400)
    #expect(accept(401, at: at(802_000)) == nil)
  }

  @Test("A beat that was held back, or is known or wrong, brings nobody back")
  func heldBeatRevivesNobody() throws {
    forget(at: at(600_000))
    let held = try #require(accept(2, at: at(800_050)))
    #expect(held.0 == .fits)
    #expect(!held.1)
    #expect(try #require(accept(2, at: at(800_060))).0 == .known)
    let wrong = removed.change {
      $0.accept(
        beat: 400, value: origin.value(399), prefix: origin.id.word0, hash: mixing, at: at(800_000))
    }
    #expect(wrong?.receipt.verdict == .wrong)
    #expect(wrong?.isRevived == false)
    #expect(!admits(1, 7))
  }

  @Test("A note without a chain has the sequence alone")
  func noteWithoutClock() {
    #expect(
      removed.change { $0.add(origin.id, incarnation: origin.incarnation, sequence: 0, clock: nil) }
        == nil)
    #expect(accept(2, at: at(4000)) == nil)
    #expect(admits(1, 1))
  }

  @Test("Beyond 4,096 origins the one that was noted first goes, and is named")
  func bound() {
    for number: UInt64 in 0..<4096 {
      #expect(
        removed.change {
          $0.add(
            testOrigin(number), incarnation: testIncarnation(1), sequence: 1, clock: nil)
        } == nil)
    }
    let evicted = removed.change {
      $0.add(
        testOrigin(9999), incarnation: testIncarnation(1), sequence: 1, clock: nil)
    }
    #expect(evicted == testOrigin(0))
    #expect(removed.count == 4096)
    #expect(removed.value[testOrigin(9999)]?.sequence == 1)
  }
}

@Suite("Bounded notes")
struct BoundedNotesTests {
  @Test("Notes are those of a plain list, whatever is added and removed", arguments: 0..<20)
  func likePlainList(seed: Int) {
    var random = RandomSource(seed: UInt64(seed))
    let notes = Tested(BoundedNotes<Int, Int>(bound: 8))
    var plain: [(key: Int, value: Int)] = []
    for step in 0..<3000 {
      let key = random.below(16)
      if random.chance(0.3) {
        let expected = plain.first { $0.key == key }?.value
        #expect(notes.change { $0.remove(key) } == expected)
        plain.removeAll { $0.key == key }
        continue
      }
      let evicted = notes.change { $0.set(key, step) }
      if let place = plain.firstIndex(where: { $0.key == key }) {
        plain[place].value = step
        #expect(evicted == nil)
      } else {
        let expected = plain.count == 8 ? plain.removeFirst() : nil
        #expect(evicted?.key == expected?.key)
        #expect(evicted?.value == expected?.value)
        plain.append((key, step))
      }
      #expect(notes.count == plain.count)
      #expect(plain.allSatisfy { notes.value[$0.key] == $0.value })
    }
  }
}

import MeshCRDT
import Testing

/// Removal by causality: what a signed hash covers stays removed without a tombstone.
@Suite("Removed records")
struct RemovalTests {
  static let key = Sample.key(1)
  static let other = Sample.key(2)
  static let old = Sample.written(key, version: 1, [1])
  static let buried = Sample.written(key, version: 2, nil)
  static let kept = Sample.written(other, version: 3, [2])

  /// A log that knows of the removal and has forgotten the tombstone.
  static func log() -> OriginLog {
    var log = OriginLog(generation: 1)
    log.join(each: [old, buried, kept])
    log.witness(Sample.claim(3, live: [kept]))
    log.settle()
    return log
  }

  @Test("Once settled, the tombstone is forgotten")
  func tombstoneIsForgotten() {
    let log = Self.log()
    #expect(log.isSettled && log.tombstoneCount == 0)
    #expect(log[Self.key] == nil)
    #expect(log.records == [Self.kept])
  }

  @Test("An old delta does not revive what was removed and forgotten")
  func oldDeltaRevivesNothing() {
    var log = Self.log()
    #expect(log.join(each: [Self.old, Self.buried]) == 0)
    var late = OriginLog(generation: 1)
    late.join(each: [Self.old])
    #expect(log.join(late) == false)
    #expect(log == Self.log())
    #expect(
      !log.mayBeNews(version: 3, on: .lobby, of: 1)
        && log.mayBeNews(version: 4, on: .lobby, of: 1))
    #expect(
      !log.mayBeNews(version: 9, on: .lobby, of: 0)
        && log.mayBeNews(version: 1, on: .lobby, of: 2))
    PlantedBug.with(.coveredRecordRevived) {
      #expect(log.join(each: [Self.old]) == (PlantedBug.areCompiledIn ? 1 : 0))
    }
  }

  @Test("Nothing settles while a removal is unheard of")
  func unheardRemovalKeepsTheLogOpen() {
    var log = OriginLog(generation: 1)
    log.join(each: [Self.old, Self.kept])
    log.witness(Sample.claim(3, live: [Self.kept]))
    #expect(!log.settle() && !log.isSettled)
    #expect(log.live(Self.key) != nil)
  }

  @Test("A manifest removes what it does not list, and settles")
  func manifestRemoves() {
    var log = OriginLog(generation: 1)
    log.join(each: [Self.old, Self.kept])
    log.witness(Sample.claim(3, live: [Self.kept]))
    let result = log.settle(removing: [(Self.key, 1)])
    #expect(result.isSettled)
    #expect(result.removed.map(\.key) == [Self.key])
    #expect(log == Self.log())
  }

  @Test("A false manifest changes nothing")
  func falseManifestChangesNothing() {
    var log = OriginLog(generation: 1)
    log.join(each: [Self.old, Self.kept])
    log.witness(Sample.claim(3, live: [Self.kept]))
    let before = log
    let lists: [[(key: RecordKey, version: UInt64)]] = [
      [], [(Self.other, 3)], [(Self.key, 1), (Self.other, 3)], [(Self.key, 2)],
      [(Self.key, 1), (Self.key, 1)], [(Sample.key(9), 1)],
    ]
    for dead in lists {
      let result = log.settle(removing: dead)
      #expect(!result.isSettled && result.removed.isEmpty)
      #expect(log == before)
    }
  }

  @Test("A manifest does not settle a log that heard of later records")
  func laterRecordsKeepTheLogOpen() {
    var log = OriginLog(generation: 1)
    log.join(each: [Self.old, Self.kept, Sample.written(Sample.key(3), version: 4, [3])])
    log.witness(Sample.claim(3, live: [Self.kept]))
    #expect(!log.settle(removing: [(Self.key, 1), (Sample.key(3), 4)]).isSettled)
    #expect(log.liveCount == 3)
  }

  @Test("A word about an earlier version does not settle a log, whatever it hashes")
  func earlierWordDoesNotSettle() {
    var log = OriginLog(generation: 1)
    log.join(each: [Self.kept])
    log.witness(Sample.claim(2, live: [Self.kept]))
    #expect(log.settle() == false)
    #expect(log.cut == .empty && !log.isSettled)
  }

  @Test("A tombstone that no word covers yet is kept")
  func uncoveredTombstoneIsKept() {
    var log = OriginLog(generation: 1)
    log.join(each: [Self.old, Self.buried])
    log.settle()
    #expect(log.tombstoneCount == 1)
    #expect(log.join(each: [Self.old]) == 0)
  }

  @Test("A record that comes and goes a thousand times leaves one tombstone")
  func tombstonesDoNotPileUp() {
    var log = OriginLog(generation: 1)
    for version in UInt64(1)...1000 {
      let value: [UInt8]? = version.isMultiple(of: 2) ? nil : [7]
      log.join(each: [Sample.written(Self.key, version: version, value)])
      #expect(log.tombstoneCount == (value == nil ? 1 : 0))
    }
    #expect(log.invariantViolation() == nil)
  }
}

import MeshCRDT
import Testing

/// The laws of deltas, for all logs of a small domain.
@Suite("Deltas of all logs of a small domain")
struct DeltaLawTests {
  static var logs: [OriginLog] { JoinLawTests.lattice.elements }

  @Test("Records heard one at a time, in any order, equal the delta that holds them")
  func recordsEqualTheirDelta() { #expect(DeltaLaws.recordsViolation(Self.logs) == nil) }

  @Test("A delta above what is known equals the full state")
  func deltaEqualsFullState() { #expect(DeltaLaws.deltaViolation(Self.logs) == nil) }

  @Test("What was heard once is not news again, settled or not")
  func repetitionChangesNothing() {
    let domain = SmallDomain.self
    #expect(DeltaLaws.repetitionViolation(records: domain.records, claims: domain.claims) == nil)
  }

  @Test("All orders of contradicting records give one log")
  func allOrdersGiveOneLog() {
    #expect(DeltaLaws.permutations(SmallDomain.records).count == 720)
    #expect(DeltaLaws.orderViolation(SmallDomain.records) == nil)
  }

  @Test("Settling by a manifest only ever raises a log, whatever it lists")
  func manifestInflates() {
    for subset in 0..<1 << SmallDomain.records.count {
      let dead = SmallDomain.records.indices.filter { subset & 1 << $0 != 0 }
        .map { (SmallDomain.records[$0].key, SmallDomain.records[$0].cell.version) }
      #expect(DeltaLaws.inflationViolation(Self.logs) { _ = $0.settle(removing: dead) } == nil)
    }
  }

  @Test(
    "Who holds the losing word of an origin that contradicted itself reaches the winning one",
    arguments: [true, false])
  func reopenedLogHearsTheWinner(isSettledBefore: Bool) {
    var winnersByBytes = 0
    for value in UInt8(0)..<16 {
      let bodies = [SmallDomain.one, Sample.written(SmallDomain.first, version: 1, [value, 0])]
        .map { (record: $0, claim: Sample.claim(1, live: [$0])) }
        .sorted { $0.claim < $1.claim }
      let (lower, higher) = (bodies[0], bodies[1])
      if higher.record.cell.wins(over: lower.record.cell) { winnersByBytes += 1 }
      var settled = OriginLog(generation: 1)
      settled.join(Delta(generation: 1, records: [higher.record], claim: higher.claim))
      var log = OriginLog(generation: 1)
      log.join(
        Delta(generation: 1, records: [lower.record], claim: lower.claim),
        settling: isSettledBefore)
      log.witness(higher.claim)
      #expect(!log.settle() && !log.isSettled)
      let gone = log.reopen(claim: log.claim)
      #expect(gone.map(\.cell) == [lower.record.cell])
      log.join(Delta(generation: 1, records: [higher.record], claim: higher.claim))
      #expect(log == settled && log.isSettled)
    }
    // The winning word belongs sometimes to the winning bytes, and sometimes not.
    #expect((1..<16).contains(winnersByBytes))
  }
}

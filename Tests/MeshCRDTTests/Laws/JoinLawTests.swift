import MeshCRDT
import Testing

/// The laws of the join, for all logs of a small domain.
@Suite("Joining all logs of a small domain")
struct JoinLawTests {
  static let lattice = Lattice(closing: SmallDomain.logs())

  @Test("The domain has logs with cuts, later records, tombstones and open claims")
  func domainIsRich() {
    let logs = Self.lattice.elements
    #expect(logs.count > 300)
    #expect(logs.contains { $0.cut != .empty && $0.claim > $0.cut && $0.tombstoneCount > 0 })
    #expect(Set(logs.map(\.cut)).count >= 6)
    #expect(logs.contains { $0.cut != .empty && $0.highestVersion > $0.cut.version })
    print("joined \(logs.count) logs: \(logs.count * logs.count) pairs")
  }

  @Test("The joins of logs stay within their invariants, and equal logs go on equally")
  func joinsKeepInvariants() {
    #expect(Self.lattice.violation == nil)
  }

  @Test("Join is commutative")
  func joinIsCommutative() { #expect(Self.lattice.commutativityViolation() == nil) }

  @Test("Join is associative")
  func joinIsAssociative() { #expect(Self.lattice.associativityViolation() == nil) }

  @Test("Join is idempotent")
  func joinIsIdempotent() { #expect(Self.lattice.idempotenceViolation() == nil) }

  @Test("Join is an upper bound of both sides")
  func joinIsMonotone() { #expect(Self.lattice.monotonicityViolation() == nil) }

  @Test("Settling only ever raises a log")
  func settlingInflates() { #expect(Self.lattice.inflationViolation() == nil) }

  @Test("Logs with equal cuts cover equal records")
  func settlingIsSound() { #expect(Self.lattice.soundnessViolation() == nil) }
}

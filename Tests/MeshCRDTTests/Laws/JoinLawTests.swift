import MeshCRDT
import Testing

/// The laws of the join, for all logs of two shelves of a small domain.
@Suite("Joining logs of two shelves")
struct ShelfLawTests {
  @Test("Join keeps its laws shelf by shelf")
  func joinKeepsItsLaws() {
    let lattice = Lattice(closing: SmallDomain.logsOfTwoShelves(), bound: 600)
    #expect(lattice.violation == nil)
    #expect(
      lattice.elements.contains {
        !$0.lobby.isSettled && $0.shelf(Sample.room(1)).isSettled && $0.rooms.count == 1
      })
    #expect(lattice.commutativityViolation() == nil)
    #expect(lattice.associativityViolation() == nil)
    #expect(lattice.idempotenceViolation() == nil)
    #expect(lattice.monotonicityViolation() == nil)
    #expect(lattice.inflationViolation() == nil)
    print("joined \(lattice.elements.count) logs of two shelves")
  }

  @Test("A word about one shelf says nothing of another")
  func shelvesAreApart() {
    let room = Sample.room(1)
    let inLobby = Sample.written(Sample.key(1), version: 1, [1])
    let inRoom = Sample.written(Sample.key(1, .presence, room: 1), version: 1, [1])
    var log = OriginLog(generation: 1)
    log.join(each: [inLobby, inRoom])
    log.witness(Sample.claim(1, live: [inRoom]), of: room)
    #expect(log.settle(room) && !log.lobby.isSettled && !log.isSettled)
    #expect(!log.mayBeNews(version: 1, on: room, of: 1))
    #expect(log.mayBeNews(version: 1, on: .lobby, of: 1))
    #expect(log.reopen(.lobby, claim: .empty).map(\.key) == [inLobby.key])
    #expect(log.records == [inRoom] && log.shelf(room).isSettled)
    #expect(log.invariantViolation() == nil)
  }

  @Test("The shelves of an origin are bounded")
  func shelvesAreBounded() {
    var log = OriginLog(generation: 1)
    var refused = 0
    for number in 1...UInt64(Limits.shelvesPerOrigin) + 2 {
      let key = Sample.key(number, .presence, room: number)
      if case .refused = log.join(key, Sample.cell(key, version: 1, [1])) { refused += 1 }
    }
    #expect(refused == 2 && log.rooms.count == Limits.shelvesPerOrigin)
    #expect(log.witness(Cut(version: 1, count: 1, hash: 1), of: Sample.room(1 << 40)) == false)
    // What stands on a shelf that is there has its place.
    let cursor = Sample.written(Sample.key(1, .cursor, room: 1), version: 2, [1])
    #expect(log.join(each: [cursor, Sample.written(Sample.key(1), version: 1, [1])]) == 2)
  }
}

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

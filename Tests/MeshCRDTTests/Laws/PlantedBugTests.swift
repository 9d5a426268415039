import MeshCRDT
import Testing

/// Switches on one-line faults of the code, and shows that the law that each breaks says so. The
/// same functions find nothing in the code as it is.
@Suite("The laws, with a fault planted", .enabled(if: PlantedBug.areCompiledIn))
struct PlantedBugTests {
  /// A law with a fault that breaks it.
  struct Case: CustomTestStringConvertible, Sendable {
    let law: String
    let bug: PlantedBug
    let violation: @Sendable () -> String?

    var testDescription: String { "\(law) is broken by \(bug)" }
  }

  /// A part of the small domain that closes quickly.
  private static func lattice() -> Lattice {
    let logs = SmallDomain.logs().filter { $0.claim.hash != 77 && $0.highestVersion < 3 }
    return Lattice(closing: logs, bound: 300)
  }

  private static func logs() -> [OriginLog] {
    SmallDomain.logs().map(\.settled)
  }

  static let cases = [
    Case(law: "Commutativity", bug: .firstArrivalWins) { lattice().commutativityViolation() },
    Case(law: "Associativity", bug: .uncoveredRecordKept) { lattice().associativityViolation() },
    Case(law: "Idempotence", bug: .coveredRecordRevived) {
      DeltaLaws.repetitionViolation(records: SmallDomain.records, claims: SmallDomain.claims)
    },
    Case(law: "Delta equals full state", bug: .coveredRecordRevived) {
      DeltaLaws.recordsViolation(lattice().elements)
    },
    Case(law: "Every order gives one log", bug: .firstArrivalWins) {
      DeltaLaws.orderViolation(SmallDomain.records)
    },
    Case(law: "Monotonicity", bug: .generationIgnored) { lattice().monotonicityViolation() },
    Case(law: "Inflation", bug: .tombstoneCollectedByTime) {
      DeltaLaws.inflationViolation(logs()) { log in
        log.settle()
        if PlantedBug.isActive(.tombstoneCollectedByTime) {
          log.dropTombstonesUncovered(of: .lobby)
        }
      }
    },
    Case(law: "Soundness of settling", bug: .settledWithoutHash) {
      lattice().soundnessViolation()
    },
    Case(law: "Total order of stamps", bug: .noTieBreak) { StampTests.orderViolation() },
    Case(law: "Rising counters", bug: .wrappingCounter) { ClockTests.risingViolation() },
    Case(law: "Digests tell all differences", bug: .digestBucketSkipped) {
      DigestTests.differenceViolation()
    },
  ]

  @Test("A law finds its fault, and nothing without it", arguments: cases)
  func lawFindsItsFault(_ law: Case) throws {
    #expect(law.violation() == nil)
    let violation = try #require(PlantedBug.with(law.bug) { law.violation() })
    print("\(law.testDescription): \(violation)")
  }
}

import MeshCRDT
import MeshSimulator
import Testing

@Suite("Planted bugs")
struct PlantedBugTests {
  /// For each bug the first seed that finds it, and the faults that were drawn from.
  static let findings: [(bug: PlantedBug, seed: UInt64)] = [
    (.noTieBreak, 39),
    (.coveredRecordRevived, 1),
    (.settledWithoutHash, 1),
    (.verifySkipped, 1),
    (.wrappingCounter, 1),
    (.poisonBelieved, 1),
    (.ageNotCarried, 12),
    (.replayAccepted, 1),
    (.pathNotChallenged, 1),
    (.gapNotPulled, 1),
    (.manifestNotAsked, 2),
    (.hiddenWrittenToState, 1),
    (.oldHeartbeatRenews, 4),
    (.leaseNotEnded, 4),
    (.restingCursorNotPacked, 1),
    (.movedSessionKept, 1),
    (.pauseNotForgiven, 2),
    (.digestBucketSkipped, 3),
    (.amplificationUnbounded, 1),
    (.moveNotTold, 1),
    (.removalNotObeyed, 6),
    (.interestNotTold, 2),
    (.staleFrameWins, 10),
    (.queueStarves, 7),
    (.unfollowedRoomKept, 1),
    (.roomNotFetched, 16),
    (.prunedNeverGrafted, 32),
  ]

  @Test("The simulator finds it", arguments: findings)
  func bugIsFound(bug: PlantedBug, seed: UInt64) async throws {
    try #require(PlantedBug.areCompiledIn)
    // Without the bug the same seeds pass: the CI script simulates them. A few more seeds, because
    // every change of the engine changes what happens in each.
    let isFound = await aside {
      (seed..<seed + 6).contains { seed in
        var options = SimulationOptions(seed: seed)
        options.planted = bug
        // Heads go over trees when the members are many.
        if bug == .prunedNeverGrafted { options.nodes = 24 }
        return simulate(options).failure != nil
      }
    }
    #expect(isFound)
  }

  @Test("Every bug that a simulation can find has a seed here")
  func listIsComplete() {
    #expect(Set(Self.findings.map(\.bug)) == Set(PlantedBug.foundBySimulation))
  }
}

import MeshCRDT
import MeshSimulator
import Testing

@Suite("Planted bugs")
struct PlantedBugTests {
  /// A bug, the check that finds it, and the smallest world in which it does.
  struct Finding: Sendable, CustomTestStringConvertible {
    let bug: PlantedBug
    let check: String
    let world: Scenario

    /// - Parameters:
    ///   - seed: the first seed that is tried.
    ///   - seconds: virtual seconds before the faults end; all must be well 8 s later.
    init(
      _ bug: PlantedBug, _ check: String, seed: UInt64 = 1, nodes: Int = 3, sessions: Int = 0,
      seconds: UInt64 = 10, _ faults: Set<Scenario.Fault> = [], lies: Set<Lie>? = nil,
      multicast: Bool = false, rooms: Int? = nil, delay: ClosedRange<UInt64>? = nil,
      closed: Bool = false
    ) {
      self.bug = bug
      self.check = check
      var world = Scenario(seed: seed)
      world.nodes = nodes
      world.sessionsPerNode = sessions
      world.faults = faults
      world.isExact = true
      world.lies = lies
      world.faultMilliseconds = seconds * 1000
      world.boundMilliseconds = 8000
      world.hasMulticast = multicast
      world.isClosed = closed
      world.gatewayRooms = rooms
      world.links.delayMicroseconds = delay
      self.world = world
    }

    var testDescription: String { "\(bug)" }
  }

  static let findings: [Finding] = [
    Finding(
      .revocationIgnored, "convergence", nodes: 6, seconds: 16, [.keyRotation], closed: true),
    Finding(
      .strangersHeard, "convergence", nodes: 6, seconds: 12, [.liars], lies: [.fillTables],
      closed: true),
    Finding(.versionReused, "quarantine", sessions: 2),
    Finding(.sequenceReused, "quarantine", sessions: 2),
    Finding(.changesNotSigned, "convergence", sessions: 2),
    Finding(.disappearanceNotTold, "snapshot", sessions: 2),
    Finding(.listNotAtomic, "lists", sessions: 2),
    Finding(.lastStatusLost, "lastWord", sessions: 2),
    Finding(.typingNotEnded, "convergence", seed: 3, sessions: 2),
    Finding(.leaseNotEnded, "convergence", sessions: 2),
    Finding(.leaseEndsEarly, "leases", sessions: 2),
    Finding(.restingCursorNotPacked, "convergence", sessions: 2),
    Finding(.anyUserTakesOver, "foreignUsers", sessions: 2),
    Finding(.removalNotObeyed, "convergence", sessions: 2),
    Finding(.datagramTooLong, "datagramSize", sessions: 2),
    Finding(.tombstoneIgnored, "convergence", sessions: 2),
    Finding(.timeToLiveShort, "living", seconds: 34),
    Finding(.persistAfterSend, "persistBeforeSend", seconds: 6, multicast: true),
    Finding(.cursorLostOnMove, "handOver", sessions: 2, seconds: 18),
    Finding(.staleFrameWins, "cursorOrder", nodes: 5, [.reordering, .delay, .joinStorm]),
    Finding(
      .batchesInAnyOrder, "statusOrder", seed: 3, nodes: 5, seconds: 12,
      [.reordering, .loss, .delay]),
    Finding(.ownWordsIgnored, "convergence", seed: 4, seconds: 12, [.crashOldDisk]),
    Finding(.raiseNotPersisted, "persistBeforeSend", seconds: 12, [.crashOldDisk]),
    Finding(.cloneWritesOn, "clones", seed: 2, [.clone]),
    Finding(.replayAccepted, "replay", seconds: 8, [.outsider]),
    Finding(.amplificationUnbounded, "amplification", seconds: 8, [.outsider]),
    Finding(.toldAgeIgnored, "dead", nodes: 4, seconds: 15, [.crashLostDisk, .loss]),
    Finding(.ageNotCarried, "dead", nodes: 4, seconds: 15, [.crashLostDisk, .loss]),
    Finding(
      .unfinishedWordsKept, "convergence", seed: 10, nodes: 4, seconds: 15, [.crashLostDisk, .loss]),
    Finding(
      .fetchKeepsWhatItLacks, "convergence", seed: 80, nodes: 4, seconds: 15,
      [.crashLostDisk, .loss]),
    Finding(.nothingCompared, "convergence", seed: 3, [.loss, .reordering]),
    Finding(.fetchGivesUp, "convergence", seed: 10, [.loss, .reordering]),
    Finding(.leftShown, "farewell", seed: 3, seconds: 25, [.churn]),
    Finding(.verifySkipped, "quarantine", nodes: 4, seconds: 8, [.liars], lies: [.forge]),
    Finding(
      .heldBackBeatIsYoung, "ages", seed: 24, nodes: 5, seconds: 15,
      [.liars, .partition, .crashLostDisk], lies: [.holdBack]),
    Finding(.grantWithoutEnd, "dead", seed: 6, seconds: 40, [.pause, .crashLostDisk]),
    Finding(.farewellIgnored, "farewell", seed: 17, seconds: 22, [.churn]),
    Finding(
      .movedSessionKept, "convergence", seed: 11, nodes: 5, sessions: 2, seconds: 25,
      [.joinStorm, .churn, .partition, .loss]),
    Finding(
      .walkStopsAtTop, "convergence", seed: 2, nodes: 12, seconds: 8, [.crashLostDisk, .loss]),
    Finding(
      .pathNotChallenged, "convergence", seed: 7, nodes: 4, sessions: 2, seconds: 12,
      [.addressChange, .translation]),
    Finding(
      .quarantineOfLowerOnly, "convergence", nodes: 4, seconds: 8, [.liars],
      lies: [.equivocateCheckpoint]),
  ]

  /// Bugs that worlds do not show, with the tests that fail with them, and why no world does.
  static let foundByUnitTests: [(bug: PlantedBug, test: String, reason: String)] = [
    (
      .noTieBreak, "Stamps have a total order",
      "records of one subject have one writer, and whoever hosts is chosen by the view"
    ),
    (
      .pauseNotForgiven,
      "A node that slept hides nobody who lives, and soon whoever died meanwhile",
      "what a node shows in the moment in which it wakes is excused there"
    ),
    (
      .prunedNeverGrafted, "Over an edge that was pruned no beats go, until they are missed",
      "worlds have fewer nodes than a large mesh"
    ),
    (
      .queueStarves, "While cursors and batches wait, both go, by their shares of the bytes",
      "nothing there sends more than its rate for long"
    ),
    (
      .subscriptionNotTold,
      "A subscription is written at once, as a record that all rooms take back",
      "nodes of worlds subscribe to all rooms"
    ),
    (
      .anybodySpeaksForAll,
      "A session of a user whom its host's certificate does not name is shown by nobody",
      "the nodes of worlds may speak for all users"
    ),
    (
      .unsubscribedRoomKept,
      "Rooms that are not wanted any more go at once, new ones need a fetch unless they are empty",
      "nodes of worlds subscribe to all rooms"
    ),
    (
      .clearedRoomKept, "A room that was emptied begins anew, also for who missed its end",
      "the next root differs, and a fetch mends it"
    ),
    (
      .previousIgnored, "Batches in any order, doubled, lead to what the origin has",
      "the next root differs, and a fetch mends it"
    ),
    (
      .rootNotChecked, "A root that is not that of the batches is seen",
      "no honest origin signs a wrong root"
    ),
    (
      .fetchedTopNotChecked, "Nodes of another checkpoint, of another place, or made up are wrong",
      "the nodes below do not fit, and another peer is asked"
    ),
    (
      .fetchedNodeNotChecked,
      "A node below the top that is well-formed and not the one that was named is wrong",
      "no liar there changes one entry and keeps the rest"
    ),
    (
      .excessBelieved,
      "What an origin says beyond its bounds is complete nowhere, and costs no fetch after fetch",
      "no world is so large"
    ),
    (
      .occupancyNotWritten,
      "Rooms and their sessions are known to all, also where nobody subscribes to all",
      "nodes of worlds subscribe to all rooms"
    ),
    (
      .incarnationByCounter,
      "A lower incarnation than the one held is not opened, a higher one takes its place whole",
      "clones stop before what they wrote meets"
    ),
    (
      .lowestStampHosts,
      "Of the visible origins the one with the highest counter is the host, then the highest id",
      "two hosts have one session for a moment only"
    ),
    (
      .everyRemovalBars,
      "A removal of another node forbids to come back, too, and one that is not final does not",
      "clients that were ordered out do not come back"
    ),
    (
      .removalNotShown,
      "A removal with the host's counter hides a session, whatever another host says",
      "the host obeys at once"
    ),
    (
      .repairNotAsked, "A batch that is lost is asked for, and a cursor does not go back",
      "a comparison mends it a second later"
    ),
    (
      .wasteForgiven, "A wrong signature costs twenty times its work",
      "what liars cost is no truth of a snapshot"
    ),
    (
      .counterNotAboveSeen, "A session counts on above everything that any origin says of it",
      "sessions are opened above the clock, which all nodes of a world share"
    ),
    (
      .departureNotRemoved, "A session that moved and left stays gone when its old host heals",
      "clients leave seldom in the moment between two hosts"
    ),
    (
      .removalTakenBackEarly,
      "A removal of a session that moved here waits for the host that it came from",
      "clients leave seldom in the moment between two hosts"
    ),
    (
      .grantsAddUp, "The longest part of a pause behind a beat is granted, and no sum",
      "a node hears others between its pauses"
    ),
    (
      .cutOffNotNoticed, "A node is cut off after 1.25 typical periods without a datagram",
      "links of worlds change too often"
    ),
    (
      .contradictingBatchIgnored,
      "What a hidden origin said before is remembered, and what contradicts it is found",
      "what liars say is not compared"
    ),
    (
      .contradictingCheckpointIgnored,
      "Two checkpoints of one sequence end in quarantine everywhere",
      "what liars say is not compared"
    ),
    (
      .contradictionNotTold, "Two checkpoints of one sequence end in quarantine everywhere",
      "in small worlds each node finds the contradiction by itself"
    ),
    (
      .chainGapIgnored,
      "Whatever batches and checkpoints come, a complete checkpoint has what the origin said in the rooms",
      "nodes of worlds subscribe to all rooms"
    ),
    (
      .incompleteSummarised,
      "All hold the newest checkpoint that one of them has completely, though they know of newer ones",
      "a later checkpoint is complete soon"
    ),
    (
      .olderCheckpointTaken, "A checkpoint that comes behind a later one changes nothing",
      "the next checkpoint is newer than both"
    ),
    (
      .forgottenRevived, "Only newer words than those of the note bring a forgotten origin back",
      "who tells of a forgotten origin tells its age, too"
    ),
    (
      .lostPathNotTried,
      "The address of a lost path is tried again, unless its origin is not needed any more",
      "addresses come of others, too"
    ),
    (
      .notForwarded, "What one node writes comes to all at once, each copy over few edges",
      "worlds have fewer nodes than a large mesh, mostly"
    ),
    (
      .batchAppliedTwice, "A set of ranges says the same as a set of numbers",
      "a batch that is applied again does not follow the version of its log"
    ),
    (
      .answerBudgetIgnored, "A path has its bytes of answers in a second",
      "what liars cost is no truth of a snapshot"
    ),
    (
      .comparesWithoutPause, "A node compares with somebody once a second",
      "a node has one comparison with a peer under way"
    ),
    (
      .subscriptionNotHeeded,
      "In a mesh of many rooms a node is sent, and holds, what it subscribes to",
      "nodes of worlds subscribe to all rooms"
    ),
  ]

  @Test("The simulator finds it by the check that guards its rule", arguments: findings)
  func bugIsFound(_ finding: Finding) throws {
    try #require(PlantedBug.areCompiledIn)
    // A few more seeds, because every change of the engine changes what happens in each.
    let seed = (finding.world.seed..<finding.world.seed + 12).first { seed in
      var world = finding.world
      world.seed = seed
      world.planted = finding.bug
      return world.run().failure?.check == finding.check
    }
    var world = finding.world
    world.seed = try #require(seed)
    let failure = world.run().failure
    #expect(failure == nil, "Without the bug the same world is well")
  }

  @Test("Everything that is planted is found by a world or by a named test")
  func listIsComplete() {
    let found = Set(Self.findings.map(\.bug)).union(Self.foundByUnitTests.map(\.bug))
    #expect(Set(PlantedBug.allCases) == found)
    #expect(Self.foundByUnitTests.allSatisfy { !$0.test.isEmpty && !$0.reason.isEmpty })
  }
}

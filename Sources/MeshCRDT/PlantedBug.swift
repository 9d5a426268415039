/// Faults that the tests switch on, one at a time, to show that the simulator finds each of them.
///
/// They are compiled into debug builds and into builds with `PRESENCEMESH_PLANTED_BUGS` set, never
/// into a release that users run: there, ``isActive(_:)`` is the constant `false`.
package enum PlantedBug: String, CaseIterable, Sendable {
  /// Stamps with equal counters are not ordered by origin.
  case noTieBreak
  /// Signatures are not verified.
  case verifySkipped
  /// A relayed heartbeat arrives as if it were new.
  case ageNotCarried
  /// A datagram is heard as often as it arrives.
  case replayAccepted
  /// An address is believed before it has proven its return path.
  case pathNotChallenged
  /// The end of a lease is not written.
  case leaseNotEnded
  /// A resting cursor is not packed anew.
  case restingCursorNotPacked
  /// A host keeps a session that moved to another host.
  case movedSessionKept
  /// A node that woke from a pause judges by the ages it slept through.
  case pauseNotForgiven
  /// Challenges repeat as long as bytes keep coming.
  case amplificationUnbounded
  /// A host does not end a session that somebody ordered to end.
  case removalNotObeyed
  /// Who asked not to be sent the beats of an origin is never sent them again.
  case prunedNeverGrafted
  /// A node that subscribes to other rooms than before does not say so.
  case subscriptionNotTold
  /// A move of a cursor is taken for news though a later one is known.
  case staleFrameWins
  /// Of what has to wait, one kind goes before all others.
  case queueStarves
  /// A node that does not subscribe to a room any more keeps what others said there.
  case unsubscribedRoomKept

  /// In a large mesh nobody sends batches and cursors on.
  case notForwarded

  /// Batches of a room are applied in whatever order they come.
  case batchesInAnyOrder
  /// A batch is applied though the one before it is missing.
  case previousIgnored
  /// What was applied is not remembered.
  case batchAppliedTwice
  /// A batch that begins a room anew leaves what was there.
  case clearedRoomKept
  /// A fetch leaves the rooms that the fetched tree lacks.
  case fetchKeepsWhatItLacks
  /// A tombstone removes nothing.
  case tombstoneIgnored
  /// Whoever has all versions believes to have what the checkpoint signs.
  case rootNotChecked
  /// The top of a fetched tree need not hash to the signed root.
  case fetchedTopNotChecked
  /// A fetched node need not hash to what the node above it says.
  case fetchedNodeNotChecked
  /// Incarnations are ordered by their counters alone.
  case incarnationByCounter
  /// The tree of the replica has checkpoints that are not complete.
  case incompleteSummarised
  /// No bound holds for what one origin has.
  case excessBelieved
  /// Checkpoints that name their changes count though one between them is missing.
  case chainGapIgnored
  /// Two batches with one version are no contradiction.
  case contradictingBatchIgnored
  /// Two checkpoints with one sequence are no contradiction.
  case contradictingCheckpointIgnored
  /// An older checkpoint takes the place of a newer one.
  case olderCheckpointTaken
  /// What is above the complete checkpoint of an origin stays when it is hidden.
  case unfinishedWordsKept
  /// The incarnation that contradicted itself is heard on.
  case quarantineOfLowerOnly
  /// Nobody is told of a contradiction.
  case contradictionNotTold
  /// A process that knows of a second one with its key goes on writing.
  case cloneWritesOn
  /// A node does not begin above its own words of a higher incarnation.
  case ownWordsIgnored
  /// The counter of an incarnation that began above own words is not written to the disk.
  case raiseNotPersisted
  /// Datagrams go before the counter of their incarnation is on the disk.
  case persistAfterSend
  /// At first contact nobody is believed to be older than the datagram.
  case toldAgeIgnored
  /// A beat is as old as its way, however late it comes.
  case heldBackBeatIsYoung
  /// The pauses of a node add up.
  case grantsAddUp
  /// A pause is granted whole, also to those whose newest beat is of a later time.
  case grantWithoutEnd
  /// A node does not notice that nobody is heard.
  case cutOffNotNoticed
  /// The leaving flag of a checkpoint is not read.
  case farewellIgnored
  /// An origin that left is shown until its time to live ends.
  case leftShown
  /// An origin is offline after half its period without a sign of life.
  case timeToLiveShort
  /// An old word takes an origin up again that was forgotten.
  case forgottenRevived
  /// A session that comes from another host counts from its beginning.
  case counterNotAboveSeen
  /// A session that changes hosts leaves its cursors behind.
  case cursorLostOnMove
  /// A session id opens a session for whatever user.
  case anyUserTakesOver
  /// A status counts from its session alone, not from what its user says elsewhere.
  case lastStatusLost
  /// A session that ends here is not removed from where it was before.
  case departureNotRemoved
  /// A removal is taken back while what it outweighs may come back.
  case removalTakenBackEarly
  /// A removal that is not final refuses the session, too.
  case everyRemovalBars
  /// A session is shown though a removal outweighs it.
  case removalNotShown
  /// Typing that is not renewed goes on.
  case typingNotEnded
  /// A lease ends after half its time.
  case leaseEndsEarly
  /// Nobody says which rooms its sessions are in.
  case occupancyNotWritten
  /// What a refused list has done so far stays done.
  case listNotAtomic
  /// Two batches of one incarnation have the same versions.
  case versionReused
  /// Two checkpoints of one incarnation have the same sequence.
  case sequenceReused
  /// No checkpoint speaks of what changed.
  case changesNotSigned
  /// No event tells that a session is gone.
  case disappearanceNotTold
  /// The record with the lowest stamp says who hosts a session.
  case lowestStampHosts
  /// Nobody asks for a batch that is missing.
  case repairNotAsked
  /// A fetch that failed once is not tried again.
  case fetchGivesUp
  /// A comparison looks at the first nodes only.
  case walkStopsAtTop
  /// A node compares with nobody.
  case nothingCompared
  /// A node compares again as soon as it has compared.
  case comparesWithoutPause
  /// A path is answered whatever it asks for.
  case answerBudgetIgnored
  /// Wrong signatures and wrong answers cost nothing.
  case wasteForgiven
  /// Nobody tries the address of a path that was lost.
  case lostPathNotTried
  /// A datagram has more messages than fit.
  case datagramTooLong
  /// Everybody is sent what is said in rooms that it does not subscribe to.
  case subscriptionNotHeeded
  /// What an origin says of users that its certificate does not name is shown.
  case anybodySpeaksForAll
  /// Words of origins without a certificate are heard.
  case strangersHeard
  /// A revocation changes nothing.
  case revocationIgnored

  #if PLANTED_BUGS
    /// The fault that is switched on for the current task.
    @TaskLocal package static var active: PlantedBug?
  #endif

  /// True when this fault is switched on.
  @inline(__always)
  package static func isActive(_ bug: PlantedBug) -> Bool {
    #if PLANTED_BUGS
      active == bug
    #else
      false
    #endif
  }

  /// Runs `body` with a fault switched on. In builds without planted bugs the fault stays off.
  package static func with<Result>(_ bug: PlantedBug?, _ body: () throws -> Result) rethrows
    -> Result
  {
    #if PLANTED_BUGS
      try $active.withValue(bug, operation: body)
    #else
      try body()
    #endif
  }

  /// True when this build can switch faults on.
  package static var areCompiledIn: Bool {
    #if PLANTED_BUGS
      true
    #else
      false
    #endif
  }
}

/// Faults that the tests switch on, one at a time, to show that the simulator finds each of them.
///
/// They are compiled into debug builds and into builds with `PRESENCEMESH_PLANTED_BUGS` set, never
/// into a release that users run: there, ``isActive(_:)`` is the constant `false`.
package enum PlantedBug: String, CaseIterable, Sendable {
  /// Stamps with equal counters are not ordered by origin.
  case noTieBreak
  /// Records of equal version are settled by order of arrival.
  case firstArrivalWins
  /// An old record that a signed hash already covers as removed is taken in again.
  case coveredRecordRevived
  /// Tombstones are dropped after a while, whether or not a signed hash covers them.
  case tombstoneCollectedByTime
  /// The live hash is not checked before removals are taken as complete.
  case settledWithoutHash
  /// Signatures are not verified.
  case verifySkipped
  /// The Lamport counter wraps at 16 bits.
  case wrappingCounter
  /// A Lamport counter is believed however far ahead it is.
  case poisonBelieved
  /// A relayed heartbeat arrives as if it were new.
  case ageNotCarried
  /// A datagram is heard as often as it arrives.
  case replayAccepted
  /// An address is believed before it has proven its return path.
  case pathNotChallenged
  /// A gap in the versions is not pulled.
  case gapNotPulled
  /// The manifest is never asked for.
  case manifestNotAsked
  /// Hiding an origin removes its records.
  case hiddenWrittenToState
  /// An older heartbeat renews the lease.
  case oldHeartbeatRenews
  /// A lower generation is joined with a higher one.
  case generationIgnored
  /// Joining a log with a higher cut keeps the records that it does not cover. Nodes send records,
  /// never whole logs: the law tests find this one, the simulator cannot.
  case uncoveredRecordKept
  /// The end of a lease is not written.
  case leaseNotEnded
  /// A resting cursor is not packed anew.
  case restingCursorNotPacked
  /// A host keeps a session that moved to another host.
  case movedSessionKept
  /// A node that woke from a pause judges by the ages it slept through.
  case pauseNotForgiven
  /// Digests leave out the last bucket.
  case digestBucketSkipped
  /// Challenges repeat as long as bytes keep coming.
  case amplificationUnbounded
  /// A host does not end a session that somebody ordered to end.
  case removalNotObeyed
  /// Who asked not to be told the heads of an origin is never told them again.
  case prunedNeverGrafted
  /// A node that follows other rooms than before does not say so.
  case interestNotTold
  /// A move of a cursor is taken for news though a later one is known.
  case staleFrameWins
  /// Of what has to wait, one kind goes before all others.
  case queueStarves
  /// A node that does not follow a room any more keeps what others said there.
  case unfollowedRoomKept
  /// A node that follows a room anew does not ask for what is said there.
  case roomNotFetched
  /// An event is lost when a session changes hosts.
  case moveNotTold

  /// Those that a simulation can find. The others concern what an origin with one key and one writer
  /// never does, or heal by themselves; the law tests find them.
  package static let foundBySimulation: [PlantedBug] = allCases.filter {
    ![.firstArrivalWins, .uncoveredRecordKept, .tombstoneCollectedByTime, .generationIgnored]
      .contains($0)
  }

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

/// The bounds of the tables of membership, and its spans and thresholds that no setting changes.
enum MembershipLimits {
  // MARK: Heartbeat chains

  /// The number of times a chain hashes its seed; its beats are 0…4,095.
  static let chainLength: UInt64 = 4096
  /// Every so many values of the own chain one is kept.
  static let pebbleInterval = 64
  /// The most hashes that one beat may cost.
  static let stepsPerBeat: UInt64 = 512
  /// An origin signs a checkpoint at the latest so many beats after the one before, so that whoever
  /// has it, and has missed a few beats, can verify the newest one.
  static let beatsPerCheckpoint: UInt64 = 448

  // MARK: Ages

  /// The part of the elapsed time by which two clocks may disagree, 1 in so many.
  static let driftDivisor: Int64 = 1000
  /// Half periods without a beat that hide an origin.
  static let timeToLiveHalfPeriods: UInt64 = 5
  /// How many times their time to live origins stay visible at the most while nobody is heard.
  static let cutOffFactor: UInt64 = 3
  /// Pauses of this node that are kept apart. Beyond, the two latest become one.
  static let pauses = 16

  // MARK: Failure detection

  /// Origins that are watched. Further ones are refused.
  static let origins = 4096
  /// How long an origin that comes back waits for its log at the most.
  static let completionWait = Span.seconds(1)
  /// How long an origin is kept at the least after first contact, and how many of its periods.
  static let probation = Span.seconds(10)
  static let probationPeriods: UInt64 = 5
  /// The longest time between two probes of a silent origin.
  static let longestProbePause = Span.seconds(60)
  /// Deadlines of a large mesh are multiples of it, so that several origins are evaluated at once.
  static let largeMeshStep = Span.milliseconds(32)
  /// Evaluations in one call.
  static let evaluationsPerTurn = 1024

  // MARK: Staleness

  /// The longest period that is believed where the silence of all is judged.
  static let longestTypicalPeriod = Span.seconds(60)

  // MARK: Notes

  /// Incarnations in quarantine. The one that was noted first goes.
  static let quarantined = 4096
  /// Removed peers that are remembered. The one that was noted first goes.
  static let removedPeers = 4096

  // MARK: Own period

  static let shortestPeriod = Span.milliseconds(100)
  static let longestPeriod = Span.seconds(3600)
  /// Bytes of a beat where it is sent on: prefix (8), index (2), value (16), and its share of the
  /// message around it.
  static let beatBytes: UInt64 = 27
}

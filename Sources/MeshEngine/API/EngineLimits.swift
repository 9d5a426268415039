import MeshCRDT

/// The bounds of an engine's tables and queues, and the spans and rates that no setting changes.
///
/// Bounds of the protocol are in `Limits`, and in the types of the messages.
enum EngineLimits {
  // MARK: Paths

  /// Paths at a time. When there is no room, the one that was silent longest goes, of the address
  /// prefix that has most.
  static let paths = 1024
  /// Paths to one origin. The one that was silent longest goes.
  static let pathsPerOrigin = 4

  // MARK: Proving addresses

  /// How long a token is told to addresses without a path; for as long again it makes paths.
  static let tokenSpan = Span.seconds(60)

  /// Challenges and proofs in a second that answer addresses without a path.
  static let challengeAnswersPerSecond: UInt64 = 200
  /// Proofs in a second whose signatures are verified.
  static let proofsPerSecond: UInt64 = 400
  /// How many of these rates a prefix or a host may take in a second before it counts as busy.
  static let usesOfQuietSource = 4
  /// Answers in a second to one datagram, and to one token of one address.
  static let repeatedAnswers = 2
  /// Wrong proofs of one address in a second, after which none of it is verified.
  static let wrongProofs = 4
  /// Sources, datagrams and tokens of which uses are counted in a second.
  static let countedUses = 1024

  // MARK: Contacts

  /// Addresses that the user gave. More are refused.
  static let configuredContacts = 1024
  /// Lost paths that are tried again. More are not tried.
  static let lostContacts = 1024
  /// Addresses known by peer exchange alone that are tried at a time. More are not tried.
  static let hintedContacts = 512
  /// The same, hinted at by one path.
  static let hintedContactsPerSource = 32
  /// The same, of one address prefix.
  static let hintedContactsPerPrefix = 64
  /// How often a hinted address is tried.
  static let triesOfHinted = 6
  /// How often a lost address is tried.
  static let triesOfLost = 200
  /// The time between two tries to reach an address that is not needed now.
  static let idleRetry = Span.seconds(240)
  /// The time after a first try, doubled with each try.
  static let firstRetry = Span.milliseconds(500)

  // MARK: Address book

  /// Origins whose addresses are known. The one that was noted least lately goes, one that is known by
  /// hints alone first.
  static let addresses = 4096
  /// Hinted addresses of one address prefix. The one that was noted least lately goes.
  static let hintedAddressesPerPrefix = 256
  /// For how long the hint of another path does not replace one that was not tried in vain.
  static let hintStands = Span.seconds(60)

  // MARK: Large meshes

  /// Beats wait for company for this part of a period, 1 in so many.
  static let beatWaitsPerPeriod: UInt64 = 20
  /// Neighbours of unknown address that are asked for at a time.
  static let addressesAskedFor = 2

  // MARK: Work

  /// Units of work that one path may cause in a second. A unit is about a microsecond.
  static let workPerSecond: UInt64 = 500_000
  /// The part of a path's units that is kept for what the path's own origin says, 1 in so many.
  static let workShareOfOwnWords: UInt64 = 4
  /// How many times its work a wrong signature costs.
  static let wastePriceFactor: UInt64 = 20
  /// Units of waste at which a path is dropped.
  static let wasteOfDroppedPath: UInt64 = 16_000
  /// Units of waste that are forgiven in a second.
  static let wasteForgivenPerSecond: UInt64 = 500
  /// How long a path that was dropped for waste is not proven again, doubled each time,
  static let banSpan = Span.seconds(60)
  /// up to this.
  static let banSpanAtMost = Span.seconds(3600)
  /// Addresses that are banned, or were lately. The one whose ban ends first goes.
  static let bans = 1024
  /// Bytes that hints may make a node send, for each byte of hints.
  static let reflectionFactor: UInt64 = 3
  /// The bytes of a hint.
  static let hintBytes = UInt64(OriginID.byteCount + 18)
  /// Bytes in a second of tries at hinted addresses whose sources have no credit left, or are gone.
  static let spareReflectionPerSecond: UInt64 = 250
  static let spareReflectionBurst: UInt64 = 2000

  // MARK: Sending

  /// Messages that wait for one address while it is within its rate. More are dropped.
  static let messagesPerAddress = 1024
  /// Challenges and proofs that wait. More are dropped.
  static let openings = 1024

  // MARK: Recent batches and repairs

  /// Bytes of recent batches that are kept of an origin. The lowest versions go first.
  static let recentBatchBytes = 65_536
  /// Recent batches that are kept of an origin. The lowest versions go first.
  static let recentBatches = 128
  /// Missing versions that are asked for one by one. Where more are missing, trees are fetched.
  static let repairVersions: UInt64 = 64
  /// Where a checkpoint tells of more missing versions than this, and than the origin has records, all of these
  /// are fetched: that is less.
  static let repairVersionsAtLeast: UInt64 = 4
  /// How many times as many, where some rooms are held alone: between those of a room are those of others.
  static let repairShareOfRoom: UInt64 = 16
  /// Ranges of missing versions that are asked for at once.
  static let repairRanges = 8
  /// How long a gap may be the work of datagrams that overtook each other.
  static let repairDelay = Span.milliseconds(5)
  /// How often missing batches are asked for.
  static let repairAttempts = 4

  // MARK: The own key

  /// How often a node goes above words of its own key that it did not write. One that has to do so again
  /// lives beside another process.
  static let raises = 3
  /// A pause of this node after which its clock may have stood still.
  static let longPause = Span.seconds(1)
  /// The time between two contradictions of one origin that are sent on.
  static let contradictionPause = Span.seconds(1)

  // MARK: Comparing

  /// Origins that are fetched at a time. The others wait.
  static let fetches = 32
  /// Checkpoints of an origin that an answer to its fetch may be about: the last ones that came.
  static let recentCheckpoints = 8
  /// Bytes of answers that a fetch has under way.
  static let fetchBudget: UInt64 = 65_536
  /// The same, from one peer.
  static let fetchesPerPeer = 16
  /// How long an answer may take of a peer that another one's fetch goes over to.
  static let movedTimeout = Span.seconds(1)
  /// Peers that one fetch asks.
  static let peersOfFetch = 6
  /// How long an answer may take at the most.
  static let longestPatience = Span.seconds(2)

  /// How long an answer may take where a round trip takes so long.
  static func patience(roundTrip: Span) -> Span {
    min(roundTrip.scaled(4, over: 1) + .milliseconds(50), longestPatience)
  }

  /// Bytes of answers that a walk down the tree of the replica has under way.
  static let walkBudget: UInt64 = 65_536
  /// How often a walk asks again where nothing came.
  static let silencesOfWalk = 2
  /// Nodes that one walk asks for.
  static let nodesPerWalk = 4096
  /// How long an answer may take of an address to which there is no path any more.
  static let answerTimeout = Span.milliseconds(400)

  // MARK: Trust

  /// How far the wall clocks of members may be apart.
  static let clockTolerance = Span.seconds(600)
  /// How long certificates and decrees are kept after their end.
  static let endedKept = Span.seconds(7 * 86_400)
  /// The longest time until what ended is looked for.
  static let trustPeriod = Span.seconds(3600)

  /// Hellos that are answered with a cookie in a second,
  static let cookiesPerSecond: UInt64 = 200
  /// and requests with a cookie that are looked at: up to half a millisecond each.
  static let admissionsPerSecond: UInt64 = 50
  /// Datagrams of unknown epochs that are a reason to ask for a key, in a second.
  static let epochHintsPerSecond: UInt64 = 32
  /// The time between two hellos to one address.
  static let helloPause = Span.seconds(1)
  /// How long after a hello an answer is read.
  static let helloAnswerTime = Span.seconds(5)
  /// How long an address is asked again each ``helloPause``.
  static let askedAgainFor = Span.seconds(8)
  /// Requests that go with one cookie, before another one is asked for.
  static let requestsPerCookie = 3
  /// How long after a new key came it is used for sealing: so long others have to get it.
  static let epochDelay = Span.seconds(3)
  /// How long after that the old ones still open datagrams.
  static let epochOverlap = Span.seconds(60)
  /// Epochs are so far apart, plus something below this that is random.
  static let epochStep: UInt32 = 4096
  /// How long a decree that has no end of its own is kept.
  static let decreeLifetime = Span.seconds(10 * 365 * 86_400)

  // MARK: View

  /// Sessions that are looked at in one turn, so that no turn takes longer than about 2 ms.
  static let sessionsPerTurn = 256
}

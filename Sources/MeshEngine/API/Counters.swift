/// What an engine counts. Nothing that a peer sends is dropped without one of them rising.
package struct Counters: Hashable, Sendable {
  /// One counter.
  package enum Name: Int, CaseIterable, Sendable {
    // Datagrams.
    case datagramsReceived, bytesReceived, datagramsSent, bytesSent
    /// Received on a proven path, for the first time.
    case datagramsAccepted
    /// Too long, too short, of a version that is not known.
    case datagramsMalformed
    /// Of a node that speaks version 1.
    case datagramsOfProtocol1
    /// Of another mesh.
    case datagramsForeign
    /// The authenticator is wrong, or the epoch's key is not held.
    case datagramsForged
    case datagramsReplayed
    /// Of this node itself.
    case datagramsOwn
    /// From an address that has not proven its return path.
    case datagramsUnproven
    case messagesMalformed

    // Paths.
    case challengesSent
    /// Not answered, because the same datagram or token was answered a moment ago.
    case challengesRepeated
    /// Not sent, for the sake of the threefold bound, or of the rate of answers.
    case challengesWithheld
    case proofsReceived
    /// Wrong, or of another address, incarnation or sender than its datagram.
    case proofsRefused
    /// Not verified, for the sake of the rate of proofs.
    case proofsWithheld
    case pathsProven
    /// Lost by silence.
    case pathsSilent
    /// Gave way to another path, because a table was full.
    case pathsEvicted
    /// Dropped because only waste came from there.
    case pathsBanned
    /// From an origin or address that is not proven for a while.
    case datagramsBanned
    /// An address that is not tried, because a table was full.
    case contactsRefused
    /// A try at a hinted address that the source of the hint has no credit for.
    case contactsWithheld
    /// A hinted address that no node can have, or none that the source of the hint could know of.
    case addressesRefused

    // Work.
    case signaturesVerified, signaturesWrong
    /// Messages that were not handled because their path has used up its work.
    case workRefused
    /// Answers that were not given because their path has used up its bytes.
    case answersRefused

    // Signs of life.
    case checkpointsSent, checkpointsReceived, checkpointsKnown
    case beatsSent, beatsReceived, beatsKnown
    /// Of no chain that is known, or beyond the bound of hashing.
    case beatsRefused
    case probesSent, probesReceived
    case prunesSent, prunesReceived
    case pausesForgiven

    // Trust.
    /// A node without a certificate that counts wanted a path.
    case pathsWithoutCertificate
    case certificatesReceived, decreesReceived
    /// Not signed by an authority of the mesh, or of more than a bound lets in.
    case certificatesRefused, decreesRefused
    /// Mesh keys that were given, asked for, refused, and not looked at for the sake of a rate.
    case admissionsGranted, keysAskedFor, admissionsRefused, admissionsWithheld
    /// Batches and cursor frames of an origin that says more in a second than its certificate lets it.
    case quotasExceeded
    /// Of an origin without a certificate that counts.
    case messagesUncertified

    // Records.
    case batchesSent, batchesReceived, batchesKnown
    case cursorFramesSent, cursorFramesReceived, cursorFramesKnown
    case recordsJoined, cursorUpdatesJoined
    /// A bound of the tables kept it out.
    case recordsRefused, cursorUpdatesRefused, originsRefused, removedPeersForgotten
    /// A checkpoint speaks of more than an origin may have.
    case checkpointsExcessive

    // Comparing.
    case comparisonsSent, comparisonsReceived, comparisonsEqual
    case nodesSent, nodesReceived
    /// An answer whose hash is not the one that was asked for.
    case nodesWrong
    case repairsSent, repairsReceived
    case fetchesCompleted, fetchesMoved
    case contradictionsSent, contradictionsReceived, contradictionsFalse

    // Queues: messages that had to wait, and went for lack of room, or because newer ones say it
    // better.
    case outboxDropped, outboxSuperseded
  }

  private var values = [UInt64](repeating: 0, count: Name.allCases.count)

  package init() {}

  package subscript(name: Name) -> UInt64 {
    get { values[name.rawValue] }
    set { values[name.rawValue] = newValue }
  }

  /// Raises a counter.
  package mutating func count(_ name: Name, _ amount: Int = 1) { self[name] &+= UInt64(amount) }

  /// All counters by name, in the order of their declaration.
  package var all: [(name: String, value: UInt64)] {
    Name.allCases.map { ("\($0)", self[$0]) }
  }
}

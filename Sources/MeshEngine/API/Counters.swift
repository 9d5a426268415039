/// What an engine counts. Nothing that a peer sends is dropped without one of them rising.
package struct Counters: Hashable, Sendable {
  /// One counter.
  package enum Name: Int, CaseIterable, Sendable {
    case datagramsReceived, bytesReceived, datagramsSent, bytesSent
    /// Heard on a proven path, for the first time.
    case datagramsAccepted
    /// Too long, too short, of another version.
    case datagramsMalformed
    /// Of another mesh.
    case datagramsForeign
    /// The authenticator is wrong, or the epoch's key is not held.
    case datagramsForged
    case datagramsReplayed
    /// Of this node itself.
    case datagramsOwn
    /// From an address that has not proven its return path.
    case datagramsUnproven
    case challengesSent
    /// Not sent, for the sake of the threefold bound or the rate of challenges.
    case challengesWithheld
    case proofsRefused
    case messagesMalformed, messagesUnknown
    case signaturesVerified, signaturesWrong
    case batchesReceived, batchesKnown
    /// Of a room that is not followed here.
    case batchesUnwanted, framesUnwanted
    case headsReceived, headsKnown
    case framesReceived, framesKnown
    case recordsJoined
    /// A bound of the tables kept it out.
    case recordsRefused
    /// A move of a cursor, because the table of moving cursors was full.
    case movesRefused
    /// A Lamport counter too far ahead.
    case countersImplausible
    /// A table of origins, paths or graves was full.
    case originsRefused, pathsDropped, gravesDropped
    case batchesSent, headsSent, framesSent
    case pullsSent, pullsAnswered, manifestsSent, manifestsApplied, logsGivenUp
    /// A room was asked for as a whole, and answered; a room was dropped that is not followed any more.
    case fetchesSent, fetchesAnswered, roomsDropped
    case digestsSent, digestsEqual, digestsDifferent
    case pausesForgiven
    /// Messages that had to wait, and went for lack of room, or because newer ones said it better.
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

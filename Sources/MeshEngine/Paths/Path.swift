import MeshCRDT

/// One incarnation of a node, as it sends datagrams.
struct Sender: Hashable, Sendable {
  let origin: OriginID
  let incarnation: Incarnation
}

/// A way to a node: an address that has proven that it hears this node, and that its node owns its key.
struct Path: Sendable {
  let address: PeerAddress
  let sender: Sender
  /// What the node wants to be answered with.
  var token: UInt64
  /// What this node made for the address, and expects in return: the token that the path was proven with.
  let ownToken: UInt64
  /// The counters of datagrams that came by this path. Other paths of the sender have windows of their own,
  /// so that nobody who passes its words on takes its counters away.
  var window = ReplayWindow()
  /// When a datagram of the path came last.
  var heardAt: MonotonicTime
  /// The time of a round trip, as far as it was measured.
  var roundTrip: Span?
  /// The answers that were overdue since one came in time.
  var overdue: UInt64 = 0
  /// True for an address that the user gave.
  var isConfigured: Bool
  /// When comparisons began to find differences, and when the last one did; `nil`: the last found none.
  var differs: (first: MonotonicTime, last: MonotonicTime)?

  /// How long to wait for an answer: 4 round trips and 50 ms, twice as long for each that was overdue, at most
  /// 2 s. Without that nobody would be waited for long enough whose way has become longer.
  var patience: Span {
    roundTrip.map {
      min(
        EngineLimits.patience(roundTrip: $0).scaled(1 << min(overdue, 6), over: 1),
        EngineLimits.longestPatience)
    } ?? EngineLimits.longestPatience
  }
}

/// A path that is not there any more.
struct LostPath: Hashable, Sendable {
  enum Reason: Hashable, Sendable {
    case silent
    /// Its place was needed for another one.
    case evicted
    /// Another node, or another incarnation, has proven the address.
    case replaced
    /// Only waste came from there.
    case wasteful
    /// The origin is no member any more.
    case notAdmitted
  }

  let address: PeerAddress
  let origin: OriginID
  let reason: Reason
  /// True when the origin is reached by another path.
  let isReachedElsewhere: Bool
}

/// What was seen of a world while it ran: material for plots.
package struct Samples: Sendable {
  /// How many of the running nodes that do not lie held equal states at a moment.
  package struct Agreement: Sendable {
    package let milliseconds: Double
    /// The share of those nodes that held the most common state, 0…1.
    package let share: Double
  }

  /// What was sent in a span of time.
  package struct Traffic: Sendable {
    /// When the span began.
    package let milliseconds: Double
    /// Bytes of UDP payload by ``kindNames``. A datagram to a multicast group counts once.
    package internal(set) var bytes: [UInt64]
    /// The time that nodes were running in the span, added up over the nodes.
    package internal(set) var nodeSeconds = 0.0
  }

  /// What bytes are sent for, in the order of ``Traffic/bytes``: the kinds of messages by their
  /// numbers on the wire. 0 is the framing: headers, nonces and authenticators.
  package static let kindNames = [
    "framing", "challenge", "path proof", "batch", "checkpoint", "cursor frame", "beats", "compare",
    "nodes", "repair", "probe", "contradiction", "peer exchange", "prune",
  ]

  /// In the order of time, evenly spaced.
  package let agreement: [Agreement]
  package let traffic: [Traffic]
  /// When the faults ended, or the first change was made.
  package let focusMilliseconds: Double
  /// The bytes that the node sent that sent most.
  package let busiestNodeBytes: UInt64
}

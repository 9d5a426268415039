/// A Lamport stamp: the counter of the writing node, then its id as the tie-break.
///
/// Source: Lamport, *Time, Clocks, and the Ordering of Events in a Distributed System*, 1978.
package struct Stamp: Hashable, Comparable, Sendable {
  package let counter: UInt64
  package let origin: OriginID

  package init(counter: UInt64, origin: OriginID) {
    self.counter = counter
    self.origin = origin
  }

  /// The same total order on every node: by counter, then by origin id.
  package static func < (left: Self, right: Self) -> Bool {
    if left.counter != right.counter { return left.counter < right.counter }
    if PlantedBug.isActive(.noTieBreak) { return false }
    return left.origin < right.origin
  }
}

/// The Lamport counter of a node.
package struct LamportClock: Hashable, Sendable {
  /// The highest counter that was used or witnessed.
  package private(set) var counter: UInt64

  package init(counter: UInt64 = 0) {
    self.counter = min(counter, Limits.counterBound - 1)
  }

  /// True when a received counter may be believed: see ``Limits/counterLeap``.
  package func isPlausible(_ received: UInt64) -> Bool {
    received < Limits.counterBound
      && (received <= counter + Limits.counterLeap || PlantedBug.isActive(.poisonBelieved))
  }

  /// Raises the counter to a received one. The caller has checked ``isPlausible(_:)``.
  package mutating func witness(_ received: UInt64) {
    counter = max(counter, min(received, Limits.counterBound - 1))
  }

  /// The counter for the next local write; `nil` when the counters are used up.
  package mutating func next() -> UInt64? {
    guard counter + 1 < Limits.counterBound else { return nil }
    counter += 1
    return counter
  }
}

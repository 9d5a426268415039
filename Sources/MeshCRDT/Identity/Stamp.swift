/// A Lamport stamp: a counter of the session, then the id of the writing node as the tie-break.
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

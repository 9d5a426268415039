/// What a checkpoint says of the records of its origin.
package struct CheckpointFacts: Hashable, Sendable {
  package let incarnation: Incarnation
  /// Rises by one with each checkpoint of the incarnation.
  package let sequence: UInt64
  /// The version of the last record that it speaks of.
  package let version: UInt64
  /// The root of the tree of rooms.
  package let root: Hash256

  package init(incarnation: Incarnation, sequence: UInt64, version: UInt64, root: Hash256) {
    self.incarnation = incarnation
    self.sequence = sequence
    self.version = version
    self.root = root
  }

  /// True when it is of a later incarnation, or a later one of the same.
  package func isNewer(than other: CheckpointFacts) -> Bool {
    incarnation == other.incarnation
      ? sequence > other.sequence : incarnation > other.incarnation
  }
}

/// The place of a batch in the log of its origin.
package struct BatchPlace: Hashable, Sendable {
  package let incarnation: Incarnation
  package let room: RoomName
  /// The version of the room log before the batch; 0: it was empty.
  package let previous: UInt64
  /// The versions of its records.
  package let versions: ClosedRange<UInt64>

  /// `nil` unless 0 ≤ previous < first, and there are 1…64 records.
  package init?(
    incarnation: Incarnation, room: RoomName, previous: UInt64, first: UInt64, count: UInt64
  ) {
    guard first > previous, (1...64).contains(count), first < 1 << 48 else { return nil }
    self.incarnation = incarnation
    self.room = room
    self.previous = previous
    versions = first...(first + count - 1)
  }
}

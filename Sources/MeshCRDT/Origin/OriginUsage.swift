/// How much the records of one origin may be.
///
/// A checkpoint whose records are more is complete nowhere: whoever has all of them judges the same, from
/// what the origin signed, in whatever order it came. Batches are applied up to twice as much, since what
/// an origin moves from one room to another may come before it goes.
package struct OriginBounds: Hashable, Sendable {
  /// Session records.
  package var sessions = Limits.sessionsPerOrigin
  /// Rooms with records, the lobby among them.
  package var rooms = Limits.roomsPerOrigin + 1
  package var removals = Limits.removalsPerOrigin
  package var records = 16 * Limits.sessionsPerOrigin
  /// Bytes of keys and values.
  package var bytes = 128 << 20

  package init() {}
}

/// How much the records of one origin are.
package struct OriginUsage: Hashable, Sendable {
  package private(set) var sessions = 0
  package private(set) var removals = 0
  package private(set) var records = 0
  package private(set) var bytes = 0

  package init() {}

  /// Counts changes.
  mutating func note(_ changes: [AppliedChange]) {
    // An element that is taken out counts each of its parts once more.
    for index in changes.indices {
      if let old = changes[index].old { add(changes[index].key, old, -1) }
      if let new = changes[index].new { add(changes[index].key, new, 1) }
    }
  }

  private mutating func add(_ key: EntryKey, _ record: StoredRecord, _ sign: Int) {
    if key.kind == .session { sessions += sign }
    if key.kind == .removal { removals += sign }
    records += sign
    bytes += sign * (17 + key.room.text.utf8.count + record.value.count)
  }

  /// True when it is more than so many times what may be.
  package func exceeds(_ bounds: OriginBounds, rooms: Int = 0, times factor: Int = 1) -> Bool {
    if PlantedBug.isActive(.excessBelieved) { return false }
    return rooms > factor * bounds.rooms || sessions > factor * bounds.sessions
      || removals > factor * bounds.removals || records > factor * bounds.records
      || bytes > factor * bounds.bytes
  }
}

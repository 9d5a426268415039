package import MeshCRDT

/// A cursor's newest position, with the Lamport counter of the session.
package struct MovingCursor: Hashable, Sendable {
  package let counter: UInt64
  package let cursor: Cursor

  package init(counter: UInt64, cursor: Cursor) {
    self.counter = counter
    self.cursor = cursor
  }

  /// A total order: by counter, then by the position, for an origin that gives two positions one counter.
  package func wins(over other: MovingCursor) -> Bool {
    counter == other.counter
      ? other.cursor.precedes(cursor)
      : counter > other.counter || PlantedBug.isActive(.staleFrameWins)
  }
}

/// A cursor of an origin: a session in a room.
struct CursorKey: Hashable, Sendable {
  let session: SessionID
  let room: RoomName
}

/// The cursors of one origin that moved and have not come to rest, the newest position of each.
///
/// A cursor is kept while its session's presence in the room is held, with an entered counter below its
/// own, and no record at rest has its counter or a higher one; the owner of the table sees to that. At
/// most ``Limits/movingCursorsPerOrigin`` are kept: beyond that new cursors are refused, and known ones
/// go on, so that no cursor goes back. About 100 bytes for each.
///
/// Updates that come before the presence to which they belong wait beside the table: at most
/// ``earlyBound``, the oldest goes.
struct MovingCursors: Sendable {
  private var table: [CursorKey: MovingCursor] = [:]
  private var early: [(key: CursorKey, cursor: MovingCursor)] = []

  /// The most updates of an origin that wait for a presence.
  static let earlyBound = 32

  var isEmpty: Bool { table.isEmpty && early.isEmpty }
  var isFull: Bool { table.count >= Limits.movingCursorsPerOrigin }
  var count: Int { table.count }

  subscript(key: CursorKey) -> MovingCursor? { table.isEmpty ? nil : table[key] }

  /// Sets the newest position of a cursor. The caller has asked whether it is news, and ``isFull``.
  mutating func put(_ cursor: MovingCursor, for key: CursorKey) { table[key] = cursor }

  /// Drops a cursor. Memory that a crowd of them took is given back with the last one.
  mutating func remove(_ key: CursorKey) {
    table[key] = nil
    if table.isEmpty && table.capacity > 64 { table = [:] }
  }

  /// Keeps an update for a presence that is still to come, in the place of an earlier one.
  mutating func keepEarly(_ cursor: MovingCursor, for key: CursorKey) {
    _ = takeEarly(key)
    if early.count >= Self.earlyBound { early.removeFirst() }
    early.append((key, cursor))
  }

  /// The update that waits for a presence.
  func early(_ key: CursorKey) -> MovingCursor? { early.first { $0.key == key }?.cursor }

  /// Takes out the update that waited for a presence.
  mutating func takeEarly(_ key: CursorKey) -> MovingCursor? {
    early.firstIndex { $0.key == key }.map { early.remove(at: $0).cursor }
  }
}

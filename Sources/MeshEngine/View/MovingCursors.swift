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
struct CursorKey: DenseKey {
  let session: SessionID
  let room: RoomName

  var spread: UInt64 { DenseSeed.spread(session.spread, room.spread) }
}

/// The cursors of one origin that moved and have not come to rest, the newest position of each.
///
/// A cursor is kept while its session's presence in the room is held, with an entered counter below its
/// own, and no record at rest has its counter or a higher one; the owner of the table sees to that. At
/// most ``Limits/movingCursorsPerOrigin`` are kept: beyond that new cursors are refused, and known ones
/// go on, so that no cursor goes back. About 100 bytes for each.
///
/// Updates that come before the presence to which they belong, or whose presence goes, wait beside the table:
/// at most ``earlyBound``, the oldest goes.
struct MovingCursors: Sendable {
  private struct Entry: Sendable {
    var cursor: MovingCursor
    /// Whether the session is shown in the room, and how many reports there were when that was found out.
    var isShown = false
    var reports: UInt64 = 0
  }

  private var table = DenseMap<CursorKey, Entry>()
  private var early: [(key: CursorKey, cursor: MovingCursor)] = []

  /// The most updates of an origin that wait for a presence.
  static let earlyBound = 32

  var isEmpty: Bool { table.isEmpty && early.isEmpty }
  var isFull: Bool { table.count >= Limits.movingCursorsPerOrigin }
  var count: Int { table.count }

  subscript(key: CursorKey) -> MovingCursor? { table.isEmpty ? nil : table[key]?.cursor }

  /// What became of a position of a cursor.
  enum Advance {
    /// It is the newest one, of a session that is shown in the room, or is not.
    case done(isShown: Bool)
    /// It is not newer than the one that is held.
    case known
    /// Nothing: none is held, or it is not known whether the session is shown.
    case unknown
  }

  /// Sets the newest position of a cursor, if it was noted whether its session is shown, and nothing was
  /// reported since. Cost: one look-up.
  ///
  /// - Parameter reports: the number of reports of sessions so far.
  mutating func advance(
    _ cursor: MovingCursor, for key: CursorKey, reports: UInt64
  ) -> Advance {
    guard let row = table.row(of: key) else { return .unknown }
    return table.change(row: row) { entry in
      guard cursor.wins(over: entry.cursor) else { return .known }
      guard entry.reports == reports else { return .unknown }
      entry.cursor = cursor
      return .done(isShown: entry.isShown)
    }
  }

  /// Sets the newest position of a cursor. The caller has asked whether it is news, and ``isFull``.
  mutating func put(_ cursor: MovingCursor, for key: CursorKey) {
    let row = table.row(of: key, default: Entry(cursor: cursor))
    table.change(row: row) { $0.cursor = cursor }
  }

  /// Notes whether the session of a cursor is shown in the room.
  mutating func note(isShown: Bool, _ key: CursorKey, reports: UInt64) {
    guard let row = table.row(of: key) else { return }
    table.change(row: row) { ($0.isShown, $0.reports) = (isShown, reports) }
  }

  /// Drops a cursor. Memory that a crowd of them took is given back with the last one.
  mutating func remove(_ key: CursorKey) {
    table.remove(key)
    if table.isEmpty { table = DenseMap() }
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

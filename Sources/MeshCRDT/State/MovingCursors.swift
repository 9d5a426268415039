/// One cursor that moved.
package struct CursorMove: Hashable, Sendable {
  package let session: SessionID
  package let cursor: Cursor

  package init(session: SessionID, cursor: Cursor) {
    self.session = session
    self.cursor = cursor
  }

  /// The most moves that are joined at once.
  package static let bound = 64
}

/// The cursors of one origin that moved and have not come to rest: per cursor, the newest.
///
/// They travel in frames and stand outside of the digest. A cursor at rest is written to the log of
/// its origin with the counter of its last move, and leaves this table.
package struct MovingCursors: Equatable, Sendable {
  package struct Move: Hashable, Sendable {
    package let counter: UInt64
    package let cursor: Cursor

    package init(counter: UInt64, cursor: Cursor) {
      self.counter = counter
      self.cursor = cursor
    }

    /// A total order: by counter, then by what is said.
    package func wins(over other: Move) -> Bool {
      if PlantedBug.isActive(.staleFrameWins) { return counter != other.counter }
      return counter == other.counter ? other.cursor.precedes(cursor) : counter > other.counter
    }
  }

  /// What joining several moves did.
  package struct Outcome: Sendable {
    /// Which of them are news, as bits.
    package fileprivate(set) var news: UInt64 = 0
    /// How many of them the bound of the table kept out.
    package fileprivate(set) var refused = 0
  }

  package private(set) var moves = DenseMap<RecordKey, Move>()
  /// Rows that an empty table keeps room for.
  private static let keptRows = 64

  package init() {}

  package var count: Int { moves.count }

  package subscript(key: RecordKey) -> Move? { moves.isEmpty ? nil : moves[key] }

  /// The counter of a cursor's newest move; 0: it does not move.
  package func counter(of key: RecordKey) -> UInt64 {
    moves.row(of: key).map { moves.rows[$0].value.counter } ?? 0
  }

  /// Joins a move. True when it is the newest for its cursor.
  package mutating func join(_ key: RecordKey, _ move: Move) -> Bool {
    if let row = moves.row(of: key) {
      return moves.change(row: row) { known in
        guard move.wins(over: known) else { return false }
        known = move
        return true
      }
    }
    guard moves.count < Limits.movingCursorsPerOrigin else { return false }
    moves.put(move, for: key)
    return true
  }

  /// Joins those of some moves in one room whose bits are set.
  mutating func join(
    _ moves: [CursorMove], in room: RoomID, counter: UInt64, where candidates: UInt64
  ) -> Outcome {
    var outcome = Outcome()
    for (index, move) in moves.enumerated() where candidates & 1 << UInt64(index) != 0 {
      let key = RecordKey(session: move.session, lane: .cursor, room: room)
      if join(key, Move(counter: counter, cursor: move.cursor)) {
        outcome.news |= 1 << UInt64(index)
      } else if count >= Limits.movingCursorsPerOrigin {
        outcome.refused += 1
      }
    }
    return outcome
  }

  /// Drops the move of a cursor that came to rest at this counter or later.
  package mutating func rest(_ key: RecordKey, at counter: UInt64) {
    guard !moves.isEmpty, let row = moves.row(of: key), moves.rows[row].value.counter <= counter
    else { return }
    moves.remove(key)
    shrink()
  }

  /// Drops the moves up to a counter in some rooms. Returns the keys that went, in their order.
  package mutating func drop(
    through counter: UInt64, in isWanted: (RoomID) -> Bool
  ) -> [RecordKey] {
    drop { $0.value.counter <= counter && isWanted($0.key.room) }
  }

  /// Drops the moves in a room. Returns the keys that went, in their order.
  mutating func drop(in room: RoomID) -> [RecordKey] { drop { $0.key.room == room } }

  private mutating func drop(
    where isGone: (DenseMap<RecordKey, Move>.Row) -> Bool
  ) -> [RecordKey] {
    guard !moves.isEmpty else { return [] }
    let gone = moves.rows.filter(isGone).map(\.key).sorted()
    for key in gone { moves.remove(key) }
    shrink()
    return gone
  }

  /// Gives back what a crowd of cursors took.
  private mutating func shrink() {
    if moves.isEmpty && moves.rows.capacity > Self.keptRows { moves = DenseMap() }
  }

  /// The counter of the oldest move; `nil` when all cursors are at rest. Cost: the table.
  package var oldestCounter: UInt64? { moves.rows.lazy.map(\.value.counter).min() }
}

/// The cursors of one origin that moved and have not come to rest: per cursor, the newest.
///
/// They travel in frames and stand outside of the digest. A cursor at rest is written to the log of
/// its origin with the counter of its last move, and leaves this table.
package struct MovingCursors: Hashable, Sendable {
  package struct Move: Hashable, Sendable {
    package let counter: UInt64
    package let room: RoomName
    package let cursor: Cursor

    package init(counter: UInt64, room: RoomName, cursor: Cursor) {
      self.counter = counter
      self.room = room
      self.cursor = cursor
    }

    /// A total order: by counter, then by what is said.
    package func wins(over other: Move) -> Bool {
      counter == other.counter ? other.cursor.precedes(cursor) : counter > other.counter
    }
  }

  package private(set) var moves: [RecordKey: Move] = [:]

  package init() {}

  package var count: Int { moves.count }

  package subscript(key: RecordKey) -> Move? { moves.isEmpty ? nil : moves[key] }

  /// Joins a move. True when it is the newest for its cursor.
  package mutating func join(_ key: RecordKey, _ move: Move) -> Bool {
    if let known = moves[key] {
      guard move.wins(over: known) else { return false }
    } else if moves.count >= Limits.movingCursorsPerOrigin {
      return false
    }
    moves[key] = move
    return true
  }

  /// Drops the move of a cursor that came to rest at this counter or later.
  package mutating func rest(_ key: RecordKey, at counter: UInt64) {
    if let move = self[key], move.counter <= counter { moves[key] = nil }
  }

  /// Drops the moves up to a counter. Returns the keys that went, in their order.
  package mutating func drop(through counter: UInt64) -> [RecordKey] {
    guard !moves.isEmpty else { return [] }
    let gone = moves.filter { $0.value.counter <= counter }.keys.sorted()
    for key in gone { moves[key] = nil }
    return gone
  }

  /// The counter of the oldest move; `nil` when all cursors are at rest. Cost: the table.
  package var oldestCounter: UInt64? { moves.values.map(\.counter).min() }
}

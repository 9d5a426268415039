import MeshCRDT

/// Who was told which move of which cursor: no node may be told a move after a later one.
struct CursorWatch {
  private struct Moves {
    var numbers: [Cursor: Int] = [:]
    /// The last that each node was told.
    var told: [Int: Int] = [:]
  }

  /// The moves of each cursor, numbered, since its session was opened last.
  private var sessions: [SessionID: [RoomName: Moves]] = [:]

  /// A client moves its cursor.
  mutating func note(_ cursor: Cursor, of session: SessionID, in room: RoomName) {
    let count = sessions[session]?[room]?.numbers.count ?? 0
    sessions[session, default: [:]][room, default: Moves()].numbers[cursor] = count
  }

  /// A session is opened at a host, which may know less of it than the one before.
  mutating func forget(_ session: SessionID) { sessions[session] = nil }

  /// A node begins with nothing.
  mutating func forget(node: Int) {
    for session in sessions.keys {
      for room in sessions[session]?.keys.sorted() ?? [] {
        sessions[session]?[room]?.told[node] = nil
      }
    }
  }

  /// A node is told a move. Returns what is wrong with it.
  mutating func note(
    _ cursor: Cursor, of session: SessionID, in room: RoomName, toldTo node: Int
  ) -> String? {
    guard let moves = sessions[session]?[room], let number = moves.numbers[cursor] else {
      return nil
    }
    if let last = moves.told[node], number < last {
      return "move \(number) of session \(session) in \(room) after move \(last)"
    }
    sessions[session]?[room]?.told[node] = number
    return nil
  }
}

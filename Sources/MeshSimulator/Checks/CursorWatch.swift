import MeshCRDT

/// Who was told which move of which cursor: no node may be told a move after a later one.
struct CursorWatch {
  private struct Place: Hashable {
    let session: SessionID
    let room: RoomName
  }

  private struct Told: Hashable {
    let place: Place
    let node: Int
  }

  /// The moves of each cursor, numbered, since its session was opened last.
  private var moves: [Place: [Cursor: Int]] = [:]
  /// The last that each node was told.
  private var told: [Told: Int] = [:]

  /// A client moves its cursor.
  mutating func note(_ cursor: Cursor, of session: SessionID, in room: RoomName) {
    let place = Place(session: session, room: room)
    moves[place, default: [:]][cursor] = moves[place]?.count ?? 0
  }

  /// A session is opened at a host, which may know less of it than the one before.
  mutating func forget(_ session: SessionID) {
    moves = moves.filter { $0.key.session != session }
    told = told.filter { $0.key.place.session != session }
  }

  /// A node begins with nothing.
  mutating func forget(node: Int) { told = told.filter { $0.key.node != node } }

  /// A node is told a move. Returns what is wrong with it.
  mutating func note(
    _ cursor: Cursor, of session: SessionID, in room: RoomName, toldTo node: Int
  ) -> String? {
    let place = Place(session: session, room: room)
    guard let number = moves[place]?[cursor] else { return nil }
    let key = Told(place: place, node: node)
    if let last = told[key], number < last {
      return "move \(number) of session \(session) in \(room) after move \(last)"
    }
    told[key] = number
    return nil
  }
}

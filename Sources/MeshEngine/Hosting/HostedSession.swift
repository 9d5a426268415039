import MeshCRDT
import MeshWire

/// A session that this node hosts: what it wants to be told to the mesh.
struct HostedSession: Sendable {
  struct Place: Sendable {
    var presence: PresenceValue
    var cursor: Cursor?
    /// The counter of the last move, which the cursor at rest keeps.
    var cursorCounter: UInt64 = 0
    var movedAt: MonotonicTime?
    /// True when the cursor was written since it moved.
    var isResting = true
    var typingUntil: MonotonicTime?

    fileprivate mutating func move(to cursor: Cursor, now: MonotonicTime) -> Movement {
      guard self.cursor != cursor else { return .none }
      defer { isResting = false }
      self.cursor = cursor
      movedAt = now
      return isResting ? .began : .moved
    }
  }

  var value: SessionValue
  /// The counter of the session record.
  var counter: UInt64
  var lease: Lease
  var heardAt: MonotonicTime
  var places: [RoomName: Place] = [:]

  /// What moving a cursor changed.
  enum Movement: Sendable {
    /// The session is not in the room.
    case notThere
    /// It was there already.
    case none
    case moved
    /// It was at rest, and is no more.
    case began
  }

  /// Moves the cursor in a room.
  mutating func move(to cursor: Cursor, in room: RoomName, now: MonotonicTime) -> Movement {
    guard let index = places.index(forKey: room) else { return .notThere }
    return places.values[index].move(to: cursor, now: now)
  }

  /// When the lease ends; `nil`: with the process.
  var endsAt: MonotonicTime? {
    switch lease {
    case .attached: nil
    case .leased(let timeToLive): heardAt + timeToLive
    }
  }
}

/// Records that are to be written and cursors that are to be told: for each key the newest.
struct PendingWrites: Sendable {
  private(set) var records: [RecordKey: Record] = [:]
  private(set) var order: [RecordKey] = []
  /// The first move: mostly there is one alone, which needs no table.
  private var move: (room: RoomName, session: SessionID, cursor: Cursor)?
  /// The moves, when there are several.
  private var moves: [RoomName: [SessionID: Cursor]] = [:]

  var hasRecords: Bool { !records.isEmpty }
  var hasMoves: Bool { move != nil || !moves.isEmpty }

  mutating func set(_ key: RecordKey, _ record: Record) {
    if records.updateValue(record, forKey: key) == nil { order.append(key) }
  }

  mutating func takeRecords() -> [(key: RecordKey, record: Record)] {
    defer {
      records = [:]
      order = []
    }
    return order.compactMap { key in records[key].map { (key, $0) } }
  }

  func hasMove(of session: SessionID, in room: RoomName) -> Bool {
    if let move { return move.session == session && move.room == room }
    return moves[room]?[session] != nil
  }

  mutating func setMove(_ session: SessionID, _ room: RoomName, _ cursor: Cursor) {
    guard hasMoves, move.map({ $0.session != session || $0.room != room }) ?? true else {
      move = (room, session, cursor)
      return
    }
    if let move { moves[move.room] = [move.session: move.cursor] }
    move = nil
    moves[room, default: [:]][session] = cursor
  }

  mutating func dropMoves(of session: SessionID, in room: RoomName) {
    if let move, move.session == session, move.room == room { self.move = nil }
    moves[room]?[session] = nil
    if moves[room]?.isEmpty == true { moves[room] = nil }
  }

  /// The moves by room, in the order of names and ids.
  mutating func takeMoves() -> [(room: RoomName, moves: [(SessionID, Cursor)])] {
    if let move {
      self.move = nil
      return [(move.room, [(move.session, move.cursor)])]
    }
    defer { moves = [:] }
    return moves.sorted { $0.key < $1.key }.map { room, moves in
      (room, moves.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    }
  }
}

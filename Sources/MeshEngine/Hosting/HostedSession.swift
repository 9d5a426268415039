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
    /// When a move was told last.
    var toldAt: MonotonicTime?
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

  /// A move in a room goes out with this counter.
  mutating func noteTold(in room: RoomName, counter: UInt64, now: MonotonicTime) {
    guard let index = places.index(forKey: room) else { return }
    places.values[index].cursorCounter = counter
    places.values[index].toldAt = now
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
  /// A move, and when it may be told.
  private typealias Move = (cursor: Cursor, readyAt: MonotonicTime)
  /// The first move: mostly there is one alone, which needs no table.
  private var move: (room: RoomName, session: SessionID, move: Move)?
  /// The moves, when there are several.
  private var moves: [RoomName: [SessionID: Move]] = [:]

  /// How many rooms each session has left since records were written last.
  private(set) var exits: [SessionID: Int] = [:]

  var hasRecords: Bool { !records.isEmpty }
  var hasMoves: Bool { move != nil || !moves.isEmpty }

  mutating func noteExit(of session: SessionID) { exits[session, default: 0] += 1 }

  mutating func set(_ key: RecordKey, _ record: Record) {
    if records.updateValue(record, forKey: key) == nil { order.append(key) }
  }

  mutating func takeRecords() -> [(key: RecordKey, record: Record)] {
    defer {
      records = [:]
      order = []
      exits = [:]
    }
    return order.compactMap { key in records[key].map { (key, $0) } }
  }

  func hasMove(of session: SessionID, in room: RoomName) -> Bool {
    if let move { return move.session == session && move.room == room }
    return moves[room]?[session] != nil
  }

  /// Sets a move, in the place of one that waits. True when there was one.
  mutating func setMove(
    _ session: SessionID, _ room: RoomName, _ cursor: Cursor, readyAt: MonotonicTime
  ) -> Bool {
    let newest = (cursor, readyAt)
    guard hasMoves, move.map({ $0.session != session || $0.room != room }) ?? true else {
      defer { move = (room, session, newest) }
      return move != nil
    }
    if let move { moves[move.room] = [move.session: move.move] }
    move = nil
    return moves[room, default: [:]].updateValue(newest, forKey: session) != nil
  }

  mutating func dropMoves(of session: SessionID, in room: RoomName) {
    if let move, move.session == session, move.room == room { self.move = nil }
    moves[room]?[session] = nil
    if moves[room]?.isEmpty == true { moves[room] = nil }
  }

  /// The moves that are ready, by room, in the order of names and ids. The others stay.
  mutating func takeMoves(
    by now: MonotonicTime
  ) -> [(room: RoomName, moves: [(SessionID, Cursor)])] {
    if let move {
      guard move.move.readyAt <= now else { return [] }
      self.move = nil
      return [(move.room, [(move.session, move.move.cursor)])]
    }
    var taken: [(room: RoomName, moves: [(SessionID, Cursor)])] = []
    for (room, waiting) in moves.sorted(by: { $0.key < $1.key }) {
      let ready = waiting.filter { $0.value.readyAt <= now }.sorted { $0.key < $1.key }
      guard !ready.isEmpty else { continue }
      taken.append((room, ready.map { ($0.key, $0.value.cursor) }))
      let left = ready.count == waiting.count ? [:] : waiting.filter { $0.value.readyAt > now }
      moves[room] = left.isEmpty ? nil : left
    }
    return taken
  }
}

/// What is known of one origin: a delta-state CRDT with one writer.
///
/// ## The lattice
/// A log is a generation, records, and for each *shelf* of them a *cut*. The newest generation wins
/// whole. Inside it, shelf by shelf, the highest cut wins, and brings exactly the records that are live
/// at it (its *covered* records); beside them lie *later* records, whose versions are above the cut,
/// and of these the winner by ``Cell/wins(over:)`` for each key. A record at or below the cut that is
/// not covered is known to be gone: that is why tombstones are needed above the cut only, and are
/// dropped by causality, never by the clock. A *claim*, the highest cut that the origin has signed for
/// a shelf, is joined by its own order.
///
/// A key stands on one shelf for ever (``RecordKey/shelf``). So `join` is, for each shelf, the product
/// of total orders and of maps with a winner per key, filtered by a rising bound: commutative,
/// associative and idempotent, for any input, also when an origin signed two bodies for one version. A
/// delta is a log whose cuts are empty; so is a log of which some shelves were left out.
///
/// ``settle(_:)`` is a separate step that only ever raises a log: when the live records of a shelf hash
/// to its claim, the claim becomes the cut.
///
/// Source: Almeida, Shoker and Baquero, *Delta State Replicated Data Types*, 2018, for deltas and
/// causal contexts; the signed hash in place of a context of dots is this project's.
package struct OriginLog: Hashable, Sendable {
  package private(set) var generation: UInt64
  package internal(set) var entries = DenseMap<SessionID, SessionEntry>()
  /// What the origin orders about sessions of any host, and which rooms it follows: the lanes
  /// `removal` and `interest`.
  package internal(set) var notices: [RecordKey: Cell] = [:]
  /// Where sessions are, for those who are not told what they say there: the lane `visit`.
  package internal(set) var visits = DenseMap<SessionID, VisitEntry>()

  /// The sums over what everybody is told.
  package internal(set) var lobby = Shelf()
  /// The sums over what is said in each other room.
  package internal(set) var rooms = DenseMap<RoomID, Shelf>()
  /// The number of tombstones on all shelves.
  package internal(set) var tombstoneCount = 0

  package init(generation: UInt64) { self.generation = generation }

  /// Equal when all that peers can observe is equal.
  package static func == (left: Self, right: Self) -> Bool {
    left.generation == right.generation && left.lobby == right.lobby
      && left.spokenRooms == right.spokenRooms && left.entries == right.entries
      && left.notices == right.notices && left.visits == right.visits
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(generation)
    hasher.combine(lobby)
  }

  /// The rooms whose shelves the origin has given its word on.
  private var spokenRooms: [RoomID: Shelf] {
    var result: [RoomID: Shelf] = [:]
    for row in rooms.rows where row.value != Shelf() { result[row.key] = row.value }
    return result
  }

  /// A shelf; an empty one when nothing was heard of it. Cost: one look-up.
  package func shelf(_ room: RoomID) -> Shelf {
    room.isLobby ? lobby : rooms[room] ?? Shelf()
  }

  /// True when everything the origin said it has is here, of all rooms that were heard of. Cost: those.
  package var isSettled: Bool { lobby.isSettled && rooms.values.allSatisfy(\.isSettled) }

  /// Changes a shelf, in place.
  mutating func change<Result>(_ room: RoomID, _ body: (inout Shelf) -> Result) -> Result {
    guard !room.isLobby else { return body(&lobby) }
    let row = rooms.row(of: room, default: Shelf())
    return rooms.change(row: row, body)
  }

  package subscript(key: RecordKey) -> Cell? {
    switch key.lane {
    case .session, .presence, .cursor: entries[key.session]?[key]
    case .removal, .interest: notices[key]
    case .visit: visits.isEmpty ? nil : visits[key.session]?[key.room]
    }
  }

  /// The live cell of a key: a tombstone is none.
  package func live(_ key: RecordKey) -> Cell? {
    guard let cell = self[key], !cell.isTombstone else { return nil }
    return cell
  }

  /// Looks at the live cell of a session in a room, where it lies. Cost: one look-up.
  ///
  /// This and the next one change nothing: `mutating` lets them work in place, without a copy of the
  /// log's parts.
  package mutating func look(
    at key: RecordKey, _ body: (borrowing Cell) -> UInt64?
  ) -> UInt64? {
    guard let row = entries.row(of: key.session) else { return nil }
    return entries.change(row: row) { entry in
      guard let cell = entry[key], !cell.isTombstone else { return nil }
      return body(cell)
    }
  }

  /// Which of some cursors have no record in the log from this counter or a later one, as bits: only
  /// of these a move is news. A tombstone counts too: a move from before it comes too late.
  mutating func unrested(
    _ moves: [CursorMove], in room: RoomID, counter: UInt64
  ) -> UInt64 {
    var bits: UInt64 = 0
    for index in moves.indices
    where cursorCounter(of: moves[index].session, in: room) < counter {
      bits |= 1 << UInt64(index)
    }
    return bits
  }

  /// The counter of the record of a cursor, at rest or removed; 0: there is none.
  mutating func cursorCounter(of session: SessionID, in room: RoomID) -> UInt64 {
    guard let row = entries.row(of: session) else { return 0 }
    return entries.change(row: row) { $0.cursorCounter(in: room) }
  }

  /// Calls `body` with each live cell of a shelf, in no order. Cost: the whole log.
  package func forEachLive(of room: RoomID, _ body: (RecordKey, Cell) -> Void) {
    for row in entries.rows {
      row.value.forEach(of: row.key, on: room) { key, cell in
        if !cell.isTombstone { body(key, cell) }
      }
    }
    guard room.isLobby else { return }
    for (key, cell) in notices where !cell.isTombstone { body(key, cell) }
    for (key, cell) in visitCells where !cell.isTombstone { body(key, cell) }
  }

  /// The sessions that the origin says something of, in the order of their ids.
  package var sessions: [SessionID] {
    notices.isEmpty && visits.isEmpty
      ? entries.keys.sorted()
      : Set(entries.rows.map(\.key)).union(notices.keys.map(\.session)).union(visits.keys).sorted()
  }

  /// All cells, visits and notices last, in the order of the keys. Cost: the whole log, and a sort.
  package func cells() -> [(key: RecordKey, cell: Cell)] {
    entries.rows.sorted { $0.key < $1.key }.flatMap { $0.value.cells(of: $0.key) }
      + visitCells.sorted { $0.key < $1.key }
      + notices.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// The cells of a shelf, in the order of the keys. Cost: the whole log, and a sort.
  package func cells(of room: RoomID) -> [(key: RecordKey, cell: Cell)] {
    var result: [(key: RecordKey, cell: Cell)] = []
    for row in entries.rows {
      row.value.forEach(of: row.key, on: room) { result.append(($0, $1)) }
    }
    if room.isLobby { result += visitCells + notices.map { ($0.key, $0.value) } }
    return result.sorted { $0.key < $1.key }
  }

  private var visitCells: [(key: RecordKey, cell: Cell)] {
    visits.rows.flatMap { row in
      row.value.visits.map {
        (RecordKey(session: row.key, lane: .visit, room: $0.room), $0.cell)
      }
    }
  }
}

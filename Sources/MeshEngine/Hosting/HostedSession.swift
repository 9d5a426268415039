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
  }

  var value: SessionValue
  /// The counter of the session record.
  var counter: UInt64
  var lease: Lease
  var heardAt: MonotonicTime
  var places: [RoomName: Place] = [:]

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
  private(set) var moves: [RoomName: [SessionID: Cursor]] = [:]

  var hasRecords: Bool { !records.isEmpty }
  var hasMoves: Bool { !moves.isEmpty }

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

  mutating func setMove(_ session: SessionID, _ room: RoomName, _ cursor: Cursor) {
    moves[room, default: [:]][session] = cursor
  }

  mutating func dropMoves(of session: SessionID, in room: RoomName) {
    moves[room]?[session] = nil
    if moves[room]?.isEmpty == true { moves[room] = nil }
  }

  /// The moves by room, in the order of names and ids.
  mutating func takeMoves() -> [(room: RoomName, moves: [(SessionID, Cursor)])] {
    defer { moves = [:] }
    return moves.sorted { $0.key < $1.key }.map { room, moves in
      (room, moves.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    }
  }
}

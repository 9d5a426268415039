import MeshCRDT
import MeshEngine
import MeshWire

/// The records of some origins, as simply as can be, and how often they were read.
struct ViewRecords: RecordReading {
  struct Key: Hashable {
    let room: RoomName
    let entry: EntryKey
  }

  final class Reads {
    var count = 0
  }

  private(set) var origins: [OriginID?] = []
  private(set) var logs: [[Key: StoredRecord]] = []
  private var version: UInt64 = 0
  let reads = Reads()

  init(origins count: Int) {
    for index in 0..<count { open(OriginID(UInt64(index + 1), 0, 0, 0), slot: index) }
  }

  mutating func open(_ origin: OriginID, slot: Int) {
    while origins.count <= slot {
      origins.append(nil)
      logs.append([:])
    }
    origins[slot] = origin
  }

  /// Writes a record, or removes it.
  mutating func write(
    slot: Int, _ entry: EntryKey, in room: RoomName = .lobby, counter: UInt64, _ value: [UInt8]?
  ) -> AppliedChange {
    version += 1
    let key = Key(room: room, entry: entry)
    let old = logs[slot][key]
    logs[slot][key] = value.map {
      StoredRecord(version: version, counter: counter, value: $0[...])
    }
    return AppliedChange(room: room, key: entry, old: old, new: logs[slot][key])
  }

  /// Drops an origin. Returns what changed, in the order of rooms and keys.
  mutating func forget(slot: Int) -> [AppliedChange] {
    let keys = logs[slot].keys.sorted { ($0.room, $0.entry) < ($1.room, $1.entry) }
    let changes = keys.map {
      AppliedChange(room: $0.room, key: $0.entry, old: logs[slot][$0], new: nil)
    }
    logs[slot] = [:]
    origins[slot] = nil
    return changes
  }

  // MARK: RecordReading

  func origin(slot: Int) -> OriginID? { origins.indices.contains(slot) ? origins[slot] : nil }

  func homes(of session: SessionID) -> [SessionHome] {
    logs.indices.compactMap { slot in
      var rooms: Set<RoomName> = []
      var isHome = false
      for key in keys(of: session, slot: slot) {
        switch key.entry.kind {
        case .presence, .cursor: rooms.insert(key.room)
        case .occupancy: rooms.insert(key.entry.room)
        case .removal: continue
        default: break
        }
        isHome = true
      }
      return isHome ? SessionHome(slot: slot, rooms: rooms.sorted()) : nil
    }
  }

  private func keys(of session: SessionID, slot: Int) -> [Key] {
    var keys = [
      Key(room: .lobby, entry: EntryKey(.session, session)),
      Key(room: .lobby, entry: EntryKey(.presence, session)),
      Key(room: .lobby, entry: EntryKey(.cursor, session)),
    ]
    for room in viewRooms where !room.isLobby {
      keys.append(Key(room: room, entry: EntryKey(.presence, session)))
      keys.append(Key(room: room, entry: EntryKey(.cursor, session)))
      keys.append(Key(room: .lobby, entry: EntryKey(.occupancy, session, room: room)))
    }
    return keys.filter { logs[slot][$0] != nil }
  }

  func record(_ key: EntryKey, in room: RoomName, slot: Int) -> StoredRecord? {
    reads.count += 1
    return logs.indices.contains(slot) ? logs[slot][Key(room: room, entry: key)] : nil
  }

  func removals(
    of session: SessionID, from room: RoomName
  ) -> [(slot: Int, record: StoredRecord)] {
    let key = Key(room: .lobby, entry: EntryKey(.removal, session, room: room))
    return logs.indices.compactMap { slot in logs[slot][key].map { (slot, $0) } }
  }

  func sessions(slot: Int) -> [SessionID] {
    Set(logs[slot].keys.filter { $0.entry.kind != .removal }.map(\.entry.session)).sorted()
  }
}

/// The rooms of these tests.
let viewRooms: [RoomName] = [.lobby] + ["a", "b", "c"].compactMap { RoomName($0) }

let viewKey = HashKey(1, 2)

func viewSession(_ number: Int) -> SessionID {
  SessionID(UInt64(number) &* 0x9e37_79b9, UInt64(number))
}

func viewCursor(_ number: Int) -> Cursor {
  Cursor(column: UInt16(number % 60_000), row: 0, isVisible: true, anchor: nil)
}

/// Values, as bytes.
enum ViewValue {
  static func session(user: String = "ann", device: String = "d") -> [UInt8] {
    RecordValues.bytes(
      SessionValue(
        profile: Profile(userID: user), device: device, joinedAt: WallTime(milliseconds: 1)))
  }

  static func presence(
    entered: UInt64, message: String = "", status: UInt64? = nil
  ) -> [UInt8] {
    let status = status.map {
      StatusValue(status: .away, counter: $0, changedAt: WallTime(milliseconds: 5))
    }
    return RecordValues.bytes(
      PresenceValue(enteredCounter: entered, status: status, message: message))
  }

  static func cursor(_ number: Int) -> [UInt8] { RecordValues.bytes(viewCursor(number)) }

  static let removal = RecordValues.bytes(RemovalValue(isFinal: false))
  static let garbage: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]
}

/// Steele, Lea and Flood, *Fast Splittable Pseudorandom Number Generators*, 2014.
struct ViewRandom {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

/// A reader of events: what it makes of them.
struct ViewReader {
  private(set) var sessions: [SessionID: SessionSnapshot] = [:]
  /// Events that did not fit what was there, or changed nothing; cursors may move to where they are.
  private(set) var faults: [MeshEvent] = []

  mutating func read(_ events: [MeshEvent]) {
    for event in events {
      switch event {
      case .appeared(let session):
        if sessions.updateValue(session, forKey: session.id) != nil { faults.append(event) }
      case .changed(let session):
        let old = sessions.updateValue(session, forKey: session.id)
        if old == nil || old == session { faults.append(event) }
      case .disappeared(let id):
        if sessions.removeValue(forKey: id) == nil { faults.append(event) }
      case .cursor(let id, let room, let cursor):
        guard let old = sessions[id], old.place(in: room) != nil else {
          faults.append(event)
          continue
        }
        sessions[id] = old.moving(in: room, to: cursor)
      default: faults.append(event)
      }
    }
  }

  var snapshot: [SessionSnapshot] { sessions.values.sorted { $0.id < $1.id } }
}

/// A view with its records and its reader.
struct ViewWorld {
  var records: ViewRecords
  var view = SessionView(hashKey: viewKey)
  var reader = ViewReader()

  /// - Parameter visible: how many of the origins are visible.
  init(origins: Int, visible: Int? = nil) {
    records = ViewRecords(origins: origins)
    for slot in 0..<(visible ?? origins) { view.visibility(slot: slot, isVisible: true) }
  }

  /// Applies writes of one origin as one batch.
  mutating func apply(slot: Int, _ writes: [(inout ViewRecords) -> AppliedChange]) {
    let changes = writes.map { $0(&records) }
    reader.read(view.changed(slot: slot, changes, records))
  }

  mutating func write(
    slot: Int, _ entry: EntryKey, in room: RoomName = .lobby, counter: UInt64, _ value: [UInt8]?
  ) {
    apply(
      slot: slot,
      [
        {
          $0.write(slot: slot, entry, in: room, counter: counter, value)
        }
      ])
  }

  @discardableResult
  mutating func move(
    slot: Int, _ session: SessionID, in room: RoomName, counter: UInt64, _ number: Int
  ) -> CursorOutcome {
    let update = CursorUpdate(session: session, counter: counter, cursor: viewCursor(number))
    let outcome = view.move([update], in: room, slot: slot, records)
    reader.read(outcome.events)
    return outcome
  }

  mutating func work(_ budget: Int = 64) { reader.read(view.work(budget: budget, records)) }

  mutating func workAll() {
    while view.hasWork { work() }
  }

  /// A session that is in a room, written with one counter.
  mutating func host(_ session: SessionID, slot: Int, in room: RoomName, counter: UInt64) {
    write(
      slot: slot, EntryKey(.presence, session), in: room, counter: counter,
      ViewValue.presence(entered: counter))
    write(slot: slot, EntryKey(.session, session), counter: counter, ViewValue.session())
  }

  func cursor(_ session: SessionID, in room: RoomName) -> Cursor? {
    reader.sessions[session]?.place(in: room)?.cursor
  }
}

import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

/// The records of a few origins in tables: what hosting reads of the mesh. This node has slot 0.
struct FakeMesh: MeshReading {
  var records: [[RoomName: [EntryKey: StoredRecord]]] = [[:]]
  var hidden: Set<Int> = []
  var incomplete: Set<Int> = []
  var forgotten: Set<Int> = []
  var statuses: [UserKey: UInt64] = [:]
  /// Cursors that moved last by cursor frames, of each origin.
  var moving: [Int: [SessionPlace: Cursor]] = [:]

  static func origin(_ slot: Int) -> OriginID { OriginID(UInt64(slot), 1, 2, 3) }

  let ownSlot: Int
  var ownUsage = OriginUsage()

  init(ownSlot: Int = 0) { self.ownSlot = ownSlot }

  func origin(slot: Int) -> OriginID? { forgotten.contains(slot) ? nil : Self.origin(slot) }
  func slot(of origin: OriginID) -> Int? {
    let slot = Int(origin.word0)
    return forgotten.contains(slot) ? nil : slot
  }
  func isVisible(slot: Int) -> Bool { !hidden.contains(slot) }
  func isComplete(slot: Int) -> Bool { !incomplete.contains(slot) }
  func movingCursor(of session: SessionID, in room: RoomName, slot: Int) -> Cursor? {
    moving[slot]?[SessionPlace(session, room)]
  }
  func statusCounter(of user: String) -> UInt64 { statuses[UserKey(user)] ?? 0 }

  func homes(of session: SessionID) -> [SessionHome] {
    records.indices.compactMap { slot in
      var rooms: Set<RoomName> = []
      var isHome = false
      for (room, log) in records[slot] {
        for key in log.keys where key.session == session && key.kind != .removal {
          isHome = true
          if key.kind == .presence || key.kind == .cursor { rooms.insert(room) }
          if key.kind == .occupancy { rooms.insert(key.room) }
        }
      }
      return isHome ? SessionHome(slot: slot, rooms: rooms.sorted()) : nil
    }
  }

  func record(_ key: EntryKey, in room: RoomName, slot: Int) -> StoredRecord? {
    records.indices.contains(slot) ? records[slot][room]?[key] : nil
  }

  func removals(of session: SessionID, from room: RoomName) -> [(slot: Int, record: StoredRecord)] {
    records.indices.compactMap { slot in
      record(EntryKey(.removal, session, room: room), in: .lobby, slot: slot).map { (slot, $0) }
    }
  }

  func sessions(slot: Int) -> [SessionID] {
    Set(records[slot].values.flatMap { $0.keys.map(\.session) }).sorted()
  }

  /// Writes a record of an origin; a tombstone takes it away.
  mutating func put(_ change: RoomChange, slot: Int) {
    while records.count <= slot { records.append([:]) }
    records[slot][change.room, default: [:]][change.change.key] = change.change.value.map {
      StoredRecord(version: 1, counter: change.change.counter, value: $0[...])
    }
  }

  /// Applies a batch of an origin.
  mutating func apply(_ written: WrittenBatch, slot: Int) {
    while records.count <= slot { records.append([:]) }
    if written.place.previous == 0 { records[slot][written.place.room] = [:] }
    for (index, change) in written.batch.changes.enumerated() {
      records[slot][written.place.room, default: [:]][change.key] = change.value.map {
        StoredRecord(
          version: written.place.versions.lowerBound + UInt64(index), counter: change.counter,
          value: $0[...])
      }
    }
  }

  /// A session at another origin, with presences in rooms.
  mutating func host(
    _ session: SessionID, user: String = "ada", slot: Int, counter: UInt64,
    in places: [RoomName: PresenceValue] = [:]
  ) {
    let value = SessionValue(
      profile: Profile(userID: user), device: "old", joinedAt: WallTime(milliseconds: 5))
    put(
      RoomChange(.session, session, counter: counter, value: RecordValues.bytes(value)),
      slot: slot)
    for (room, presence) in places {
      put(
        RoomChange(
          .presence, session, room, counter: counter, value: RecordValues.bytes(presence)),
        slot: slot)
    }
  }
}

func named(_ name: String) -> RoomName { RoomName(name) ?? .lobby }

/// A node that hosts sessions, with what it has written: batches are applied as they are written.
struct TestHost {
  var hosting: Hosting
  var mesh: FakeMesh
  var now = MonotonicTime(milliseconds: 1_000_000)
  /// All batches and frames, in order.
  var batches: [WrittenBatch] = []
  var frames: [CursorFrame] = []
  var slot: Int { mesh.ownSlot }

  static func incarnation(_ counter: UInt64) throws -> Incarnation {
    try #require(Incarnation(counter: counter, nonce: 7))
  }

  init(slot: Int = 0, configure: (inout EngineConfiguration) -> Void = { _ in }) throws {
    var configuration = EngineConfiguration(
      mesh: try #require(MeshID(bytes: [UInt8](repeating: 7, count: 16))),
      incarnation: try Self.incarnation(1), seed: (1, 2, 3, 4))
    configure(&configuration)
    hosting = Hosting(origin: FakeMesh.origin(slot), configuration: configuration)
    mesh = FakeMesh(ownSlot: slot)
  }

  /// Does an operation, and writes what is due.
  @discardableResult
  mutating func perform(_ operation: LocalOperation) throws -> [MeshEvent] {
    let events = try hosting.perform(operation, mesh, now: now)
    take()
    return events
  }

  mutating func take() {
    while let due = hosting.batchDeadline, due <= now {
      for batch in hosting.takeBatches(mesh, now: now) {
        batches.append(batch)
        mesh.apply(batch, slot: slot)
      }
    }
    frames += hosting.takeFrames(now: now)
  }

  private var due: MonotonicTime? {
    earliest(hosting.deadline, earliest(hosting.batchDeadline, hosting.frameDeadline))
  }

  /// Lets time pass, from deadline to deadline.
  @discardableResult
  mutating func pass(_ span: Span) -> [MeshEvent] {
    let end = now + span
    var events: [MeshEvent] = []
    while true {
      let next = due
      now = max(now, min(next ?? end, end))
      if let due = hosting.deadline, due <= now { events += hosting.advance(mesh, now: now) }
      take()
      guard let due, due <= end else { break }
    }
    now = end
    return events
  }

  @discardableResult
  mutating func judge(_ session: SessionID) -> [MeshEvent] {
    let events = hosting.judge(session, mesh, now: now)
    take()
    return events
  }

  mutating func open(
    _ session: SessionID, user: String = "ada", lease: Lease = .attached, rooms: [RoomName] = []
  ) throws {
    try perform(
      .open(
        session, Profile(userID: user), device: "", lease, at: WallTime(milliseconds: 0)))
    for room in rooms { try perform(.enter(session, room)) }
  }

  /// True when no record of this node is left.
  var isSilent: Bool { mesh.records[slot].values.allSatisfy { $0.isEmpty } }

  /// A record that this node has written and not removed.
  func own(_ kind: RecordKind, _ session: SessionID, _ room: RoomName = .lobby) -> StoredRecord? {
    let isOfRoom = kind == .presence || kind == .cursor
    return mesh.record(
      EntryKey(kind, session, room: room), in: isOfRoom ? room : .lobby, slot: slot)
  }

  func presence(_ session: SessionID, _ room: RoomName) -> PresenceValue? {
    own(.presence, session, room).flatMap { RecordValues.presence(from: $0.value) }
  }
}

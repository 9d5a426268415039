import MeshCRDT

/// What changed of a session since its last event: the records and moving cursors as they were then.
///
/// Old values share the memory in which they were received.
struct UnreportedChanges: Sendable {
  struct Key: Hashable, Sendable {
    let slot: Int
    /// The room of the log.
    let room: RoomName
    let entry: EntryKey
  }

  private(set) var records: [Key: StoredRecord?] = [:]
  private(set) var cursors: [RoomName: MovingCursor?] = [:]

  var isEmpty: Bool { records.isEmpty && cursors.isEmpty }
  var count: Int { records.count + cursors.count }

  /// Notes what a record was before it changed, unless an earlier change was noted.
  mutating func note(_ old: StoredRecord?, _ key: Key) {
    if records.index(forKey: key) == nil { records.updateValue(old, forKey: key) }
  }

  /// The same of the moving cursor of the session in a room, of the host that was reported.
  mutating func note(_ old: MovingCursor?, in room: RoomName) {
    if cursors.index(forKey: room) == nil { cursors.updateValue(old, forKey: room) }
  }

  func involves(_ slot: Int) -> Bool { records.keys.contains { $0.slot == slot } }
}

/// The records of a session as they were when its last event was reported: the present ones, with what
/// changed since put back.
struct ReportedRecords<Records: RecordReading>: RecordReading {
  let present: Records
  let changes: UnreportedChanges

  func origin(slot: Int) -> OriginID? { present.origin(slot: slot) }

  func record(_ key: EntryKey, in room: RoomName, slot: Int) -> StoredRecord? {
    let changed = UnreportedChanges.Key(slot: slot, room: room, entry: key)
    if let old = changes.records[changed] { return old }
    return present.record(key, in: room, slot: slot)
  }

  func homes(of session: SessionID) -> [SessionHome] {
    let homes = present.homes(of: session)
    // Mostly records say something else, and none came or went.
    guard changes.records.contains(where: hasMoved) else { return homes }
    let moved = changes.records.filter(hasMoved)
    let slots = Set(homes.map(\.slot)).union(moved.keys.map(\.slot)).sorted()
    return slots.map { slot in
      var rooms = Set(homes.first { $0.slot == slot }?.rooms ?? [])
      for key in moved.keys where key.slot == slot {
        switch key.entry.kind {
        case .presence, .cursor: rooms.insert(key.room)
        case .occupancy: rooms.insert(key.entry.room)
        default: break
        }
      }
      return SessionHome(
        slot: slot, rooms: rooms.filter { isIn($0, session, slot: slot) }.sorted())
    }
  }

  /// True when a record came or went.
  private func hasMoved(_ key: UnreportedChanges.Key, _ old: StoredRecord?) -> Bool {
    (old == nil) != (present.record(key.entry, in: key.room, slot: key.slot) == nil)
  }

  private func isIn(_ room: RoomName, _ session: SessionID, slot: Int) -> Bool {
    record(EntryKey(.presence, session), in: room, slot: slot) != nil
      || record(EntryKey(.cursor, session), in: room, slot: slot) != nil
      || record(EntryKey(.occupancy, session, room: room), in: .lobby, slot: slot) != nil
  }

  func removals(
    of session: SessionID, from room: RoomName
  ) -> [(slot: Int, record: StoredRecord)] {
    let entry = EntryKey(.removal, session, room: room)
    var result = present.removals(of: session, from: room).filter {
      let key = UnreportedChanges.Key(slot: $0.slot, room: .lobby, entry: entry)
      return changes.records.index(forKey: key) == nil
    }
    for (key, old) in changes.records where key.entry == entry {
      if let old { result.append((key.slot, old)) }
    }
    return result.sorted { $0.slot < $1.slot }
  }

  func sessions(slot: Int) -> [SessionID] { present.sessions(slot: slot) }
}

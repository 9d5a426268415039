import MeshCRDT
import MeshWire

/// What changed of a session since its last event: the records as they were then and as they are now, and
/// the moving cursors as they were then.
///
/// Values share the memory in which they were received. They are few: see
/// ``SessionView/changesOfWaitingBound``.
struct UnreportedChanges: Sendable {
  struct Key: Hashable, Sendable {
    let slot: Int
    /// The room of the log.
    let room: RoomName
    let entry: EntryKey

    static func == (left: Self, right: Self) -> Bool {
      left.entry == right.entry && left.slot == right.slot && left.room == right.room
    }
  }

  // No tuples: arrays of these are copied and destroyed by way of their metadata.
  struct Record: Sendable {
    let key: Key
    let old: StoredRecord?
    fileprivate(set) var new: StoredRecord?

    /// True when the record came or went.
    var hasMoved: Bool { (old == nil) != (new == nil) }
    var saysTheSame: Bool { old?.value == new?.value }
  }

  struct Movement: Sendable {
    let room: RoomName
    let old: MovingCursor?
  }

  private(set) var records: [Record] = []
  private(set) var cursors: [Movement] = []
  /// The highest status counter that came with them; 0: none did.
  private(set) var statusCounter: UInt64 = 0

  var isEmpty: Bool { records.isEmpty && cursors.isEmpty }
  var count: Int { records.count + cursors.count }

  /// Where a change of a record stands in ``records``; `nil`: it did not change.
  func index(of key: Key) -> Int? { records.indices.first { records[$0].key == key } }

  /// What the moving cursor of the session in a room was, of the host that was reported; `nil`: it did not
  /// change.
  func cursor(in room: RoomName) -> MovingCursor?? {
    cursors.first { $0.room == room }.map(\.old)
  }

  /// Notes that a record changed.
  mutating func note(_ old: StoredRecord?, _ new: StoredRecord?, _ key: Key) {
    if key.entry.kind == .presence, let value = new?.value {
      statusCounter = max(statusCounter, RecordValues.statusCounter(ofPresence: value) ?? 0)
    }
    if let index = index(of: key) {
      records[index].new = new
    } else {
      records.append(Record(key: key, old: old, new: new))
    }
  }

  /// Notes what a moving cursor was before it changed, unless an earlier change was noted.
  mutating func note(_ old: MovingCursor?, in room: RoomName) {
    if cursor(in: room) == nil { cursors.append(Movement(room: room, old: old)) }
  }

  func involves(_ slot: Int) -> Bool { records.contains { $0.key.slot == slot } }

  /// True when the rooms of a session are the same as before: all that changed is what its host says of it,
  /// and in rooms where it was, and is, shown.
  func stay(in snapshot: SessionSnapshot, slot: Int) -> Bool {
    func isShown(_ room: RoomName) -> Bool { snapshot.places.contains { $0.room == room } }
    return cursors.allSatisfy { isShown($0.room) }
      && records.indices.allSatisfy { index in
        let key = records[index].key
        guard key.slot == slot else { return false }
        switch key.entry.kind {
        case .session: return true
        case .presence: return !records[index].hasMoved && isShown(key.room)
        case .cursor: return isShown(key.room)
        default: return false
        }
      }
  }
}

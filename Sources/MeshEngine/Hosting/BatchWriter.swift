import MeshCRDT
import MeshWire

/// A batch of this node, to be signed, applied to its own replica, and sent.
struct WrittenBatch: Hashable, Sendable {
  let place: BatchPlace
  let batch: Batch
  /// The version of the room log behind the batch; 0: it is empty.
  let logVersion: UInt64
}

/// Gathers this node's record changes, and writes them as batches: of each key the newest, numbered
/// over the whole incarnation.
///
/// A first change goes at once, further ones together an interval later. In a flush the rooms come
/// before the lobby, so that whoever hears of a session finds what it says in its rooms; rooms
/// where something is removed before the others, and in each room what is removed before what is
/// written, so that no bound is passed between the two. A flush of many batches goes in slices.
///
/// Whoever calls applies the batches to the own replica before the next call, since what lives
/// there tells which removals cost nothing. Bounds: the room logs with living records; the keys
/// that operations touched since the last flush.
struct BatchWriter: Sendable {
  private struct Log: Sendable {
    var version: UInt64 = 0
    /// The number of records that live.
    var count = 0
  }

  private struct Pending: Sendable {
    var order: [EntryKey] = []
    var changes: [EntryKey: RecordChange] = [:]
  }

  /// What is written in one room.
  private struct Group: Sendable {
    let room: RoomName
    let changes: [RecordChange]
    var next = 0
  }

  private(set) var incarnation: Incarnation
  /// The version of the last record of the incarnation; 0: there is none.
  private(set) var version: UInt64 = 0
  /// True when the versions of the incarnation are used up: a new one has to begin.
  private(set) var isExhausted = false
  private let interval: Span
  private var logs: [RoomName: Log] = [:]
  private var pending: [RoomName: Pending] = [:]
  /// The rooms with pending changes, in the order of their first ones.
  private var rooms: [RoomName] = []
  /// What the present flush still has to write, the last first.
  private var outgoing: [Group] = []
  private var lastFlushAt: MonotonicTime?
  private var due: MonotonicTime?

  init(incarnation: Incarnation, interval: Span) {
    self.incarnation = incarnation
    self.interval = interval
  }

  /// When something is to be written.
  var deadline: MonotonicTime? { isExhausted ? nil : due }

  /// The number of room logs with living records.
  var logCount: Int { logs.count }

  // MARK: Gathering

  /// Takes a change in, in the place of one of the same key that waits.
  mutating func add(_ change: RoomChange, now: MonotonicTime) {
    let key = change.change.key
    if pending[change.room] == nil { rooms.append(change.room) }
    let old = pending[change.room, default: Pending()].changes.updateValue(
      change.change, forKey: key)
    if old == nil { pending[change.room]?.order.append(key) }
    if due == nil { due = max(now, lastFlushAt.map { $0 + interval } ?? now) }
  }

  /// What waits goes now.
  mutating func hasten(now: MonotonicTime) {
    if let due { self.due = min(due, now) }
  }

  /// Begins an incarnation: what was written, and what waits, is forgotten.
  mutating func restart(_ incarnation: Incarnation) {
    self = BatchWriter(incarnation: incarnation, interval: interval)
  }

  // MARK: Writing

  /// Writes what is due, at most ``HostingLimits/batchesPerFlush`` batches. What is left is due at
  /// once.
  ///
  /// - Parameter isLive: whether the own replica holds a record of a key in a room's log.
  mutating func take(
    now: MonotonicTime, isLive: (EntryKey, RoomName) -> Bool
  ) -> [WrittenBatch] {
    guard let due, due <= now, !isExhausted else { return [] }
    lastFlushAt = now
    if outgoing.isEmpty { arrange(isLive) }
    var batches: [WrittenBatch] = []
    while batches.count < HostingLimits.batchesPerFlush, let group = outgoing.popLast() {
      guard let batch = write(group, isLive) else { break }
      batches.append(batch)
    }
    self.due =
      !outgoing.isEmpty ? now : rooms.isEmpty ? nil : now + interval
    return batches
  }

  /// Puts everything that waits in the order in which it is to be written.
  private mutating func arrange(_ isLive: (EntryKey, RoomName) -> Bool) {
    var removing: [Group] = []
    var adding: [Group] = []
    var lobby: [Group] = []
    for room in rooms {
      guard let pending = pending[room] else { continue }
      let changes = pending.order.compactMap { pending.changes[$0] }
      // What was never written, and is removed again, costs nothing.
      let tombstones = changes.filter { $0.value == nil && isLive($0.key, room) }
      let group = Group(room: room, changes: tombstones + changes.filter { $0.value != nil })
      if group.changes.isEmpty { continue }
      if room.isLobby {
        lobby.append(group)
      } else if tombstones.isEmpty {
        adding.append(group)
      } else {
        removing.append(group)
      }
    }
    pending = [:]
    rooms = []
    outgoing = (removing + adding + lobby).reversed()
  }

  /// Writes a batch of a group; what does not fit goes back. `nil`: the versions are used up.
  private mutating func write(
    _ group: Group, _ isLive: (EntryKey, RoomName) -> Bool
  ) -> WrittenBatch? {
    var group = group
    var log = logs[group.room] ?? Log()
    // Of an empty log nothing is kept.
    let previous = log.version
    let rest = group.changes[group.next...]
    let count = Batch.prefix(
      of: rest, room: group.room, previous: previous, first: version + 1)
    precondition(count > 0, "a record of this node is longer than a batch")
    guard version + 1 + UInt64(count) <= Limits.counterBound,
      let place = BatchPlace(
        incarnation: incarnation, room: group.room, previous: previous, first: version + 1,
        count: UInt64(count))
    else {
      isExhausted = true
      outgoing.append(group)
      return nil
    }
    let changes = Array(rest.prefix(count))
    for change in changes {
      let wasLive = isLive(change.key, group.room)
      log.count += (change.value == nil ? 0 : 1) - (wasLive ? 1 : 0)
    }
    log.version = place.versions.upperBound
    if !PlantedBug.isActive(.versionReused) || version % 8 != 7 { version = log.version }
    logs[group.room] = log.count == 0 ? nil : log
    group.next += count
    if group.next < group.changes.count { outgoing.append(group) }
    return WrittenBatch(
      place: place,
      batch: Batch(
        incarnation: incarnation, room: group.room, previous: previous,
        first: place.versions.lowerBound, changes: changes),
      logVersion: log.count == 0 ? 0 : log.version)
  }
}

import MeshCRDT
import MeshWire

/// The removals that this node keeps up: of what its users ordered, and of what ended here while
/// other origins held records of it.
///
/// A session that moved here from a host that is cut off, and ended, would come back with that
/// host. The tombstones of this node do not outweigh another origin's records; a removal does, and
/// the host obeys it when it hears it.
///
/// A removal is taken back when nothing is left that it outweighs, nor a stay that its host is to end
/// by it, and every origin that held such is visible and complete; one that was ordered not before ``EngineConfiguration/removalHold``; any
/// after ``EngineConfiguration/removalRetention``. Bounds: ``HostingLimits/orders``, of which more are
/// refused, and ``HostingLimits/departures``, of which the oldest goes.
struct Removals: Sendable {
  private struct Entry: Sendable {
    var counter: UInt64
    var isFinal: Bool
    /// Who held what it outweighs; at most ``HostingLimits/holdersPerRemoval``.
    var holders: [OriginID]
    var writtenAt: MonotonicTime
    /// False: a user ordered it.
    var isDeparture: Bool
  }

  private let hold: Span
  private let retention: Span
  private var entries: [SessionPlace: Entry] = [:]
  private var orderCount = 0
  /// Departures in the order in which they were noted, from ``oldest`` on; some may be gone.
  private var departures: [SessionPlace] = []
  private var oldest = 0
  private var deadlines = Deadlines<SessionPlace>()

  init(hold: Span, retention: Span) {
    self.hold = hold
    self.retention = retention
  }

  var count: Int { entries.count }

  /// When a removal may be taken back.
  var deadline: MonotonicTime? { deadlines.next }

  /// What this node's removal of a session from a room says; `nil`: there is none. Its version is
  /// not known here.
  func record(of session: SessionID, from room: RoomName) -> StoredRecord? {
    guard let entry = entries[SessionPlace(session, room)] else { return nil }
    return StoredRecord(version: 0, counter: entry.counter, value: Self.value(of: entry)[...])
  }

  /// The records of all removals, in the order of their sessions.
  var changes: [RoomChange] {
    entries.sorted { $0.key < $1.key }.map { Self.change($0.key, $0.value) }
  }

  // MARK: Beginning

  /// Orders that a session leaves a room, or ends (the lobby).
  mutating func order(
    _ place: SessionPlace, counter: UInt64, isFinal: Bool, holders: [OriginID],
    now: MonotonicTime
  ) throws(OperationError) -> RoomChange {
    let isNew = entries[place]?.isDeparture ?? true
    guard !isNew || orderCount < HostingLimits.orders else {
      throw .tooManyRemovals(limit: HostingLimits.orders)
    }
    if isNew { orderCount += 1 }
    return set(
      place,
      Entry(
        counter: counter, isFinal: isFinal, holders: holders, writtenAt: now, isDeparture: false))
  }

  /// Notes that a session left a room, or ended, of which other origins hold records. Returns what
  /// is to be written.
  mutating func depart(
    _ place: SessionPlace, counter: UInt64, holders: [OriginID], now: MonotonicTime
  ) -> [RoomChange] {
    let known = entries[place]
    var changes: [RoomChange] = []
    if known == nil {
      changes = makeRoomForDeparture()
      departures.append(place)
    }
    let isOrder = known?.isDeparture == false
    changes.append(
      set(
        place,
        Entry(
          counter: counter, isFinal: known?.isFinal ?? false, holders: holders, writtenAt: now,
          isDeparture: !isOrder)))
    return changes
  }

  private mutating func set(_ place: SessionPlace, _ entry: Entry) -> RoomChange {
    var entry = entry
    let known = entries[place]?.holders ?? []
    let new = entry.holders.filter { !known.contains($0) }
    entry.holders = Array((known + new).suffix(HostingLimits.holdersPerRemoval))
    entries[place] = entry
    deadlines.set(place, at: entry.writtenAt + hold)
    return Self.change(place, entry)
  }

  /// Takes the oldest departure back when there are as many as may be. Cost: amortized constant.
  private mutating func makeRoomForDeparture() -> [RoomChange] {
    var changes: [RoomChange] = []
    while entries.count - orderCount >= HostingLimits.departures, oldest < departures.count {
      let place = departures[oldest]
      oldest += 1
      guard entries[place]?.isDeparture == true else { continue }
      changes += takeBack(place).map { [$0] } ?? []
    }
    if departures.count >= 2 * HostingLimits.departures {
      departures = departures[oldest...].filter { entries[$0]?.isDeparture == true }
      oldest = 0
    }
    return changes
  }

  // MARK: Ending

  /// Takes back what has done its work. Returns the tombstones, of one slice.
  mutating func advance(_ mesh: some MeshReading, now: MonotonicTime) -> [RoomChange] {
    var changes: [RoomChange] = []
    for _ in 0..<HostingLimits.evaluationsPerTurn {
      guard let place = deadlines.take(due: now) else { break }
      guard let entry = entries[place] else { continue }
      if isDone(entry, place, mesh, now: now) {
        changes += takeBack(place).map { [$0] } ?? []
      } else {
        deadlines.set(place, at: now + hold)
      }
    }
    return changes
  }

  private mutating func takeBack(_ place: SessionPlace) -> RoomChange? {
    guard let entry = entries.removeValue(forKey: place) else { return nil }
    if !entry.isDeparture { orderCount -= 1 }
    deadlines.remove(place)
    return RoomChange(
      .removal, place.session, place.room,
      counter: min(entry.counter, Limits.counterBound - 2) + 1, value: nil)
  }

  private func isDone(
    _ entry: Entry, _ place: SessionPlace, _ mesh: some MeshReading, now: MonotonicTime
  ) -> Bool {
    if entry.writtenAt + retention <= now || PlantedBug.isActive(.removalTakenBackEarly) {
      return true
    }
    let isOutweighing = mesh.otherHomes(of: place.session).contains { home in
      guard place.room.isLobby else {
        return mesh.enteredCounter(place.session, place.room, slot: home.slot)
          .map { $0 <= entry.counter } ?? false
      }
      guard let record = mesh.sessionRecord(place.session, slot: home.slot) else { return false }
      if record.counter <= entry.counter { return true }
      // A host that has not heard of an order may write the session again, and is to end it all the same. A
      // later stay there began above it, by the clock.
      return !entry.isDeparture && mesh.origin(slot: home.slot).map(entry.holders.contains) == true
        && RecordValues.session(from: record.value).map {
          $0.joinedAt.milliseconds <= entry.counter
        } == true
    }
    guard !isOutweighing else { return false }
    return entry.holders.allSatisfy { holder in
      guard let slot = mesh.slot(of: holder) else { return false }
      return slot == mesh.ownSlot || mesh.isVisible(slot: slot) && mesh.isComplete(slot: slot)
    }
  }

  // MARK: Records

  private static func value(of entry: Entry) -> [UInt8] {
    RecordValues.bytes(RemovalValue(isFinal: entry.isFinal))
  }

  private static func change(_ place: SessionPlace, _ entry: Entry) -> RoomChange {
    RoomChange(
      .removal, place.session, place.room, counter: entry.counter, value: value(of: entry))
  }
}

/// The mesh as it will be once this node's removals are written.
struct MeshWithRemovals<Base: MeshReading>: MeshReading {
  let base: Base
  let removals: Removals

  var ownSlot: Int { base.ownSlot }
  func origin(slot: Int) -> OriginID? { base.origin(slot: slot) }
  func homes(of session: SessionID) -> [SessionHome] { base.homes(of: session) }
  func record(_ key: EntryKey, in room: RoomName, slot: Int) -> StoredRecord? {
    base.record(key, in: room, slot: slot)
  }
  func sessions(slot: Int) -> [SessionID] { base.sessions(slot: slot) }
  func slot(of origin: OriginID) -> Int? { base.slot(of: origin) }
  func isVisible(slot: Int) -> Bool { base.isVisible(slot: slot) }
  func isComplete(slot: Int) -> Bool { base.isComplete(slot: slot) }
  func movingCursor(of session: SessionID, in room: RoomName, slot: Int) -> Cursor? {
    base.movingCursor(of: session, in: room, slot: slot)
  }
  func statusCounter(of user: String) -> UInt64 { base.statusCounter(of: user) }
  var ownUsage: OriginUsage { base.ownUsage }

  func removals(of session: SessionID, from room: RoomName) -> [(slot: Int, record: StoredRecord)] {
    let others = base.removals(of: session, from: room).filter { $0.slot != ownSlot }
    guard let own = removals.record(of: session, from: room) else { return others }
    let index = others.firstIndex { $0.slot > ownSlot } ?? others.count
    return others[..<index] + [(ownSlot, own)] + others[index...]
  }
}

import MeshCRDT
import MeshWire

/// Works out what is visible of a session: a function of records, of moving cursors, and of which origins
/// are visible.
///
/// The session is its *host's* word alone: of the visible origins with a session record the one with the
/// highest counter, of equal ones the highest origin id. Where that record does not decode, or a removal
/// outweighs it, the session is not visible, and no other origin is looked at instead. Values that do
/// not decode are not shown.
///
/// The records are an argument, since keeping them here would count all of their parts once more.
struct SessionEvaluation {
  let hosts: [SessionView.Host]
  let revokedUsers: Set<UserKey>
  private let hashKey: HashKey
  /// What changed of the session since it was reported. What is noted here is not looked up.
  let changes: UnreportedChanges
  /// True: the session is evaluated as it was before the changes.
  private(set) var isEarlier = false

  init(
    hosts: [SessionView.Host], revokedUsers: Set<UserKey> = [], hashKey: HashKey,
    changes: UnreportedChanges = UnreportedChanges()
  ) {
    self.hosts = hosts
    self.hashKey = hashKey
    self.revokedUsers = revokedUsers
    self.changes = changes
  }

  /// The evaluation of the session as it was before the changes.
  var earlier: SessionEvaluation {
    var earlier = self
    earlier.isEarlier = true
    return earlier
  }

  /// The host of a session.
  struct SessionHost {
    let home: SessionHome
    let origin: OriginID
    /// The session record.
    let record: StoredRecord

    var slot: Int { home.slot }
    var stamp: Stamp { Stamp(counter: record.counter, origin: origin) }
  }

  /// A session's host; `nil`: the session is not visible. Cost: the origins that have records of the
  /// session.
  func host(
    of session: SessionID, _ records: some RecordReading, evenHidden: Bool = false
  ) -> SessionHost? {
    var best: SessionHost?
    for home in homes(of: session, records) where evenHidden || isVisible(home.slot) {
      guard let host = host(session, home, records), mayHost(session, host) else { continue }
      let isLowest = PlantedBug.isActive(.lowestStampHosts)
      if best.map({ isLowest ? $0.stamp > host.stamp : $0.stamp < host.stamp }) ?? true {
        best = host
      }
    }
    guard let best,
      !isRemoved(session, from: .lobby, since: best.record.counter, slot: best.slot, records)
    else { return nil }
    return best
  }

  /// True when an origin may speak for the user of its session, and the session belongs to that user.
  private func mayHost(_ session: SessionID, _ host: SessionHost) -> Bool {
    let scope = rights(host.slot).users
    guard scope != .all || !revokedUsers.isEmpty, !PlantedBug.isActive(.anybodySpeaksForAll) else {
      return true
    }
    // What does not decode is not shown, and hides nobody.
    guard let user = RecordValues.userID(ofSession: host.record.value) else { return scope == .all }
    return !revokedUsers.contains(UserKey(user))
      && (scope == .all || scope.includes(user) && session.belongs(to: user, key: hashKey))
  }

  private func rights(_ slot: Int) -> Rights {
    hosts.indices.contains(slot) ? hosts[slot].rights : .unlimited
  }

  /// True when an origin may speak for the user of a session that it has.
  func mayHost(_ session: SessionID, slot: Int, _ records: some RecordReading) -> Bool {
    host(session, SessionHome(slot: slot, rooms: []), records).map { mayHost(session, $0) }
      ?? (rights(slot).users == .all)
  }

  /// True when an origin may remove sessions of whatever user.
  func mayRemoveAll(_ slot: Int) -> Bool {
    let rights = rights(slot)
    return rights.role >= .moderator || rights.users == .all
  }

  /// True when an origin may remove a session that another one hosts.
  func mayRemove(
    _ session: SessionID, by slot: Int, hostedBy host: Int, _ records: some RecordReading
  ) -> Bool {
    let rights = rights(slot)
    guard !mayRemoveAll(slot),
      let user = user(of: session, slot: host, records)
    else { return true }
    return rights.users.includes(user)
  }

  private func host(
    _ session: SessionID, _ home: SessionHome, _ records: some RecordReading
  ) -> SessionHost? {
    guard let origin = records.origin(slot: home.slot),
      let record = record(EntryKey(.session, session), in: .lobby, slot: home.slot, records)
    else { return nil }
    return SessionHost(home: home, origin: origin, record: record)
  }

  /// True when a removal of a session from a room has this counter or a higher one. Cost: the origins that
  /// ordered one.
  private func isRemoved(
    _ session: SessionID, from room: RoomName, since counter: UInt64, slot: Int,
    _ records: some RecordReading
  ) -> Bool {
    removals(of: session, from: room, records).contains {
      $0.record.counter >= counter && RecordValues.removal(from: $0.record.value) != nil
        && mayRemove(session, by: $0.slot, hostedBy: slot, records)
        && !PlantedBug.isActive(.removalNotShown)
    }
  }

  /// True when a session that is shown is not in a room, in spite of its presence there. It is in the lobby
  /// always: what was said there before it was opened again, above a removal, counts.
  private func isOut(
    _ session: SessionID, of room: RoomName, since entered: UInt64, slot: Int,
    _ records: some RecordReading
  ) -> Bool {
    !room.isLobby && isRemoved(session, from: room, since: entered, slot: slot, records)
  }

  /// The user of a session, as an origin has it.
  func user(of session: SessionID, slot: Int, _ records: some RecordReading) -> String? {
    record(EntryKey(.session, session), in: .lobby, slot: slot, records)
      .flatMap { RecordValues.userID(ofSession: $0.value) }
  }

  /// A session as an origin has it; `nil` when its session record is missing or does not decode. Cost:
  /// three records for each of at most ``SessionView/roomBound`` rooms.
  func snapshot(
    _ session: SessionID, slot: Int, _ records: some RecordReading
  ) -> SessionSnapshot? {
    homes(of: session, records).first { $0.slot == slot }
      .flatMap { host(session, $0, records) }
      .flatMap { snapshot(session, $0, records) }
  }

  /// The same of its host.
  func snapshot(
    _ session: SessionID, _ host: SessionHost, _ records: some RecordReading
  ) -> SessionSnapshot? {
    guard let value = RecordValues.session(from: host.record.value) else { return nil }
    let slot = host.slot
    var places: [SessionSnapshot.Place] = []
    var occupied: [RoomName] = []
    for room in host.home.rooms.prefix(SessionView.roomBound) {
      if let record = record(EntryKey(.presence, session), in: room, slot: slot, records) {
        if let place = place(session, room, record, slot: slot, records) { places.append(place) }
      } else if occupies(session, room, slot: slot, records) {
        occupied.append(room)
      }
    }
    return SessionSnapshot(
      id: session, host: host.origin, value: value, places: places, visits: occupied)
  }

  private func place(
    _ session: SessionID, _ room: RoomName, _ record: StoredRecord, slot: Int,
    _ records: some RecordReading
  ) -> SessionSnapshot.Place? {
    guard let presence = RecordValues.presence(from: record.value),
      !isOut(session, of: room, since: presence.enteredCounter, slot: slot, records)
    else { return nil }
    return SessionSnapshot.Place(
      room: room, presence: presence,
      cursor: cursor(session, room, slot: slot, entered: presence.enteredCounter, records))
  }

  /// The moving cursor, which is newer than the one at rest as long as it is kept; else the one at rest,
  /// unless it is from an earlier stay.
  private func cursor(
    _ session: SessionID, _ room: RoomName, slot: Int, entered: UInt64,
    _ records: some RecordReading
  ) -> Cursor? {
    if let moving = moving(session, room, slot: slot), moving.counter > entered {
      return moving.cursor
    }
    guard let record = record(EntryKey(.cursor, session), in: room, slot: slot, records),
      record.counter >= entered
    else { return nil }
    return RecordValues.cursor(from: record.value)
  }

  private func moving(_ session: SessionID, _ room: RoomName, slot: Int) -> MovingCursor? {
    if isEarlier, let old = changes.cursor(in: room) { return old }
    guard hosts.indices.contains(slot) else { return nil }
    return hosts[slot].cursors[CursorKey(session: session, room: room)]
  }

  private func isVisible(_ slot: Int) -> Bool {
    hosts.indices.contains(slot) && hosts[slot].isVisible
  }

  /// True when a session is shown in a room. It is that of its host, which has a presence there.
  func isShown(
    _ session: SessionID, in room: RoomName, slot: Int, _ records: some RecordReading
  ) -> Bool {
    guard let home = homes(of: session, records).first(where: { $0.slot == slot }),
      home.rooms.prefix(SessionView.roomBound).contains(room),
      let record = record(EntryKey(.presence, session), in: room, slot: slot, records),
      let entered = RecordValues.enteredCounter(ofPresence: record.value)
    else { return false }
    return !isOut(session, of: room, since: entered, slot: slot, records)
  }

  private func occupies(
    _ session: SessionID, _ room: RoomName, slot: Int, _ records: some RecordReading
  ) -> Bool {
    let key = EntryKey(.occupancy, session, room: room)
    guard !room.isLobby, let record = record(key, in: .lobby, slot: slot, records),
      RecordValues.areWellFormed(record.value, kind: .occupancy)
    else { return false }
    return !isRemoved(session, from: room, since: record.counter, slot: slot, records)
  }
}

// MARK: - What changed

extension SessionEvaluation {
  /// Adds the events about what changed of a session that has the same host as before: cursors alone, where
  /// nothing else differs.
  func addDifferences(
    to new: SessionSnapshot, slot: Int, _ records: some RecordReading, _ events: inout [MeshEvent]
  ) {
    let earlier = earlier
    guard changes.stay(in: new, slot: slot) else {
      let old = earlier.snapshot(new.id, slot: slot, records)
      events += old.map { Self.differences(from: $0, to: new) } ?? [.changed(new)]
      return
    }
    for change in changes.records where change.key.entry.kind != .cursor && !change.saysTheSame {
      return events.append(.changed(new))
    }
    var moves: [MeshEvent] = []
    for place in new.places {
      let old = earlier.cursor(
        new.id, place.room, slot: slot, entered: place.presence.enteredCounter, records)
      guard old != place.cursor else { continue }
      guard let cursor = place.cursor else { return events.append(.changed(new)) }
      moves.append(.cursor(new.id, place.room, cursor))
    }
    events += moves
  }

  /// The events that lead from one snapshot of a session to another of the same host.
  private static func differences(
    from old: SessionSnapshot, to new: SessionSnapshot
  ) -> [MeshEvent] {
    guard old != new else { return [] }
    var moved = old
    var events: [MeshEvent] = []
    for place in new.places {
      guard let cursor = place.cursor, old.place(in: place.room)?.cursor != cursor else { continue }
      moved = moved.moving(in: place.room, to: cursor)
      events.append(.cursor(new.id, place.room, cursor))
    }
    return moved == new ? events : [.changed(new)]
  }
}

// MARK: - The records, with or without what changed

extension SessionEvaluation {
  private func record(
    _ key: EntryKey, in room: RoomName, slot: Int, _ records: some RecordReading
  ) -> StoredRecord? {
    guard
      let index = changes.index(of: UnreportedChanges.Key(slot: slot, room: room, entry: key))
    else { return records.record(key, in: room, slot: slot) }
    return isEarlier ? changes.records[index].old : changes.records[index].new
  }

  private func homes(of session: SessionID, _ records: some RecordReading) -> [SessionHome] {
    let homes = records.homes(of: session)
    // Mostly records say something else, and none came or went.
    guard isEarlier, changes.records.contains(where: \.hasMoved) else { return homes }
    let moved = changes.records.filter(\.hasMoved).map(\.key)
    let slots = Set(homes.map(\.slot)).union(moved.map(\.slot)).sorted()
    return slots.map { slot in
      var rooms = Set(homes.first { $0.slot == slot }?.rooms ?? [])
      for key in moved where key.slot == slot {
        switch key.entry.kind {
        case .presence, .cursor: rooms.insert(key.room)
        case .occupancy: rooms.insert(key.entry.room)
        default: break
        }
      }
      return SessionHome(
        slot: slot, rooms: rooms.filter { isIn($0, session, slot: slot, records) }.sorted())
    }
  }

  private func isIn(
    _ room: RoomName, _ session: SessionID, slot: Int, _ records: some RecordReading
  ) -> Bool {
    record(EntryKey(.presence, session), in: room, slot: slot, records) != nil
      || record(EntryKey(.cursor, session), in: room, slot: slot, records) != nil
      || record(EntryKey(.occupancy, session, room: room), in: .lobby, slot: slot, records) != nil
  }

  private func removals(
    of session: SessionID, from room: RoomName, _ records: some RecordReading
  ) -> [(slot: Int, record: StoredRecord)] {
    let removals = records.removals(of: session, from: room)
    let entry = EntryKey(.removal, session, room: room)
    guard isEarlier, changes.records.contains(where: { $0.key.entry == entry }) else {
      return removals
    }
    let kept = removals.filter {
      changes.index(of: .init(slot: $0.slot, room: .lobby, entry: entry)) == nil
    }
    let old = changes.records.filter { $0.key.entry == entry }.compactMap { change in
      change.old.map { (slot: change.key.slot, record: $0) }
    }
    return (kept + old).sorted { $0.slot < $1.slot }
  }
}

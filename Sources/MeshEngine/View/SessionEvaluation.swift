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
  /// The moving cursors of the session as they were when they were reported, where they changed since.
  var reportedCursors: [RoomName: MovingCursor?] = [:]

  /// The slot of a session's host; `nil`: the session is not visible. Cost: the origins that have records
  /// of the session.
  func host(
    of session: SessionID, _ records: some RecordReading, evenHidden: Bool = false
  ) -> Int? {
    let key = EntryKey(.session, session)
    var best: (slot: Int, stamp: Stamp)?
    for home in records.homes(of: session) where evenHidden || isVisible(home.slot) {
      guard let origin = records.origin(slot: home.slot),
        let record = records.record(key, in: .lobby, slot: home.slot)
      else { continue }
      let stamp = Stamp(counter: record.counter, origin: origin)
      let isLowest = PlantedBug.isActive(.lowestStampHosts)
      if best.map({ isLowest ? $0.stamp > stamp : $0.stamp < stamp }) ?? true {
        best = (home.slot, stamp)
      }
    }
    guard let best, !isRemoved(session, from: .lobby, since: best.stamp.counter, records)
    else { return nil }
    return best.slot
  }

  /// True when a removal of a session from a room has this counter or a higher one. Cost: the origins that
  /// ordered one.
  func isRemoved(
    _ session: SessionID, from room: RoomName, since counter: UInt64, _ records: some RecordReading
  ) -> Bool {
    records.removals(of: session, from: room).contains {
      $0.record.counter >= counter && RecordValues.removal(from: $0.record.value) != nil
        && !PlantedBug.isActive(.removalNotShown)
    }
  }

  /// True when a session that is shown is not in a room, in spite of its presence there. It is in the lobby
  /// always: what was said there before it was opened again, above a removal, counts.
  private func isOut(
    _ session: SessionID, of room: RoomName, since entered: UInt64, _ records: some RecordReading
  ) -> Bool {
    !room.isLobby && isRemoved(session, from: room, since: entered, records)
  }

  /// A session as an origin has it; `nil` when its session record is missing or does not decode. Cost:
  /// three records for each of at most ``SessionView/roomBound`` rooms.
  func snapshot(
    _ session: SessionID, slot: Int, _ records: some RecordReading
  ) -> SessionSnapshot? {
    guard let origin = records.origin(slot: slot),
      let home = records.homes(of: session).first(where: { $0.slot == slot }),
      let record = records.record(EntryKey(.session, session), in: .lobby, slot: slot),
      let value = RecordValues.session(from: record.value)
    else { return nil }
    var places: [SessionSnapshot.Place] = []
    var occupied: [RoomName] = []
    for room in home.rooms.prefix(SessionView.roomBound) {
      if let record = records.record(EntryKey(.presence, session), in: room, slot: slot) {
        if let place = place(session, room, record, slot: slot, records) { places.append(place) }
      } else if occupies(session, room, slot: slot, records) {
        occupied.append(room)
      }
    }
    return SessionSnapshot(
      id: session, host: origin, value: value, places: places, visits: occupied)
  }

  private func place(
    _ session: SessionID, _ room: RoomName, _ record: StoredRecord, slot: Int,
    _ records: some RecordReading
  ) -> SessionSnapshot.Place? {
    guard let presence = RecordValues.presence(from: record.value),
      !isOut(session, of: room, since: presence.enteredCounter, records)
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
    guard let record = records.record(EntryKey(.cursor, session), in: room, slot: slot),
      record.counter >= entered
    else { return nil }
    return RecordValues.cursor(from: record.value)
  }

  private func moving(_ session: SessionID, _ room: RoomName, slot: Int) -> MovingCursor? {
    if let reported = reportedCursors[room] { return reported }
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
    guard let home = records.homes(of: session).first(where: { $0.slot == slot }),
      home.rooms.prefix(SessionView.roomBound).contains(room),
      let record = records.record(EntryKey(.presence, session), in: room, slot: slot),
      let entered = RecordValues.enteredCounter(ofPresence: record.value)
    else { return false }
    return !isOut(session, of: room, since: entered, records)
  }

  private func occupies(
    _ session: SessionID, _ room: RoomName, slot: Int, _ records: some RecordReading
  ) -> Bool {
    let key = EntryKey(.occupancy, session, room: room)
    guard !room.isLobby, let record = records.record(key, in: .lobby, slot: slot),
      RecordValues.areWellFormed(record.value, kind: .occupancy)
    else { return false }
    return !isRemoved(session, from: room, since: record.counter, records)
  }
}

package import MeshCRDT
import MeshWire

extension SessionView {
  /// Notes changes of an origin's records, which are made already. Cost: a few look-ups for each.
  ///
  /// - Returns: events about sessions that could wait no longer, by the bounds of the queue; mostly none.
  package mutating func changed(
    slot: Int, _ changes: [AppliedChange], _ records: some RecordReading
  ) -> [MeshEvent] {
    var crowded: [SessionID] = []
    for change in changes where !Self.saysTheSame(change.old, change.new) {
      let session = change.key.session
      let count = note(change, slot: slot, records)
      if count > Self.changesOfWaitingBound, crowded.last != session { crowded.append(session) }
    }
    var events: [MeshEvent] = []
    // Only now: the records have all of the changes, and what is reported would have them too.
    for session in crowded where waiting[session]?.count ?? 0 > Self.changesOfWaitingBound {
      reportOutOfTurn(session, records, &events)
    }
    while waiting.count > waitingBound { reportNext(records, &events) }
    return events
  }

  /// True when a record was only written again, with another version.
  private static func saysTheSame(_ old: StoredRecord?, _ new: StoredRecord?) -> Bool {
    guard let old, let new else { return old == nil && new == nil }
    return old.counter == new.counter && old.value == new.value
  }

  /// Returns how many changes are noted of the session now, as far as this one is about it.
  private mutating func note(
    _ change: AppliedChange, slot: Int, _ records: some RecordReading
  ) -> Int {
    let session = change.key.session
    let reportedSlot = reportedSlot(of: session)
    let isHost = reportedSlot == slot
    switch change.key.kind {
    case .session:
      let counts = isHost || isVisible(slot: slot) || scans.contains(slot)
      guard change.room.isLobby, counts else { return 0 }
    case .presence, .cursor:
      // Of the host, it is noted when that is reported.
      if change.key.kind == .presence, !isHost { noteStatus(change, slot: slot, records) }
      settleCursor(CursorKey(session: session, room: change.room), slot: slot, records)
      guard isHost else { return 0 }
    case .occupancy:
      guard change.room.isLobby, isHost else { return 0 }
    case .removal:
      // One that is taken back may let a session be visible again.
      guard change.room.isLobby, reportedSlot != nil || change.key.room.isLobby else { return 0 }
    default: return 0
    }
    return waiting.add(session) { unreported in
      if isHost || reportedSlot != nil && change.key.kind == .removal {
        unreported.note(
          change.old, change.new,
          UnreportedChanges.Key(slot: slot, room: change.room, entry: change.key))
      }
      return unreported.count
    }
  }

  /// Notes the status counter of a presence. Where its session is not held yet, that is done when the
  /// session is evaluated.
  private mutating func noteStatus(
    _ change: AppliedChange, slot: Int, _ records: some RecordReading
  ) {
    guard let counter = change.new.flatMap({ RecordValues.statusCounter(ofPresence: $0.value) }),
      let session = records.record(EntryKey(.session, change.key.session), in: .lobby, slot: slot),
      let user = RecordValues.userID(ofSession: session.value),
      !isRestricted || evaluation.mayHost(change.key.session, slot: slot, records)
    else { return }
    noteStatus(counter, of: user)
  }

  /// Drops the moving cursor of a session that entered the room later, or came to rest there; takes up the one
  /// that waited for the presence. That of a session that is not in the room waits: the end of an earlier stay
  /// may come behind the updates of the next one.
  private mutating func settleCursor(_ key: CursorKey, slot: Int, _ records: some RecordReading) {
    guard hosts.indices.contains(slot), !hosts[slot].cursors.isEmpty else { return }
    guard let bound = Self.cursorBound(key, slot: slot, records) else {
      return changeCursor(key, slot: slot) { cursors in
        guard let held = cursors[key] else { return }
        cursors.remove(key)
        cursors.keepEarly(held, for: key)
      }
    }
    changeCursor(key, slot: slot) { cursors in
      if let held = cursors[key], held.counter <= bound { cursors.remove(key) }
      guard let early = cursors.takeEarly(key), early.counter > bound,
        cursors[key].map(early.wins(over:)) ?? !cursors.isFull
      else { return }
      cursors.put(early, for: key)
    }
  }

  /// The counter above which cursor updates of an origin are news: that of entering the room, or of the
  /// record at rest. `nil`: the session is not in the room. Cost: two records.
  static func cursorBound(
    _ key: CursorKey, slot: Int, _ records: some RecordReading
  ) -> UInt64? {
    let presence = EntryKey(.presence, key.session)
    guard let record = records.record(presence, in: key.room, slot: slot),
      let entered = RecordValues.enteredCounter(ofPresence: record.value)
    else { return nil }
    let rest = records.record(EntryKey(.cursor, key.session), in: key.room, slot: slot)
    return max(entered, rest?.counter ?? 0)
  }
}

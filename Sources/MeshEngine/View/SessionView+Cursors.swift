package import MeshCRDT
package import MeshWire

/// What the updates of a cursor frame did.
package struct CursorOutcome: Hashable, Sendable {
  /// How many of them are the newest that is known of their cursors.
  package fileprivate(set) var news = 0
  /// How many the bound of the table kept out.
  package fileprivate(set) var refused = 0
  package fileprivate(set) var events: [MeshEvent] = []
}

extension SessionView {
  /// Where a cursor of an origin moved to last; `nil`: its record is as new, or there is none.
  package func movingCursor(of session: SessionID, in room: RoomName, slot: Int) -> Cursor? {
    host(slot)?.cursors[CursorKey(session: session, room: room)]?.cursor
  }

  private enum Standing {
    /// A later position is known, or the cursor came to rest, or the origin is not visible.
    case known
    /// The session is not known to be in the room.
    case early
    case refused
    case news
  }

  /// True when an update of a frame is the newest of its cursor, or is to wait for a presence. It is asked
  /// before the signature is verified. Cost: one look-up for each cursor that moves already, and two
  /// records for each that does not.
  package func isWanted(
    _ updates: [CursorUpdate], in room: RoomName, slot: Int, _ records: some RecordReading
  ) -> Bool {
    updates.contains {
      switch standing($0, in: room, slot: slot, records) {
      case .news, .early: true
      case .known, .refused: false
      }
    }
  }

  /// Takes the updates of one frame in. Cost: as of ``isWanted(_:in:slot:_:)``, and three look-ups for each
  /// update that is news.
  package mutating func move(
    _ updates: [CursorUpdate], in room: RoomName, slot: Int, _ records: some RecordReading
  ) -> CursorOutcome {
    var outcome = CursorOutcome()
    for update in updates {
      let key = CursorKey(session: update.session, room: room)
      let cursor = MovingCursor(counter: update.counter, cursor: update.cursor)
      switch standing(update, in: room, slot: slot, records) {
      case .known: break
      case .refused: outcome.refused += 1
      case .early: changeCursor(key, slot: slot) { $0.keepEarly(cursor, for: key) }
      case .news:
        outcome.news += 1
        guard reportedSlot(of: key.session) == slot, waiting[key.session] == nil else {
          // A change that is still to be reported brings the cursor with it.
          changeCursor(key, slot: slot) { $0.put(cursor, for: key) }
          continue
        }
        if isShown(cursor, for: key, slot: slot, records) {
          outcome.events.append(.cursor(key.session, room, cursor.cursor))
        }
      }
    }
    return outcome
  }

  /// Sets the moving cursor of a session about which everything was reported, this one included. True when
  /// the session is shown in the room. Cost: one look-up, unless anything was reported since the last move.
  private mutating func isShown(
    _ cursor: MovingCursor, for key: CursorKey, slot: Int, _ records: some RecordReading
  ) -> Bool {
    if let known = setReportedCursor(cursor, for: key, slot: slot) { return known }
    let isShown = evaluation.isShown(key.session, in: key.room, slot: slot, records)
    noteShown(isShown, key, slot: slot)
    return isShown
  }

  private func standing(
    _ update: CursorUpdate, in room: RoomName, slot: Int, _ records: some RecordReading
  ) -> Standing {
    guard hosts.indices.contains(slot), hosts[slot].isVisible else { return .known }
    let key = CursorKey(session: update.session, room: room)
    if let held = hosts[slot].cursors[key] {
      let cursor = MovingCursor(counter: update.counter, cursor: update.cursor)
      return cursor.wins(over: held) ? .news : .known
    }
    guard let bound = Self.cursorBound(key, slot: slot, records) else {
      return hosts[slot].cursors.early(key)?.counter ?? 0 < update.counter ? .early : .known
    }
    guard update.counter > bound else { return .known }
    return hosts[slot].cursors.isFull ? .refused : .news
  }
}

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

  /// Takes the updates of one frame in. Cost: one look-up for each cursor that moves already, unless anything
  /// was reported since the last move; else as of ``isWanted(_:in:slot:_:)``, and three look-ups.
  package mutating func move(
    _ updates: [CursorUpdate], in room: RoomName, slot: Int, _ records: some RecordReading
  ) -> CursorOutcome {
    var outcome = CursorOutcome()
    outcome.events.reserveCapacity(updates.count)
    for update in updates {
      let key = CursorKey(session: update.session, room: room)
      let cursor = MovingCursor(counter: update.counter, cursor: update.cursor)
      let isTold = waiting[key.session] == nil
      if isTold {
        switch advance(cursor, for: key, slot: slot) {
        case .known: continue
        case .done(let isShown):
          outcome.news += 1
          if isShown { outcome.events.append(.cursor(key.session, room, cursor.cursor)) }
          continue
        case .unknown: break
        }
      }
      switch standing(update, in: room, slot: slot, records) {
      case .known: break
      case .refused: outcome.refused += 1
      case .early: changeCursor(key, slot: slot) { $0.keepEarly(cursor, for: key) }
      case .news:
        outcome.news += 1
        guard isTold, reportedSlot(of: key.session) == slot else {
          // A change that is still to be reported brings the cursor with it.
          changeCursor(key, slot: slot) { $0.put(cursor, for: key) }
          continue
        }
        let isShown = evaluation.isShown(key.session, in: room, slot: slot, records)
        setReportedCursor(cursor, for: key, slot: slot, isShown: isShown)
        if isShown { outcome.events.append(.cursor(key.session, room, cursor.cursor)) }
      }
    }
    return outcome
  }

  private func standing(
    _ update: CursorUpdate, in room: RoomName, slot: Int, _ records: some RecordReading
  ) -> Standing {
    guard isVisible(slot: slot) else { return .known }
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

package import MeshCRDT

/// What views and writers read of the records that a node holds.
package protocol RecordReading {
  /// The origin with a number; `nil` when it was forgotten.
  func origin(slot: Int) -> OriginID?
  /// The origins that have any record of a session (but removals), lowest slot first. Cost: one look-up.
  func homes(of session: SessionID) -> [SessionHome]
  /// A record of an origin. `room` is the room of the log: the lobby for all kinds but presence, cursor and
  /// unknown ones.
  func record(_ key: EntryKey, in room: RoomName, slot: Int) -> StoredRecord?
  /// The counters of all live removals of a session from a room (the lobby: from the mesh), with the slot
  /// of who ordered them, lowest slot first.
  func removals(of session: SessionID, from room: RoomName) -> [(slot: Int, record: StoredRecord)]
  /// The sessions that an origin has records of, in the order of their ids. Cost: all of them.
  func sessions(slot: Int) -> [SessionID]
  /// A few of the sessions that an origin has session records of: about `bound`, and none when there are
  /// no more. They come in an order that depends on their ids alone, so that a session that is held all
  /// the time comes once when each call goes on after the last one. Cost: those that come.
  func sessions(slot: Int, after last: SessionID?, atMost bound: Int) -> [SessionID]
}

extension RecordReading {
  /// In the order of the ids. Cost: all sessions of the origin; whoever holds many does better.
  package func sessions(slot: Int, after last: SessionID?, atMost bound: Int) -> [SessionID] {
    let sessions = sessions(slot: slot)
    return Array(sessions.drop { session in last.map { session <= $0 } ?? false }.prefix(bound))
  }
}

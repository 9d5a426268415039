import MeshCRDT
import MeshWire

/// What hosting reads of the mesh: the records that are held, and how their origins are.
protocol MeshReading: RecordReading {
  /// The number of this node's own origin.
  var ownSlot: Int { get }
  /// The number of an origin; `nil` when nothing is held of it.
  func slot(of origin: OriginID) -> Int?
  /// True when an origin is online or suspect.
  func isVisible(slot: Int) -> Bool
  /// True when an origin's newest checkpoint is complete here.
  func isComplete(slot: Int) -> Bool
  /// Where a cursor of an origin moved to last; `nil`: its record is as new, or there is none.
  func movingCursor(of session: SessionID, in room: RoomName, slot: Int) -> Cursor?
  /// The highest counter of a status that is held of a user, of whatever origin; 0: none.
  func statusCounter(of user: String) -> UInt64
  /// How much this node's own records are.
  var ownUsage: OriginUsage { get }
}

/// What another origin says of a session.
struct ForeignSession: Sendable {
  let home: SessionHome
  let origin: OriginID
  let record: StoredRecord

  /// The stamp of the session record.
  var stamp: Stamp { Stamp(counter: record.counter, origin: origin) }
}

extension MeshReading {
  /// The other origins that have records of a session.
  func otherHomes(of session: SessionID) -> [SessionHome] {
    homes(of: session).filter { $0.slot != ownSlot }
  }

  func sessionRecord(_ session: SessionID, slot: Int) -> StoredRecord? {
    record(EntryKey(.session, session), in: .lobby, slot: slot)
  }

  func occupancy(_ session: SessionID, _ room: RoomName, slot: Int) -> StoredRecord? {
    room.isLobby
      ? nil : record(EntryKey(.occupancy, session, room: room), in: .lobby, slot: slot)
  }

  /// The counter at which an origin says that a session entered a room; `nil`: it is not there.
  func enteredCounter(_ session: SessionID, _ room: RoomName, slot: Int) -> UInt64? {
    if let presence = record(EntryKey(.presence, session), in: room, slot: slot) {
      return RecordValues.enteredCounter(ofPresence: presence.value) ?? presence.counter
    }
    return occupancy(session, room, slot: slot)?.counter
  }

  /// The cursor of a session in a room that it entered at a counter, as an origin shows it.
  func cursor(of session: SessionID, in room: RoomName, entered: UInt64, slot: Int) -> Cursor? {
    movingCursor(of: session, in: room, slot: slot)
      ?? record(EntryKey(.cursor, session), in: room, slot: slot)
      .flatMap { $0.counter < entered ? nil : RecordValues.cursor(from: $0.value) }
  }

  /// The highest counter of the removals of a session from a room; 0: there is none.
  func removalCounter(of session: SessionID, from room: RoomName) -> UInt64 {
    removals(of: session, from: room).reduce(0) { max($0, $1.record.counter) }
  }

  /// True when a removal that stands forbids a session to come back.
  func isBarred(_ session: SessionID, from room: RoomName) -> Bool {
    removals(of: session, from: room).contains {
      RecordValues.removal(from: $0.record.value)?.isFinal == true
        || PlantedBug.isActive(.everyRemovalBars)
    }
  }

  /// The highest counter in the records that other origins hold of a session, and in its removals.
  /// Cost: its rooms.
  func highestCounter(of session: SessionID) -> UInt64 {
    var highest = removalCounter(of: session, from: .lobby)
    for home in otherHomes(of: session) {
      highest = max(highest, sessionRecord(session, slot: home.slot)?.counter ?? 0)
      for room in home.rooms {
        highest = max(
          highest, removalCounter(of: session, from: room),
          record(EntryKey(.presence, session), in: room, slot: home.slot)?.counter ?? 0,
          record(EntryKey(.cursor, session), in: room, slot: home.slot)?.counter ?? 0,
          enteredCounter(session, room, slot: home.slot) ?? 0)
      }
    }
    return min(highest, Limits.counterBound - 1)
  }

  /// The other origin whose record of a session counts: of those that are visible, the one with the
  /// highest stamp. `nil`: there is none, or a removal outweighs it.
  func visibleHost(of session: SessionID) -> ForeignSession? {
    host(of: session) { isVisible(slot: $0) }
  }

  /// The same of origins that are hidden.
  func hiddenHost(of session: SessionID) -> ForeignSession? {
    host(of: session) { !isVisible(slot: $0) }
  }

  private func host(
    of session: SessionID, where isIncluded: (Int) -> Bool
  ) -> ForeignSession? {
    var best: ForeignSession?
    for home in otherHomes(of: session) where isIncluded(home.slot) {
      guard let origin = origin(slot: home.slot),
        let record = sessionRecord(session, slot: home.slot)
      else { continue }
      let found = ForeignSession(home: home, origin: origin, record: record)
      if best.map({ $0.stamp < found.stamp }) ?? true { best = found }
    }
    guard let best, best.record.counter > removalCounter(of: session, from: .lobby) else {
      return nil
    }
    return best
  }

  /// The other origins whose records would bring a session back to a room (the lobby: bring it
  /// back) after it left here: those that no removal outweighs. None, when another origin has the
  /// session with a stamp above this node's: it is not this node's to end any more.
  func holders(of session: SessionID, in room: RoomName, below stamp: Stamp) -> [OriginID] {
    let outweighed = removalCounter(of: session, from: room)
    var holders: [OriginID] = []
    for home in otherHomes(of: session) {
      guard let origin = origin(slot: home.slot) else { continue }
      let record = sessionRecord(session, slot: home.slot)
      if let record, Stamp(counter: record.counter, origin: origin) > stamp { return [] }
      let counter =
        room.isLobby
        ? record?.counter ?? .max : enteredCounter(session, room, slot: home.slot)
      if let counter, counter > outweighed { holders.append(origin) }
    }
    return holders
  }
}

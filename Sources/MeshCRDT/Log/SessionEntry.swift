/// The records of one session in the log of one origin.
package struct SessionEntry: Hashable, Sendable {
  /// The records of a session in one room.
  package struct Place: Hashable, Sendable {
    package let room: RoomID
    package var presence: Cell?
    package var cursor: Cell?
  }

  package var session: Cell?
  // The place with the lowest room id lies here: nearly all sessions are in one room, and so take no
  // memory of its own for it.
  private var room = noRoom
  private var presence: Cell?
  private var cursor: Cell?
  /// The other places, in the order of the room ids.
  private var others: [Place] = []

  /// No room's id.
  private static let noRoom = UInt64.max

  package init() {}

  private var first: Place? {
    get {
      room == Self.noRoom
        ? nil : Place(room: RoomID(bits: room), presence: presence, cursor: cursor)
    }
    set {
      room = newValue?.room.bits ?? Self.noRoom
      presence = newValue?.presence
      cursor = newValue?.cursor
    }
  }

  /// In the order of the room ids, so that equal entries are equal values.
  package var places: [Place] { first.map { [$0] + others } ?? [] }

  package var placeCount: Int { (room == Self.noRoom ? 0 : 1) + others.count }

  package var isEmpty: Bool { session == nil && room == Self.noRoom }

  /// True when it has anything in a room.
  package func isIn(_ room: RoomID) -> Bool {
    self.room == room.bits || others.contains { $0.room == room }
  }

  /// The counter of the record of its cursor in a room, at rest or removed; 0: there is none.
  func cursorCounter(in room: RoomID) -> UInt64 {
    if self.room == room.bits { return cursor?.counter ?? 0 }
    guard !others.isEmpty else { return 0 }
    return others.first { $0.room == room }?.cursor?.counter ?? 0
  }

  /// The cell of a key of this session.
  package subscript(key: RecordKey) -> Cell? {
    get {
      guard key.lane != .session else { return session }
      if room == key.room.bits { return key.lane == .presence ? presence : cursor }
      guard let place = others.first(where: { $0.room == key.room }) else { return nil }
      return key.lane == .presence ? place.presence : place.cursor
    }
    set {
      guard key.lane != .session else {
        session = newValue
        return
      }
      if room == key.room.bits, newValue != nil {
        if key.lane == .presence { presence = newValue } else { cursor = newValue }
        return
      }
      var place = place(in: key.room) ?? Place(room: key.room)
      if key.lane == .presence { place.presence = newValue } else { place.cursor = newValue }
      put(place)
    }
  }

  private func place(in room: RoomID) -> Place? {
    if self.room == room.bits { return first }
    return others.isEmpty ? nil : others.first { $0.room == room }
  }

  /// Puts a place in the stead of the one in its room; an empty one goes.
  private mutating func put(_ place: Place) {
    let isKept = place.presence != nil || place.cursor != nil
    guard let first else {
      if isKept { self.first = place }
      return
    }
    if first.room == place.room {
      self.first = isKept ? place : others.isEmpty ? nil : others.removeFirst()
      return
    }
    if place.room < first.room {
      guard isKept else { return }
      others.insert(first, at: 0)
      self.first = place
      return
    }
    let index = others.firstIndex { $0.room >= place.room } ?? others.count
    let isThere = index < others.count && others[index].room == place.room
    switch (isThere, isKept) {
    case (true, true): others[index] = place
    case (true, false): others.remove(at: index)
    case (false, true): others.insert(place, at: index)
    case (false, false): break
    }
  }

  /// Calls `body` with each cell that stands on a shelf.
  func forEach(of session: SessionID, on shelf: RoomID, _ body: (RecordKey, Cell) -> Void) {
    if shelf.isLobby, let cell = self.session { body(RecordKey(session: session), cell) }
    guard let place = place(in: shelf) else { return }
    if let cell = place.presence {
      body(RecordKey(session: session, lane: .presence, room: shelf), cell)
    }
    if let cell = place.cursor {
      body(RecordKey(session: session, lane: .cursor, room: shelf), cell)
    }
  }

  /// All cells with their keys, in the order of the keys.
  package func cells(of session: SessionID) -> [(key: RecordKey, cell: Cell)] {
    var result: [(key: RecordKey, cell: Cell)] = []
    if let cell = self.session { result.append((RecordKey(session: session), cell)) }
    for place in places {
      if let cell = place.presence {
        result.append((RecordKey(session: session, lane: .presence, room: place.room), cell))
      }
      if let cell = place.cursor {
        result.append((RecordKey(session: session, lane: .cursor, room: place.room), cell))
      }
    }
    return result
  }
}

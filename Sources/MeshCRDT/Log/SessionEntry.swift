/// The records of one session in the log of one origin.
package struct SessionEntry: Hashable, Sendable {
  /// The records of a session in one room.
  package struct Place: Hashable, Sendable {
    package let room: RoomID
    package var presence: Cell?
    package var cursor: Cell?
  }

  package var session: Cell?
  /// The place with the lowest room id: nearly all sessions have one room, which takes no memory of
  /// its own so.
  private var first: Place?
  /// The others, in the order of the room ids.
  private var others: [Place] = []

  package init() {}

  /// In the order of the room ids, so that equal entries are equal values.
  package var places: [Place] { first.map { [$0] + others } ?? [] }

  package var placeCount: Int { (first == nil ? 0 : 1) + others.count }

  package var isEmpty: Bool { session == nil && first == nil }

  /// The place in a room, if it has anything there.
  package func place(in room: RoomID) -> Place? {
    guard let first, first.room <= room else { return nil }
    return first.room == room ? first : others.first { $0.room == room }
  }

  /// The cell of a key of this session.
  package subscript(key: RecordKey) -> Cell? {
    get {
      guard key.lane != .session else { return session }
      guard let place = place(in: key.room) else { return nil }
      return key.lane == .presence ? place.presence : place.cursor
    }
    set {
      guard key.lane != .session else {
        session = newValue
        return
      }
      var place = place(in: key.room) ?? Place(room: key.room)
      if key.lane == .presence {
        place.presence = newValue
      } else {
        place.cursor = newValue
      }
      put(place)
    }
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

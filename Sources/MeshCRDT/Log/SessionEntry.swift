/// The records of one session in the log of one origin.
package struct SessionEntry: Hashable, Sendable {
  /// The records of a session in one room.
  package struct Place: Hashable, Sendable {
    package let room: RoomID
    package var presence: Cell?
    package var cursor: Cell?
  }

  package var session: Cell?
  /// In the order of the room ids, so that equal entries are equal values.
  package private(set) var places: [Place] = []

  package init() {}

  package var isEmpty: Bool { session == nil && places.isEmpty }

  /// The cell of a key of this session.
  package subscript(key: RecordKey) -> Cell? {
    get {
      guard key.lane != .session else { return session }
      guard let place = places.first(where: { $0.room == key.room }) else { return nil }
      return key.lane == .presence ? place.presence : place.cursor
    }
    set {
      guard key.lane != .session else {
        session = newValue
        return
      }
      let index = places.firstIndex { $0.room >= key.room } ?? places.count
      if index == places.count || places[index].room != key.room {
        guard newValue != nil else { return }
        places.reserveCapacity(index + 1)
        places.insert(Place(room: key.room), at: index)
      }
      if key.lane == .presence {
        places[index].presence = newValue
      } else {
        places[index].cursor = newValue
      }
      if places[index].presence == nil && places[index].cursor == nil {
        places.remove(at: index)
      }
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

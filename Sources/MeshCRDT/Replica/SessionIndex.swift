/// One origin that has records of a session.
package struct SessionHome: Hashable, Sendable {
  /// The origin's number in the replica.
  package let slot: Int
  /// The rooms in whose logs the origin has a presence or a cursor record of the session, and those that
  /// it names in occupancy records; in the order of their names, the lobby first when it is among them.
  package internal(set) var rooms: [RoomName]

  package init(slot: Int, rooms: [RoomName]) {
    self.slot = slot
    self.rooms = rooms
  }
}

/// Where the records of each session stand: in the logs of which origins, and of which rooms.
///
/// Nearly every session has one origin and one room: that takes about 40 bytes. The table has 64 parts, so that
/// growing never moves many rows in one turn.
struct SessionIndex: Sendable {
  /// An origin's slot and the number of a room of its; ``noRoom``: it has no record of the session in one.
  struct Place: Hashable, Comparable, Sendable {
    let slot: Int32
    let room: Int32

    static func < (left: Self, right: Self) -> Bool {
      left.slot == right.slot ? left.room < right.room : left.slot < right.slot
    }
  }

  static let noRoom: Int32 = -1

  private var parts = [Part](repeating: Part(), count: 64)

  private static func part(_ session: SessionID) -> Int { Int(session.spread & 63) }

  /// The number of sessions.
  var count: Int { parts.reduce(0) { $0 + $1.count } }

  /// The places of a session.
  struct Places: Sendable {
    var first: Place
    /// The other places, rising; all are above ``first``.
    var others: [Place]?

    var all: [Place] { [first] + (others ?? []) }
  }

  /// The places of a session; `nil`: there are none. Cost: one look-up.
  func places(of session: SessionID) -> Places? {
    // An element that an array gives is a copy, which counts its parts once more.
    parts.withUnsafeBufferPointer { $0[Self.part(session)].places(of: session) }
  }

  /// Puts a place in. True when it is new. A place in a room takes the stead of ``noRoom``.
  @discardableResult
  mutating func insert(_ place: Place, for session: SessionID) -> Bool {
    parts[Self.part(session)].insert(place, for: session)
  }

  /// Takes a place out. True when it was there.
  @discardableResult
  mutating func remove(_ place: Place, from session: SessionID) -> Bool {
    parts[Self.part(session)].remove(place, from: session)
  }
}

/// A part of the table, and what is done with it.
private struct Part: Sendable {
  private typealias Places = SessionIndex.Places
  private typealias Place = SessionIndex.Place
  private var table = DenseMap<SessionID, Places>()

  var count: Int { table.count }

  func places(of session: SessionID) -> SessionIndex.Places? { table[session] }

  mutating func insert(_ place: SessionIndex.Place, for session: SessionID) -> Bool {
    guard let row = table.row(of: session) else {
      table.put(Places(first: place, others: nil), for: session)
      return true
    }
    // The usual case: what an origin says of a session in a room comes after the session itself.
    let known = table.rows[row].value
    if known.others == nil, known.first.slot == place.slot {
      if known.first == place || place.room == SessionIndex.noRoom { return false }
      if known.first.room == SessionIndex.noRoom {
        table.change(row: row) { $0.first = place }
        return true
      }
    }
    var places = known.all
    guard !places.contains(place) else { return false }
    if place.room == SessionIndex.noRoom {
      guard !places.contains(where: { $0.slot == place.slot }) else { return false }
    } else {
      places.removeAll { $0 == Place(slot: place.slot, room: SessionIndex.noRoom) }
    }
    places.append(place)
    set(places.sorted(), for: session)
    return true
  }

  mutating func remove(_ place: SessionIndex.Place, from session: SessionID) -> Bool {
    guard let places = table[session]?.all, places.contains(place) else { return false }
    set(places.filter { $0 != place }, for: session)
    return true
  }

  private mutating func set(_ places: [Place], for session: SessionID) {
    guard let first = places.first else {
      table.remove(session)
      return
    }
    let others = places.count > 1 ? Array(places.dropFirst()) : nil
    table.put(Places(first: first, others: others), for: session)
  }
}

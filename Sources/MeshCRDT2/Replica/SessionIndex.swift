import MeshCRDT

/// Where the records of each session stand: in the logs of which origins, and of which rooms.
///
/// Nearly every session has one origin and one room: that takes about 40 bytes.
struct SessionIndex: Sendable {
  /// An origin's slot and the number of a room of its; ``noRoom``: it has no record of the session in one.
  struct Place: Hashable, Comparable, Sendable {
    let slot: Int32
    let room: Int32

    static func < (left: Self, right: Self) -> Bool {
      left.slot == right.slot ? left.room < right.room : left.slot < right.slot
    }
  }

  private struct Places: Sendable {
    var first: Place
    /// The other places, rising; all are above ``first``.
    var others: [Place]?
  }

  static let noRoom: Int32 = -1

  private var table = DenseMap<SessionID, Places>()

  /// The number of sessions.
  var count: Int { table.count }

  /// All sessions, in the order of the table.
  var sessions: [SessionID] { Array(table.keys) }

  /// The places of a session, rising. Cost: one look-up.
  func places(of session: SessionID) -> [Place] {
    guard let places = table[session] else { return [] }
    return [places.first] + (places.others ?? [])
  }

  /// Puts a place in. True when it is new. A place in a room takes the stead of ``noRoom``.
  @discardableResult
  mutating func insert(_ place: Place, for session: SessionID) -> Bool {
    guard let row = table.row(of: session) else {
      table.put(Places(first: place, others: nil), for: session)
      return true
    }
    // The usual case: what an origin says of a session in a room comes after the session itself.
    let known = table.rows[row].value
    if known.others == nil, known.first.slot == place.slot {
      if known.first == place || place.room == Self.noRoom { return false }
      if known.first.room == Self.noRoom {
        table.change(row: row) { $0.first = place }
        return true
      }
    }
    var places = places(of: session)
    guard !places.contains(place) else { return false }
    if place.room == Self.noRoom {
      guard !places.contains(where: { $0.slot == place.slot }) else { return false }
    } else {
      places.removeAll { $0 == Place(slot: place.slot, room: Self.noRoom) }
    }
    places.append(place)
    set(places.sorted(), for: session)
    return true
  }

  /// Takes a place out. True when it was there.
  @discardableResult
  mutating func remove(_ place: Place, from session: SessionID) -> Bool {
    let places = places(of: session)
    guard places.contains(place) else { return false }
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

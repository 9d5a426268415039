import MeshCRDT
import MeshWire

/// A session in a room, as this node hosts it.
struct HostedPlace: Hashable, Sendable {
  var presence: PresenceValue
  /// The counter of the presence record.
  var counter: UInt64
  /// True when an occupancy record was written.
  var hasOccupancy = false
}

/// A session that this node hosts: what its records are to say.
struct HostedSession: Hashable, Sendable {
  var value: SessionValue
  /// The counter of the session record.
  var counter: UInt64 = 0
  /// The counters of the first opening here, and of the last: how high a removal has to be that ends
  /// it, a final one, and another one.
  private(set) var firstOpening: UInt64 = 0
  private(set) var lastOpening: UInt64 = 0
  /// The highest counter that is known of the session.
  private(set) var highest: UInt64
  var places: [RoomName: HostedPlace] = [:]

  /// - Parameter highest: the highest counter that is known of the session.
  init(value: SessionValue, highest: UInt64) {
    self.value = value
    self.highest = highest
  }

  /// The number of rooms, the lobby not counted.
  var roomCount: Int { places.count - (places[.lobby] == nil ? 0 : 1) }

  // MARK: Counters

  /// Takes note of a counter of another origin.
  mutating func witness(_ counter: UInt64) { highest = max(highest, counter) }

  /// Gives the session record the counter of an opening; false when there is none left. It is not below
  /// the clock: what was said of an earlier stay, and was not heard here, is older.
  mutating func open(at time: WallTime) -> Bool {
    witness(min(time.milliseconds, Limits.counterBound / 2))
    guard let counter = takeCounter() else { return false }
    if firstOpening == 0 { firstOpening = counter }
    lastOpening = counter
    self.counter = counter
    return true
  }

  /// The counter of the next write; `nil` when the counters of the session are used up.
  mutating func takeCounter() -> UInt64? {
    guard highest + 1 < Limits.counterBound else { return nil }
    highest += 1
    return highest
  }

  /// The counter of a write that ends something: the last one there is, again and again.
  mutating func takeLastCounter() -> UInt64 {
    highest = min(highest + 1, Limits.counterBound - 1)
    return highest
  }

  // MARK: Records

  func change(_ session: SessionID) -> RoomChange {
    RoomChange(.session, session, counter: counter, value: RecordValues.bytes(value))
  }

  /// The records of a room: the presence, and the occupancy where one is written.
  func changes(_ session: SessionID, in room: RoomName) -> [RoomChange] {
    guard let place = places[room] else { return [] }
    let presence = RoomChange(
      .presence, session, room, counter: place.counter, value: RecordValues.bytes(place.presence))
    return [presence] + (occupancyChange(session, in: room).map { [$0] } ?? [])
  }

  func occupancyChange(_ session: SessionID, in room: RoomName) -> RoomChange? {
    guard let place = places[room], place.hasOccupancy else { return nil }
    return RoomChange(
      .occupancy, session, room, counter: place.presence.enteredCounter,
      value: RecordValues.occupancyBytes)
  }

  /// Tombstones for the records of a room, but for the cursor.
  func tombstones(_ session: SessionID, in room: RoomName, counter: UInt64) -> [RoomChange] {
    guard let place = places[room] else { return [] }
    let presence = RoomChange(.presence, session, room, counter: counter, value: nil)
    guard place.hasOccupancy else { return [presence] }
    return [presence, RoomChange(.occupancy, session, room, counter: counter, value: nil)]
  }
}

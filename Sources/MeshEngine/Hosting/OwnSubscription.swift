import MeshCRDT
import MeshWire

/// The rooms that this node subscribes to, and the record that says so. Without a record it is all.
struct OwnSubscription: Sendable {
  /// `nil`: all rooms.
  private(set) var rooms: Set<RoomName>?
  private let hashKey: HashKey

  init(hashKey: HashKey) { self.hashKey = hashKey }

  /// True when the node subscribes to a room; to the lobby it always does.
  func includes(_ room: RoomName) -> Bool { room.isLobby || rooms?.contains(room) ?? true }

  /// Subscribes to these rooms alone; `nil`: to all. Returns what is to be written; `nil`: nothing
  /// changed.
  mutating func set(_ rooms: Set<RoomName>?) throws(OperationError) -> RoomChange? {
    if let rooms, rooms.count > Limits.roomsSubscribed {
      throw .tooManySubscriptions(limit: Limits.roomsSubscribed)
    }
    guard rooms != self.rooms else { return nil }
    self.rooms = rooms
    return PlantedBug.isActive(.subscriptionNotTold) ? nil : change
  }

  /// The record as it is to be; a tombstone when the node subscribes to all rooms.
  var change: RoomChange {
    RoomChange(
      .subscription, .nobody, counter: 0,
      value: rooms.map { rooms in
        RecordValues.bytes(subscription: rooms.map { RoomID($0, key: hashKey) })
      })
  }
}

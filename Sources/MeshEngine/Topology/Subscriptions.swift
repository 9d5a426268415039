import MeshCRDT
import MeshWire

/// Which rooms each node subscribes to, as far as it is not all: what is said in a room goes to its
/// subscribers alone, and is asked of them.
///
/// It follows the subscription records in the lobbies of others, and is told what this node subscribes to.
/// Memory: 8 bytes for each room that somebody subscribes to.
struct Subscriptions: Sendable {
  private let hashKey: HashKey
  private var rooms: [OriginID: Set<RoomID>] = [:]
  /// The rooms of this node; `nil`: all.
  private var own: Set<RoomID>?

  init(hashKey: HashKey) { self.hashKey = hashKey }

  /// True when an origin subscribes to a room. To the lobby everybody does. Cost: two look-ups.
  func subscribes(_ origin: OriginID, to room: RoomName) -> Bool {
    guard !room.isLobby, let rooms = rooms[origin],
      !PlantedBug.isActive(.subscriptionNotHeeded)
    else { return true }
    return rooms.contains(RoomID(room, key: hashKey))
  }

  /// True when somebody else subscribes to some rooms only.
  var arePartial: Bool { !rooms.isEmpty }

  /// True when an origin subscribes to some rooms only.
  func isPartial(_ origin: OriginID) -> Bool { rooms[origin] != nil }

  /// True when an origin subscribes to all that this node subscribes to: it has what is missing here.
  func covers(_ origin: OriginID) -> Bool {
    guard let theirs = rooms[origin] else { return true }
    return own.map(theirs.isSuperset) ?? false
  }

  /// This node subscribes to these rooms; `nil`: to all.
  mutating func setOwn(_ rooms: Set<RoomName>?) {
    own = rooms.map { Set($0.map { RoomID($0, key: hashKey) }) }
  }

  /// Forgets an origin.
  mutating func forget(_ origin: OriginID) { rooms[origin] = nil }

  /// Takes changes of another origin's records in. True when its subscription is among them.
  mutating func note(_ changes: [AppliedChange], of origin: OriginID) -> Bool {
    // An element that is taken out counts each of its parts once more.
    guard
      let index = changes.indices.last(where: {
        changes[$0].key.kind == .subscription && changes[$0].room.isLobby
      })
    else { return false }
    rooms[origin] = changes[index].new.flatMap { RecordValues.subscription(from: $0.value) }.map {
      Set($0)
    }
    return true
  }
}

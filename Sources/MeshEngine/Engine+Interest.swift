package import MeshCRDT
import MeshWire

// Interest: what is said in a room is told only to those who follow it. A node that says nothing of it
// follows all rooms; one that follows few says which, in its own log, so that all know it. The lobby
// and heads are for all.

extension Engine {
  /// Follows these rooms alone, or all rooms: asks for what is said in those that are new, and drops
  /// what others say in those that are not followed any more.
  mutating func follow(_ rooms: Set<RoomName>?) throws(OperationError) {
    if let rooms, rooms.count > Limits.roomsFollowed {
      throw .tooManyFollowed(limit: Limits.roomsFollowed)
    }
    guard rooms != followed else { return }
    let counter = try counter()
    let before = followedIDs
    followed = rooms
    followedIDs = rooms.map { rooms in Set(rooms.map { state.room($0) }) }
    knownInterests = nil
    frameRoutes = [:]
    if !PlantedBug.isActive(.interestNotTold) || interestCounter == nil {
      interestCounter = counter
      writeInterest()
      flushBatches()
    }
    changeRooms(from: before)
  }

  /// Writes which rooms this node follows, if it ever followed others than all.
  mutating func writeInterest() {
    guard let counter = interestCounter else { return }
    let rooms = followedIDs
    write(
      Record(
        session: .nobody, lane: .interest, room: .lobby, counter: counter,
        value: rooms.map { .interest(InterestValue(rooms: $0)) }))
  }

  /// True when this node follows a room.
  package func follows(_ room: RoomName) -> Bool {
    room.isLobby || followed?.contains(room) ?? true
  }

  func follows(_ room: RoomID) -> Bool { room.isLobby || followedIDs?.contains(room) ?? true }

  /// True when a shelf is to be held here.
  func holds(_ shelf: ShelfID) -> Bool { shelf.origin == origin || follows(shelf.room) }

  /// True when what this node tells goes to an origin: straight, or over others.
  package func reaches(_ other: OriginID) -> Bool { isLarge || pathOf[other] != nil }

  /// The rooms that those follow who do not follow all, by slot. Cost: all origins, when one of them
  /// has changed what it follows; else none.
  mutating func interests() -> [Int: Set<RoomID>] {
    if let knownInterests { return knownInterests }
    var interests: [Int: Set<RoomID>] = [:]
    for slot in state.sortedSlots where slot != ownSlot {
      guard let cell = state.logs[slot].live(.interest),
        case .interest(let value) = cell.decoded(.interest)
      else { continue }
      interests[slot] = Set(value.rooms)
    }
    interests[ownSlot] = followedIDs
    knownInterests = interests
    return interests
  }

  /// What this node and the one at an address both hold.
  mutating func sharing(with address: PeerAddress) -> Sharing {
    sharing(slot: paths[address].flatMap { state.slot(of: $0.life.origin) })
  }

  /// What this node and another both hold.
  mutating func sharing(with other: OriginID) -> Sharing { sharing(slot: state.slot(of: other)) }

  private mutating func sharing(slot: Int?) -> Sharing {
    let interests = interests()
    return Sharing(
      Sharing.Side(slot: ownSlot, rooms: interests[ownSlot]),
      Sharing.Side(slot: slot, rooms: slot.flatMap { interests[$0] }))
  }

  // MARK: Routes

  /// The paths that what is said in a room goes to from here: to all who follow the room while the
  /// members are few, else to neighbours on rings of those who follow it.
  mutating func route(in room: RoomID) -> FrameRoute {
    if let known = frameRoutes[room] { return known }
    if frameRoutes.count >= Self.routesKept { frameRoutes = [:] }
    let route = isLarge ? ringRoute(in: room) : directRoute(in: room)
    frameRoutes[room] = route
    return route
  }

  /// How many rooms' routes are kept until something changes.
  private static let routesKept = 1024

  private mutating func directRoute(in room: RoomID) -> FrameRoute {
    let interests = interests()
    let addresses = pathOf.sorted { $0.key < $1.key }.filter { path in
      state.slot(of: path.key).flatMap { interests[$0] }?.contains(room) ?? true
    }
    return FrameRoute(addresses: addresses.map(\.value), neighbours: [])
  }

  private mutating func ringRoute(in room: RoomID) -> FrameRoute {
    let interests = interests()
    let members = state.sortedSlots.filter {
      $0 == ownSlot || isVisible($0) && interests[$0]?.contains(room) ?? true
    }
    guard members.count < overlay.count else {
      return FrameRoute(addresses: neighbours(), neighbours: [])
    }
    var rings = Overlay(rings: configuration.rings, hashKey: state.hashKey)
    for slot in members { if let origin = state.origins[slot] { rings.insert(origin) } }
    let paths = pathOf
    let reached = rings.neighbours(of: origin, depth: 16) { paths[$0] != nil }
    return FrameRoute(
      addresses: reached.compactMap { paths[$0] }, neighbours: rings.neighbours(of: origin))
  }

  /// The peers that may hold what others said in a room.
  mutating func sources(_ room: RoomID) -> [PeerAddress] {
    room.isLobby ? neighbours() : route(in: room).addresses
  }

  /// Tells what this node's sessions say in a room to those who follow it; of the lobby, to all.
  mutating func disseminate(_ message: Message, in room: RoomID) {
    guard !room.isLobby else { return disseminate(message) }
    let encoded = message.encoded()
    let route = route(in: room)
    for address in route.addresses { outbox.append(encoded, to: address, now: now) }
    seek(route.neighbours)
  }

  /// Sends on what was news of a room, while the mesh is too big for its origin to tell everybody.
  mutating func forward(_ message: Message, in room: RoomID, from sender: PeerAddress) {
    guard !room.isLobby else { return forward(message, from: sender) }
    guard isLarge, follows(room) else { return }
    let encoded = message.encoded()
    let route = route(in: room)
    for address in route.addresses where address != sender {
      outbox.append(encoded, to: address, now: now)
    }
    seek(route.neighbours)
  }

  /// Tries to reach those that there is no path to.
  mutating func seek(_ neighbours: [OriginID]) {
    for neighbour in neighbours where pathOf[neighbour] == nil {
      if let address = book[neighbour] { contact(address, isConfigured: false) }
    }
  }
}

/// Whom what is said in a room goes to.
struct FrameRoute: Sendable {
  let addresses: [PeerAddress]
  /// Those that it should go to, where these are not simply the neighbours in the overlay.
  let neighbours: [OriginID]
}

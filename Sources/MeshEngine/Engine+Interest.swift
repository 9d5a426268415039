package import MeshCRDT
import MeshWire

// Interest: cursors that move are told only to those who follow their room. A node that says nothing
// of it follows all rooms; one that follows few says which, in its own log, so that all know it.

extension Engine {
  /// Follows the cursors of these rooms alone, or of all rooms.
  mutating func follow(_ rooms: Set<RoomName>?) throws(OperationError) {
    if let rooms, rooms.count > Limits.roomsFollowed {
      throw .tooManyFollowed(limit: Limits.roomsFollowed)
    }
    guard rooms != followed else { return }
    let counter = try counter()
    followed = rooms
    guard !PlantedBug.isActive(.interestNotTold) || interestCounter == nil else { return }
    interestCounter = counter
    writeInterest()
    flushBatches()
  }

  /// Writes which rooms this node follows, if it ever followed others than all.
  mutating func writeInterest() {
    guard let counter = interestCounter else { return }
    let rooms = followed.map { $0.map { state.room($0) } }
    write(
      Record(
        session: .nobody, lane: .interest, room: .lobby, counter: counter,
        value: rooms.map { .interest(InterestValue(rooms: $0)) }))
  }

  /// True when this node follows the cursors of a room.
  package func follows(_ room: RoomName) -> Bool { followed?.contains(room) ?? true }

  /// True when what this node tells goes to an origin: straight, or over others.
  package func reaches(_ other: OriginID) -> Bool { isLarge || pathOf[other] != nil }

  /// True when an origin wants to be told the cursors of a room.
  func follows(_ slot: Int, _ room: RoomID) -> Bool {
    guard let cell = state.logs[slot].live(.interest(lobby: state.lobby)),
      case .interest(let value) = cell.decoded(.interest)
    else { return true }
    return value.rooms.contains(room)
  }

  /// The paths that a frame of a room goes to from here: to all who follow the room while the members
  /// are few, else to neighbours on rings of those who follow it.
  mutating func route(in room: RoomID) -> FrameRoute {
    if let known = frameRoutes[room] { return known }
    if frameRoutes.count >= Self.routesKept { frameRoutes = [:] }
    let route = isLarge ? ringRoute(in: room) : directRoute(in: room)
    frameRoutes[room] = route
    return route
  }

  /// How many rooms' routes are kept until something changes.
  private static let routesKept = 1024

  private func directRoute(in room: RoomID) -> FrameRoute {
    let addresses = pathOf.sorted { $0.key < $1.key }
      .filter { state.slot(of: $0.key).map { follows($0, room) } ?? true }
    return FrameRoute(addresses: addresses.map(\.value), neighbours: [])
  }

  private mutating func ringRoute(in room: RoomID) -> FrameRoute {
    let members = state.sortedSlots.filter {
      $0 == ownSlot || isVisible($0) && follows($0, room)
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

  /// Tells the moves of cursors of this node's sessions.
  mutating func disseminate(frame envelope: Envelope, in room: RoomID) {
    let encoded = Message.frame(envelope).encoded()
    let route = route(in: room)
    for address in route.addresses { outbox.append(encoded, to: address, now: now) }
    seek(route.neighbours)
  }

  /// Sends on a frame that was news, while the mesh is too big for its origin to tell everybody.
  mutating func forward(frame envelope: Envelope, in room: RoomID, from sender: PeerAddress) {
    guard isLarge, follows(ownSlot, room) else { return }
    let encoded = Message.frame(envelope).encoded()
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

/// Whom the frames of a room go to.
struct FrameRoute: Sendable {
  let addresses: [PeerAddress]
  /// Those that they should go to, where these are not simply the neighbours in the overlay.
  let neighbours: [OriginID]
}

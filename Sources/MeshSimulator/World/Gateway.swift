import MeshCRDT
import MeshEngine

/// A node with many rooms and sessions that come and go.
struct Gateway {
  let node: Int
  let rooms: [RoomName]
  /// Sessions that it may have at a time.
  let sessions: Int
  var clients: [Int] = []
}

extension World {
  func prepareGateways() {
    let isDrawn = scenario.faults.isEmpty || scenario.script != nil ? false : random.chance(0.15)
    guard scenario.gatewayRooms != nil || isDrawn else { return }
    for node in 0..<min(nodes.count, 1 + random.below(4)) where nodes[node].liar == nil {
      // Mostly a few hundreds: their number grows by powers.
      let drawn = 100 << random.below(random.chance(0.2) ? 6 : 3)
      let count = scenario.gatewayRooms ?? drawn
      let rooms = (0..<count).compactMap { RoomName("room \(node)/\($0)") }
      gateways.append(Gateway(node: node, rooms: rooms, sessions: min(1000, max(20, count / 4))))
    }
  }

  /// Clients of a gateway come, change and go, many at a time.
  func actGateway(_ number: Int) {
    guard !isHealing else { return }
    queue.add(.gateway(number), at: time + UInt64(100 + random.below(900)) * Self.millisecond)
    let node = gateways[number].node
    guard isAwake(nodes[node]) else { return }
    gateways[number].clients.removeAll { clients[$0].node != node || !clients[$0].isLive }
    let gateway = gateways[number]
    let free = gateway.sessions - gateway.clients.count
    for _ in 0..<min(free, 1 + random.below(max(1, gateway.sessions / 4))) {
      open(at: node, gateway: number)
      guard let index = clients.indices.last, clients[index].isLive else { return }
      gateways[number].clients.append(index)
      for _ in 0..<(1 + random.below(6)) { enterSome(index, gateway.rooms) }
    }
    let present = gateways[number].clients.filter { !clients[$0].isInDoubt }
    guard !present.isEmpty else { return }
    for _ in 0..<min(40, present.count) {
      let index = present[random.below(present.count)]
      guard clients[index].isLive else { continue }
      switch random.below(10) {
      case ..<5: enterSome(index, gateway.rooms)
      case ..<8:
        guard let room = clients[index].places.keys.min() else { continue }
        say(index, .exit(clients[index].id, room)) { $0.places[room] = nil }
      default: leave(index)
      }
    }
  }

  private func enterSome(_ index: Int, _ rooms: [RoomName]) {
    let room = rooms[random.below(rooms.count)]
    let message = random.chance(0.5) ? "" : "here \(random.below(100))"
    say(
      index,
      .all([
        .enter(clients[index].id, room),
        .setStatus(clients[index].id, room, .active, message: message, at: wall),
      ])
    ) {
      $0.places[room, default: .init()].status = .active
      $0.places[room, default: .init()].message = message
    }
  }
}

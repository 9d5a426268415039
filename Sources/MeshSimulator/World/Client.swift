import MeshCRDT
import MeshEngine

/// A client of the world, and what it knows to be true.
struct Client {
  struct Place {
    var status: Status?
    var message = ""
    var data: [UInt8] = []
    var cursor: Cursor?
    /// When it last said that it types.
    var typedAt: UInt64?
  }

  enum Phase: Equatable {
    case live
    /// It left, or was removed.
    case ended(UInt64)
    /// Its node is gone: it goes on at another one, or there.
    case lost
    /// It does nothing any more, since its last heartbeat at this time.
    case silent(since: UInt64)
  }

  let id: SessionID
  var profile: Profile
  /// The node that it last connected to.
  var node: Int
  /// The time to live of its lease; `nil`: attached to the node's process.
  var lease: UInt64?
  var places: [RoomName: Place] = [:]
  var phase = Phase.live
  /// When it last sent a heartbeat that its node took.
  var beatAt: UInt64 = 0
  /// Its node may not host it, or not in these rooms: it connects again. So it is until it was connected.
  var isInDoubt = true
  /// It was connected to several nodes at once, or moved before all had heard of it.
  var wasSplit = false
  /// Somebody ordered it out of these rooms (the lobby: of the mesh).
  var orders: Set<RoomName> = []
  /// The orders that nothing can have outweighed, and who gave them.
  var bindingOrder: Int?
  /// A liar writes records of it.
  var isStolen = false
  /// A gateway's session: its rooms come and go with the gateway.
  var gateway: Int?

  var isLive: Bool { phase == .live }
}

extension World {
  static let roomNames: [RoomName] =
    ["design", "war room", "ü", "a-room-with-a-rather-long-name-of-forty-two"].compactMap {
      RoomName($0)
    }

  var wall: WallTime { WallTime(milliseconds: time / Self.millisecond) }

  /// Clients do something, or, after the faults, come to rest.
  func actClients() {
    guard isHealing else {
      act()
      queue.add(.client, at: time + UInt64(20 + random.below(300)) * Self.millisecond)
      return
    }
    // Who is not sure of its session says everything again.
    for index in clients.indices where clients[index].isInDoubt || clients[index].phase == .lost {
      if random.chance(0.5) { connect(index, to: clients[index].node) }
    }
    queue.add(.client, at: time + 500 * Self.millisecond)
  }

  /// Does something that a user would do.
  func act() {
    let up = nodes.filter { $0.isAwake && $0.isHonest }.map(\.index)
    guard !up.isEmpty else { return }
    let live = clients.indices.filter {
      clients[$0].isLive && clients[$0].gateway == nil && nodes[clients[$0].node].isAwake
    }
    let choice = random.below(110)
    if live.isEmpty || (choice < 12 && clients.count < 12 * nodes.count) {
      return open(at: up[random.below(up.count)])
    }
    let index = live[random.below(live.count)]
    if clients[index].isInDoubt {
      return connect(
        index, to: random.chance(0.7) ? clients[index].node : up[random.below(up.count)])
    }
    let room =
      random.chance(0.3) ? RoomName.lobby : Self.roomNames[random.below(Self.roomNames.count)]
    switch choice {
    case ..<26: change(index, room, status(), typing: false)
    case ..<58: move(index, room)
    case ..<62: change(index, room, .setTyping(clients[index].id, room, true), typing: true)
    case ..<66:
      change(
        index, room,
        .setData(
          clients[index].id, room,
          [UInt8](repeating: UInt8(random.below(9)), count: random.below(380))),
        typing: false)
    case ..<71: say(index, .exit(clients[index].id, room)) { $0.places[room] = nil }
    case ..<75: leave(index)
    case ..<82: connect(index, to: up[random.below(up.count)])
    case ..<85: order(index, by: up[random.below(up.count)])
    case ..<87:
      if clients[index].lease != nil { fallSilent(index) }
    case ..<90: changeLease(index)
    case ..<94: changeProfile(index)
    case ..<100: sayTogether(index)
    case ..<103: trespass(index)
    default: break
    }
  }

  // MARK: Saying

  /// Asks a client's node for something; when it is done, it is true.
  @discardableResult
  func say(_ index: Int, _ operation: LocalOperation, _ truth: (inout Client) -> Void) -> Bool {
    let node = clients[index].node
    guard isAwake(nodes[node]) else { return false }
    guard let refusal = perform(node, operation) else {
      truth(&clients[index])
      return true
    }
    heed(refusal, index)
    return false
  }

  private func heed(_ refusal: OperationError, _ index: Int) {
    guard !clients[index].isStolen else { return }
    switch refusal {
    case .unknownSession: clients[index].isInDoubt = true
    case .removedFromRoom(_, let room):
      clients[index].places[room] = nil
      if clients[index].orders.isEmpty && !clients[index].wasSplit {
        fail("refusals", "client \(index) is refused in \(room), of which nobody ordered it out")
      }
    case .sessionRemoved:
      if clients[index].orders.contains(.lobby) {
        end(index)
      } else if !clients[index].wasSplit {
        fail("refusals", "client \(index) is refused as removed, which nobody ordered")
      }
    case .cloned, .meshLeft: clients[index].phase = .lost
    // Its node was revoked; that an honest one is not, agreement checks.
    case .expelled: clients[index].isStolen = true
    case .tooManyRemovals, .tooManyRooms, .notInRoom: break
    default: fail("refusals", "client \(index): \(refusal)")
    }
  }

  private func status() -> (SessionID, RoomName) -> (LocalOperation, (inout Client.Place) -> Void) {
    let status = random.chance(0.1) ? nil : Status.allCases[random.below(6)]
    let message = random.chance(0.5) ? "m\(random.below(1000))" : nil
    let at = wall
    return { id, room in
      (
        .setStatus(id, room, status, message: message, at: at),
        {
          $0.status = status
          if let message { $0.message = message }
        }
      )
    }
  }

  private func enter(_ index: Int, _ room: RoomName) -> Bool {
    guard clients[index].places[room] == nil else { return true }
    return say(index, .enter(clients[index].id, room)) { $0.places[room] = .init() }
  }

  private func change(
    _ index: Int, _ room: RoomName,
    _ make: (SessionID, RoomName) -> (LocalOperation, (inout Client.Place) -> Void), typing: Bool
  ) {
    guard enter(index, room) else { return }
    let (operation, truth) = make(clients[index].id, room)
    say(index, operation) { client in
      client.places[room].map {
        var place = $0
        truth(&place)
        client.places[room] = place
      }
    }
  }

  private func change(_ index: Int, _ room: RoomName, _ operation: LocalOperation, typing: Bool) {
    change(
      index, room,
      { [time] _, _ in
        (
          operation,
          { place in
            if typing { place.typedAt = time }
            if case .setData(_, _, let data) = operation { place.data = data }
          }
        )
      }, typing: typing)
  }

  private func move(_ index: Int, _ room: RoomName) {
    guard enter(index, room) else { return }
    let cursor = Cursor(
      x: random.unit(), y: random.unit(), isVisible: random.chance(0.9),
      anchor: random.chance(0.2) ? "a\(random.below(9))" : nil)
    cursors.note(cursor, of: clients[index].id, in: room)
    say(index, .moveCursor(clients[index].id, room, cursor)) {
      $0.places[room]?.cursor = cursor
    }
  }

  private func changeLease(_ index: Int) {
    let lease = random.chance(0.4) ? nil : UInt64(2 + random.below(8)) * Self.second
    say(index, .setLease(clients[index].id, Self.lease(lease))) {
      $0.lease = lease
      $0.beatAt = time
    }
  }

  private func changeProfile(_ index: Int) {
    var profile = clients[index].profile
    profile.name = "Name \(random.below(1000))"
    profile.avatar = random.chance(0.5) ? "" : "https://example.org/\(random.below(100))"
    profile.data = [UInt8](repeating: 1, count: random.below(200))
    say(index, .setProfile(clients[index].id, profile)) { $0.profile = profile }
  }

  /// Does several things in one list; sometimes one of them cannot be done, and then none is.
  private func sayTogether(_ index: Int) {
    let id = clients[index].id
    let room = Self.roomNames[random.below(Self.roomNames.count)]
    let message = "list \(random.below(1000))"
    var list: [LocalOperation] = [
      .enter(id, room), .setStatus(id, room, .busy, message: message, at: wall),
      .setStatus(id, .lobby, .away, message: message, at: wall),
    ]
    if random.chance(0.3) {
      list.append(
        .setStatus(id, room, .away, message: String(repeating: "x", count: 200), at: wall))
      let node = clients[index].node
      let before = nodes[node].process?.engine.hostedSession(id)
      guard let refusal = perform(node, .all(list)) else {
        return fail("lists", "a list with an operation that cannot be done was done")
      }
      if nodes[node].process?.engine.hostedSession(id) != before {
        fail("lists", "a refused list changed something")
      }
      if case .tooLong = refusal { return }
      return heed(refusal, index)
    }
    say(index, .all(list)) { client in
      for place in [room, .lobby] {
        client.places[place, default: .init()].status = place.isLobby ? .away : .busy
        client.places[place, default: .init()].message = message
      }
    }
  }

  /// Another user tries the id of a session.
  private func trespass(_ index: Int) {
    let client = clients[index]
    guard !client.isStolen, nodes[client.node].engine?.hostedSessions.contains(client.id) == true
    else { return }
    var profile = client.profile
    profile.userID = "foreign"
    let refusal = perform(client.node, .open(client.id, profile, device: "", .attached, at: wall))
    switch refusal {
    case .sessionOfAnotherUser, .sessionRemoved, .cloned, .meshLeft: break
    default:
      fail("foreignUsers", "session \(index) was opened by another user")
    }
  }

  // MARK: Coming and going

  static func lease(_ span: UInt64?) -> Lease {
    span.map { .leased(timeToLive: Span(nanoseconds: $0)) } ?? .attached
  }

  func open(at node: Int, gateway: Int? = nil) {
    let index = clients.count
    let lease =
      gateway == nil && random.chance(0.4) ? UInt64(2 + random.below(8)) * Self.second : nil
    let user = "user-\(index % 7)"
    var client = Client(
      id: SessionID(random.next(), random.next()),
      profile: Profile(userID: user, name: "Name of \(user)"),
      node: node, lease: lease)
    client.gateway = gateway
    clientOf[client.id] = index
    clients.append(client)
    connect(index, to: node)
    if gateway == nil { queue.add(.heartbeat(client: index), at: time + 500 * Self.millisecond) }
  }

  /// Connects a client to a node, and says all of what is true of it.
  func connect(_ index: Int, to node: Int) {
    guard nodes[node].isAwake, nodes[node].isHonest || isHealing else { return }
    let client = clients[index]
    guard client.isLive || client.phase == .lost else { return }
    let old = client.node
    clients[index].node = node
    cursors.forget(client.id)
    // One that is hosted there already is not taken over, whatever is still shown of it.
    let seen = nodes[node].process.flatMap { process in
      process.engine.hostedSession(client.id) == nil ? process.engine.session(client.id) : nil
    }
    let isDone = say(
      index,
      .open(client.id, client.profile, device: "simulated", Self.lease(client.lease), at: wall)
    ) {
      $0.phase = .live
      $0.isInDoubt = false
      $0.beatAt = time
      $0.bindingOrder = nil
    }
    guard isDone else {
      guard old != node else { return }
      // It stays where it was.
      clients[index].node = old
      if clients[index].phase == .lost { clients[index].phase = client.phase }
      // Refused for good where it came to, it is connected nowhere: where it was finds that out.
      if case .ended = clients[index].phase { disconnect(index, old, nodes[old].life) }
      return
    }
    checkHandOver(index, from: seen, at: nodes[node])
    if old != node {
      note("client \(index) goes from node \(old) to node \(node)")
      clients[index].wasSplit = true
      // The old node finds out that the connection is gone.
      let delay = UInt64(1000 + random.below(7000)) * Self.millisecond
      queue.add(.disconnect(client: index, node: old, life: nodes[old].life), at: time + delay)
    } else {
      note("client \(index) opens at node \(node)")
    }
    // What the node knows of the session from elsewhere may be older than what the client knows.
    let known = nodes[node].process?.engine.session(client.id)?.places.map(\.room) ?? []
    for room in known where client.places[room] == nil {
      say(index, .exit(client.id, room)) { _ in }
    }
    for (room, place) in client.places.sorted(by: { $0.key < $1.key }) {
      guard say(index, .enter(client.id, room), { _ in }) else { continue }
      say(index, .setStatus(client.id, room, place.status, message: place.message, at: wall)) { _ in
      }
      say(index, .setData(client.id, room, place.data)) { _ in }
      if let cursor = place.cursor {
        cursors.note(cursor, of: client.id, in: room)
        say(index, .moveCursor(client.id, room, cursor)) { _ in }
      }
    }
  }

  /// A node finds out that a client is not connected to it any more.
  func disconnect(_ index: Int, _ node: Int, _ life: UInt64) {
    guard nodes[node].life == life, nodes[node].isUp else { return }
    guard clients[index].node != node || !clients[index].isLive else { return }
    guard nodes[node].pausedUntil == nil else {
      return queue.add(.disconnect(client: index, node: node, life: life), at: time + Self.second)
    }
    _ = perform(node, .leave(clients[index].id))
  }

  func beat(_ index: Int) {
    switch clients[index].phase {
    case .ended, .silent: return
    case .live, .lost: queue.add(.heartbeat(client: index), at: time + 800 * Self.millisecond)
    }
    guard clients[index].isLive, clients[index].lease != nil, !clients[index].isInDoubt else {
      return
    }
    say(index, .heartbeat(clients[index].id)) { $0.beatAt = time }
  }

  private func fallSilent(_ index: Int) {
    note("client \(index) falls silent")
    clients[index].phase = .silent(since: clients[index].beatAt)
  }

  func leave(_ index: Int) {
    if say(index, .leave(clients[index].id), { _ in }) { end(index) }
  }

  func end(_ index: Int) {
    note("client \(index) ends")
    clients[index].phase = .ended(time)
    queue.add(.checkEnded(client: index, endedAt: time), at: time + 3 * Self.second)
  }

  /// Somebody at some node has the session removed, from a room or from the mesh.
  private func order(_ index: Int, by node: Int) {
    let client = clients[index]
    guard client.orders.isEmpty, !client.isStolen else { return }
    let room =
      random.chance(0.6) ? .lobby : client.places.keys.sorted().last { !$0.isLobby } ?? .lobby
    // What the host wrote since, and the node has not heard, outweighs the order: also that it was opened again,
    // which changes nothing that is seen.
    let (here, there) = (nodes[node].process?.engine, nodes[client.node].process?.engine)
    let isKnown =
      !client.wasSplit && here?.session(client.id) != nil
      && here?.session(client.id) == there?.session(client.id)
      && here?.counter(of: client.id) == there?.counter(of: client.id)
    clients[index].orders.insert(room)
    note("node \(node) orders client \(index) out of \(room)")
    guard perform(node, .remove(client.id, from: room, isFinal: random.chance(0.5))) == nil else {
      clients[index].orders.remove(room)
      return
    }
    if room.isLobby, isKnown { clients[index].bindingOrder = node }
  }

  /// A client's node is gone.
  ///
  /// - Parameter isSplit: true when the node comes back as another one.
  func loseClients(of node: Int, isSplit: Bool = false) {
    for index in clients.indices where clients[index].node == node {
      if isSplit { clients[index].wasSplit = true }
      switch clients[index].phase {
      case .live: clients[index].phase = .lost
      case .silent: clients[index].phase = .ended(time)
      case .ended, .lost: break
      }
    }
    // Its orders go with it, unless the host has heard them.
    for index in clients.indices where clients[index].bindingOrder == node {
      clients[index].bindingOrder = nil
    }
  }

  /// Clients of a node that died connect again, most of them.
  func reconnectClients(of node: Int) {
    for index in clients.indices where clients[index].node == node && clients[index].phase == .lost
    {
      guard random.chance(0.7) else {
        clients[index].phase = .ended(time)
        continue
      }
      connect(index, to: node)
    }
  }

  /// What a node tells the client of a session.
  func tell(_ event: MeshEvent, at node: SimulatedNode) {
    switch event {
    case .moved(let id, let host):
      guard let index = clientOf[id], clients[index].node == node.index else { return }
      note("node \(node.index) gave client \(index) up to \(host.short)")
      if liarOrigins.contains(host) { clients[index].isStolen = true }
      if !clients[index].wasSplit && !clients[index].isStolen && !node.hasClone {
        fail("moves", "node \(node.index) gave client \(index) up, which was never anywhere else")
      }
      clients[index].isInDoubt = true
    case .removed(let id, let room):
      guard let index = clientOf[id], clients[index].node == node.index else { return }
      note("node \(node.index) takes client \(index) out of \(room) by order")
      let client = clients[index]
      if room.isLobby {
        if client.orders.contains(.lobby) {
          if client.isLive { end(index) }
        } else if client.wasSplit || client.isStolen {
          clients[index].isInDoubt = true
        } else {
          fail("removals", "client \(index) was removed, and nobody ordered it")
        }
      } else {
        clients[index].places[room] = nil
        if !client.orders.contains(room) && !client.wasSplit && !client.isStolen {
          fail("removals", "client \(index) was removed from \(room), and nobody ordered it")
        }
      }
    case .leaseEnded(let id):
      guard let index = clientOf[id], clients[index].node == node.index else { return }
      note("the lease of client \(index) ends at node \(node.index)")
      let client = clients[index]
      guard let lease = client.lease else {
        return fail("leases", "an attached client's lease ended")
      }
      // A second pause before the next heartbeat is not granted.
      let isGranted = node.stall == nil && node.disturbances.filter { $0 > client.beatAt }.count < 2
      if isGranted, time < client.beatAt + lease * 98 / 100 {
        fail(
          "leases",
          "the lease of client \(index) ended \((time - client.beatAt) / Self.millisecond) ms after a heartbeat"
        )
      }
      if case .silent = client.phase { end(index) } else { clients[index].isInDoubt = true }
    default: break
    }
  }
}

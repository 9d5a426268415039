import MeshCRDT
import MeshEngine

/// A client of the world and what it knows to be true.
struct ClientSession {
  struct Place {
    var status: Status?
    var message = ""
    var cursor: Cursor?
  }

  let id: SessionID
  let user: String
  /// The node that it last connected to.
  var node: Int
  /// The time to live of its lease; `nil`: attached to the node's process.
  var lease: UInt64?
  var places: [RoomName: Place] = [:]
  /// The client has left, or its process is gone.
  var isEnded = false
  /// Its host crashed; it may connect again.
  var isLost = false
  /// When it stopped to send heartbeats.
  var silentSince: UInt64?
  /// The node that ordered its end.
  var orderedOutBy: Int?
  /// It is open at several nodes at once: one of them will keep it.
  var isContested = false
}

extension World {
  var rooms: [RoomName] {
    ["design", "war room", "ü", "a-room-with-a-rather-long-name-of-forty-two"].compactMap {
      RoomName($0)
    }
  }

  /// Does something that a user would do.
  mutating func act() {
    let up = nodes.indices.filter { nodes[$0].isUp && nodes[$0].pausedUntil == nil }
    guard !up.isEmpty else { return }
    let live = sessions.indices.filter {
      !sessions[$0].isEnded && !sessions[$0].isLost && up.contains(sessions[$0].node)
    }
    if isRestricted && random.chance(0.05) { follow(up[random.below(up.count)]) }
    let choice = random.below(100)
    if live.isEmpty || (choice < 12 && sessions.count < 12 * nodes.count) {
      return open(at: up[random.below(up.count)])
    }
    let index = live[random.below(live.count)]
    let session = sessions[index]
    let room = random.chance(0.3) ? RoomName.lobby : rooms[random.below(rooms.count)]
    switch choice {
    case ..<30:
      let status = random.chance(0.1) ? nil : Status.allCases[random.below(6)]
      let message = random.chance(0.5) ? "m\(random.below(1000))" : nil
      enter(index, room)
      if perform(index, .setStatus(session.id, room, status, message: message, at: wall)) {
        sessions[index].places[room, default: .init()].status = status
        if let message { sessions[index].places[room, default: .init()].message = message }
      }
    case ..<65:
      enter(index, room)
      let cursor = Cursor(
        x: random.unit(), y: random.unit(), isVisible: random.chance(0.9),
        anchor: random.chance(0.2) ? "a\(random.below(9))" : nil)
      cursors.note(cursor, of: session.id, in: room)
      if perform(index, .moveCursor(session.id, room, cursor)) {
        sessions[index].places[room, default: .init()].cursor = cursor
      }
    case ..<70:
      enter(index, room)
      _ = perform(index, .setTyping(session.id, room, true))
    case ..<75:
      enter(index, room)
      _ = perform(
        index, .setData(session.id, room, [UInt8](repeating: 7, count: random.below(380))))
    case ..<80: exit(index, room)
    case ..<86: leave(index)
    case ..<93: move(index, to: up[random.below(up.count)])
    case ..<95: order(index, by: up[random.below(up.count)])
    case ..<96: follow(up[random.below(up.count)])
    case ..<97:
      if session.lease != nil && !session.isContested { sessions[index].silentSince = time }
    default:
      // The same client through two nodes at once.
      let other = up[random.below(up.count)]
      guard other != session.node, session.lease == nil else { return }
      move(index, to: other)
      sessions[index].isContested = true
    }
  }

  private var wall: WallTime { WallTime(milliseconds: time / Self.millisecond) }

  /// Asks a session's node for something. True when it was done.
  @discardableResult
  mutating func perform(_ index: Int, _ operation: LocalOperation) -> Bool {
    operations += 1
    var refusal: OperationError?
    drive(sessions[index].node) { engine, now in
      do throws(OperationError) { try engine.perform(operation, now: now) } catch {
        refusal = error
      }
    }
    guard let refusal else { return true }
    switch refusal {
    case .countersExhausted: fail("a local operation was refused: \(refusal)")
    case .unknownSession:
      // The node gave it up: it lost it to another host, or its lease has ended.
      if !sessions[index].isContested && sessions[index].silentSince == nil
        && sessions[index].orderedOutBy == nil
      {
        sessions[index].isContested = true
      }
    default: break
    }
    return false
  }

  mutating func open(at node: Int) {
    let count = sessions.count
    let lease = random.chance(0.4) ? UInt64(2 + random.below(8)) * Self.second : nil
    sessions.append(
      ClientSession(
        id: SessionID(random.next(), random.next()), user: "user-\(count % 40)", node: node,
        lease: lease))
    connect(count)
  }

  private mutating func connect(_ index: Int) {
    let session = sessions[index]
    cursors.forget(session.id)
    let lease = session.lease.map { Lease.leased(timeToLive: Span(nanoseconds: $0)) } ?? .attached
    let isDone = perform(
      index,
      .open(
        session.id, Profile(userID: session.user, name: "Name of \(session.user)"),
        device: "simulated", lease, at: wall))
    guard isDone else { return }
    noteOpened(index)
    note("session \(index) opens at node \(session.node)")
    if session.lease != nil { queue.add(.heartbeat(session: index), at: time + Self.second) }
  }

  mutating func beat(_ index: Int) {
    let session = sessions[index]
    guard !session.isEnded, !session.isLost, session.silentSince == nil, let lease = session.lease
    else { return }
    queue.add(.heartbeat(session: index), at: time + lease * 2 / 5)
    guard nodes[session.node].isUp, nodes[session.node].pausedUntil == nil else { return }
    perform(index, .heartbeat(session.id))
  }

  /// Lets a node follow some rooms, or all.
  mutating func follow(_ index: Int) {
    let chosen = random.chance(0.2) ? nil : Set(rooms.filter { _ in random.chance(0.4) })
    let names = chosen.map { $0.map(\.text).sorted().joined(separator: ", ") } ?? "all rooms"
    note("node \(index) follows \(names)")
    operations += 1
    nodes[index].disk.followed = chosen
    // What it drops it may be told anew, from further back.
    cursors.forget(node: index)
    drive(index) { engine, now in try? engine.perform(.follow(chosen), now: now) }
  }

  private mutating func enter(_ index: Int, _ room: RoomName) {
    guard sessions[index].places[room] == nil else { return }
    if perform(index, .enter(sessions[index].id, room)) {
      sessions[index].places[room] = .init()
    }
  }

  private mutating func exit(_ index: Int, _ room: RoomName) {
    if perform(index, .exit(sessions[index].id, room)) { sessions[index].places[room] = nil }
  }

  private mutating func leave(_ index: Int) {
    guard !sessions[index].isContested else { return }
    if perform(index, .leave(sessions[index].id)) {
      note("session \(index) leaves")
      sessions[index].isEnded = true
    }
  }

  /// Somebody at some node has the session removed, from a room or from the mesh.
  private mutating func order(_ index: Int, by node: Int) {
    let session = sessions[index]
    guard !session.isContested, session.silentSince == nil, session.orderedOutBy == nil else {
      return
    }
    let room =
      random.chance(0.6) ? .lobby : session.places.keys.sorted().last { !$0.isLobby } ?? .lobby
    operations += 1
    // What the host wrote since, and the node has not heard, outweighs the order.
    let isKnown =
      nodes[node].engine?.recordCounter(of: session.id)
      == nodes[session.node].engine?.recordCounter(of: session.id)
    let operation = LocalOperation.remove(session.id, from: room, isFinal: random.chance(0.5))
    var isDone = false
    drive(node) { engine, now in isDone = (try? engine.perform(operation, now: now)) != nil }
    guard isDone else { return }
    note("node \(node) orders session \(index) out of \(room)")
    if !room.isLobby {
      sessions[index].places[room] = nil
    } else if sessions[index].node == node {
      sessions[index].isEnded = true
    } else if isKnown {
      sessions[index].orderedOutBy = node
    } else {
      sessions[index].isContested = true
    }
  }

  /// The client goes on through another node. What it said there is kept if the node knows it.
  private mutating func move(_ index: Int, to node: Int) {
    guard node != sessions[index].node, sessions[index].silentSince == nil else { return }
    let old = sessions[index].node
    sessions[index].node = node
    cursors.forget(sessions[index].id)
    let lease =
      sessions[index].lease.map { Lease.leased(timeToLive: Span(nanoseconds: $0)) } ?? .attached
    let isDone = perform(
      index,
      .open(
        sessions[index].id, Profile(userID: sessions[index].user), device: "moved", lease,
        at: wall))
    guard isDone else {
      sessions[index].node = old
      return
    }
    noteOpened(index)
    note("session \(index) moves from node \(old) to node \(node)")
    // What the new host knows is what counts; a partition may have kept it from knowing.
    adoptPlaces(index)
    sessions[index].isContested = sessions[index].isContested || !isCalm
  }

  /// A host that has not heard of the order to end a session may outweigh it.
  private mutating func noteOpened(_ index: Int) {
    guard sessions[index].orderedOutBy != nil else { return }
    sessions[index].orderedOutBy = nil
    sessions[index].isContested = true
  }

  /// True when everybody hears everybody, so that the last word wins at once.
  private var isCalm: Bool { faults.isEmpty && options.links == Links() }

  private mutating func adoptPlaces(_ index: Int) {
    let id = sessions[index].id
    guard let snapshot = nodes[sessions[index].node].engine?.hostedSession(id) else { return }
    sessions[index].places = Dictionary(
      uniqueKeysWithValues: snapshot.places.map {
        (
          $0.room,
          ClientSession.Place(
            status: $0.presence.status?.status, message: $0.presence.message, cursor: $0.cursor)
        )
      })
  }

  /// Clients of a node that died connect again, most of them.
  mutating func reopenSessions(of node: Int) {
    for index in sessions.indices
    where sessions[index].node == node && sessions[index].isLost && !sessions[index].isEnded {
      guard sessions[index].silentSince == nil, random.chance(0.7) else {
        sessions[index].isEnded = true
        continue
      }
      sessions[index].isLost = false
      connect(index)
      adoptPlaces(index)
    }
  }
}

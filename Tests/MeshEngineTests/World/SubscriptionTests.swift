import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Meshes in which some subscribe to some rooms only")
struct SubscriptionTests {
  private func room(_ name: String) -> RoomName { RoomName(name) ?? .lobby }
  private func room(_ index: Int) -> RoomName { room("room \(index)") }
  private func session(_ node: Int, _ index: Int = 0) -> SessionID {
    SessionID(UInt64(node + 1), UInt64(index + 1))
  }

  /// Nodes that each have a session in each of some rooms.
  private func world(nodes: Int, rooms: Int, seed: UInt64 = 1) throws -> World {
    var world = World(seed: seed)
    for index in 0..<nodes { world.start(peers: index == 0 ? [] : [0]) }
    for node in 0..<nodes {
      for index in 0..<rooms {
        try world.open(node, session(node, index), user: "user \(node)", in: room(index))
      }
    }
    world.run(milliseconds: 3000)
    return world
  }

  /// The rooms of others that a node holds anything of.
  private func held(_ world: World, _ node: Int) -> Set<RoomName> {
    world.nodes[node].engine.heldRooms
  }

  /// The places and occupied rooms of a session, as a node has told them.
  private func rooms(_ world: World, _ node: Int, of session: SessionID) -> (
    Set<RoomName>, Set<RoomName>
  ) {
    let snapshot = world.nodes[node].sessions[session]
    return (Set(snapshot?.places.map(\.room) ?? []), Set(snapshot?.visits ?? []))
  }

  @Test("A node holds what it subscribes to and the lobby, and nothing else, and agrees with all")
  func holdsWhatItSubscribesTo() throws {
    var world = try world(nodes: 4, rooms: 6)
    try world.perform(3, .subscribe([room(1), room(4)]))
    #expect(held(world, 3) == [.lobby, room(1), room(4)])
    let time = world.run(atMost: 2000) { $0.agree() }
    #expect(time != nil)
    for step in 0..<60 {
      let (node, index) = (step % 3, step % 6)
      try world.perform(node, .setData(session(node, index), room(index), [UInt8(step)]))
      world.run(milliseconds: 31)
    }
    world.run(milliseconds: 1500)
    let agreed = world.agree()
    #expect(agreed)
    #expect(held(world, 3) == [.lobby, room(1), room(4)])
    for node in 0..<3 {
      for index in 0..<6 {
        let (places, occupied) = rooms(world, 3, of: session(node, index))
        let isIn = index == 1 || index == 4
        #expect(places == (isIn ? [room(index)] : []))
        #expect(occupied == (isIn ? [] : [room(index)]))
        guard isIn else { continue }
        let here = world.nodes[3].sessions[session(node, index)]?.place(in: room(index))
        let there = world.nodes[node].sessions[session(node, index)]?.place(in: room(index))
        #expect(here == there)
      }
    }
  }

  @Test("A node that joins with a subscription is sent that alone")
  func joins() throws {
    var world = try world(nodes: 3, rooms: 40)
    world.start(peers: [0])
    try world.perform(3, .subscribe([room(7), room(30), room("nobody is here")]))
    let time = world.run(atMost: 5000) { world in
      world.agree() && world.nodes[3].sessions.count == 120
    }
    #expect(time != nil)
    #expect(held(world, 3) == [.lobby, room(7), room(30)])
    for node in 0..<3 {
      #expect(rooms(world, 3, of: session(node, 7)).0 == [room(7)])
    }
  }

  @Test("A late subscription is there after a few round trips, and all rooms again when wanted")
  func lateSubscription() throws {
    var world = try world(nodes: 4, rooms: 10)
    try world.perform(3, .subscribe([room(1)]))
    world.run(milliseconds: 2000)
    try world.perform(3, .subscribe([room(1), room(2), room("empty")]))
    let time = world.run(atMost: 3000) { world in
      (0..<3).allSatisfy { self.rooms(world, 3, of: self.session($0, 2)).0 == [self.room(2)] }
    }
    // A round trip takes 2 ms at the most.
    #expect(time.map { $0 <= 6 } == true, "after \(String(describing: time)) ms")
    let agreed = world.agree()
    #expect(agreed)
    try world.perform(3, .subscribe(nil))
    let whole = world.run(atMost: 3000) { $0.agree() && self.held($0, 3).count == 11 }
    #expect(whole.map { $0 <= 20 } == true, "after \(String(describing: whole)) ms")
  }

  // MARK: Keeping up

  @Test("Lost batches of a room are repaired, and nothing else is fetched", arguments: 1...4)
  func lostBatches(seed: UInt64) throws {
    var world = try world(nodes: 4, rooms: 4, seed: seed)
    try world.perform(3, .subscribe([room(0), room(1)]))
    world.run(milliseconds: 2000)
    world.loss = 150
    for step in 0..<100 {
      let (node, index) = (step % 3, step % 4)
      try world.perform(node, .setData(session(node, index), room(index), [UInt8(step)]))
      world.run(milliseconds: 29)
    }
    world.loss = 0
    let time = world.run(atMost: 4000) { $0.agree() }
    #expect(time != nil)
    #expect(held(world, 3) == [.lobby, room(0), room(1)])
    #expect(world.nodes[3].engine.counters[.repairsSent] > 0)
    world.run(milliseconds: 100)
    for node in 0..<3 {
      for index in 0..<2 {
        let here = world.nodes[3].sessions[session(node, index)]?.place(in: room(index))
        let there = world.nodes[node].sessions[session(node, index)]?.place(in: room(index))
        #expect(here != nil && here == there)
      }
    }
  }

  @Test("While nothing is lost, a subscriber fetches nothing")
  func followsByBatches() throws {
    var world = try world(nodes: 3, rooms: 30)
    try world.perform(2, .subscribe([room(0), room(1)]))
    world.run(milliseconds: 2000)
    let before = world.nodes[2].engine.counters[.fetchesCompleted]
    for step in 0..<100 {
      let index = step % 30
      try world.perform(0, .setData(session(0, index), room(index), [UInt8(step)]))
      world.run(milliseconds: 61)
    }
    world.run(milliseconds: 500)
    let agreed = world.agree()
    #expect(agreed)
    #expect(world.nodes[2].engine.counters[.fetchesCompleted] == before)
  }

  @Test("What is not subscribed to any more is gone at once, also while it is written")
  func unsubscribes() throws {
    var world = try world(nodes: 3, rooms: 3)
    for step in 0..<40 {
      if step == 10 { try world.perform(2, .subscribe([room(0), room(1)])) }
      if step == 20 {
        try world.perform(2, .subscribe([room(1)]))
        #expect(held(world, 2) == [.lobby, room(1)])
        for node in 0..<2 {
          let (places, occupied) = rooms(world, 2, of: session(node, 0))
          #expect(places.isEmpty && occupied == [room(0)])
        }
      }
      for node in 0..<2 {
        let index = step % 3
        try world.perform(node, .setData(session(node, index), room(index), [UInt8(step)]))
        try world.perform(
          node, .moveCursor(session(node, index), room(index), Cursor(x: Double(step), y: 7)))
      }
      world.run(milliseconds: 17)
      if step >= 20 { #expect(held(world, 2) == [.lobby, room(1)]) }
    }
    world.run(milliseconds: 2000)
    let agreed = world.agree()
    #expect(agreed)
    // Its own sessions stay whole, and seen.
    for index in 0..<3 {
      #expect(rooms(world, 2, of: session(2, index)).0 == [room(index)])
      #expect(rooms(world, 0, of: session(2, index)).0 == [room(index)])
    }
  }

  @Test("Rooms that come and go in quick succession end as the last word says", arguments: 1...5)
  func changesItsMind(seed: UInt64) throws {
    var world = try world(nodes: 4, rooms: 8, seed: seed)
    var random = RandomSource(seed: (seed, 1, 1, 1))
    world.loss = 50
    for step in 0..<80 {
      let wanted = Set((0..<8).filter { _ in random.below(3) == 0 }.map { room($0) })
      if step % 2 == 0 { try world.perform(3, .subscribe(step % 14 == 6 ? nil : wanted)) }
      let (node, index) = (step % 3, Int(random.below(8)))
      try world.perform(node, .setData(session(node, index), room(index), [UInt8(step)]))
      world.run(milliseconds: UInt64(random.below(40)))
    }
    world.loss = 0
    let wanted: Set = [room(2), room(5)]
    try world.perform(3, .subscribe(wanted))
    let time = world.run(atMost: 6000) { $0.agree() }
    #expect(time != nil)
    #expect(held(world, 3) == wanted.union([.lobby]))
    world.run(milliseconds: 300)
    for node in 0..<3 {
      for index in [2, 5] {
        let here = world.nodes[3].sessions[session(node, index)]?.place(in: room(index))
        let there = world.nodes[node].sessions[session(node, index)]?.place(in: room(index))
        #expect(here != nil && here == there)
      }
    }
  }

  @Test("A room is there soon also while its origins write without pause, over slow lines")
  func subscribesUnderLoad() throws {
    var world = try world(nodes: 3, rooms: 6)
    try world.perform(2, .subscribe([room(1)]))
    world.run(milliseconds: 2000)
    world.delay = 80_000_000...85_000_000
    var time: UInt64?
    for step in 0..<150 {
      if step == 20 { try world.perform(2, .subscribe([room(1), room(2)])) }
      for node in 0..<2 {
        try world.perform(
          node, .setData(session(node, step % 6), room(step % 6), [UInt8(step)]))
      }
      world.run(milliseconds: 47)
      let isThere = (0..<2).allSatisfy { rooms(world, 2, of: session($0, 2)).0 == [room(2)] }
      if isThere, time == nil { time = UInt64(step - 20) * 47 }
    }
    #expect(time.map { $0 <= 500 } == true, "after \(String(describing: time)) ms")
    world.run(milliseconds: 2000)
    let agreed = world.agree()
    #expect(agreed)
  }

  @Test("A node that joins while all write without pause, over slow lines, gets everything soon")
  func joinsUnderLoad() throws {
    var world = try world(nodes: 2, rooms: 6)
    world.delay = 80_000_000...85_000_000
    var time: UInt64?
    for step in 0..<150 {
      if step == 20 { world.start(peers: [0, 1]) }
      for node in 0..<2 {
        try world.perform(
          node, .setData(session(node, step % 6), room(step % 6), [UInt8(step)]))
      }
      world.run(milliseconds: 47)
      if step >= 20, time == nil, world.nodes[2].engine.heldRooms.count == 7 {
        let places = (0..<2).map { rooms(world, 2, of: session($0, 2)).0 }
        if places == [[room(2)], [room(2)]] { time = UInt64(step - 20) * 47 }
      }
    }
    #expect(time.map { $0 <= 1500 } == true, "after \(String(describing: time)) ms")
    world.run(milliseconds: 2000)
    let agreed = world.agree()
    #expect(agreed)
  }

  // MARK: Who is where

  @Test("Rooms and their sessions are known to all, also where nobody subscribes to all")
  func occupancy() throws {
    var world = World()
    for node in 0..<5 {
      world.start(peers: node == 0 ? [] : [0])
      try world.perform(node, .subscribe([room(node)]))
    }
    for node in 0..<5 {
      for index in 0..<4 {
        try world.open(node, session(node, index), user: "user \(node)", in: room(index))
      }
    }
    world.run(milliseconds: 4000)
    try world.perform(1, .exit(session(1, 2), room(2)))
    try world.perform(2, .leave(session(2, 0)))
    try world.perform(4, .enter(session(4, 1), room("new")))
    world.run(milliseconds: 2000)
    let agreed = world.agree()
    #expect(agreed)
    var expected: [RoomName: Set<SessionID>] = [:]
    for (node, world) in [Int](0..<5).map({ ($0, world) }) {
      for snapshot in world.nodes[node].engine.snapshot().sessions
      where snapshot.host == world.origin(node) {
        for place in snapshot.places { expected[place.room, default: []].insert(snapshot.id) }
      }
    }
    #expect(expected.count == 5 && expected[room(0)]?.count == 4)
    for node in 0..<5 {
      var found: [RoomName: Set<SessionID>] = [:]
      for (id, snapshot) in world.nodes[node].sessions {
        for room in snapshot.places.map(\.room) + snapshot.visits {
          found[room, default: []].insert(id)
        }
      }
      #expect(found == expected)
    }
  }

  @Test("A session moves between hosts of which one holds nothing of its room")
  func movesBetweenPartialHolders() throws {
    var world = World()
    for node in 0..<3 {
      world.start(peers: node == 0 ? [] : [0])
      if node > 0 { try world.perform(node, .subscribe([room(node)])) }
    }
    let id = session(0)
    try world.open(0, id, user: "ada", in: room(1))
    world.run(milliseconds: 3000)
    for (host, node) in [(0, 2), (2, 1), (1, 0)] {
      try world.perform(
        node,
        .open(id, Profile(userID: "ada"), device: "test", .attached, at: WallTime(milliseconds: 1)))
      world.run(milliseconds: 3000)
      #expect(
        world.nodes[host].events.contains { if case .moved(id, _) = $0 { true } else { false } })
      for viewer in 0..<3 {
        let snapshot = world.nodes[viewer].sessions[id]
        #expect(snapshot?.host == world.origin(node))
        let isHeld = viewer < 2 || viewer == node
        #expect((snapshot?.place(in: room(1)) != nil) == isHeld)
        #expect(Set(snapshot?.visits ?? []) == (isHeld ? [] : [room(1)]))
      }
    }
    let agreed = world.agree()
    #expect(agreed)
  }

  // MARK: Faults

  @Test(
    "A subscriber that was cut off has all of its rooms again, and they agree", arguments: 1...3)
  func cutAndHeal(seed: UInt64) throws {
    var world = try world(nodes: 5, rooms: 10, seed: seed)
    try world.perform(3, .subscribe([room(1), room(2)]))
    try world.perform(4, .subscribe([room(2), room(3)]))
    world.run(milliseconds: 2000)
    world.groups = [2: 1, 4: 1]
    for index in 0..<10 {
      for node in 0..<5 {
        try world.perform(node, .setData(session(node, index), room(index), [9, UInt8(index)]))
      }
      world.run(milliseconds: 50)
    }
    try world.perform(4, .subscribe([room(1), room(2)]))
    world.run(milliseconds: 30_000)
    world.groups = [:]
    let time = world.run(atMost: 20_000) { world in
      world.agree() && world.nodes.allSatisfy { $0.health.values.allSatisfy { $0 == .online } }
    }
    #expect(time != nil)
    world.run(milliseconds: 300)
    #expect(held(world, 4) == [.lobby, room(1), room(2)])
    for node in 0..<3 {
      for (viewer, index) in [(3, 1), (3, 2), (4, 1), (4, 2)] {
        let place = world.nodes[viewer].sessions[session(node, index)]?.place(in: room(index))
        #expect(place?.presence.data == [9, UInt8(index)])
      }
    }
  }

  @Test("What an origin said last, and only a subscriber heard, is dropped when it is hidden")
  func diesInMidSentence() throws {
    var world = try world(nodes: 4, rooms: 3)
    try world.perform(2, .subscribe([room(1)]))
    try world.perform(3, .subscribe([room(1)]))
    world.run(milliseconds: 2000)
    // One batch reaches one subscriber, its checkpoint nobody.
    world.filter = { _, from, to in from != 0 || to == 2 }
    try world.perform(0, .setData(session(0, 1), room(1), [1]))
    world.run(milliseconds: 5)
    world.kill(0)
    world.run(milliseconds: 100)
    #expect(world.nodes[2].sessions[session(0, 1)]?.place(in: room(1))?.presence.data == [1])
    world.run(milliseconds: 10_000)
    let agreed = world.agree()
    #expect(agreed)
    for node in 1..<4 {
      #expect(world.nodes[node].health[world.origin(0)] == .offline)
      #expect(world.nodes[node].sessions[session(0, 1)] == nil)
    }
  }

  @Test("Wrong records of a room are found, and the room comes from somebody else")
  func wrongRecords() throws {
    var world = try world(nodes: 4, rooms: 3)
    try world.perform(3, .subscribe([]))
    world.run(milliseconds: 2000)
    // The origin's answers do not arrive; somebody makes up others in its name.
    world.filter = { _, from, to in !(from == 0 && to == 3) }
    try world.perform(3, .subscribe([room(1)]))
    let slot = try #require(world.nodes[3].engine.records.slot(of: world.origin(0)))
    let facts = try #require(world.nodes[3].engine.records.newest(slot: slot)?.facts)
    let value = RecordValues.bytes(PresenceValue(enteredCounter: 1, message: "made up"))
    var tree = HashTree(hashKey: try #require(World.mesh).hashKey)
    let key = EntryKey(.presence, session(0, 1)).bytes
    tree.set(key, to: StoredRecord(version: 1, counter: 1, value: value[...]).bytes)
    _ = tree.hash(TestTreeHash())
    let bytes = try #require(tree.content(at: .top))
    let last = UInt16(truncatingIfNeeded: world.nodes[3].engine.counters[.comparisonsSent])
    let top = try #require(
      world.nodes[0].engine.records.replica.replica(slot: world.nodes[0].engine.ownSlot)?
        .completeContent(.rooms, .top))
    for request in last &- 8...last {
      let answer = NodesAnswer(
        place: .origin(world.origin(0), facts.incarnation, sequence: facts.sequence),
        request: request, page: 0, isLast: true,
        nodes: [
          .init(tree: .rooms, path: .top, bytes: top),
          .init(tree: .records(room(1)), path: .top, bytes: bytes),
        ])
      world.inject(.nodes(answer), at: 3, from: 0)
    }
    #expect(world.nodes[3].engine.counters[.nodesWrong] == 1)
    let time = world.run(atMost: 3000) { world in
      self.rooms(world, 3, of: self.session(0, 1)).0 == [self.room(1)]
    }
    #expect(time != nil)
    let message = world.nodes[3].sessions[session(0, 1)]?.place(in: room(1))?.presence.message
    #expect(message == "")
    let agreed = world.agree()
    #expect(agreed)
  }

  @Test("A room comes from another subscriber where there is no way to the origin")
  func provesForOthers() throws {
    var world = try world(nodes: 3, rooms: 30)
    try world.perform(1, .subscribe([room(1)]))
    try world.perform(2, .subscribe([]))
    world.run(milliseconds: 2000)
    // Other rooms change, so that checkpoints alone tell node 1 that it is complete.
    try world.perform(0, .setData(session(0, 5), room(5), [5]))
    world.run(milliseconds: 500)
    world.filter = { _, from, to in from + to != 2 || from == to }
    world.run(milliseconds: 15_000)
    try world.perform(2, .subscribe([room(1)]))
    let time = world.run(atMost: 5000) { world in
      self.rooms(world, 2, of: self.session(0, 1)).0 == [self.room(1)] && world.agree()
    }
    #expect(time != nil)
  }

  // MARK: Size

  @Test("In a mesh of many rooms a node is sent, and holds, what it subscribes to")
  func size() throws {
    func run(_ isPartial: Bool) throws -> (received: UInt64, records: Int, agreed: Bool) {
      var world = World()
      let nodes = 14
      for node in 0..<nodes {
        world.start(peers: node == 0 ? [] : [0])
        let wanted = Set((0..<3).map { room((node * 5 + $0 * 10) % 60) })
        if isPartial { try world.perform(node, .subscribe(wanted)) }
        for (index, room) in wanted.sorted().enumerated() {
          try world.open(node, session(node, index), user: "user \(node)", in: room)
        }
      }
      world.run(milliseconds: 8000)
      let before = world.nodes.reduce(UInt64(0)) { $0 + $1.engine.counters[.batchesReceived] }
      for step in 0..<140 {
        let node = step % nodes
        let id = session(node, step % 3)
        let places = world.nodes[node].sessions[id]?.places
        let room = try #require(places?.first { !$0.room.isLobby }?.room)
        try world.perform(node, .setData(id, room, [UInt8(step)]))
        world.run(milliseconds: 11)
      }
      world.run(milliseconds: 2000)
      let after = world.nodes.reduce(UInt64(0)) { $0 + $1.engine.counters[.batchesReceived] }
      let records = world.nodes.map { node in
        node.engine.records.replica.allSlots.reduce(0) {
          $0
            + (node.engine.records.replica.replica(slot: $1)?.logs.filter { !$0.key.isLobby }.values
              .reduce(0) { $0 + $1.tree.count } ?? 0)
        }
      }
      let agreed = world.agree()
      return (after - before, records.reduce(0, +) / nodes, agreed)
    }
    let (whole, some) = (try run(false), try run(true))
    #expect(whole.agreed && some.agreed)
    #expect(some.received > 140)
    #expect(some.received * 4 < whole.received, "\(some.received) of \(whole.received) batches")
    #expect(some.records * 3 < whole.records, "\(some.records) of \(whole.records) records")
  }
}

extension Engine {
  /// The rooms of which anything of others is held.
  var heldRooms: Set<RoomName> {
    var rooms: Set<RoomName> = []
    for slot in records.replica.allSlots where slot != ownSlot {
      rooms.formUnion(records.replica.replica(slot: slot)?.logs.keys.map { $0 } ?? [])
    }
    return rooms
  }
}

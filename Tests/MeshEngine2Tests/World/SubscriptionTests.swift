import MeshCRDT
import MeshCRDT2
import MeshWire2
import Testing

@testable import MeshEngine2

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

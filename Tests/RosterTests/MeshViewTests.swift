import MeshCRDT
import Testing

@Suite("The rooms of a mesh")
struct MeshViewTests {
  @Test("Rooms, the rooms of a user and counts over rooms come from the sessions")
  func listings() {
    let here = room("here")
    let there = room("there")
    var view = MeshView()
    _ = view.upsert(snapshot(1, of: "ann", [here: presence()]), now: at(1))
    _ = view.upsert(snapshot(2, of: "ann", [there: presence()]), now: at(1))
    _ = view.upsert(snapshot(3, of: "bob", [here: presence(), there: presence()]), now: at(1))
    _ = view.upsert(snapshot(4, of: "cid"), now: at(1))
    #expect(view.rooms.map(\.name) == [here, there])
    #expect(view.rooms.map(\.users) == [2, 2])
    #expect(view.rooms(ofUser: "ann") == [here, there])
    #expect(view.rooms(ofUser: "cid") == [])
    let statistics = view.statistics(rooms: [there, here, there])
    #expect(statistics.rooms.map(\.name) == [here, there])
    #expect(statistics.uniqueUsers == 2)
    #expect(statistics.uniqueSessions == 3)
    #expect(view.statistics(rooms: [.lobby]).uniqueUsers == 3)
    #expect(view.statistics(rooms: [room("none")]).rooms.map(\.users) == [0])
    _ = view.upsert(snapshot(3, of: "bob", [there: presence()]), now: at(2))
    #expect(view.roster(here).users().map(\.id) == ["ann", "bob"])
    #expect(view.roster(here).users(onlineOnly: true).map(\.id) == ["ann"])
  }

  @Test("A status in the lobby is told in each room without one of its own")
  func lobbyStatusReachesRooms() {
    let here = room("here")
    let there = room("there")
    var view = MeshView()
    let places = [here: presence(), there: presence(.busy)]
    _ = view.upsert(snapshot(1, of: "ann", places), now: at(1))
    let changes = view.upsert(
      snapshot(1, of: "ann", places.merging([.lobby: presence(.away)]) { $1 }), now: at(2))
    #expect(changes.map(\.room) == [.lobby, here])
    #expect(changes.map { kinds($0.changes) } == [["status"], ["status"]])
  }

  @Test("What happens in one room is not told in another")
  func roomsAreApart() {
    let here = room("here")
    var view = MeshView()
    _ = view.upsert(snapshot(1, of: "ann", [here: presence()]), now: at(1))
    let typing = view.upsert(
      snapshot(1, of: "ann", [here: presence(isTyping: true)]), now: at(2))
    #expect(typing.map(\.room) == [here])
    #expect(view.move(session(1), in: here, to: Cursor(x: 1, y: 1)).map(\.room) == [here])
    #expect(view.move(session(1), in: room("no"), to: Cursor(x: 1, y: 1)) == [])
    #expect(view.move(session(9), in: here, to: Cursor(x: 1, y: 1)) == [])
  }

  @Test("A room that was left and entered again is not forgotten while somebody is there")
  func vacantRoomsComeBack() {
    var view = MeshView()
    let here = room("here")
    _ = view.upsert(snapshot(1, of: "ann", [here: presence()]), now: at(1))
    _ = view.upsert(snapshot(1, of: "ann"), now: at(2))
    #expect(view.roomCount == 0)
    _ = view.upsert(snapshot(1, of: "ann", [here: presence()]), now: at(3))
    #expect(view.roomCount == 1)
    for number in 0...(MeshView.vacantRooms + 1) {
      _ = view.upsert(snapshot(2, of: "bob", [room("r\(number)"): presence()]), now: at(4))
    }
    #expect(view.roster(here).users().map(\.id) == ["ann"])
    #expect(view.roomCount == 2)
    #expect(view.rooms.count == 2)
  }

  @Test("Rooms that were left are remembered up to a bound, the longest empty forgotten first")
  func vacantRoomsAreBounded() {
    var view = MeshView()
    for number in 0...MeshView.vacantRooms {
      _ = view.upsert(snapshot(1, of: "ann", [room("r\(number)"): presence()]), now: at(1))
    }
    // Each enter left the room before; the last one is not empty.
    #expect(view.roster(room("r0")).users().map(\.id) == ["ann"])
    _ = view.remove(session(1), now: at(2))
    #expect(view.roster(room("r0")).users() == [])
    #expect(view.roster(room("r1")).users().map(\.id) == ["ann"])
    #expect(view.rooms == [])
  }
}

import MeshCRDT
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Sessions that move between hosts")
struct MovingSessionTests {
  private let session = SessionID(1, 1)
  private let room = named("room")
  private static func isLive(_ slot: Int, _ session: SessionID, _ mesh: FakeMesh) -> Bool {
    mesh.records[slot].values.contains { $0.keys.contains { $0.session == session } }
  }

  @Test("A session that comes from another host keeps its rooms, its status and its resting cursor")
  func takeOver() throws {
    var host = try TestHost()
    let status = StatusValue(status: .busy, counter: 33, changedAt: WallTime(milliseconds: 8))
    host.mesh.host(
      session, slot: 1, counter: 6,
      in: [
        room: PresenceValue(
          enteredCounter: 4, status: status, message: "m", isTyping: true, data: [1])
      ])
    host.mesh.put(
      RoomChange(
        .cursor, session, room, counter: 7, value: RecordValues.bytes(Cursor(x: 1, y: 1))),
      slot: 1)
    host.mesh.put(
      RoomChange(.occupancy, session, named("unknown"), counter: 5, value: []), slot: 1)
    #expect(
      try host.perform(
        .open(
          session, Profile(userID: "ada", name: "Ada"), device: "new", .attached,
          at: WallTime(milliseconds: 6))) == [.restored(session)])
    host.pass(.milliseconds(20))
    let value = host.own(.session, session).flatMap { RecordValues.session(from: $0.value) }
    #expect(value?.device == "new" && value?.profile.name == "Ada")
    #expect(value?.joinedAt == WallTime(milliseconds: 5))
    #expect(
      host.presence(session, room)
        == PresenceValue(enteredCounter: 8, status: status, message: "m", isTyping: true, data: [1])
    )
    #expect(host.presence(session, named("unknown")) == PresenceValue(enteredCounter: 8))
    for kind in [RecordKind.session, .presence, .cursor] {
      #expect(host.own(kind, session, kind == .session ? .lobby : room)?.counter == 8)
    }
    // The new host ends typing.
    host.pass(.seconds(5))
    #expect(host.presence(session, room)?.isTyping == false)
  }

  @Test("A cursor that was seen to move comes along from where it was seen last")
  func movingCursor() throws {
    var host = try TestHost()
    host.mesh.host(session, slot: 1, counter: 6, in: [room: PresenceValue(enteredCounter: 4)])
    host.mesh.put(
      RoomChange(
        .cursor, session, room, counter: 7, value: RecordValues.bytes(Cursor(x: 1, y: 1))),
      slot: 1)
    host.mesh.moving[1] = [SessionPlace(session, room): Cursor(x: 0, y: 0.5)]
    try host.open(session)
    host.pass(.milliseconds(20))
    #expect(
      host.own(.cursor, session, room).flatMap { RecordValues.cursor(from: $0.value) }
        == Cursor(x: 0, y: 0.5))
    #expect(host.hosting.snapshot(session)?.place(in: room)?.cursor == Cursor(x: 0, y: 0.5))
  }

  @Test("A cursor of an earlier stay does not come along")
  func oldCursor() throws {
    var host = try TestHost()
    host.mesh.host(
      session, slot: 1, counter: 6, in: [room: PresenceValue(enteredCounter: 4)])
    host.mesh.put(
      RoomChange(
        .cursor, session, room, counter: 3, value: RecordValues.bytes(Cursor(x: 1, y: 1))),
      slot: 1)
    try host.open(session)
    #expect(host.own(.cursor, session, room) == nil)
    #expect(host.presence(session, room) != nil)
  }

  @Test("Of several origins the visible one with the highest stamp is taken over from")
  func whomFrom() throws {
    var host = try TestHost()
    for (slot, counter) in [(1, UInt64(5)), (2, 9), (3, 5)] {
      host.mesh.host(
        session, slot: slot, counter: counter,
        in: [named("\(slot)"): PresenceValue(enteredCounter: 1)])
    }
    host.mesh.hidden = [2]
    try host.open(session)
    // Of equal counters the higher id.
    #expect(host.hosting.snapshot(session)?.rooms == [named("3")])
    #expect(host.own(.session, session)?.counter == 10)
    host = try TestHost()
    host.mesh.host(
      session, slot: 2, counter: 9, in: [room: PresenceValue(enteredCounter: 1)])
    host.mesh.hidden = [2]
    try host.open(session)
    #expect(host.hosting.snapshot(session)?.rooms == [room])
  }

  @Test("A session of another user is not taken over")
  func otherUser() throws {
    var host = try TestHost()
    host.mesh.host(session, user: "eve", slot: 1, counter: 6)
    #expect(throws: OperationError.sessionOfAnotherUser(session)) { try host.open(session) }
    host.mesh.hidden = [1]
    #expect(throws: OperationError.sessionOfAnotherUser(session)) { try host.open(session) }
  }

  @Test("No more rooms come along than a session may be in, those first of which more is known")
  func boundedRooms() throws {
    var host = try TestHost()
    host.mesh.host(session, slot: 1, counter: 6)
    for number in 0..<40 {
      host.mesh.put(
        RoomChange(.occupancy, session, named("a\(number)"), counter: 5, value: []), slot: 1)
    }
    host.mesh.host(session, slot: 1, counter: 6, in: [named("z"): PresenceValue(enteredCounter: 1)])
    try host.open(session)
    let rooms = host.hosting.snapshot(session)?.rooms ?? []
    #expect(rooms.count == 32)
    #expect(rooms.contains(named("z")))
  }

  @Test("A session that another host wrote with a higher counter is handed over")
  func handOver() throws {
    var host = try TestHost()
    try host.open(session, lease: .interval(.seconds(1)), rooms: [room])
    try host.perform(.moveCursor(session, room, Cursor(x: 0.5, y: 0)))
    try host.perform(.setTyping(session, room, true))
    host.pass(.milliseconds(1100))
    #expect(host.own(.cursor, session, room) != nil)
    try host.perform(.moveCursor(session, room, Cursor(x: 0.7, y: 0)))
    let written = host.batches.count
    host.mesh.host(session, slot: 1, counter: 20)
    #expect(host.judge(session) == [.moved(session, to: FakeMesh.origin(1))])
    #expect(host.hosting.hostedSessions == [])
    #expect(throws: OperationError.unknownSession(session)) {
      try host.perform(.heartbeat(session))
    }
    host.pass(.milliseconds(249))
    #expect(host.batches.count == written)
    host.pass(.milliseconds(1))
    #expect(!Self.isLive(0, session, host.mesh))
    // The room's log first, the session's record last.
    #expect(host.batches[written...].map(\.place.room) == [room, .lobby])
    // Its lease is of no concern any more.
    #expect(host.pass(.seconds(10)) == [])
    #expect(host.isSilent)
  }

  @Test("A session stays at a host whose stamp is higher, and when the other is hidden or removed")
  func stays() throws {
    var host = try TestHost(slot: 2)
    try host.open(session)
    try host.perform(.setProfile(session, Profile(userID: "ada", name: "x")))
    host.pass(.milliseconds(20))
    #expect(host.own(.session, session)?.counter == 2)
    // An equal counter of a lower id.
    host.mesh.host(session, slot: 1, counter: 2)
    #expect(host.judge(session) == [])
    host.mesh.host(session, slot: 1, counter: 9)
    host.mesh.hidden = [1]
    #expect(host.judge(session) == [])
    #expect(host.hosting.hostedSessions == [session])
    host.mesh.hidden = []
    #expect(host.judge(session) == [.moved(session, to: FakeMesh.origin(1))])
  }

  @Test(
    "A session that ends where it moved to is removed here at once, before its records count again")
  func endsElsewhere() throws {
    var host = try TestHost()
    try host.open(session, rooms: [room])
    host.mesh.host(session, slot: 1, counter: 20)
    host.judge(session)
    host.pass(.milliseconds(20))
    host.mesh.records[1] = [:]
    host.judge(session)
    host.pass(.milliseconds(10))
    #expect(!Self.isLive(0, session, host.mesh))
  }

  @Test("A session that comes back before its records went is in the rooms where it is now")
  func comesBack() throws {
    var host = try TestHost()
    try host.open(session, rooms: [room])
    host.pass(.milliseconds(20))
    host.mesh.host(
      session, slot: 1, counter: 20, in: [named("new"): PresenceValue(enteredCounter: 20)])
    host.judge(session)
    host.pass(.milliseconds(20))
    try host.open(session)
    host.pass(.milliseconds(400))
    #expect(host.own(.session, session)?.counter == 21)
    #expect(host.presence(session, room) == nil)
    #expect(host.presence(session, named("new")) != nil)
  }

  @Test("A session that comes back when nobody else has it any more has what it had here")
  func comesBackFromNowhere() throws {
    var host = try TestHost()
    try host.open(session, rooms: [room])
    try host.perform(.moveCursor(session, room, Cursor(x: 0.5, y: 0)))
    host.pass(.milliseconds(1100))
    host.mesh.host(session, slot: 1, counter: 20)
    host.judge(session)
    host.mesh.hidden = [1]
    try host.open(session)
    #expect(host.hosting.snapshot(session)?.place(in: room)?.cursor == Cursor(x: 0.5, y: 0))
    #expect(host.hosting.snapshot(session)?.rooms == [room])
    #expect(host.own(.session, session) != nil)
  }
}

import MeshCRDT
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Sessions that a node hosts")
struct LocalSessionTests {
  private let session = SessionID(1, 1)
  private let room = named("room")

  @Test("A session is opened with the counter 1, and each further write takes the next one")
  func countersBegin() throws {
    var host = try TestHost()
    try host.open(session, rooms: [room])
    host.pass(.milliseconds(20))
    #expect(host.own(.session, session)?.counter == 1)
    #expect(host.own(.presence, session, room)?.counter == 2)
    #expect(host.presence(session, room)?.enteredCounter == 2)
    try host.perform(.setData(session, room, [1]))
    host.pass(.milliseconds(20))
    #expect(host.own(.presence, session, room)?.counter == 3)
    #expect(host.presence(session, room)?.enteredCounter == 2)
  }

  @Test("A session counts on above everything that any origin says of it")
  func countersContinue() throws {
    var host = try TestHost()
    host.mesh.host(session, slot: 1, counter: 4)
    host.mesh.host(session, slot: 2, counter: 9, in: [room: PresenceValue(enteredCounter: 3)])
    host.mesh.put(
      RoomChange(
        .cursor, session, room, counter: 40,
        value: RecordValues.bytes(Cursor(x: 0.5, y: 0.5))), slot: 2)
    try host.open(session)
    #expect(host.own(.session, session)?.counter == 41)
  }

  @Test("A session is opened above the clock: what is older, and was not heard, does not end it")
  func openedAboveTheClock() throws {
    var host = try TestHost()
    _ = try host.perform(
      .open(
        session, Profile(userID: "ada"), device: "", .attached, at: WallTime(milliseconds: 5000))
    )
    host.pass(.milliseconds(20))
    #expect(host.own(.session, session)?.counter == 5001)
    _ = try host.perform(.leave(session))
    _ = try host.perform(
      .open(
        session, Profile(userID: "ada"), device: "", .attached, at: WallTime(milliseconds: 4000))
    )
    host.pass(.milliseconds(20))
    #expect(host.own(.session, session)?.counter == 5003)
    _ = try host.perform(
      .open(
        SessionID(5, 5), Profile(userID: "ada"), device: "", .attached,
        at: WallTime(milliseconds: .max)))
    host.pass(.milliseconds(20))
    #expect(host.own(.session, SessionID(5, 5))?.counter == Limits.counterBound / 2 + 1)
  }

  @Test("The counters of one session do not follow those of others")
  func countersAreOfTheSubject() throws {
    var host = try TestHost()
    host.mesh.host(SessionID(2, 2), slot: 1, counter: 1 << 40)
    try host.open(SessionID(3, 3))
    try host.open(session)
    host.pass(.milliseconds(20))
    #expect(host.own(.session, session)?.counter == 1)
  }

  @Test("A session that ended and is opened again counts on, so that old cursors do not count")
  func countersAfterEnd() throws {
    var host = try TestHost()
    try host.open(session, rooms: [room])
    try host.perform(.leave(session))
    host.pass(.milliseconds(50))
    #expect(host.mesh.homes(of: session).isEmpty)
    try host.open(session)
    #expect((host.own(.session, session)?.counter ?? 0) > 2)
  }

  @Test("A session whose counters somebody used up cannot be opened, and others can")
  func countersUsedUp() throws {
    var host = try TestHost()
    host.mesh.host(session, slot: 1, counter: Limits.counterBound - 1)
    #expect(throws: OperationError.sessionRemoved(session)) { try host.open(session) }
    #expect(host.hosting.hostedSessions == [])
    try host.open(SessionID(1, 2))
    #expect(host.hosting.hostedSessions == [SessionID(1, 2)])
  }

  @Test("A status takes the counter above the user's highest, also of a moment ago")
  func statusCounters() throws {
    var host = try TestHost()
    host.mesh.statuses[UserKey("ada")] = 70
    host.mesh.statuses[UserKey("eve")] = 900
    let other = SessionID(1, 2)
    try host.open(session)
    try host.open(other)
    let time = WallTime(milliseconds: 3)
    try host.perform(.setStatus(session, .lobby, .busy, message: "m", at: time))
    try host.perform(.setStatus(other, .lobby, .away, message: nil, at: time))
    try host.perform(.setStatus(session, .lobby, .busy, message: nil, at: time))
    host.pass(.milliseconds(50))
    #expect(host.presence(other, .lobby)?.status?.counter == 72)
    #expect(
      host.presence(session, .lobby)?.status
        == StatusValue(status: .busy, counter: 73, changedAt: time))
    #expect(host.presence(session, .lobby)?.message == "m")
  }

  @Test("What is said again and says nothing new is not written")
  func sameIsNotWritten() throws {
    var host = try TestHost()
    try host.open(session, rooms: [room])
    try host.perform(.setData(session, room, [1]))
    host.pass(.milliseconds(50))
    let count = host.batches.count
    try host.perform(.setData(session, room, [1]))
    try host.perform(.enter(session, room))
    try host.perform(.setProfile(session, Profile(userID: "ada")))
    host.pass(.milliseconds(50))
    #expect(host.batches.count == count)
    try host.perform(.setProfile(session, Profile(userID: "ada", name: "Ada")))
    host.pass(.milliseconds(50))
    #expect(host.batches.count == count + 1)
  }

  @Test("What is too long or malformed is refused by its name, and nothing is written")
  func validation() throws {
    var host = try TestHost()
    func refuses(_ operation: LocalOperation, _ error: OperationError) {
      #expect(throws: error) { try host.perform(operation) }
    }
    func open(_ profile: Profile, device: String = "") -> LocalOperation {
      .open(session, profile, device: device, .attached, at: WallTime(milliseconds: 0))
    }
    func long(_ count: Int) -> String { String(repeating: "x", count: count) }
    func tooLong(_ field: String, _ limit: Int) -> OperationError {
      .tooLong(field: field, bytes: limit + 1, limit: limit)
    }
    refuses(open(Profile(userID: "")), .malformed(field: "user id"))
    refuses(open(Profile(userID: "a\u{1}")), .malformed(field: "user id"))
    refuses(open(Profile(userID: long(65))), tooLong("user id", 64))
    refuses(open(Profile(userID: "a"), device: long(33)), tooLong("device", 32))
    #expect(host.batches.isEmpty)
    try host.open(session, rooms: [room])
    host.pass(.milliseconds(50))
    let count = host.batches.count
    refuses(
      .setStatus(session, room, .busy, message: long(141), at: WallTime(milliseconds: 0)),
      tooLong("message", 140))
    refuses(
      .setData(session, room, [UInt8](repeating: 0, count: 385)), tooLong("data", 384))
    refuses(
      .moveCursor(session, room, Cursor(x: 0, y: 0, anchor: long(65))), tooLong("anchor", 64))
    refuses(.setProfile(session, Profile(userID: "eve")), .sessionOfAnotherUser(session))
    refuses(open(Profile(userID: "eve")), .sessionOfAnotherUser(session))
    let elsewhere = named("elsewhere")
    refuses(.setData(session, elsewhere, []), .notInRoom(session, elsewhere))
    refuses(.moveCursor(session, elsewhere, Cursor(x: 0, y: 0)), .notInRoom(session, elsewhere))
    let stranger = SessionID(9, 9)
    for operation: LocalOperation in [
      .heartbeat(stranger), .enter(stranger, room), .exit(stranger, room),
      .setLease(stranger, .attached), .setTyping(stranger, .lobby, true),
      .remove(stranger, from: .lobby, isFinal: false),
    ] { refuses(operation, .unknownSession(stranger)) }
    #expect(try host.perform(.leave(stranger)) == [])
    host.pass(.milliseconds(50))
    #expect(host.batches.count == count)
  }

  @Test("Of a list with one operation that is refused, none is done")
  func listIsAtomic() throws {
    var host = try TestHost()
    let other = SessionID(1, 2)
    try host.open(session, rooms: [room])
    host.pass(.milliseconds(50))
    let (before, written) = (host.hosting.snapshot(session), host.batches.count)
    let list: [LocalOperation] = [
      .setData(session, room, [7]), .exit(session, room), .enter(session, named("new")),
      .open(other, Profile(userID: "eve"), device: "", .attached, at: WallTime(milliseconds: 0)),
      .subscribe([room]), .remove(session, from: .lobby, isFinal: true),
      .setData(other, named("nowhere"), []),
    ]
    #expect(throws: OperationError.notInRoom(other, named("nowhere"))) {
      try host.perform(.all(list))
    }
    host.pass(.seconds(1))
    #expect(host.hosting.snapshot(session) == before)
    #expect(host.hosting.hostedSessions == [session])
    #expect(host.hosting.subscription.rooms == nil)
    #expect(host.judge(session) == [])
    #expect(host.batches.count == written)
    // The same list without the last one is done.
    #expect(try host.perform(.all(list.dropLast())) == [.removed(session, from: .lobby)])
    #expect(host.hosting.hostedSessions == [other])
    #expect(host.hosting.subscription.rooms == [room])
  }

  @Test("After a list that was refused, rooms and sessions are counted as before")
  func countsAfterRollBack() throws {
    var table = HostedTable()
    let value = SessionValue(
      profile: Profile(userID: "a"), device: "", joinedAt: WallTime(milliseconds: 0))
    var one = HostedSession(value: value, highest: 0)
    one.places[room] = HostedPlace(
      presence: PresenceValue(enteredCounter: 1), counter: 1, hasOccupancy: true)
    table.set(session, to: one)
    table.begin()
    table.set(session, to: nil)
    table.set(SessionID(2, 2), to: one)
    one.places[named("b")] = one.places[room]
    table.set(SessionID(2, 2), to: one)
    #expect((table.roomCount, table.occupancies, table.count) == (2, 2, 1))
    table.rollBack()
    #expect((table.roomCount, table.occupancies, table.count) == (1, 1, 1))
    #expect(table.sessions == [session])
    table.set(session, to: nil)
    #expect((table.roomCount, table.occupancies, table.count) == (0, 0, 0))
  }

  @Test(
    "A session is in 32 rooms at the most, the lobby not counted, and may change them in a list")
  func roomsPerSession() throws {
    var host = try TestHost()
    try host.open(session)
    try host.perform(.setData(session, .lobby, [1]))
    for number in 0..<32 { try host.perform(.enter(session, named("\(number)"))) }
    #expect(throws: OperationError.tooManyRooms(limit: 32)) {
      try host.perform(.enter(session, named("x")))
    }
    try host.perform(.all([.exit(session, named("3")), .enter(session, named("x"))]))
    #expect(host.hosting.snapshot(session)?.places.count == 33)
  }

  @Test("A node's sessions are in a bounded number of rooms")
  func roomLogs() throws {
    var sessions = LocalSessions(origin: FakeMesh.origin(0))
    var host = HostedSession(
      value: SessionValue(
        profile: Profile(userID: "a"), device: "", joinedAt: WallTime(milliseconds: 0)),
      highest: 0)
    for number in 0..<HostingLimits.roomLogs - 1 {
      host.places[named("\(number)")] = HostedPlace(
        presence: PresenceValue(enteredCounter: 1), counter: 1)
    }
    sessions.table.set(SessionID(9, 9), to: host)
    host.places = [:]
    sessions.table.set(session, to: host)
    var actions: [HostingAction] = []
    let mesh = FakeMesh()
    try sessions.perform(.enter(session, named("last")), mesh, &actions)
    try sessions.perform(.enter(session, named("7")), mesh, &actions)
    #expect(throws: OperationError.tooManyRoomLogs(limit: HostingLimits.roomLogs)) {
      try sessions.perform(.enter(session, named("more")), mesh, &actions)
    }
  }

  @Test("A subscription is written at once, as a record that all rooms take back")
  func subscription() throws {
    var host = try TestHost()
    try host.open(session)
    try host.perform(.subscribe([room, named("b")]))
    #expect(host.own(.subscription, .nobody)?.counter == 0)
    let ids = host.own(.subscription, .nobody).flatMap {
      RecordValues.subscription(from: $0.value)
    }
    #expect(ids?.count == 2)
    #expect(host.hosting.subscription.includes(room))
    #expect(host.hosting.subscription.includes(.lobby))
    #expect(!host.hosting.subscription.includes(named("c")))
    let many = Set((0..<65).map { named("\($0)") })
    #expect(throws: OperationError.tooManySubscriptions(limit: 64)) {
      try host.perform(.subscribe(many))
    }
    try host.perform(.subscribe(nil))
    #expect(host.own(.subscription, .nobody) == nil)
    #expect(host.hosting.subscription.includes(named("c")))
  }

  @Test("Occupancy is written once somebody subscribes to some rooms, with the counter of entering")
  func occupancy() throws {
    var host = try TestHost()
    try host.open(session, rooms: [room])
    try host.perform(.setData(session, .lobby, [1]))
    host.pass(.milliseconds(50))
    #expect(host.own(.occupancy, session, room) == nil)
    host.hosting.beginOccupancy()
    host.pass(.milliseconds(50))
    #expect(host.own(.occupancy, session, room)?.counter == 2)
    #expect(host.mesh.records[0][.lobby]?.keys.filter { $0.kind == .occupancy }.count == 1)
    try host.perform(.enter(session, named("b")))
    host.pass(.milliseconds(50))
    #expect(
      host.own(.occupancy, session, named("b"))?.counter
        == host.presence(session, named("b"))?.enteredCounter)
    try host.perform(.exit(session, room))
    host.pass(.milliseconds(50))
    #expect(host.own(.occupancy, session, room) == nil)
  }

  @Test("Another incarnation says everything again, with the counters that it had")
  func restart() throws {
    var host = try TestHost()
    try host.open(session, rooms: [room])
    try host.perform(.subscribe([room]))
    try host.perform(.moveCursor(session, room, Cursor(x: 0.5, y: 0)))
    let stranger = SessionID(2, 2)
    host.mesh.host(stranger, slot: 1, counter: 5)
    try host.perform(.remove(stranger, from: .lobby, isFinal: true))
    host.pass(.milliseconds(50))
    let before = host.mesh.records[0]
    host.mesh.records[0] = [:]
    host.batches = []
    host.hosting.restart(try TestHost.incarnation(2), now: host.now)
    host.pass(.milliseconds(50))
    #expect(host.batches.first?.place.versions.lowerBound == 1)
    #expect(host.batches.allSatisfy { $0.place.incarnation.counter == 2 })
    let kinds: [RecordKind] = [.session, .presence, .cursor, .removal, .subscription]
    for (room, log) in before {
      for (key, record) in log {
        #expect(host.mesh.records[0][room]?[key]?.counter == record.counter, "\(key)")
      }
    }
    // The cursor moved and was not at rest.
    #expect(host.own(.cursor, session, room) != nil)
    let said = Set(host.mesh.records[0].values.flatMap { $0.keys.map(\.kind) })
    #expect(said == Set(kinds))
  }

  @Test("Occupancy that begins while everything is written again is written of all sessions")
  func occupancyDuringRestart() throws {
    var host = try TestHost()
    let count = HostingLimits.evaluationsPerTurn + 10
    for number in 0..<count {
      try host.open(SessionID(4, UInt64(number)), rooms: [named("\(number)")])
    }
    host.pass(.milliseconds(50))
    host.mesh.records[0] = [:]
    host.hosting.restart(try TestHost.incarnation(2), now: host.now)
    _ = host.hosting.advance(host.mesh, now: host.now)
    host.hosting.beginOccupancy()
    host.pass(.milliseconds(100))
    let kinds = host.mesh.records[0].values.flatMap { $0.keys.map(\.kind) }
    for kind in [RecordKind.session, .presence, .occupancy] {
      #expect(kinds.filter { $0 == kind }.count == count)
    }
  }

  @Test(
    "After leaving the mesh nothing is done, and what waits is written with the last checkpoint")
  func leaving() throws {
    var host = try TestHost()
    try host.open(session)
    try host.perform(.setData(session, .lobby, [1]))
    #expect(host.own(.presence, session, .lobby) == nil)
    try host.perform(.leaveMesh)
    #expect(host.own(.presence, session, .lobby) != nil)
    #expect(host.hosting.checkpointDeadline == host.now)
    #expect(host.hosting.checkpoints.isLeaving)
    #expect(throws: OperationError.meshLeft) { try host.perform(.leave(session)) }
  }

  @Test("Once another process speaks with its key, a node writes and does nothing more")
  func silenced() throws {
    var host = try TestHost()
    try host.open(session, lease: .interval(.seconds(1)), rooms: [room])
    try host.perform(.moveCursor(session, room, Cursor(x: 0.5, y: 0)))
    let (written, frames) = (host.batches.count, host.frames.count)
    try host.perform(.moveCursor(session, room, Cursor(x: 0.6, y: 0)))
    host.hosting.silence()
    #expect(throws: OperationError.cloned) { try host.perform(.leave(session)) }
    #expect(host.pass(.seconds(10)) == [])
    #expect(host.batches.count == written)
    #expect(host.frames.count == frames)
    #expect(host.hosting.takeBatches(host.mesh, now: host.now) == [])
    #expect(host.hosting.checkpointDeadline == nil)
  }
}

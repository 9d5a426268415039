import MeshCRDT
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Removals of sessions")
struct RemovalTests {
  private let session = SessionID(1, 1)
  private let room = named("room")

  /// Carries the records of one node to another, as the mesh would.
  private static func carry(from sender: TestHost, to receiver: inout TestHost) {
    guard sender.mesh.records.indices.contains(sender.slot) else { return }
    while receiver.mesh.records.count <= sender.slot { receiver.mesh.records.append([:]) }
    receiver.mesh.records[sender.slot] = sender.mesh.records[sender.slot]
  }

  @Test(
    "A session that moved from a host that is cut off, and ended, stays gone when that one is back")
  func endsWhileOldHostIsCutOff() throws {
    var a = try TestHost(slot: 0)
    var b = try TestHost(slot: 1)
    var c = FakeMesh(ownSlot: 2)
    try a.open(session, rooms: [room])
    a.pass(.milliseconds(50))
    Self.carry(from: a, to: &b)
    // A is cut off, and its session goes on there.
    b.mesh.hidden = [0]
    try a.perform(.setData(session, room, [1]))
    a.pass(.milliseconds(50))
    try b.open(session)
    #expect(b.hosting.snapshot(session)?.rooms == [room])
    try b.perform(.leave(session))
    b.pass(.seconds(600))
    #expect(b.own(.session, session) == nil)
    #expect(b.own(.removal, session) != nil)
    // A heals: a third node does not show it, and A ends it.
    c.records = [a.mesh.records[0], b.mesh.records[1], [:]]
    #expect(c.visibleHost(of: session) == nil)
    Self.carry(from: b, to: &a)
    #expect(a.judge(session) == [.removed(session, from: .lobby)])
    a.pass(.milliseconds(50))
    #expect(a.hosting.hostedSessions == [])
    #expect(a.own(.session, session) == nil)
    #expect(a.own(.removal, session) == nil)
    // The removal goes when A is seen to have nothing, and not before.
    b.pass(.seconds(200))
    #expect(b.own(.removal, session) != nil)
    Self.carry(from: a, to: &b)
    b.pass(.seconds(200))
    #expect(b.own(.removal, session) != nil)
    b.mesh.incomplete = [0]
    b.mesh.hidden = []
    b.pass(.seconds(200))
    #expect(b.own(.removal, session) != nil)
    b.mesh.incomplete = []
    b.pass(.seconds(200))
    #expect(b.own(.removal, session) == nil)
  }

  private enum Step: Int, CaseIterable {
    case order, reopen, hostIsHeard, orderIsHeard
  }

  /// All orders of all steps.
  private static let interleavings: [[Step]] = Step.allCases.reduce([[]]) { orders, step in
    orders.flatMap { order in
      (0...order.count).map { Array(order[..<$0]) + [step] + Array(order[$0...]) }
    }
  }

  @Test(
    "A removal ends a session that was opened again if its giver had heard of that, or it is final",
    arguments: interleavings, [false, true])
  private func crossing(steps: [Step], isFinal: Bool) throws {
    var host = try TestHost(slot: 0)
    var giver = try TestHost(slot: 1)
    func open(at milliseconds: UInt64) throws {
      try host.perform(
        .open(
          session, Profile(userID: "ada"), device: "", .attached,
          at: WallTime(milliseconds: milliseconds)))
      host.pass(.milliseconds(20))
    }
    try open(at: 1000)
    Self.carry(from: host, to: &giver)
    for step in steps + [.hostIsHeard, .orderIsHeard, .hostIsHeard] {
      switch step {
      case .order:
        try giver.perform(.remove(session, from: .lobby, isFinal: isFinal))
        giver.pass(.milliseconds(20))
      case .reopen:
        do { try open(at: 2000) } catch OperationError.sessionRemoved(session) {
          #expect(isFinal)
        }
      case .hostIsHeard: Self.carry(from: host, to: &giver)
      case .orderIsHeard:
        Self.carry(from: giver, to: &host)
        host.judge(session)
        host.pass(.milliseconds(20))
      }
    }
    let order = steps.filter { $0 != .orderIsHeard }
    let isKnown = order == [.reopen, .hostIsHeard, .order]
    #expect(host.hosting.hostedSessions == (isKnown || isFinal ? [] : [session]))
    #expect((giver.mesh.visibleHost(of: session) != nil) == !(isKnown || isFinal))
  }

  @Test("What a session says after it was opened saves it from no removal")
  func changesDoNotSave() throws {
    var host = try TestHost()
    try host.open(session, rooms: [room])
    try host.perform(.setProfile(session, Profile(userID: "ada", name: "Ada")))
    host.pass(.milliseconds(50))
    let value = RecordValues.bytes(RemovalValue(isFinal: false))
    host.mesh.put(RoomChange(.removal, session, counter: 2, value: value), slot: 1)
    #expect((host.own(.session, session)?.counter ?? 0) > 2)
    #expect(host.judge(session) == [.removed(session, from: .lobby)])
    host.pass(.milliseconds(50))
    #expect(host.isSilent)
  }

  @Test("A session that ends where nobody else has records of it leaves nothing behind")
  func plainEnd() throws {
    var host = try TestHost()
    try host.open(session, rooms: [room])
    host.pass(.milliseconds(50))
    try host.perform(.leave(session))
    host.pass(.milliseconds(50))
    #expect(host.isSilent)
    #expect(host.hosting.deadline == nil)
  }

  @Test(
    "A session that leaves a room of which a cut-off host holds records does not come back there")
  func leavesRoom() throws {
    var host = try TestHost()
    host.mesh.host(
      session, slot: 1, counter: 6,
      in: [
        room: PresenceValue(enteredCounter: 4), named("b"): PresenceValue(enteredCounter: 5),
      ])
    host.mesh.hidden = [1]
    try host.open(session)
    try host.perform(.exit(session, room))
    host.pass(.milliseconds(50))
    let removal = host.own(.removal, session, room)
    #expect((removal?.counter ?? 0) > 4)
    #expect(host.own(.removal, session, named("b")) == nil)
    #expect(host.own(.removal, session) == nil)
    // It enters above that.
    try host.perform(.enter(session, room))
    host.pass(.milliseconds(50))
    let entered = host.presence(session, room)?.enteredCounter ?? 0
    #expect(entered > (removal?.counter ?? .max))
    #expect(host.judge(session) == [])
  }

  @Test("A session that another origin has with a higher stamp is not ended there by this node")
  func notOursToEnd() throws {
    // The client went on at a node that is hidden now, and its lease here runs out.
    var host = try TestHost()
    try host.open(session, lease: .interval(.seconds(1)), rooms: [room, named("b")])
    host.mesh.host(
      session, slot: 1, counter: 20, in: [named("b"): PresenceValue(enteredCounter: 20)])
    host.mesh.hidden = [1]
    #expect(host.judge(session) == [])
    try host.perform(.exit(session, named("b")))
    #expect(host.pass(.seconds(3)) == [.leaseEnded(session)])
    #expect(host.isSilent)
    // It was opened elsewhere above a removal that ends it here.
    host = try TestHost()
    try host.open(session)
    host.mesh.host(session, slot: 1, counter: 20)
    host.mesh.put(
      RoomChange(
        .removal, session, counter: 5, value: RecordValues.bytes(RemovalValue(isFinal: false))),
      slot: 2)
    #expect(host.judge(session) == [.removed(session, from: .lobby)])
    host.pass(.seconds(1))
    #expect(host.isSilent)
  }

  @Test("A session that ended so is opened anew, and not with what the cut-off host has")
  func opensAnew() throws {
    for isOneList in [false, true] {
      var host = try TestHost()
      host.mesh.host(
        session, slot: 1, counter: 6, in: [room: PresenceValue(enteredCounter: 4)])
      host.mesh.hidden = [1]
      try host.open(session)
      let open = LocalOperation.open(
        session, Profile(userID: "ada"), device: "", .attached, at: WallTime(milliseconds: 0))
      if isOneList {
        try host.perform(.all([.leave(session), open]))
      } else {
        try host.perform(.leave(session))
        try host.perform(open)
      }
      host.pass(.milliseconds(50))
      #expect(host.hosting.snapshot(session)?.rooms == [])
      let removal = host.own(.removal, session)?.counter ?? .max
      #expect((host.own(.session, session)?.counter ?? 0) > removal)
      #expect(host.judge(session) == [])
    }
  }

  @Test("What another node's removal outweighs already is not removed once more")
  func outweighedAlready() throws {
    var host = try TestHost()
    host.mesh.host(session, slot: 1, counter: 6, in: [room: PresenceValue(enteredCounter: 4)])
    host.mesh.hidden = [1]
    host.mesh.put(
      RoomChange(
        .removal, session, counter: 7, value: RecordValues.bytes(RemovalValue(isFinal: false))),
      slot: 2)
    try host.open(session)
    #expect(host.hosting.snapshot(session)?.rooms == [])
    try host.perform(.leave(session))
    host.pass(.milliseconds(50))
    #expect(host.isSilent)
  }

  @Test("Removals of what ended are bounded: the oldest goes")
  func boundedDepartures() throws {
    var removals = Removals(hold: .seconds(120), retention: .seconds(86_400))
    let now = MonotonicTime(milliseconds: 5)
    var changes: [RoomChange] = []
    for number in 0..<HostingLimits.departures * 3 + 1 {
      let place = SessionPlace(SessionID(1, UInt64(number)), .lobby)
      changes = removals.depart(place, counter: 9, holders: [FakeMesh.origin(1)], now: now)
    }
    #expect(removals.count == HostingLimits.departures)
    let oldest = SessionID(1, UInt64(HostingLimits.departures * 2))
    #expect(changes.first == RoomChange(.removal, oldest, counter: 10, value: nil))
    #expect(removals.record(of: oldest, from: .lobby) == nil)
    #expect(removals.record(of: SessionID(oldest.high, oldest.low + 1), from: .lobby) != nil)
  }

  @Test("A removal that is ordered is written at once, above all that is known of the session")
  func order() throws {
    var host = try TestHost()
    try host.open(SessionID(7, 7))
    host.mesh.host(
      session, slot: 1, counter: 6, in: [room: PresenceValue(enteredCounter: 30)])
    #expect(throws: OperationError.notInRoom(session, named("b"))) {
      try host.perform(.remove(session, from: named("b"), isFinal: false))
    }
    try host.perform(.remove(session, from: room, isFinal: false))
    #expect(host.own(.removal, session, room)?.counter == 31)
    try host.perform(.remove(session, from: .lobby, isFinal: true))
    #expect(
      host.own(.removal, session).flatMap { RecordValues.removal(from: $0.value) }
        == RemovalValue(isFinal: true))
    // It is not there any more.
    #expect(throws: OperationError.unknownSession(session)) {
      try host.perform(.remove(session, from: .lobby, isFinal: true))
    }
  }

  @Test("A host does what a removal says of its session, in the room or the whole mesh")
  func obey() throws {
    var host = try TestHost()
    let other = named("b")
    try host.open(session, lease: .interval(.seconds(1)), rooms: [room, other])
    try host.perform(.moveCursor(session, room, Cursor(x: 0.5, y: 0)))
    host.pass(.milliseconds(1100))
    let value = RecordValues.bytes(RemovalValue(isFinal: false))
    host.mesh.put(RoomChange(.removal, session, other, counter: 2, value: value), slot: 1)
    #expect(host.judge(session) == [])
    host.mesh.put(RoomChange(.removal, session, room, counter: 2, value: value), slot: 1)
    #expect(host.judge(session) == [.removed(session, from: room)])
    host.pass(.milliseconds(50))
    #expect(host.presence(session, room) == nil)
    #expect(host.own(.cursor, session, room) == nil)
    #expect(host.presence(session, other) != nil)
    host.mesh.put(RoomChange(.removal, session, counter: 1, value: value), slot: 1)
    #expect(host.judge(session) == [.removed(session, from: .lobby)])
    host.pass(.seconds(10))
    #expect(host.isSilent)
  }

  @Test(
    "A session that was removed for good may not come back while the removal stands; others may")
  func final() throws {
    var host = try TestHost()
    try host.open(session, rooms: [room, named("b")])
    try host.perform(.remove(session, from: room, isFinal: true))
    try host.perform(.remove(session, from: named("b"), isFinal: false))
    #expect(host.hosting.snapshot(session)?.rooms == [])
    #expect(throws: OperationError.removedFromRoom(session, room)) {
      try host.perform(.enter(session, room))
    }
    try host.perform(.enter(session, named("b")))
    #expect(
      try host.perform(.remove(session, from: .lobby, isFinal: true))
        == [.removed(session, from: .lobby)])
    #expect(throws: OperationError.sessionRemoved(session)) { try host.open(session) }
    host.pass(.seconds(119))
    #expect(throws: OperationError.sessionRemoved(session)) { try host.open(session) }
    host.pass(.seconds(2))
    #expect(host.own(.removal, session) == nil)
    try host.open(session, rooms: [room])
  }

  @Test("A removal of another node forbids to come back, too, and one that is not final does not")
  func foreignRemoval() throws {
    var host = try TestHost()
    func put(_ isFinal: Bool) {
      let value = RecordValues.bytes(RemovalValue(isFinal: isFinal))
      host.mesh.put(RoomChange(.removal, session, counter: 50, value: value), slot: 3)
    }
    host.mesh.hidden = [3]
    put(true)
    #expect(throws: OperationError.sessionRemoved(session)) { try host.open(session) }
    put(false)
    try host.open(session)
    #expect(host.own(.session, session)?.counter == 51)
    #expect(host.judge(session) == [])
  }

  @Test("A removal is kept while something is left that it outweighs, for a day at the most")
  func retention() throws {
    var host = try TestHost()
    host.mesh.host(session, slot: 1, counter: 6)
    try host.perform(.remove(session, from: .lobby, isFinal: false))
    host.pass(.seconds(86_300))
    #expect(host.own(.removal, session) != nil)
    host.pass(.seconds(300))
    #expect(host.own(.removal, session) == nil)
    // One whose host was forgotten waits for it.
    host.mesh.host(session, slot: 1, counter: 6)
    try host.perform(.remove(session, from: .lobby, isFinal: false))
    host.mesh.records[1] = [:]
    host.mesh.forgotten = [1]
    host.pass(.seconds(1000))
    #expect(host.own(.removal, session) != nil)
    host.mesh.forgotten = []
    host.pass(.seconds(130))
    #expect(host.own(.removal, session) == nil)
  }

  @Test("A removal of a session that moved here waits for the host that it came from")
  func removalOfMovedSession() throws {
    var host = try TestHost()
    host.mesh.host(session, slot: 1, counter: 6)
    host.mesh.hidden = [1]
    try host.open(session)
    try host.perform(.remove(session, from: .lobby, isFinal: false))
    #expect(host.hosting.hostedSessions == [])
    // Forgotten, it may come back all the same.
    host.mesh.records[1] = [:]
    host.mesh.forgotten = [1]
    host.pass(.seconds(1000))
    #expect(host.own(.removal, session) != nil)
    host.mesh.forgotten = []
    host.mesh.hidden = []
    host.pass(.seconds(130))
    #expect(host.own(.removal, session) == nil)
  }

  @Test("As many removals as may stand are refused beyond that")
  func boundedOrders() throws {
    var removals = Removals(hold: .seconds(120), retention: .seconds(86_400))
    let now = MonotonicTime(milliseconds: 5)
    func order(_ number: Int) throws(OperationError) {
      _ = try removals.order(
        SessionPlace(SessionID(1, UInt64(number)), .lobby), counter: 9, isFinal: true,
        holders: [FakeMesh.origin(1)], now: now)
    }
    for number in 0..<HostingLimits.orders { try order(number) }
    #expect(throws: OperationError.tooManyRemovals(limit: HostingLimits.orders)) {
      try order(-1 & 0xFFFF)
    }
    // The same one again is not one more.
    try order(5)
  }
}

import MeshCRDT
import Testing

@testable import MeshEngine

@Suite("Sessions that another node takes over")
struct HandOverTests {
  private static let session = SessionID(1, 1)

  private static func open(_ session: SessionID) -> LocalOperation {
    .open(
      session, Profile(userID: "u\(session)"), device: "", .attached,
      at: WallTime(milliseconds: 0))
  }

  @Test("What moved and never rested at the old host is gone there with the session")
  func movingCursor() throws {
    var pair = try Pair()
    try pair.enter(Self.session)
    pair.pass(milliseconds: 50)
    try pair.move(Self.session, to: 0.5)
    pair.pass(milliseconds: 50)
    try pair.reader.perform(Self.open(Self.session), now: pair.now)
    pair.pass(milliseconds: 50)
    #expect(pair.writer.hostedSessions.isEmpty)
    #expect(pair.writer.session(Self.session)?.host == pair.reader.origin)
    // Until the others surely know where it is, its old records stay.
    #expect(pair.writer.state.entry(of: Self.session, slot: pair.writer.ownSlot) != nil)
    pair.pass(milliseconds: 500)
    for engine in [pair.writer, pair.reader] {
      let slot = try #require(engine.state.slot(of: pair.writer.origin))
      #expect(engine.state.entry(of: Self.session, slot: slot) == nil)
      #expect(engine.state.moving[slot].moves.isEmpty)
      #expect(engine.session(Self.session)?.host == pair.reader.origin)
      #expect(engine.session(Self.session)?.places.map(\.room) == [Pair.room])
    }
  }

  @Test("A session that ends at its new host at once does not show at the old one again")
  func endsAtOnce() throws {
    var pair = try Pair()
    try pair.enter(Self.session)
    pair.pass(milliseconds: 50)
    try pair.reader.perform(Self.open(Self.session), now: pair.now)
    pair.pass(milliseconds: 20)
    try pair.reader.perform(.leave(Self.session), now: pair.now)
    pair.pass(milliseconds: 50)
    for engine in [pair.writer, pair.reader] { #expect(engine.session(Self.session) == nil) }
  }

  @Test("While a session ends at its new host, the old one shows what it holds")
  func endsBetweenBatches() throws {
    var pair = try Pair()
    try pair.enter(Self.session)
    pair.pass(milliseconds: 50)
    try pair.reader.perform(Self.open(Self.session), now: pair.now)
    pair.pass(milliseconds: 20)
    // The next batch of the old host is due in some milliseconds.
    try pair.writer.perform(Self.open(SessionID(1, 2)), now: pair.now)
    try pair.reader.perform(.leave(Self.session), now: pair.now)
    for _ in 0..<20 {
      pair.exchange()
      #expect(pair.writer.invariantViolation() == nil)
      pair.pass(milliseconds: 1)
    }
  }

  @Test("A session that comes back at once stays, in the rooms that it is in now")
  func comesBackAtOnce() throws {
    var pair = try Pair()
    try pair.enter(Self.session)
    pair.pass(milliseconds: 50)
    let other = try #require(RoomName("other"))
    try pair.reader.perform(Self.open(Self.session), now: pair.now)
    try pair.reader.perform(.exit(Self.session, Pair.room), now: pair.now)
    try pair.reader.perform(.enter(Self.session, other), now: pair.now)
    pair.pass(milliseconds: 30)
    try pair.writer.perform(Self.open(Self.session), now: pair.now)
    pair.pass(milliseconds: 1000)
    for engine in [pair.writer, pair.reader] {
      #expect(engine.session(Self.session)?.host == pair.writer.origin)
      #expect(engine.session(Self.session)?.places.map(\.room) == [other])
    }
  }

  @Test("A session may leave and enter rooms at its bound, in one operation too")
  func roomsAtTheBound() throws {
    var pair = try Pair()
    try pair.enter(Self.session)
    // Somebody who follows no room: where sessions are is told beside what they say.
    try pair.reader.perform(.follow([]), now: pair.now)
    pair.pass(milliseconds: 50)
    func room(_ number: Int) throws -> RoomName { try #require(RoomName("room \(number)")) }
    for number in 1..<Limits.roomsPerSession {
      try pair.writer.perform(.enter(Self.session, room(number)), now: pair.now)
    }
    #expect(throws: OperationError.tooManyRooms(limit: Limits.roomsPerSession)) {
      try pair.writer.perform(.enter(Self.session, room(99)), now: pair.now)
    }
    for number in 1..<Limits.roomsPerSession {
      try pair.writer.perform(
        .all([.exit(Self.session, room(number)), .enter(Self.session, room(100 + number))]),
        now: pair.now)
    }
    pair.pass(milliseconds: 100)
    #expect(pair.writer.session(Self.session)?.places.count == Limits.roomsPerSession)
    #expect(pair.reader.session(Self.session)?.visits.count == Limits.roomsPerSession)
  }
}

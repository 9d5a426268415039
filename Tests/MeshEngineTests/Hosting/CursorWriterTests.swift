import MeshCRDT
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Cursors of a node's sessions")
struct CursorWriterTests {
  private let room = named("room")
  private let start = MonotonicTime(milliseconds: 1000)

  private func at(_ microseconds: UInt64) -> MonotonicTime {
    start + Span(nanoseconds: microseconds * 1000)
  }

  private static func session(_ number: Int) -> SessionID { SessionID(1, UInt64(number)) }
  private static func cursor(_ step: Int) -> Cursor {
    Cursor(column: UInt16(step & 0xFFFF), row: 0, isVisible: true, anchor: nil)
  }

  /// A writer, and the counters of its sessions.
  private struct Bench {
    var writer = CursorWriter(interval: .milliseconds(16), rest: .seconds(1))
    var counters: [SessionID: UInt64] = [:]
    var incarnation: Incarnation

    init() throws { incarnation = try TestHost.incarnation(1) }

    mutating func move(_ session: Int, _ room: RoomName, _ step: Int, _ now: MonotonicTime) {
      writer.move(
        SessionPlace(CursorWriterTests.session(session), room),
        to: CursorWriterTests.cursor(step), now: now)
    }

    mutating func take(_ now: MonotonicTime) -> [CursorFrame] {
      writer.takeFrames(incarnation, now: now) {
        counters[$0, default: 10] += 1
        return counters[$0]
      }
    }

    mutating func rests(_ now: MonotonicTime) -> [RoomChange] {
      writer.takeRests(now: now) {
        counters[$0, default: 10] += 1
        return counters[$0]
      }
    }
  }

  @Test("A first update goes at once, with the next counter of its session")
  func first() throws {
    var bench = try Bench()
    bench.move(1, room, 5, start)
    #expect(bench.writer.frameDeadline == start)
    let frames = bench.take(start)
    #expect(
      frames.map(\.updates) == [
        [CursorUpdate(session: Self.session(1), counter: 11, cursor: Self.cursor(5))]
      ])
    #expect(frames.map(\.room) == [room])
    #expect(bench.writer.frameDeadline == nil)
  }

  @Test("Further updates of a session wait for the tick, and the newest goes")
  func tick() throws {
    var bench = try Bench()
    bench.move(1, room, 1, start)
    _ = bench.take(start)
    bench.move(1, room, 2, at(3000))
    bench.move(1, room, 3, at(6000))
    #expect(bench.writer.frameDeadline == at(16_000))
    #expect(bench.take(at(15_999)).isEmpty)
    let frames = bench.take(at(16_000))
    #expect(frames.flatMap(\.updates).map(\.cursor) == [Self.cursor(3)])
    #expect(frames.flatMap(\.updates).map(\.counter) == [12])
  }

  @Test("A first update where others move goes half an interval after the last frame")
  func firstAmongOthers() throws {
    var bench = try Bench()
    bench.move(1, room, 1, start)
    _ = bench.take(start)
    bench.move(2, room, 1, at(2000))
    #expect(bench.writer.frameDeadline == at(8000))
    #expect(bench.take(at(8000)).flatMap(\.updates).map(\.session) == [Self.session(2)])
    bench.move(3, room, 1, at(18_000))
    #expect(bench.writer.frameDeadline.map { $0 <= at(18_000) } == true)
  }

  @Test(
    "A session that moves on and on is sent at most once in each interval, and its last place is")
  func rate() throws {
    var bench = try Bench()
    var sent: [(MonotonicTime, Cursor)] = []
    for step in 0..<1000 {
      let now = at(UInt64(step) * 1000)
      bench.move(1, room, step + 1, now)
      if let due = bench.writer.frameDeadline, due <= now {
        sent += bench.take(now).flatMap(\.updates).map { (now, $0.cursor) }
      }
    }
    sent += bench.take(at(1_100_000)).flatMap(\.updates).map { (at(1_100_000), $0.cursor) }
    #expect((60...64).contains(sent.count), "\(sent.count)")
    for (one, next) in zip(sent, sent.dropFirst()) {
      #expect(next.0.since(one.0) >= .milliseconds(16))
    }
    #expect(sent.last?.1 == Self.cursor(1000))
  }

  @Test("A session that was sent between two ticks waits for the tick after the next")
  func betweenTicks() throws {
    var bench = try Bench()
    bench.move(1, room, 1, start)
    _ = bench.take(start)
    bench.move(2, room, 1, at(2000))
    _ = bench.take(at(8000))
    bench.move(1, room, 2, at(9000))
    bench.move(2, room, 2, at(9000))
    #expect(bench.take(at(16_000)).flatMap(\.updates).map(\.session) == [Self.session(1)])
    #expect(bench.writer.frameDeadline == at(32_000))
    #expect(bench.take(at(32_000)).flatMap(\.updates).map(\.session) == [Self.session(2)])
  }

  @Test("One tick sends one frame for each room, and at most 64 updates in a frame")
  func frames() throws {
    var bench = try Bench()
    for number in 0..<130 { bench.move(number, named("b"), 1, start) }
    bench.move(1, named("a"), 1, start)
    let frames = bench.take(start)
    #expect(frames.first?.room == named("a"))
    let rest = frames.dropFirst()
    #expect(rest.allSatisfy { $0.room == named("b") && $0.updates.count <= CursorFrame.bound })
    #expect(rest.flatMap(\.updates).map(\.session) == (0..<130).map(Self.session))
    #expect(frames.allSatisfy { $0.encoded().count <= CursorFrame.byteBound })
    #expect(rest.count <= 4)
  }

  @Test("A cursor that does not move for a second is written with the counter of its last update")
  func rest() throws {
    var bench = try Bench()
    bench.move(1, room, 1, start)
    _ = bench.take(start)
    bench.move(1, room, 2, at(20_000))
    _ = bench.take(at(20_000))
    #expect(bench.rests(at(1_019_999)).isEmpty)
    #expect(bench.writer.restDeadline == at(1_020_000))
    #expect(
      bench.rests(at(1_020_000)) == [
        RoomChange(
          .cursor, Self.session(1), room, counter: 12,
          value: RecordValues.bytes(Self.cursor(2)))
      ])
    #expect(bench.writer.restDeadline == nil)
    // Where it is already, it does not move to.
    bench.move(1, room, 2, at(2_000_000))
    #expect(bench.writer.frameDeadline == nil)
    #expect(bench.writer.restDeadline == nil)
  }

  @Test("A cursor that left its room is not sent, and comes to no rest")
  func left() throws {
    var bench = try Bench()
    bench.move(1, room, 1, start)
    let wasThere = bench.writer.remove(SessionPlace(Self.session(1), room))
    #expect(wasThere)
    #expect(bench.take(start).isEmpty)
    #expect(bench.writer.restDeadline == nil)
    let isThere = bench.writer.remove(SessionPlace(Self.session(1), room))
    #expect(!isThere)
  }

  @Test("Of cursors that move a bounded number is sent; the others are seen when they rest")
  func bound() throws {
    var bench = try Bench()
    let bound = Limits.movingCursorsPerOrigin
    for number in 0...bound { bench.move(number, room, 1, start) }
    #expect(bench.take(start).flatMap(\.updates).count == bound)
    var rests: [RoomChange] = []
    while let due = bench.writer.restDeadline, due <= at(1_000_000) {
      rests += bench.rests(at(1_000_000))
    }
    #expect(rests.count == bound + 1)
    #expect(rests.allSatisfy { $0.change.counter == 11 })
    // There is room again.
    bench.move(bound, room, 2, at(1_100_000))
    #expect(bench.take(at(1_100_000)).flatMap(\.updates).count == 1)
  }

  @Test("Cursor updates and records of one session have rising counters")
  func countersRise() throws {
    var host = try TestHost()
    let session = Self.session(1)
    try host.open(session, rooms: [room])
    try host.perform(.moveCursor(session, room, Self.cursor(1)))
    try host.perform(.setData(session, room, [1]))
    try host.perform(.moveCursor(session, room, Self.cursor(2)))
    host.pass(.seconds(2))
    let updates = host.frames.flatMap(\.updates)
    #expect(updates.map(\.counter) == [3, 5])
    #expect(host.own(.presence, session, room)?.counter == 4)
    #expect(host.own(.cursor, session, room)?.counter == 5)
    #expect(host.hosting.snapshot(session)?.place(in: room)?.cursor == Self.cursor(2))
    try host.perform(.exit(session, room))
    host.pass(.milliseconds(50))
    #expect(host.own(.cursor, session, room) == nil)
  }
}

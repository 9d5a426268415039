import MeshCRDT
import MeshEngine
import Testing

@testable import PresenceMesh

@Suite("Cursors at a reader's pace", .timeLimit(.minutes(10)))
struct CursorPaceTests {
  private static let start = ContinuousClock.now
  private static func at(_ milliseconds: Int) -> CursorPace.Time {
    start + .milliseconds(milliseconds)
  }

  private static func move(_ session: UInt64, _ x: Int, of user: String = "ann") -> PresenceEvent {
    .cursor(user: user, session: testSession(session), Cursor(x: Double(x) / 65_535, y: 0))
  }

  private static func user(_ id: String, _ sessions: UInt64...) throws -> User {
    try #require(
      User(
        sessions: sessions.compactMap { Session(seen($0, of: id), in: .lobby, suspectSince: nil) }))
  }

  @Test("The first move passes at once, later ones at the rate, the newest and always the last")
  func rate() {
    var pace = CursorPace(gap: .milliseconds(100))
    var told: [(time: Int, event: PresenceEvent)] = []
    // A move each 8 ms, for a second; then nothing.
    for time in 0..<1300 {
      if let deadline = pace.deadline, deadline <= Self.at(time) {
        told += pace.takeDue(space: 9, now: Self.at(time)).map { (time, $0) }
      }
      guard time < 1000, time.isMultiple(of: 8) else { continue }
      let event = Self.move(1, time)
      told += pace.passing([event], space: 9, now: Self.at(time)).map { (time, $0) }
    }
    #expect(told.map(\.time) == [0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000])
    #expect(told.first?.event == Self.move(1, 0))
    #expect(told.dropFirst().first?.event == Self.move(1, 96))
    #expect(told.last?.event == Self.move(1, 992))
    #expect(pace.deadline == nil && pace.waitingCount == 0)
  }

  @Test("Sessions do not wait for one another")
  func sessions() {
    var pace = CursorPace(gap: .milliseconds(100))
    let first = pace.passing([Self.move(1, 1), Self.move(2, 1)], space: 9, now: Self.at(0))
    #expect(first == [Self.move(1, 1), Self.move(2, 1)])
    #expect(pace.passing([Self.move(2, 2), Self.move(1, 2)], space: 9, now: Self.at(60)) == [])
    #expect(pace.passing([Self.move(3, 1)], space: 9, now: Self.at(60)) == [Self.move(3, 1)])
    #expect(pace.deadline == Self.at(100))
    #expect(pace.takeDue(space: 9, now: Self.at(100)) == [Self.move(1, 2), Self.move(2, 2)])
  }

  @Test("A session that is gone moves no more, and a new one of its id begins anew")
  func gone() throws {
    var pace = CursorPace(gap: .milliseconds(100))
    for x in 1...2 {
      _ = pace.passing(
        [Self.move(1, x), Self.move(2, x), Self.move(3, x, of: "bob")], space: 9, now: Self.at(0))
    }
    #expect(pace.waitingCount == 3)
    let ends = [
      PresenceEvent.updated(try Self.user("ann", 2)), .offline(try Self.user("bob", 3)),
    ]
    #expect(pace.passing(ends, space: 0, now: Self.at(10)) == ends)
    let back = [Self.move(3, 7, of: "bob")]
    #expect(pace.passing(back, space: 9, now: Self.at(20)) == back)
    #expect(pace.takeDue(space: 9, now: Self.at(100)) == [Self.move(2, 2)])
    #expect(pace.waitingCount == 0)
  }

  @Test("Moves wait until the reader has room for them")
  func noRoom() {
    var pace = CursorPace(gap: .milliseconds(100))
    let moves = (1...5 as ClosedRange<UInt64>).map { Self.move($0, 1) }
    #expect(pace.passing(moves, space: 2, now: Self.at(0)) == Array(moves[..<2]))
    #expect(pace.takeDue(space: 0, now: Self.at(100)) == [])
    #expect(pace.takeDue(space: 1, now: Self.at(200)) == [moves[2]])
    #expect(pace.takeDue(space: 9, now: Self.at(300)) == Array(moves[3...]))
    #expect(pace.deadline != nil && pace.waitingCount == 0)
    #expect(pace.takeDue(space: 9, now: Self.at(400)) == [])
    #expect(pace.deadline == nil)
  }

  @Test("Cursors alone make no slow reader lag, and it gets the last positions")
  func slowReader() async throws {
    let hub = Hub(node: testNode(1))
    let sessions = 1...40 as ClosedRange<UInt64>
    for session in sessions { hub.handle(.appeared(seen(session, of: "u\(session)"))) }
    let pace = CursorPace(gap: .milliseconds(10))
    let events = PresenceEvents(
      hub: hub, scope: .room(.lobby), capacity: 16, pace: pace, mesh: nil)
    var reader = events.makeAsyncIterator()
    guard case .snapshot(var snapshot) = await reader.next() else {
      Issue.record("the first event is no snapshot")
      return
    }
    // 200 moves of each, while nothing is read.
    for x in 1...200 {
      for session in sessions {
        hub.handle(
          .cursor(testSession(session), .lobby, Cursor(x: Double(x) / 65_535, y: 0)))
      }
    }
    var count = 0
    while snapshot != hub.snapshot(.room(.lobby)) {
      let event = try #require(await reader.next())
      #expect(event.kind == "cursor")
      snapshot.apply(event)
      count += 1
    }
    #expect(count <= 80, "each was told once and then at its last position: \(count)")
    hub.finish()
    #expect(await reader.next() == nil)
  }

  @Test("A reader that ends leaves nothing behind")
  func ends() async throws {
    let hub = Hub(node: testNode(1))
    hub.handle(.appeared(seen(1, of: "ann")))
    do {
      let events = PresenceEvents(
        hub: hub, scope: .room(.lobby), capacity: 16, pace: CursorPace(gap: .milliseconds(1)),
        mesh: nil)
      var reader = events.makeAsyncIterator()
      _ = await reader.next()
      for x in 1...9 { hub.handle(.cursor(testSession(1), .lobby, Cursor(x: Double(x) / 9, y: 0))) }
      #expect(hub.pacedCount == 1)
    }
    #expect(hub.pacedCount == 0 && hub.readerCount == 0)
  }

  @Test("120 moves a second come at the rate that a reader at another node asks for")
  func overSockets() async throws {
    try await withMesh(of: 2) { nodes in
      let room = nodes[1].room(name("board"))
      let session = try await nodes[0].openSession(Profile(userID: "ann"))
      try await session.enter(name("board"))
      try await eventually("the other node sees her") { room.isOnline("ann") }
      let last = Cursor(x: 1, y: 0.5)
      let rates: [Int?] = [10, nil]
      let seen = Shared<[Int: [Cursor]]>([:])
      let begun = Shared(0)
      try await withThrowingTaskGroup { group in
        for (index, rate) in rates.enumerated() {
          let events = rate.map { room.events(cursorsPerSecond: $0) } ?? room.events
          group.addTask {
            for await event in events {
              if case .snapshot = event { begun.change { $0 += 1 } }
              guard case .cursor(_, _, let cursor) = event else { continue }
              seen.change { $0[index, default: []].append(cursor) }
              if cursor == last { return }
            }
          }
        }
        try await eventually("both read") { begun.now == 2 }
        let began = ContinuousClock.now
        for step in 1...120 {
          let due = began + .microseconds(step * 8333)
          try await Task.sleep(until: due, clock: .continuous)
          let cursor = step == 120 ? last : Cursor(x: Double(step) / 240, y: 0.5)
          try await session.moveCursor(to: cursor, in: name("board"))
        }
        try await group.waitForAll()
        // However long it took here: a rate is a rate, and the first one comes at once.
        let (seconds, rest) = (ContinuousClock.now - began).components
        let time = Double(seconds) + Double(rest) * 1e-18
        let counts = [0, 1].map { seen.now[$0]?.count ?? 0 }
        #expect(1...Int(10 * time + 1) ~= counts[0], "\(counts) in \(time) s")
        #expect(1...Int(61 * time + 1) ~= counts[1], "\(counts) in \(time) s")
        #expect(counts[0] < counts[1], "\(counts)")
        #expect(seen.now[0]?.last == last && seen.now[1]?.last == last)
      }
    }
  }
}

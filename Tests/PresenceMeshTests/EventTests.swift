import MeshCRDT
import MeshEngine
import Testing

@testable import PresenceMesh

@Suite("The events of a mesh", .timeLimit(.minutes(10)))
struct EventTests {
  private let here = name("here")

  @Test("A reader gets a snapshot first, then the changes")
  func snapshotFirst() async throws {
    let hub = Hub(node: testNode(1))
    hub.handle(.appeared(seen(1, of: "ann")))
    var reader = hub.events().makeAsyncIterator()
    guard case .snapshot(let snapshot) = await reader.next() else {
      Issue.record("the first event is no snapshot")
      return
    }
    #expect(snapshot.users.map(\.id) == ["ann"])
    #expect(snapshot.nodes == [testNode(1): .online])
    hub.handle(.appeared(seen(2, of: "bob")))
    hub.handle(.changed(seen(2, of: "bob", status: .busy)))
    hub.handle(.cursor(testSession(2), .lobby, Cursor(x: 0, y: 1)))
    hub.handle(.node(testNode(2), .online))
    hub.handle(.stale(true))
    hub.handle(.disappeared(testSession(2)))
    hub.handle(.forgotten(testNode(2)))
    var expected = [
      "online", "status", "cursor", "node", "stale", "offline", "nodeForgotten", "cloned",
    ]
    let incarnation = try #require(Incarnation(counter: 2, nonce: 1))
    hub.handle(.cloned(incarnation))
    hub.handle(.contradicted(testNode(3), incarnation))
    expected.append("contradicted")
    var kinds: [String] = []
    for _ in expected { kinds.append(await reader.next()?.kind ?? "") }
    #expect(kinds == expected)
  }

  @Test("Readers of a room and of a user see theirs only")
  func scopes() async {
    let hub = Hub(node: testNode(1))
    var room = hub.events(.room(here)).makeAsyncIterator()
    var ann = hub.events(.user("ann")).makeAsyncIterator()
    _ = await room.next()
    _ = await ann.next()
    hub.handle(.appeared(seen(1, of: "ann")))
    hub.handle(.appeared(seen(2, of: "bob", in: here)))
    hub.handle(.node(testNode(2), .online))
    hub.handle(.disappeared(testSession(1)))
    hub.finish()
    var seenInRoom: [String] = []
    while let event = await room.next() { seenInRoom.append(event.kind) }
    #expect(seenInRoom == ["online"])
    var seenOfAnn: [String] = []
    while let event = await ann.next() { seenOfAnn.append(event.kind) }
    #expect(seenOfAnn == ["online", "offline"])
  }

  @Test("A slow reader is told that it lagged, and gets the latest state")
  func slowReader() async {
    let hub = Hub(node: testNode(1))
    let subscription = hub.subscribe(.mesh, capacity: 8)
    _ = hub.open(subscription.mailbox, for: .mesh)
    var reader = hub.events(buffer: 8).makeAsyncIterator()
    _ = await reader.next()
    for number in 0..<1000 as Range<UInt64> {
      hub.handle(.appeared(seen(number, of: "u\(number)")))
      #expect(subscription.mailbox.count <= 8)
    }
    #expect(await reader.next() == .lagged)
    // What happens between the signal and the snapshot is in the snapshot.
    hub.handle(.appeared(seen(1000, of: "u1000")))
    guard case .snapshot(let snapshot) = await reader.next() else {
      Issue.record("no snapshot after lagging")
      return
    }
    #expect(snapshot == hub.snapshot())
    #expect(snapshot.roster.userCount == 1001)
    hub.handle(.disappeared(testSession(7)))
    #expect(await reader.next()?.kind == "offline")
  }

  @Test("Replaying the events gives the snapshot, whoever reads how slowly", arguments: 0..<12)
  func replayEqualsSnapshot(seed: UInt64) async throws {
    let hub = Hub(node: testNode(0))
    let scopes: [Hub.Scope] = [.mesh, .room(here), .user("u1"), .mesh]
    let replicas = Shared<[Int: PresenceSnapshot]>([:])
    let lags = Shared(0)
    try await withThrowingDiscardingTaskGroup { group in
      for (index, scope) in scopes.enumerated() {
        let events = hub.events(scope, buffer: index == 3 ? 2 : 64)
        group.addTask {
          for await event in events {
            if event == .lagged { lags.change { $0 += 1 } }
            replicas.change { replicas in
              if case .snapshot(let snapshot) = event { replicas[index] = snapshot }
              replicas[index]?.apply(event)
            }
            if index == 3 { await Task.yield() }
          }
        }
      }
      try await eventually("all readers have begun") { replicas.now.count == 4 }
      await drive(hub, seed: seed)
      for (index, scope) in scopes.enumerated() {
        try await eventually("reader \(index) sees what is there") {
          replicas.now[index] == hub.snapshot(scope)
        }
      }
      hub.finish()
    }
    #expect(lags.now > 0, "nobody was too slow: the test shows nothing")
  }

  @Test("Nothing comes between a snapshot and the first event after it")
  func snapshotAndEventsAreOneStep() async {
    let hub = Hub(node: testNode(1))
    let isOver = Shared(false)
    // Changes of one status, numbered by its time, come from another thread all the while.
    async let events: Void = {
      var number: UInt64 = 0
      while !isOver.now {
        number += 1
        let status: Status = number.isMultiple(of: 2) ? .busy : .away
        hub.handle(.changed(seen(1, of: "ann", status: status, counter: number)))
      }
    }()
    func number(_ user: User?) -> UInt64 { user?.statusChangedAt?.milliseconds ?? 0 }
    var opened = 0
    while opened < 3000 {
      let subscription = hub.subscribe(.mesh, capacity: 100_000)
      let before = number(hub.open(subscription.mailbox, for: .mesh).user("ann"))
      guard before > 0 else { continue }
      opened += 1
      guard case .element(.status(let user)) = await subscription.mailbox.take() else {
        Issue.record("another event than a change of status")
        break
      }
      #expect(number(user) == before + 1)
    }
    isOver.change { $0 = true }
    await events
  }

  /// Random events of a small mesh.
  private func drive(_ hub: Hub, seed: UInt64) async {
    var state = seed
    func draw(_ bound: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % bound
    }
    for counter in 1...400 as ClosedRange<UInt64> {
      let number = draw(6)
      switch draw(6) {
      case 0...1:
        hub.handle(
          .changed(
            seen(
              number, of: "u\(number % 3)", on: draw(3), in: draw(2) == 0 ? here : nil,
              status: Status.allCases[Int(draw(6))], counter: counter)))
      case 2: hub.handle(.disappeared(testSession(number)))
      case 3:
        hub.handle(
          .cursor(
            testSession(number), draw(2) == 0 ? here : .lobby, Cursor(x: Double(draw(9)) / 8, y: 0))
        )
      case 4:
        hub.handle(.node(testNode(draw(3)), [.online, .suspect, .offline, .left][Int(draw(4))]))
      default: hub.handle(.stale(draw(2) == 0))
      }
      if draw(8) == 0 { await Task.yield() }
    }
  }

  @Test("Many readers each get everything")
  func manyReaders() async {
    let hub = Hub(node: testNode(1))
    let counts = await withTaskGroup(of: Int.self) { group in
      for _ in 0..<50 {
        let events = hub.events(buffer: 1000)
        group.addTask {
          var users: Set<String> = []
          for await event in events {
            switch event {
            case .snapshot(let snapshot): users.formUnion(snapshot.users.map(\.id))
            case .online(let user): users.insert(user.id)
            default: break
            }
            if users.count == 100 { break }
          }
          return users.count
        }
      }
      for number in 0..<100 as Range<UInt64> {
        hub.handle(.appeared(seen(number, of: "u\(number)")))
        await Task.yield()
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(counts == Array(repeating: 100, count: 50))
    #expect(hub.readerCount == 0)
  }

  @Test("A reader that is let go or cancelled leaves nothing behind")
  func letGo() async {
    let hub = Hub(node: testNode(1))
    do {
      var reader = hub.events().makeAsyncIterator()
      _ = await reader.next()
      #expect(hub.readerCount == 1)
    }
    #expect(hub.readerCount == 0)
    let task = Task { for await _ in hub.events() {} }
    while hub.readerCount == 0 { await Task.yield() }
    task.cancel()
    await task.value
    #expect(hub.readerCount == 0)
  }

  @Test("After the end there are no events")
  func afterTheEnd() async {
    let hub = Hub(node: testNode(1))
    hub.finish()
    for await _ in hub.events() { Issue.record("an event after the end") }
    #expect(hub.subscribe(session: testSession(1), capacity: 1).mailbox.takeAll() == [])
    #expect(hub.readerCount == 0)
  }

  @Test("A session of this node learns what happens to it, until it ends")
  func sessionEvents() async {
    let hub = Hub(node: testNode(1))
    let mine = hub.subscribe(session: testSession(1), capacity: 16)
    let other = hub.subscribe(session: testSession(2), capacity: 16)
    hub.own(testSession(1), user: "ann")
    hub.own(testSession(2), user: "ann")
    hub.handle(.restored(testSession(1)))
    hub.handle(.moved(testSession(1), to: testNode(2)))
    hub.handle(.restored(testSession(1)))
    #expect(mine.mailbox.takeAll() == [.restored, .moved(to: testNode(2))])
    #expect(other.mailbox.takeAll() == [])
    #expect(hub.ownSessions(of: "ann") == [testSession(2)])
    hub.handle(.leaseEnded(testSession(2)))
    #expect(other.mailbox.takeAll() == [.leaseEnded])
    #expect(hub.ownSessions(of: "ann") == [])
  }

  @Test("A node that is silent makes its users suspect, and back")
  func suspects() async {
    let hub = Hub(node: testNode(1))
    hub.handle(.appeared(seen(1, of: "ann", on: 2)))
    hub.handle(.node(testNode(2), .suspect))
    #expect(hub.roster(.lobby).user("ann")?.isSuspect == true)
    hub.handle(.node(testNode(2), .online))
    #expect(hub.roster(.lobby).user("ann")?.isSuspect == false)
  }
}

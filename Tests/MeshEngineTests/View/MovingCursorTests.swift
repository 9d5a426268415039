import MeshCRDT
import MeshEngine
import MeshWire
import Testing

private let room = viewRooms[1]
private let ann = viewSession(1)

private func present() -> ViewWorld {
  var world = ViewWorld(origins: 1)
  world.host(ann, slot: 0, in: room, counter: 5)
  world.workAll()
  return world
}

@Suite("Moving cursors of the view")
struct MovingCursorTests {
  @Test("A cursor update is reported at once")
  func updateIsReported() {
    var world = present()
    let outcome = world.move(slot: 0, ann, in: room, counter: 6, 1)
    #expect(outcome.events == [.cursor(ann, room, viewCursor(1))])
    #expect(!world.view.hasWork)
    #expect(world.view.snapshot(world.records) == world.reader.snapshot)
  }

  @Test("An update from before the present stay is not news", arguments: [4, 5])
  func updateOfEarlierStayIsNotNews(counter: UInt64) {
    var world = present()
    #expect(world.move(slot: 0, ann, in: room, counter: counter, 1).news == 0)
    #expect(world.cursor(ann, in: room) == nil)
  }

  @Test("A cursor never goes back", arguments: [true, false])
  func cursorNeverGoesBack(isAtRest: Bool) {
    var world = present()
    world.move(slot: 0, ann, in: room, counter: 8, 8)
    if isAtRest {
      world.write(slot: 0, EntryKey(.cursor, ann), in: room, counter: 8, ViewValue.cursor(8))
      world.workAll()
    }
    let update = CursorUpdate(session: ann, counter: 7, cursor: viewCursor(7))
    #expect(!world.view.isWanted([update], in: room, slot: 0, world.records))
    #expect(world.move(slot: 0, ann, in: room, counter: 7, 7).news == 0)
    #expect(world.move(slot: 0, ann, in: room, counter: 8, 8).news == 0)
    #expect(world.cursor(ann, in: room) == viewCursor(8))
    #expect(world.move(slot: 0, ann, in: room, counter: 9, 9).news == 1)
    #expect(world.cursor(ann, in: room) == viewCursor(9))
  }

  @Test("A cursor that comes to rest where it was reported makes no event")
  func restIsNoEvent() {
    var world = present()
    world.move(slot: 0, ann, in: room, counter: 8, 8)
    world.write(slot: 0, EntryKey(.cursor, ann), in: room, counter: 8, ViewValue.cursor(8))
    #expect(world.view.work(budget: 64, world.records) == [])
    // Whoever missed the last update hears of it.
    world.write(slot: 0, EntryKey(.cursor, ann), in: room, counter: 9, ViewValue.cursor(9))
    #expect(
      world.view.work(budget: 64, world.records) == [.cursor(ann, room, viewCursor(9))])
  }

  @Test("A record at rest from before the last update leaves the cursor where it is")
  func lateRestIsOutweighed() {
    var world = present()
    world.move(slot: 0, ann, in: room, counter: 8, 8)
    world.write(slot: 0, EntryKey(.cursor, ann), in: room, counter: 7, ViewValue.cursor(7))
    #expect(world.view.work(budget: 64, world.records) == [])
    #expect(world.cursor(ann, in: room) == viewCursor(8))
  }

  @Test("A record at rest that goes, and comes back, leaves a later update where it is")
  func restGoesAndComes() {
    var world = present()
    let rest = EntryKey(.cursor, ann)
    world.write(slot: 0, rest, in: room, counter: 7, ViewValue.cursor(7))
    world.workAll()
    world.move(slot: 0, ann, in: room, counter: 8, 8)
    // As when the log is put back to a checkpoint from before it, and what was said since is applied again.
    world.write(slot: 0, rest, in: room, counter: 7, nil)
    world.write(slot: 0, rest, in: room, counter: 7, ViewValue.cursor(7))
    #expect(world.view.work(budget: 64, world.records) == [])
    #expect(world.cursor(ann, in: room) == viewCursor(8))
  }

  @Test("A cursor goes with the presence, and does not come back with the next one")
  func cursorGoesWithPresence() {
    var world = present()
    world.move(slot: 0, ann, in: room, counter: 8, 8)
    let presence = EntryKey(.presence, ann)
    world.write(slot: 0, presence, in: room, counter: 9, nil)
    world.write(slot: 0, presence, in: room, counter: 10, ViewValue.presence(entered: 10))
    world.workAll()
    #expect(world.reader.sessions[ann]?.place(in: room) != nil)
    #expect(world.cursor(ann, in: room) == nil)
  }

  @Test("An update of the next stay that came before the end of the last one is not forgotten")
  func updateOutlivesEarlierStay() {
    var world = present()
    world.move(slot: 0, ann, in: room, counter: 9, 9)
    let presence = EntryKey(.presence, ann)
    world.write(slot: 0, presence, in: room, counter: 6, nil)
    world.workAll()
    world.write(slot: 0, presence, in: room, counter: 7, ViewValue.presence(entered: 7))
    world.workAll()
    #expect(world.cursor(ann, in: room) == viewCursor(9))
    // So one from before it is not news.
    #expect(world.move(slot: 0, ann, in: room, counter: 8, 8).news == 0)
    #expect(world.cursor(ann, in: room) == viewCursor(9))
  }

  @Test("Cursors of a hidden origin are dropped, and its updates are not wanted")
  func hiddenOriginHasNoCursors() {
    var world = present()
    world.move(slot: 0, ann, in: room, counter: 8, 8)
    world.view.visibility(slot: 0, isVisible: false)
    world.workAll()
    let update = CursorUpdate(session: ann, counter: 9, cursor: viewCursor(9))
    #expect(!world.view.isWanted([update], in: room, slot: 0, world.records))
    world.view.visibility(slot: 0, isVisible: true)
    world.workAll()
    #expect(world.reader.sessions[ann] != nil)
    #expect(world.cursor(ann, in: room) == nil)
  }

  @Test("An update that comes before the presence to which it belongs waits for it")
  func earlyUpdateWaits() {
    var world = present()
    let other = viewRooms[2]
    let update = CursorUpdate(session: ann, counter: 7, cursor: viewCursor(7))
    #expect(world.view.isWanted([update], in: other, slot: 0, world.records))
    #expect(world.move(slot: 0, ann, in: other, counter: 7, 7).news == 0)
    // The same again is not.
    #expect(!world.view.isWanted([update], in: other, slot: 0, world.records))
    world.write(
      slot: 0, EntryKey(.presence, ann), in: other, counter: 6, ViewValue.presence(entered: 6))
    world.workAll()
    #expect(world.cursor(ann, in: other) == viewCursor(7))
  }

  @Test("Of the updates that wait for a presence the oldest goes")
  func earlyUpdatesAreBounded() {
    var world = present()
    for number in 0...32 {
      world.move(slot: 0, viewSession(100 + number), in: room, counter: 7, 7)
    }
    for number in [0, 1] {
      world.host(viewSession(100 + number), slot: 0, in: room, counter: 6)
    }
    world.workAll()
    #expect(world.cursor(viewSession(100), in: room) == nil)
    #expect(world.cursor(viewSession(101), in: room) == viewCursor(7))
  }

  @Test("Beyond the bound of an origin new cursors are refused, and known ones go on")
  func boundRefusesNewCursors() {
    var world = ViewWorld(origins: 1)
    let count = Limits.movingCursorsPerOrigin
    for number in 0...count { world.host(viewSession(number), slot: 0, in: room, counter: 1) }
    world.workAll()
    for number in 0..<count {
      #expect(world.move(slot: 0, viewSession(number), in: room, counter: 2, 2).news == 1)
    }
    let refused = world.move(slot: 0, viewSession(count), in: room, counter: 2, 2)
    #expect(refused.refused == 1 && refused.news == 0)
    #expect(world.move(slot: 0, viewSession(3), in: room, counter: 3, 3).news == 1)
    world.write(
      slot: 0, EntryKey(.cursor, viewSession(3)), in: room, counter: 3, ViewValue.cursor(3))
    #expect(world.move(slot: 0, viewSession(count), in: room, counter: 2, 2).news == 1)
  }

  @Test("A cursor in a room from which its session was removed is not reported")
  func removedSessionHasNoCursor() {
    var world = present()
    #expect(world.move(slot: 0, ann, in: room, counter: 6, 6).events.count == 1)
    #expect(world.move(slot: 0, ann, in: room, counter: 7, 7).events.count == 1)
    let removal = EntryKey(.removal, ann, room: room)
    world.write(slot: 0, removal, counter: 5, ViewValue.removal)
    world.workAll()
    #expect(world.move(slot: 0, ann, in: room, counter: 8, 8).events == [])
    #expect(world.move(slot: 0, ann, in: room, counter: 9, 9).events == [])
    #expect(world.view.snapshot(world.records) == world.reader.snapshot)
    // Taken back, it is there again.
    world.write(slot: 0, removal, counter: 6, nil)
    world.workAll()
    #expect(world.move(slot: 0, ann, in: room, counter: 10, 10).events.count == 1)
    #expect(world.view.snapshot(world.records) == world.reader.snapshot)
  }

  @Test("An update of a session that waits comes with the change")
  func updateOfWaitingSessionComesWithIt() {
    var world = present()
    world.write(
      slot: 0, EntryKey(.presence, ann), in: room, counter: 6,
      ViewValue.presence(entered: 5, message: "new"))
    #expect(world.move(slot: 0, ann, in: room, counter: 8, 8).events == [])
    #expect(world.view.snapshot(world.records) == world.reader.snapshot)
    world.work()
    #expect(world.cursor(ann, in: room) == viewCursor(8))
  }
}

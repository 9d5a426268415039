import MeshCRDT
import MeshEngine
import MeshWire
import Testing

private let room = viewRooms[1]
private let ann = viewSession(1)

/// A batch of the host that a session leaves (0) or of the one that it comes to (1).
private struct MoveBatch: Sendable {
  let slot: Int
  let entries: [(entry: EntryKey, room: RoomName, counter: UInt64, value: [UInt8]?)]

  init(_ slot: Int, _ entries: [(EntryKey, RoomName, UInt64, [UInt8]?)]) {
    self.slot = slot
    self.entries = entries.map { ($0, $1, $2, $3) }
  }
}

extension ViewWorld {
  fileprivate mutating func apply(_ batch: MoveBatch) {
    apply(
      slot: batch.slot,
      batch.entries.map { entry, room, counter, value in
        { $0.write(slot: batch.slot, entry, in: room, counter: counter, value) }
      })
  }
}

private let presence = EntryKey(.presence, ann)
private let cursor = EntryKey(.cursor, ann)
private let occupancy = EntryKey(.occupancy, ann, room: room)

/// What the new host writes, the room's log first.
private let arrivals = [
  MoveBatch(
    1,
    [
      (presence, room, 7, ViewValue.presence(entered: 7)), (cursor, room, 7, ViewValue.cursor(3)),
    ]),
  MoveBatch(
    1, [(EntryKey(.session, ann), .lobby, 7, ViewValue.session()), (occupancy, .lobby, 7, [])]),
]
/// What the old host writes once it has heard of that.
private let departures = [
  MoveBatch(0, [(presence, room, 8, nil), (cursor, room, 8, nil)]),
  MoveBatch(0, [(EntryKey(.session, ann), .lobby, 8, nil), (occupancy, .lobby, 8, nil)]),
]

/// All orders of some things.
private func orders<Item>(_ items: [Item]) -> [[Item]] {
  guard items.count > 1 else { return [items] }
  return items.indices.flatMap { index in
    var rest = items
    let first = rest.remove(at: index)
    return orders(rest).map { [first] + $0 }
  }
}

private func hosted() -> ViewWorld {
  var world = ViewWorld(origins: 2)
  world.host(ann, slot: 0, in: room, counter: 5)
  world.write(slot: 0, occupancy, counter: 5, [])
  world.write(slot: 0, cursor, in: room, counter: 6, ViewValue.cursor(3))
  world.workAll()
  return world
}

@Suite("The view of a session that moves")
struct SessionMoveTests {
  @Test(
    "A move is never seen as an end, in whatever order the batches come, when the new host's are first"
  )
  func moveIsSeamless() {
    for arrival in orders(arrivals) {
      for departure in orders(departures) {
        var world = hosted()
        for batch in arrival + departure {
          world.apply(batch)
          world.workAll()
          #expect(world.reader.sessions[ann]?.isIn(room) == true)
          #expect(world.view.current(ann, world.records) == world.reader.sessions[ann])
        }
        #expect(world.reader.sessions[ann]?.host == world.records.origin(slot: 1))
        #expect(world.cursor(ann, in: room) == viewCursor(3))
        #expect(world.reader.faults == [])
      }
    }
  }

  @Test(
    "The old host's words between the new host's do not end the session either, once it is there")
  func interleavedMoveIsSeamless() {
    let batches = (arrivals + departures).enumerated().map { ($0, $1) }
    var count = 0
    for order in orders(batches) {
      let place = order.map(\.0)
      // The new host's session record is there before the old host's words are gone.
      guard let session = place.firstIndex(of: 1), place.prefix(session).allSatisfy({ $0 == 0 })
      else { continue }
      count += 1
      var world = hosted()
      for (_, batch) in order {
        world.apply(batch)
        world.workAll()
        #expect(world.reader.sessions[ann]?.isIn(room) == true)
      }
      #expect(world.reader.faults == [])
    }
    #expect(count == 8)
  }

  @Test("Batches that come in one turn are one change, in whatever order")
  func moveInOneTurnIsOneChange() {
    for order in orders(arrivals + departures) {
      var world = hosted()
      for batch in order { world.apply(batch) }
      let events = world.view.work(budget: 64, world.records)
      #expect(events.count == 1)
      guard case .changed(let session) = events.first else {
        Issue.record("\(events)")
        continue
      }
      #expect(session.host == world.records.origin(slot: 1) && session.isIn(room))
    }
  }

  @Test("A session whose new host is hidden is shown at the old one, as long as that one has it")
  func hiddenHostGivesWay() {
    var world = hosted()
    for batch in arrivals { world.apply(batch) }
    world.workAll()
    world.view.visibility(slot: 1, isVisible: false)
    world.workAll()
    #expect(world.reader.sessions[ann]?.host == world.records.origin(slot: 0))
    #expect(world.view.lastKnown(ann, world.records)?.host == world.records.origin(slot: 0))
    world.view.visibility(slot: 0, isVisible: false)
    world.workAll()
    #expect(world.reader.sessions[ann] == nil)
    #expect(world.view.lastKnown(ann, world.records)?.host == world.records.origin(slot: 1))
  }
}

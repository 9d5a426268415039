import MeshCRDT
import MeshWire
import Testing

@testable import MeshEngine

private let room = viewRooms[1]
private let ann = viewSession(1)

@Suite("The view of sessions")
struct SessionViewTests {
  @Test("Of the visible origins the one with the highest counter is the host, then the highest id")
  func hostIsHighestStamp() {
    var world = ViewWorld(origins: 3, visible: 2)
    for slot in 0..<3 { world.host(ann, slot: slot, in: room, counter: slot == 2 ? 9 : 5) }
    world.workAll()
    #expect(world.view.host(of: ann, world.records) == 1)
    #expect(world.reader.sessions[ann]?.host == world.records.origin(slot: 1))
    world.view.visibility(slot: 2, isVisible: true)
    world.workAll()
    #expect(world.reader.sessions[ann]?.host == world.records.origin(slot: 2))
  }

  @Test("A removal with the host's counter hides a session, whatever another host says")
  func removalHides() {
    var world = ViewWorld(origins: 3)
    world.host(ann, slot: 0, in: room, counter: 5)
    world.host(ann, slot: 1, in: room, counter: 9)
    let removal = EntryKey(.removal, ann)
    world.write(slot: 2, removal, counter: 8, ViewValue.removal)
    world.workAll()
    #expect(world.reader.sessions[ann] != nil)
    world.write(slot: 2, removal, counter: 9, ViewValue.removal)
    world.workAll()
    #expect(world.reader.sessions[ann] == nil)
    world.write(slot: 2, removal, counter: 10, nil)
    world.workAll()
    #expect(world.reader.sessions[ann] != nil)
  }

  @Test("Above a removal a session is shown with what it said in the lobby before")
  func lobbyAboveRemoval() {
    for room in [RoomName.lobby, room] {
      var world = ViewWorld(origins: 2)
      world.host(ann, slot: 0, in: room, counter: 5)
      world.write(slot: 1, EntryKey(.removal, ann, room: room), counter: 6, ViewValue.removal)
      world.write(slot: 0, EntryKey(.session, ann), counter: 7, ViewValue.session())
      world.workAll()
      // Out of another room it is ordered until it enters again.
      #expect(world.reader.sessions[ann]?.rooms == (room.isLobby ? [room] : []))
    }
  }

  @Test("The removal of a hidden origin counts")
  func removalOfHiddenOriginCounts() {
    var world = ViewWorld(origins: 2, visible: 1)
    world.write(slot: 1, EntryKey(.removal, ann), counter: 5, ViewValue.removal)
    world.host(ann, slot: 0, in: room, counter: 5)
    world.workAll()
    #expect(world.reader.sessions.isEmpty)
  }

  @Test("A session whose record does not decode is not visible, and no other host is looked at")
  func garbageIsNotShown() {
    var world = ViewWorld(origins: 2)
    world.host(ann, slot: 0, in: room, counter: 5)
    world.workAll()
    #expect(world.reader.sessions[ann] != nil)
    world.write(slot: 1, EntryKey(.session, ann), counter: 6, ViewValue.garbage)
    world.workAll()
    #expect(world.reader.sessions[ann] == nil)
  }

  @Test("A room with an occupancy record alone is listed without values")
  func occupancyStandsForPresence() {
    var world = ViewWorld(origins: 1)
    world.write(slot: 0, EntryKey(.session, ann), counter: 5, ViewValue.session())
    world.write(slot: 0, EntryKey(.occupancy, ann, room: room), counter: 5, [])
    world.workAll()
    #expect(world.reader.sessions[ann]?.visits == [room])
    world.write(
      slot: 0, EntryKey(.presence, ann), in: room, counter: 5, ViewValue.presence(entered: 5))
    world.workAll()
    #expect(world.reader.sessions[ann]?.visits == [])
    #expect(world.reader.sessions[ann]?.places.map(\.room) == [room])
  }

  @Test("Of a session in too many rooms only so many are read")
  func roomsAreBounded() {
    struct Crowd: RecordReading {
      let base: ViewRecords
      func origin(slot: Int) -> OriginID? { base.origin(slot: slot) }
      func homes(of session: SessionID) -> [SessionHome] {
        let rooms = (1000..<2000).compactMap { RoomName("\($0)") }
        return [SessionHome(slot: 0, rooms: rooms)]
      }
      func record(_ key: EntryKey, in room: RoomName, slot: Int) -> StoredRecord? {
        base.reads.count += 1
        guard key.kind == .presence else { return base.record(key, in: room, slot: slot) }
        return StoredRecord(
          version: 1, counter: 1, value: ViewValue.presence(entered: 1)[...])
      }
      func removals(
        of session: SessionID, from room: RoomName
      ) -> [(slot: Int, record: StoredRecord)] { [] }
      func sessions(slot: Int) -> [SessionID] { base.sessions(slot: slot) }
    }
    var world = ViewWorld(origins: 1)
    world.write(slot: 0, EntryKey(.session, ann), counter: 5, ViewValue.session())
    let records = Crowd(base: world.records)
    let current = world.view.current(ann, records)
    #expect(current?.places.count == SessionView.roomBound)
    #expect(records.base.reads.count < 4 * SessionView.roomBound)
  }

  @Test("What is written again and says the same is not reported")
  func repackedRecordIsNotReported() {
    var world = ViewWorld(origins: 1)
    world.host(ann, slot: 0, in: room, counter: 5)
    world.workAll()
    world.host(ann, slot: 0, in: room, counter: 5)
    #expect(!world.view.hasWork)
    // Away and back again before it was reported.
    world.write(slot: 0, EntryKey(.session, ann), counter: 6, nil)
    world.write(slot: 0, EntryKey(.session, ann), counter: 5, ViewValue.session())
    #expect(world.view.hasWork)
    world.workAll()
    #expect(world.reader.faults == [])
    #expect(world.reader.sessions[ann] != nil)
  }

  @Test(
    "An origin that is forgotten takes its sessions along, whether or not they were reported away")
  func forgottenOriginGoes() {
    var world = ViewWorld(origins: 2)
    for number in 0..<50 { world.host(viewSession(number), slot: 0, in: room, counter: 5) }
    world.host(ann, slot: 1, in: room, counter: 3)
    world.workAll()
    #expect(world.view.isReported(slot: 0))
    world.view.visibility(slot: 0, isVisible: false)
    world.reader.read(world.view.forgotten(slot: 0, world.records))
    #expect(!world.view.isReported(slot: 0))
    #expect(world.reader.sessions.keys.sorted() == [ann])
    #expect(world.reader.sessions[ann]?.host == world.records.origin(slot: 1))
    #expect(!world.view.hasWork)
  }

  @Test("The status counter of a user is the highest of all origins, hidden ones too")
  func statusCounterIsHighest() {
    var world = ViewWorld(origins: 3, visible: 1)
    for slot in 0..<3 {
      world.write(
        slot: slot, EntryKey(.session, viewSession(slot)), counter: 1,
        ViewValue.session(user: slot == 2 ? "bob" : "ann"))
    }
    for (slot, counter) in [(0, 4), (1, 7), (2, 9)] {
      world.write(
        slot: slot, EntryKey(.presence, viewSession(slot)), in: room, counter: 2,
        ViewValue.presence(entered: 1, status: UInt64(counter)))
    }
    #expect(world.view.statusCounter(ofUser: "ann") == 7)
    #expect(world.view.statusCounter(ofUser: "bob") == 9)
    #expect(world.view.statusCounter(ofUser: "eve") == 0)
    world.write(slot: 1, EntryKey(.presence, viewSession(1)), in: room, counter: 3, nil)
    #expect(world.view.statusCounter(ofUser: "ann") == 7)
  }

  @Test(
    "A presence that comes before its session counts for the user once the session is evaluated")
  func earlyPresenceCounts() {
    var world = ViewWorld(origins: 1)
    world.write(
      slot: 0, EntryKey(.presence, ann), in: room, counter: 2,
      ViewValue.presence(entered: 1, status: 6))
    #expect(world.view.statusCounter(ofUser: "ann") == 0)
    world.write(slot: 0, EntryKey(.session, ann), counter: 1, ViewValue.session())
    world.workAll()
    #expect(world.view.statusCounter(ofUser: "ann") == 6)
  }
}

@Suite("Status counters of users")
struct UserStatusCountersTests {
  @Test(
    "A user who was written or asked for stays, and one who was not goes when others need the room")
  func boundKeepsUsersInUse() {
    var counters = UserStatusCounters(hashKey: viewKey, bound: 10)
    counters.note(7, of: "kept")
    counters.note(7, of: "forgotten")
    for number in 0..<40 {
      counters.note(3, of: "user \(number)")
      if number % 5 == 0 { #expect(counters.highest(of: "kept") == 7) }
    }
    #expect(counters.highest(of: "forgotten") == 0)
    #expect(counters.highest(of: "user 39") == 3)
  }

  @Test("A lower counter does not lower what is known, in whichever generation it is")
  func counterNeverFalls() {
    var counters = UserStatusCounters(hashKey: viewKey, bound: 10)
    counters.note(7, of: "ann")
    counters.note(5, of: "ann")
    #expect(counters.highest(of: "ann") == 7)
    for number in 0..<10 { counters.note(3, of: "user \(number)") }
    counters.note(6, of: "ann")
    #expect(counters.highest(of: "ann") == 7)
  }
}

@Suite("The view in slices")
struct SessionViewSliceTests {
  private static let count = 30_000

  private static func crowded() -> ViewWorld {
    var world = ViewWorld(origins: 2, visible: 0)
    world.apply(
      slot: 0,
      (0..<count).map { number in
        {
          $0.write(
            slot: 0, EntryKey(.session, viewSession(number)), counter: 1, ViewValue.session())
        }
      })
    return world
  }

  @Test("A change of visibility costs nothing at once, and each slice looks at so many sessions")
  func slicesAreBounded() {
    var world = Self.crowded()
    let records = CountedPages(base: world.records)
    #expect(!world.view.hasWork)
    for isVisible in [true, false] {
      world.view.visibility(slot: 0, isVisible: isVisible)
      var calls = 0
      var most = 0
      while world.view.hasWork {
        let before = world.records.reads.count
        world.reader.read(world.view.work(budget: 64, records))
        most = max(most, world.records.reads.count - before)
        calls += 1
      }
      #expect(world.reader.sessions.count == (isVisible ? Self.count : 0))
      #expect(calls >= Self.count / 64 && calls <= Self.count / 64 + 3)
      #expect(most <= 64 * 4)
    }
    #expect(world.reader.faults == [])
  }

  @Test("Changes of records do not wait for a scan, and a scan does not wait for them for ever")
  func scanAndQueueShare() {
    var world = Self.crowded()
    let records = CountedPages(base: world.records)
    world.view.visibility(slot: 0, isVisible: true)
    world.view.visibility(slot: 1, isVisible: true)
    _ = world.view.work(budget: 64, records)
    var changes: [AppliedChange] = []
    for number in 0..<200 {
      changes.append(
        world.records.write(
          slot: 1, EntryKey(.session, viewSession(1_000_000 + number)), counter: 1,
          ViewValue.session()))
    }
    let now = CountedPages(base: world.records, sorted: records.sorted)
    _ = world.view.changed(slot: 1, changes, now)
    let before = world.view.sessionCount
    let events = world.view.work(budget: 64, now)
    #expect(events.count == 64)
    let ofQueue = events.count {
      if case .appeared(let session) = $0 { session.id.low >= 1_000_000 } else { false }
    }
    #expect(ofQueue == 48)
    #expect(world.view.sessionCount == before + 64)
  }

  @Test("A session that waits is evaluated once, whatever changes meanwhile")
  func waitingSessionsAreCoalesced() {
    var world = ViewWorld(origins: 1)
    world.host(ann, slot: 0, in: room, counter: 5)
    world.workAll()
    for number in 0..<40 {
      world.write(
        slot: 0, EntryKey(.presence, ann), in: room, counter: 6,
        ViewValue.presence(entered: 5, message: "\(number)"))
    }
    let events = world.view.work(budget: 64, world.records)
    #expect(events.count == 1)
    #expect(!world.view.hasWork)
  }

  @Test("Sessions are reported in the order in which they changed")
  func orderIsThatOfChanges() {
    var world = ViewWorld(origins: 1)
    let numbers = [5, 3, 9, 1, 7, 2, 8]
    for number in numbers { world.host(viewSession(number), slot: 0, in: room, counter: 1) }
    world.host(viewSession(9), slot: 0, in: room, counter: 2)
    let events = world.view.work(budget: 64, world.records)
    let order = events.compactMap {
      if case .appeared(let session) = $0 { session.id } else { nil }
    }
    #expect(order == numbers.map(viewSession))
  }

  @Test("When too many sessions wait, the oldest are reported at once")
  func waitingSessionsAreBounded() {
    var world = ViewWorld(origins: 1)
    world.view = SessionView(hashKey: viewKey, waitingBound: 10)
    world.view.visibility(slot: 0, isVisible: true)
    for number in 0..<25 { world.host(viewSession(number), slot: 0, in: room, counter: 1) }
    #expect(world.reader.sessions.keys.sorted() == (0..<15).map(viewSession).sorted())
    #expect(world.view.work(budget: 64, world.records).count == 10)
  }

  @Test("A hidden origin is settled once its sessions are reported away")
  func hiddenOriginSettles() {
    var world = ViewWorld(origins: 1)
    for number in 0..<20 { world.host(viewSession(number), slot: 0, in: room, counter: 1) }
    world.workAll()
    #expect(world.view.isSettled(slot: 0))
    world.view.visibility(slot: 0, isVisible: false)
    world.work(10)
    #expect(!world.view.isSettled(slot: 0))
    world.workAll()
    #expect(world.view.isSettled(slot: 0) && !world.view.isReported(slot: 0))
  }

  @Test("A session with too many changes that wait is reported at once, and rightly")
  func crowdedSessionIsReported() {
    var world = ViewWorld(origins: 80)
    world.host(ann, slot: 0, in: room, counter: 5)
    world.workAll()
    for slot in 1..<80 {
      world.write(slot: slot, EntryKey(.removal, ann, room: room), counter: 6, ViewValue.removal)
      let reported = world.view.snapshot(world.records)
      #expect(world.reader.snapshot == reported)
    }
    // Before the queue had its turn.
    #expect(world.reader.sessions[ann]?.places == [])
  }
}

/// Records whose sessions are sorted once.
private struct CountedPages: RecordReading {
  let base: ViewRecords
  let sorted: [[SessionID]]

  init(base: ViewRecords, sorted: [[SessionID]]? = nil) {
    self.base = base
    self.sorted = sorted ?? base.origins.indices.map { base.sessions(slot: $0) }
  }

  func origin(slot: Int) -> OriginID? { base.origin(slot: slot) }
  func homes(of session: SessionID) -> [SessionHome] { base.homes(of: session) }
  func record(_ key: EntryKey, in room: RoomName, slot: Int) -> StoredRecord? {
    base.record(key, in: room, slot: slot)
  }
  func removals(
    of session: SessionID, from room: RoomName
  ) -> [(slot: Int, record: StoredRecord)] { base.removals(of: session, from: room) }
  func sessions(slot: Int) -> [SessionID] { sorted[slot] }
  func sessions(slot: Int, after last: SessionID?, atMost bound: Int) -> [SessionID] {
    let sessions = sorted[slot]
    var low = 0
    var high = sessions.count
    while let last, low < high {
      let middle = (low + high) / 2
      if sessions[middle] <= last { low = middle + 1 } else { high = middle }
    }
    return Array(sessions[low...].prefix(bound))
  }
}

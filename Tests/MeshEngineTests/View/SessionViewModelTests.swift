import MeshCRDT
import MeshEngine
import MeshWire
import Testing

/// What should be visible, worked out from everything at once.
private struct ViewModel {
  struct CursorKey: Hashable {
    let slot: Int
    let session: SessionID
    let room: RoomName
  }

  var isVisible: Set<Int> = []
  var cursors: [CursorKey: MovingCursor] = [:]

  static func presence(
    _ key: CursorKey, _ records: ViewRecords
  ) -> PresenceValue? {
    records.record(EntryKey(.presence, key.session), in: key.room, slot: key.slot)
      .flatMap { RecordValues.presence(from: $0.value) }
  }

  static func floor(_ key: CursorKey, _ records: ViewRecords) -> UInt64? {
    guard let presence = presence(key, records) else { return nil }
    let rest = records.record(EntryKey(.cursor, key.session), in: key.room, slot: key.slot)
    return max(presence.enteredCounter, rest?.counter ?? 0)
  }

  /// True when it is news.
  mutating func move(_ key: CursorKey, _ cursor: MovingCursor, _ records: ViewRecords) -> Bool {
    guard isVisible.contains(key.slot), let floor = Self.floor(key, records),
      cursor.counter > floor, cursors[key].map(cursor.wins(over:)) ?? true
    else { return false }
    cursors[key] = cursor
    return true
  }

  mutating func settle(_ records: ViewRecords, isKept: (Int) -> Bool) {
    cursors = cursors.filter { key, cursor in
      // Without a presence it waits for the next one.
      isKept(key.slot) && Self.floor(key, records).map { cursor.counter > $0 } ?? true
    }
  }

  func snapshot(_ records: ViewRecords) -> [SessionSnapshot] {
    let sessions = isVisible.flatMap { records.sessions(slot: $0) }
    return Set(sessions).sorted().compactMap { snapshot($0, records) }
  }

  private func snapshot(_ session: SessionID, _ records: ViewRecords) -> SessionSnapshot? {
    var hosts: [(counter: UInt64, origin: OriginID, slot: Int, record: StoredRecord)] = []
    for slot in isVisible {
      guard let origin = records.origin(slot: slot),
        let record = records.record(EntryKey(.session, session), in: .lobby, slot: slot)
      else { continue }
      hosts.append((record.counter, origin, slot, record))
    }
    guard let host = hosts.max(by: { ($0.counter, $0.origin) < ($1.counter, $1.origin) }),
      !isRemoved(session, .lobby, host.counter, records),
      let value = RecordValues.session(from: host.record.value)
    else { return nil }
    var places: [SessionSnapshot.Place] = []
    var occupied: [RoomName] = []
    for room in viewRooms {
      let key = CursorKey(slot: host.slot, session: session, room: room)
      if records.record(EntryKey(.presence, session), in: room, slot: host.slot) == nil {
        let entry = EntryKey(.occupancy, session, room: room)
        guard !room.isLobby, let record = records.record(entry, in: .lobby, slot: host.slot),
          record.value.isEmpty, !isRemoved(session, room, record.counter, records)
        else { continue }
        occupied.append(room)
      } else if let presence = Self.presence(key, records),
        room.isLobby || !isRemoved(session, room, presence.enteredCounter, records)
      {
        places.append(
          .init(room: room, presence: presence, cursor: cursor(key, presence, records)))
      }
    }
    return SessionSnapshot(
      id: session, host: host.origin, value: value, places: places, visits: occupied)
  }

  private func cursor(
    _ key: CursorKey, _ presence: PresenceValue, _ records: ViewRecords
  ) -> Cursor? {
    if let moving = cursors[key] { return moving.cursor }
    let rest = records.record(EntryKey(.cursor, key.session), in: key.room, slot: key.slot)
    guard let rest, rest.counter >= presence.enteredCounter else { return nil }
    return RecordValues.cursor(from: rest.value)
  }

  private func isRemoved(
    _ session: SessionID, _ room: RoomName, _ counter: UInt64, _ records: ViewRecords
  ) -> Bool {
    records.removals(of: session, from: room).contains {
      $0.record.counter >= counter && $0.record.value.count == 1
    }
  }
}

/// A view, the model, and random steps.
private struct ViewRun {
  private static let origins = 4
  private static let sessions = 6

  private var world = ViewWorld(origins: origins, visible: 0)
  private var model = ViewModel()
  private var random: ViewRandom
  private var nextOrigin: UInt64 = 100
  private(set) var eventful = 0

  init(seed: UInt64) { random = ViewRandom(seed: seed) }

  mutating func step() {
    let before = world.reader.snapshot
    let slot = random.below(Self.origins)
    switch random.below(20) {
    case 0..<9: write(slot)
    case 9..<12: move(slot)
    case 12, 13: setVisible(slot, random.below(3) > 0)
    case 14:
      if random.below(8) == 0 { forget(slot) }
    default: world.work(1 + random.below(5))
    }
    let view = world.view
    let visible = model.isVisible
    model.settle(world.records) { visible.contains($0) || view.isReported(slot: $0) }
    if world.reader.snapshot != before { eventful += 1 }
  }

  private mutating func setVisible(_ slot: Int, _ isVisible: Bool) {
    guard world.records.origin(slot: slot) != nil else { return }
    if isVisible { model.isVisible.insert(slot) } else { model.isVisible.remove(slot) }
    world.view.visibility(slot: slot, isVisible: isVisible)
  }

  private mutating func forget(_ slot: Int) {
    model.isVisible.remove(slot)
    world.view.visibility(slot: slot, isVisible: false)
    let changes = world.records.forget(slot: slot)
    let events = world.view.changed(slot: slot, changes, world.records)
    world.reader.read(events)
    world.reader.read(world.view.forgotten(slot: slot, world.records))
    nextOrigin += 1
    // Ids do not follow the numbers, so that ties are settled by the ids.
    world.records.open(OriginID(nextOrigin * 7919 % 256, nextOrigin, 0, 0), slot: slot)
  }

  private mutating func move(_ slot: Int) {
    let key = ViewModel.CursorKey(
      slot: slot, session: viewSession(random.below(Self.sessions)),
      room: viewRooms[random.below(viewRooms.count)])
    let counter = 1 + random.next() % 12
    let number = random.below(4)
    let isNews =
      ViewModel.floor(key, world.records) != nil
      && model.move(
        key, MovingCursor(counter: counter, cursor: viewCursor(number)), world.records)
    // Updates for presences that are still to come have a test of their own.
    guard ViewModel.floor(key, world.records) != nil else { return }
    let outcome = world.move(
      slot: slot, key.session, in: key.room, counter: counter, number)
    #expect((outcome.news == 1) == isNews)
  }

  private mutating func write(_ slot: Int) {
    guard world.records.origin(slot: slot) != nil else { return }
    var writes: [(inout ViewRecords) -> AppliedChange] = []
    for _ in 0...random.below(4) {
      let session = viewSession(random.below(Self.sessions))
      let counter = 1 + random.next() % 12
      let room = viewRooms[random.below(viewRooms.count)]
      let (entry, log, value) = record(session, room)
      writes.append { $0.write(slot: slot, entry, in: log, counter: counter, value) }
    }
    world.apply(slot: slot, writes)
  }

  private mutating func record(
    _ session: SessionID, _ room: RoomName
  ) -> (EntryKey, RoomName, [UInt8]?) {
    let isGone = random.below(4) == 0
    let isGarbage = random.below(10) == 0
    func value(_ bytes: [UInt8]) -> [UInt8]? {
      isGone ? nil : isGarbage ? ViewValue.garbage : bytes
    }
    let number = random.below(4)
    switch random.below(8) {
    case 0...2:
      // A session record in another log than the lobby's counts for nothing.
      let log = random.below(12) == 0 ? room : .lobby
      return (EntryKey(.session, session), log, value(ViewValue.session(device: "\(number)")))
    case 3, 4:
      let entered = 1 + random.next() % 12
      return (
        EntryKey(.presence, session), room,
        value(ViewValue.presence(entered: entered, message: "\(number)"))
      )
    case 5: return (EntryKey(.cursor, session), room, value(ViewValue.cursor(number)))
    case 6: return (EntryKey(.occupancy, session, room: room), .lobby, value([]))
    default: return (EntryKey(.removal, session, room: room), .lobby, value(ViewValue.removal))
    }
  }

  /// What does not hold now; `nil` when all is well.
  func violation() -> String? {
    if let fault = world.reader.faults.first { return "an event without a change: \(fault)" }
    let reported = world.view.snapshot(world.records)
    if let difference = difference(world.reader.snapshot, reported) {
      return "replayed and reported differ: \(difference)"
    }
    if world.view.sessionCount != reported.count { return "another count" }
    guard !world.view.hasWork else { return nil }
    let expected = model.snapshot(world.records)
    return difference(reported, expected).map { "the records say otherwise: \($0)" }
  }

  /// The first session that two snapshots do not have alike.
  private func difference(
    _ left: [SessionSnapshot], _ right: [SessionSnapshot]
  ) -> String? {
    guard left != right else { return nil }
    let ids = Set(left.map(\.id)).union(right.map(\.id)).sorted()
    for id in ids {
      let (left, right) = (left.first { $0.id == id }, right.first { $0.id == id })
      if left != right {
        return "\(String(describing: left)) and \(String(describing: right))"
      }
    }
    return "their order"
  }

  mutating func finish() { world.workAll() }
}

@Suite("The view, against a model")
struct SessionViewModelTests {
  @Test(
    "Events replayed at any point give the snapshot, and in the end what the records say",
    arguments: 0..<20)
  func replayGivesSnapshot(seed: Int) {
    var run = ViewRun(seed: UInt64(seed))
    for step in 0..<600 {
      run.step()
      if let violation = run.violation() {
        Issue.record("step \(step): \(violation)")
        return
      }
    }
    run.finish()
    #expect(run.violation() == nil)
    #expect(run.eventful > 40)
  }
}

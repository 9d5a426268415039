import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Batches and checkpoints of a node")
struct WriterTests {
  private let room = named("room")
  private let start = MonotonicTime(milliseconds: 1000)

  private static func session(_ number: Int) -> SessionID { SessionID(1, UInt64(number)) }

  private static func change(
    _ number: Int, _ room: RoomName = .lobby, counter: UInt64 = 1, bytes: Int? = 10
  ) -> RoomChange {
    RoomChange(
      room.isLobby ? .session : .presence, session(number), room, counter: counter,
      value: bytes.map { [UInt8](repeating: 7, count: $0) })
  }

  private static func writer(_ interval: Span = .milliseconds(10)) throws -> BatchWriter {
    BatchWriter(incarnation: try TestHost.incarnation(3), interval: interval)
  }

  /// Takes what is due and keeps what lives.
  private static func take(
    _ writer: inout BatchWriter, _ live: inout Set<SessionPlaceKey>, now: MonotonicTime
  ) -> [WrittenBatch] {
    let known = live
    let written = writer.take(now: now) { known.contains(SessionPlaceKey(key: $0, room: $1)) }
    for batch in written {
      for change in batch.batch.changes {
        let key = SessionPlaceKey(key: change.key, room: batch.place.room)
        if change.value == nil { live.remove(key) } else { live.insert(key) }
      }
    }
    return written
  }

  private struct SessionPlaceKey: Hashable {
    let key: EntryKey
    let room: RoomName
  }

  @Test("A first change goes at once, further ones together when the interval is over")
  func pace() throws {
    var writer = try Self.writer()
    var live: Set<SessionPlaceKey> = []
    #expect(writer.deadline == nil)
    writer.add(Self.change(1), now: start)
    #expect(writer.deadline == start)
    #expect(Self.take(&writer, &live, now: start).count == 1)
    writer.add(Self.change(2), now: start + .milliseconds(2))
    writer.add(Self.change(3), now: start + .milliseconds(5))
    #expect(writer.deadline == start + .milliseconds(10))
    #expect(Self.take(&writer, &live, now: start + .milliseconds(9)).isEmpty)
    let written = Self.take(&writer, &live, now: start + .milliseconds(10))
    #expect(written.map(\.batch.changes.count) == [2])
    #expect(writer.deadline == nil)
  }

  @Test("Of several changes of one key the newest is written")
  func newestWins() throws {
    var writer = try Self.writer()
    var live: Set<SessionPlaceKey> = []
    for counter in 1...5 as ClosedRange<UInt64> {
      writer.add(Self.change(1, counter: counter), now: start)
    }
    let written = Self.take(&writer, &live, now: start)
    #expect(written.flatMap(\.batch.changes).map(\.counter) == [5])
  }

  @Test("A record that was never written and is removed again costs nothing")
  func unwrittenCostsNothing() throws {
    var writer = try Self.writer()
    var live: Set<SessionPlaceKey> = []
    writer.add(Self.change(1), now: start)
    writer.add(Self.change(1, counter: 2, bytes: nil), now: start)
    #expect(Self.take(&writer, &live, now: start).isEmpty)
    #expect(writer.version == 0)
    #expect(writer.deadline == nil)
  }

  @Test(
    "Versions are numbered over all rooms, and each batch names the version of its log before it")
  func versions() throws {
    var writer = try Self.writer()
    var live: Set<SessionPlaceKey> = []
    var written: [WrittenBatch] = []
    for (step, changes) in [
      [Self.change(1), Self.change(1, room), Self.change(2, room)],
      [Self.change(3), Self.change(3, room)],
      [Self.change(1, room, bytes: nil), Self.change(2, room, bytes: nil)],
      [Self.change(3, room, bytes: nil)],
      [Self.change(4, room)],
    ].enumerated() {
      let now = start + .seconds(UInt64(step))
      for change in changes { writer.add(change, now: now) }
      written += Self.take(&writer, &live, now: now)
    }
    #expect(
      written.map {
        [$0.place.previous, $0.place.versions.lowerBound, $0.place.versions.upperBound]
      }
        == [[0, 1, 2], [0, 3, 3], [2, 4, 4], [3, 5, 5], [4, 6, 7], [7, 8, 8], [0, 9, 9]])
    #expect(
      written.map(\.place.room) == [room, .lobby, room, .lobby, room, room, room])
    #expect(written.map(\.logVersion) == [2, 3, 4, 5, 7, 0, 9])
    #expect(written.allSatisfy { $0.batch.first == $0.place.versions.lowerBound })
    #expect(written.allSatisfy { $0.batch.previous == $0.place.previous })
    #expect(writer.logCount == 2)
  }

  @Test("Every batch fits into a datagram, and none is split without need")
  func batchesFit() throws {
    var writer = try Self.writer()
    var live: Set<SessionPlaceKey> = []
    for number in 0..<100 {
      writer.add(Self.change(number, room, bytes: number.isMultiple(of: 7) ? 500 : 30), now: start)
    }
    let written = Self.take(&writer, &live, now: start)
    #expect(written.flatMap(\.batch.changes).count == 100)
    var next: RecordChange?
    for batch in written.reversed() {
      let bytes = batch.batch.encoded().count
      #expect(bytes <= Batch.byteBound)
      if let next {
        let isFull =
          batch.batch.changes.count == Batch.bound || bytes + next.byteCount > Batch.byteBound
        #expect(isFull)
      }
      next = batch.batch.changes.first
    }
    #expect(written.map(\.place.versions.upperBound).last == 100)
  }

  @Test("A flush of many batches goes in slices, one behind the other")
  func slices() throws {
    var writer = try Self.writer()
    var live: Set<SessionPlaceKey> = []
    let count = 64 * (HostingLimits.batchesPerFlush + 5)
    // 64 records of this size fit into one batch.
    for number in 0..<count { writer.add(Self.change(number, bytes: 0), now: start) }
    writer.add(Self.change(0, room, bytes: 0), now: start)
    let first = Self.take(&writer, &live, now: start)
    #expect(first.count == HostingLimits.batchesPerFlush)
    #expect(first.first?.place.room == room)
    #expect(writer.deadline == start)
    writer.add(Self.change(1, room, bytes: 0), now: start)
    let second = Self.take(&writer, &live, now: start)
    #expect(second.allSatisfy { $0.place.room.isLobby })
    #expect(live.count == count + 1)
    #expect(writer.deadline == start + .milliseconds(10))
    #expect(Self.take(&writer, &live, now: start + .milliseconds(10)).count == 1)
  }

  @Test("In one flush a room's removals come before what is written, and the lobby comes last")
  func order() throws {
    var writer = try Self.writer()
    var live: Set<SessionPlaceKey> = []
    let (a, b) = (named("a"), named("b"))
    for change in [Self.change(1), Self.change(1, b)] { writer.add(change, now: start) }
    _ = Self.take(&writer, &live, now: start)
    let now = start + .seconds(1)
    for change in [
      Self.change(2), Self.change(2, a), Self.change(2, b), Self.change(1, bytes: nil),
      Self.change(1, b, bytes: nil),
    ] { writer.add(change, now: now) }
    let written = Self.take(&writer, &live, now: now)
    #expect(written.map(\.place.room) == [b, a, .lobby])
    #expect(
      written.map { $0.batch.changes.map { $0.value == nil } } == [
        [true, false], [false], [true, false],
      ])
  }

  @Test("At the bound of sessions one may leave and another open in one flush and one operation")
  func atTheBound() throws {
    var host = try TestHost()
    let opens = (0..<Limits.sessionsPerOrigin).map { number in
      LocalOperation.open(
        Self.session(number), Profile(userID: "u"), device: "", .attached,
        at: WallTime(milliseconds: 0))
    }
    // The fake's tables are slow at this size: only the writer is asked.
    let mesh = FakeMesh()
    _ = try host.hosting.perform(.all(opens), mesh, now: host.now)
    let new = Self.session(Limits.sessionsPerOrigin)
    let open = LocalOperation.open(
      new, Profile(userID: "u"), device: "", .attached, at: WallTime(milliseconds: 0))
    #expect(throws: OperationError.tooManySessions(limit: Limits.sessionsPerOrigin)) {
      _ = try host.hosting.perform(open, mesh, now: host.now)
    }
    #expect(throws: OperationError.tooManySessions(limit: Limits.sessionsPerOrigin)) {
      _ = try host.hosting.perform(
        .all([.leave(Self.session(9)), open, open, opens[9]]), mesh, now: host.now)
    }
    #expect(host.hosting.hostedCount == Limits.sessionsPerOrigin)
    _ = try host.hosting.perform(.all([.leave(Self.session(9)), open]), mesh, now: host.now)
    #expect(host.hosting.hostedCount == Limits.sessionsPerOrigin)
    #expect(host.hosting.isConcerned(with: new))
    var written = 0
    while let due = host.hosting.batchDeadline, due <= host.now {
      for batch in host.hosting.takeBatches(mesh, now: host.now) {
        written += batch.batch.changes.count
      }
    }
    #expect(written == Limits.sessionsPerOrigin)
  }

  @Test("A writer whose versions are used up stops, and goes on with another incarnation")
  func restart() throws {
    var writer = try Self.writer()
    var live: Set<SessionPlaceKey> = []
    writer.add(Self.change(1), now: start)
    _ = Self.take(&writer, &live, now: start)
    writer.restart(try TestHost.incarnation(4))
    #expect(writer.deadline == nil)
    live = []
    writer.add(Self.change(1), now: start)
    let written = Self.take(&writer, &live, now: start)
    #expect(written.map(\.place.versions) == [1...1])
    #expect(written.map(\.place.previous) == [0])
    #expect(written.map(\.place.incarnation.counter) == [4])
  }
}

@Suite("When a checkpoint is due, and what it names")
struct CheckpointWriterTests {
  private let start = MonotonicTime(milliseconds: 1000)

  private static func writer() throws -> CheckpointWriter {
    CheckpointWriter(
      incarnation: try TestHost.incarnation(1), delay: .milliseconds(40),
      delayAtMost: .milliseconds(500))
  }

  private static func batch(
    _ room: RoomName, _ version: UInt64, isEmpty: Bool = false
  ) throws -> WrittenBatch {
    let incarnation = try TestHost.incarnation(1)
    let change = RecordChange(EntryKey(.presence, SessionID(1, 1)), counter: 1, value: [])
    return WrittenBatch(
      place: try #require(
        BatchPlace(
          incarnation: incarnation, room: room, previous: 0, first: version, count: 1)),
      batch: Batch(
        incarnation: incarnation, room: room, previous: 0, first: version, changes: [change]),
      logVersion: isEmpty ? 0 : version)
  }

  @Test("A checkpoint is due 40 ms after the last change, at the latest 500 ms after the first")
  func due() throws {
    var writer = try Self.writer()
    #expect(writer.deadline == nil)
    writer.note(try Self.batch(.lobby, 1), now: start)
    #expect(writer.deadline == start + .milliseconds(40))
    for step in 1...16 as ClosedRange<UInt64> {
      let now = start + .milliseconds(30 * step)
      writer.note(try Self.batch(.lobby, 1 + step), now: now)
      #expect(writer.deadline == start + .milliseconds(step < 16 ? 30 * step + 40 : 500))
    }
    let checkpoint = writer.take()
    #expect(checkpoint.version == 17)
    #expect(checkpoint.sequence == 1)
    #expect(writer.deadline == nil)
  }

  @Test("A checkpoint is due at once when it is demanded, and at leaving")
  func demanded() throws {
    var writer = try Self.writer()
    writer.note(try Self.batch(.lobby, 1), now: start)
    writer.demand(now: start + .milliseconds(5))
    #expect(writer.deadline == start + .milliseconds(5))
    #expect(!writer.take().isLeaving)
    #expect(writer.deadline == nil)
    writer.leave(now: start + .milliseconds(9))
    #expect(writer.deadline == start + .milliseconds(9))
    let last = writer.take()
    #expect(last.isLeaving)
    #expect(last.sequence == 2)
  }

  @Test(
    "A checkpoint names the rooms that changed since the one before, with their versions"
  )
  func names() throws {
    var writer = try Self.writer()
    let (a, b) = (named("a"), named("b"))
    for batch in [
      try Self.batch(b, 1), try Self.batch(a, 2), try Self.batch(b, 3),
      try Self.batch(a, 4, isEmpty: true), try Self.batch(.lobby, 5),
    ] { writer.note(batch, now: start) }
    let first = writer.take()
    #expect(
      first.changed == [
        Checkpoint.ChangedRoom(room: .lobby, version: 5),
        Checkpoint.ChangedRoom(room: a, version: 0), Checkpoint.ChangedRoom(room: b, version: 3),
      ])
    writer.note(try Self.batch(a, 6), now: start)
    #expect(writer.take().changed == [Checkpoint.ChangedRoom(room: a, version: 6)])
    let empty = writer.take()
    #expect(empty.changed.isEmpty)
    #expect(empty.version == 6)
  }

  @Test("Of more rooms than a checkpoint can name one too many is kept, so that it says so")
  func namesMany() throws {
    for (count, kept) in [(64, 64), (65, 65), (1000, 65)] {
      var writer = try Self.writer()
      for number in 1...count {
        writer.note(try Self.batch(named("\(number)"), UInt64(number)), now: start)
      }
      #expect(writer.take().changed.count == kept)
    }
    #expect(Checkpoint.changedBound == 64)
  }

  @Test("Another incarnation counts its checkpoints from 1, and the first is due at once")
  func restart() throws {
    var writer = try Self.writer()
    writer.note(try Self.batch(.lobby, 1), now: start)
    _ = writer.take()
    writer.restart(try TestHost.incarnation(2), now: start)
    #expect(writer.deadline == start)
    let checkpoint = writer.take()
    #expect(checkpoint.sequence == 1 && checkpoint.version == 0)
    #expect(checkpoint.incarnation.counter == 2)
  }
}

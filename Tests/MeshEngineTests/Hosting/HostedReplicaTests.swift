import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

/// A hash that is good enough to tell trees apart.
private struct FastHash: TreeHash {
  func hash128(_ bytes: [UInt8]) -> Hash128 {
    Hash128(
      SipHash.hash(bytes, key: HashKey(1, 2)), SipHash.hash(bytes, key: HashKey(3, 4)) | 1)
  }
  func hash256(_ bytes: [UInt8]) -> Hash256 {
    Hash256(hash128(bytes), hash128(bytes + [7]))
  }
}

/// A mesh of this node alone, with a real replica of its own records.
private struct OwnReplica: MeshReading {
  var replica: OriginReplica
  var ownSlot: Int { 0 }
  var ownUsage: OriginUsage { replica.usage }
  func origin(slot: Int) -> OriginID? { FakeMesh.origin(0) }
  func slot(of origin: OriginID) -> Int? { 0 }
  func isVisible(slot: Int) -> Bool { true }
  func isComplete(slot: Int) -> Bool { true }
  func movingCursor(of session: SessionID, in room: RoomName, slot: Int) -> Cursor? { nil }
  func statusCounter(of user: String) -> UInt64 { 0 }
  func homes(of session: SessionID) -> [SessionHome] { [] }
  func record(_ key: EntryKey, in room: RoomName, slot: Int) -> StoredRecord? {
    replica.record(key, in: room)
  }
  func removals(of session: SessionID, from room: RoomName) -> [(slot: Int, record: StoredRecord)] {
    []
  }
  func sessions(slot: Int) -> [SessionID] { [] }
}

@Suite("What a node writes, applied to replicas")
struct HostedReplicaTests {
  private let key = HashKey(5, 6)

  @Test(
    "Any operations, in batches that come in any order of rooms, are complete at every checkpoint",
    arguments: 1...8 as ClosedRange<UInt64>)
  func anyOperations(seed: UInt64) throws {
    var random = RandomSource(seed: seed)
    let incarnation = try TestHost.incarnation(1)
    var own = OwnReplica(replica: OriginReplica(incarnation: incarnation, hashKey: key))
    var other = own.replica
    var hosting = Hosting(
      origin: FakeMesh.origin(0),
      configuration: EngineConfiguration(
        mesh: try #require(MeshID(bytes: [UInt8](repeating: 7, count: 16))),
        incarnation: incarnation, seed: (1, 2, 3, seed)))
    var now = MonotonicTime(milliseconds: 1000)
    var onTheWay: [WrittenBatch] = []
    var checkpoints = 0
    var emptied = 0
    for step in 0..<4500 {
      if step == 1500 { hosting.beginOccupancy() }
      // Half of what is asked for is refused: not there, or there already.
      _ = try? hosting.perform(Self.operation(&random), own, now: now)
      now = now + .milliseconds(UInt64(random.below(12)))
      if let due = hosting.deadline, due <= now { _ = hosting.advance(own, now: now) }
      if let due = hosting.batchDeadline, due <= now {
        for written in hosting.takeBatches(own, now: now) {
          #expect(written.batch.encoded().count <= Batch.byteBound)
          #expect(written.batch.changes.allSatisfy { $0.isWellFormed(in: written.place.room) })
          guard case .applied = own.replica.apply(written.place, written.batch.changes) else {
            Issue.record("an own batch is not applied")
            return
          }
          #expect(
            own.replica.logs[written.place.room]?.version == written.place.versions.upperBound)
          let isEmpty = own.replica.logs[written.place.room]?.tree.isEmpty ?? true
          #expect(isEmpty == (written.logVersion == 0))
          if isEmpty { emptied += 1 }
          onTheWay.append(written)
        }
      }
      guard let due = hosting.checkpointDeadline, due <= now else { continue }
      let draft = hosting.takeCheckpoint()
      checkpoints += 1
      #expect(draft.sequence == UInt64(checkpoints))
      for written in Self.shuffled(onTheWay, &random) {
        guard case .applied = other.apply(written.place, written.batch.changes) else {
          // What began the log anew came first.
          #expect(other.apply(written.place, written.batch.changes) == .known)
          continue
        }
      }
      onTheWay = []
      let facts = CheckpointFacts(
        incarnation: incarnation, sequence: draft.sequence, version: draft.version,
        root: own.replica.root(FastHash()))
      #expect(own.replica.evaluate(facts, FastHash()) == .complete)
      #expect(other.evaluate(facts, FastHash()) == .complete)
    }
    #expect(checkpoints > 50 && emptied > 50 && own.replica.recordCount > 0)
  }

  @Test(
    "A session that ends and one that opens, at the bound of sessions, pass no bound in between")
  func changeAtTheBound() throws {
    let incarnation = try TestHost.incarnation(1)
    var bounds = OriginBounds()
    (bounds.sessions, bounds.records, bounds.rooms) = (200, 600, 3)
    var own = OwnReplica(
      replica: OriginReplica(incarnation: incarnation, hashKey: key, bounds: bounds))
    var hosting = Hosting(
      origin: FakeMesh.origin(0),
      configuration: EngineConfiguration(
        mesh: try #require(MeshID(bytes: [UInt8](repeating: 7, count: 16))),
        incarnation: incarnation, seed: (1, 2, 3, 4)))
    var now = MonotonicTime(milliseconds: 1000)
    func open(_ number: UInt64) -> [LocalOperation] {
      [
        .open(
          SessionID(0, number), Profile(userID: "u"), device: "", .attached,
          at: WallTime(milliseconds: 1)),
        .enter(SessionID(0, number), named("room \(number % 2)")),
        .setStatus(
          SessionID(0, number), .lobby, .busy, message: nil, at: WallTime(milliseconds: 1)),
      ]
    }
    for step: UInt64 in 0..<100 {
      var operations: [LocalOperation] = []
      if step == 0 {
        for number: UInt64 in 0..<200 { operations += open(number) }
      } else {
        for number in 2 * step - 2...2 * step - 1 {
          // Also where what opens stands before what ends.
          let leave = LocalOperation.leave(SessionID(0, number))
          operations += step % 2 == 0 ? [leave] + open(200 + number) : open(200 + number) + [leave]
        }
      }
      _ = try hosting.perform(.all(operations), own, now: now)
      while let due = hosting.batchDeadline {
        now = max(now, due)
        for written in hosting.takeBatches(own, now: now) {
          guard case .applied = own.replica.apply(written.place, written.batch.changes) else {
            Issue.record("an own batch is not applied")
            return
          }
        }
      }
      let draft = hosting.takeCheckpoint()
      let facts = CheckpointFacts(
        incarnation: incarnation, sequence: draft.sequence, version: draft.version,
        root: own.replica.root(FastHash()))
      #expect(own.replica.evaluate(facts, FastHash()) == .complete)
      #expect(own.replica.usage.sessions == 200)
      now = now + .milliseconds(20)
    }
  }

  private static func operation(_ random: inout RandomSource) -> LocalOperation {
    let session = SessionID(0, UInt64(random.below(20)))
    let room = named(["", "a", "b", "c", "d"][random.below(5)])
    let time = WallTime(milliseconds: 5)
    switch random.below(12) {
    case 0, 1:
      return .open(
        session, Profile(userID: "u\(session.low)"), device: "",
        random.chance(0.5) ? .attached : .leased(timeToLive: .milliseconds(200)), at: time)
    case 2: return .leave(session)
    case 3, 4: return .enter(session, room)
    case 5, 6: return .exit(session, room)
    case 7: return .setStatus(session, room, .busy, message: nil, at: time)
    case 8:
      return .setData(session, room, [UInt8](repeating: 1, count: random.below(385)))
    case 9:
      return .moveCursor(session, room, Cursor(x: random.unit(), y: 0.5))
    case 10:
      return .all([
        .exit(session, named("a")), .enter(session, room), .setTyping(session, room, true),
      ])
    default: return .remove(session, from: room, isFinal: random.chance(0.2))
    }
  }

  /// The batches in another order; those of one room keep theirs.
  private static func shuffled(
    _ batches: [WrittenBatch], _ random: inout RandomSource
  ) -> [WrittenBatch] {
    var rooms: [RoomName: [WrittenBatch]] = [:]
    for batch in batches { rooms[batch.place.room, default: []].append(batch) }
    var result: [WrittenBatch] = []
    while !rooms.isEmpty {
      let names = rooms.keys.sorted()
      let room = names[random.below(names.count)]
      if let first = rooms[room]?.first { result.append(first) }
      rooms[room]?.removeFirst()
      if rooms[room]?.isEmpty == true { rooms[room] = nil }
    }
    return result
  }
}

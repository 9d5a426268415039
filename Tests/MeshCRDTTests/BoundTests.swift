import MeshCRDT
import Testing

/// The bounds of the tables of one origin, and the layouts that memory rests on.
@Suite("Bounds and layouts")
struct BoundTests {
  @Test("A cell has 32 bytes, a key 24")
  func layouts() {
    #expect(MemoryLayout<Cell>.size == 32 && MemoryLayout<Cell>.stride == 32)
    #expect(MemoryLayout<Cell?>.size == 32)
    #expect(MemoryLayout<RecordKey>.size == 24 && MemoryLayout<RecordKey>.stride == 24)
    #expect(MemoryLayout<OriginID>.size == 32)
    #expect(MemoryLayout<SessionID>.size == 16)
  }

  @Test("A cell keeps version, counter and value to their bounds")
  func cellKeepsItsFields() {
    let key = Sample.key(1)
    let highest = Limits.counterBound - 1
    let storage = [UInt8](repeating: 9, count: (1 << 15) - 1)
    let full = Cell(
      key: key, version: highest, counter: highest, isTombstone: false, storage: storage,
      range: 0..<storage.count, hashKey: Sample.hashKey)
    #expect(full.version == highest && full.counter == highest && !full.isTombstone)
    #expect(full.value.count == storage.count)
    let last = Cell(
      key: key, version: 1, counter: 0, isTombstone: false, storage: storage,
      range: storage.count..<storage.count, hashKey: Sample.hashKey)
    #expect(last.value.isEmpty && last.version == 1 && last.counter == 0 && !last.isTombstone)
  }

  @Test("The hash of a cell depends on each of its fields")
  func hashCoversEveryField() {
    let key = Sample.key(1, .presence, room: 1)
    let cells = [
      Sample.cell(key, version: 1, counter: 1, [1]),
      Sample.cell(key, version: 2, counter: 1, [1]),
      Sample.cell(key, version: 1, counter: 2, [1]),
      Sample.cell(key, version: 1, counter: 1, [2]),
      Sample.cell(key, version: 1, counter: 1, [1, 0]),
      Sample.cell(key, version: 1, counter: 1, []),
      Sample.cell(key, version: 1, counter: 1, nil),
      Sample.cell(Sample.key(2, .presence, room: 1), version: 1, counter: 1, [1]),
      Sample.cell(Sample.key(1, .cursor, room: 1), version: 1, counter: 1, [1]),
      Sample.cell(Sample.key(1, .presence, room: 2), version: 1, counter: 1, [1]),
      Sample.cell(Sample.key(1), version: 1, counter: 1, [1]),
    ]
    #expect(Set(cells.map(\.hash)).count == cells.count)
  }

  @Test("Cells of one key have a total order")
  func cellsAreOrdered() {
    let cells = (UInt64(1)...2).flatMap { version in
      (UInt64(1)...2).flatMap { counter in
        [nil, [], [1], [1, 0], [2]].map {
          Sample.cell(Sample.key(1), version: version, counter: counter, $0)
        }
      }
    }
    for left in cells {
      for right in cells {
        let relations = [left.wins(over: right), left == right, right.wins(over: left)]
        #expect(relations.count { $0 } == 1)
        for third in cells where left.wins(over: right) && right.wins(over: third) {
          #expect(left.wins(over: third))
        }
      }
    }
  }

  @Test("A key keeps session, lane and room apart")
  func keyKeepsItsParts() {
    let room = RoomID(bits: .max)
    for lane in Lane.allCases {
      let key = RecordKey(session: Sample.session(1), lane: lane, room: room)
      #expect(key.session == Sample.session(1) && key.lane == lane)
      #expect(key.room == (lane == .session ? RoomID(bits: 0) : room))
    }
    let keys = [Sample.key(1), Sample.key(1, .presence, room: 0), Sample.key(1, .cursor, room: 0)]
    #expect(keys == keys.sorted() && Set(keys).count == 3)
  }

  @Test("A session is in the lobby and 32 rooms at most")
  func roomsAreBounded() {
    var log = OriginLog(generation: 1)
    let rooms = UInt64(Limits.roomsPerSession)
    #expect(
      log.join(
        each: (0...rooms).map {
          Sample.written(Sample.key(1, .presence, room: $0), version: $0 + 1, [1])
        }) == Limits.roomsPerSession + 1)
    let more = Sample.written(Sample.key(1, .presence, room: rooms + 1), version: 100, [1])
    guard case .refused = log.join(more.key, more.cell) else {
      Issue.record("a room above the bound was taken in")
      return
    }
    // What belongs to a room that is there has a place, and so has another session.
    let cursor = Sample.written(Sample.key(1, .cursor, room: rooms), version: 101, [1])
    let session = Sample.written(Sample.key(1), version: 102, [1])
    let other = Sample.written(Sample.key(2, .presence, room: rooms + 1), version: 103, [1])
    #expect(log.join(each: [cursor, session, other]) == 3)
    #expect(log.invariantViolation() == nil)
  }

  @Test("Tombstones of unknown records are refused above their bound")
  func tombstonesAreBounded() {
    var log = OriginLog(generation: 1)
    let bound = UInt64(Limits.tombstonesPerOrigin)
    var refused = 0
    for number in 1...bound + 3 {
      let record = Sample.written(Sample.key(number), version: number, nil)
      if case .refused = log.join(record.key, record.cell) { refused += 1 }
    }
    #expect(refused == 3 && log.tombstoneCount == Limits.tombstonesPerOrigin)
    let live = Sample.written(Sample.key(bound + 9), version: bound + 9, [1])
    #expect(log.join(each: [live]) == 1)
  }
}

import MeshCRDT

/// A record as it arrives: the smallest delta.
struct Written: Hashable {
  let key: RecordKey
  let cell: Cell
}

/// Small values to test with.
enum Sample {
  static let hashKey = HashKey(0x0102_0304_0506_0708, 0x090a_0b0c_0d0e_0f10)

  static func session(_ number: UInt64) -> SessionID { SessionID(number, ~number) }

  static func origin(_ number: UInt64) -> OriginID {
    OriginID(number &* 0x9e37_79b9_7f4a_7c15, number, 0, 1)
  }

  /// A room that has the given number as its id; 0 is the lobby.
  static func room(_ number: UInt64) -> RoomID { RoomID(bits: number << 3) }

  static func key(_ session: UInt64, _ lane: Lane = .session, room: UInt64 = 0) -> RecordKey {
    RecordKey(session: self.session(session), lane: lane, room: self.room(room))
  }

  /// A cell with its value in the middle of other bytes; `nil` makes a tombstone.
  static func cell(
    _ key: RecordKey, version: UInt64, counter: UInt64? = nil, _ value: [UInt8]?
  ) -> Cell {
    let storage = [0xEE] + (value ?? []) + [0xEE]
    return Cell(
      key: key, version: version, counter: counter ?? version, isTombstone: value == nil,
      storage: storage, range: 1..<1 + (value?.count ?? 0), hashKey: hashKey)
  }

  static func written(
    _ key: RecordKey, version: UInt64, counter: UInt64? = nil, _ value: [UInt8]?
  ) -> Written {
    Written(key: key, cell: cell(key, version: version, counter: counter, value))
  }

  /// What an origin says about its log at a version when these records are live.
  static func claim(_ version: UInt64, live: [Written]) -> Cut {
    Cut(
      version: version, count: UInt64(live.count),
      hash: live.reduce(0) { $0 &+ $1.cell.hash })
  }
}

/// The lobby's shelf, for tests of one shelf: all shelves are alike.
extension OriginLog {
  var cut: Cut { lobby.cut }
  var claim: Cut { lobby.claim }
  var liveCount: UInt64 { lobby.liveCount }
  var highestVersion: UInt64 { lobby.highestVersion }

  @discardableResult
  mutating func witness(_ claim: Cut) -> Bool { witness(claim, of: .lobby) }

  mutating func settle(
    removing dead: [(key: RecordKey, version: UInt64)]
  ) -> (removed: [(key: RecordKey, cell: Cell)], isSettled: Bool) {
    settle(.lobby, removing: dead)
  }

  mutating func reopen(claim: Cut) -> [(key: RecordKey, cell: Cell)] {
    reopen(.lobby, claim: claim)
  }

  func delta(above version: UInt64) -> OriginLog { delta(of: .lobby, above: version) }
}

extension OriginLog {
  /// Settles all shelves. True when one of them did.
  @discardableResult
  mutating func settle() -> Bool {
    var isSettled = settle(.lobby)
    for room in rooms.keys.sorted() where settle(room) { isSettled = true }
    return isSettled
  }

  /// Joins records one at a time. Returns how many of them were news.
  @discardableResult
  mutating func join(each records: some Sequence<Written>) -> Int {
    var news = 0
    for record in records {
      if case .replaced = join(record.key, record.cell) { news += 1 }
    }
    return news
  }

  /// This log after ``OriginLog/settle()``.
  var settled: OriginLog {
    var log = self
    log.settle()
    return log
  }

  var records: [Written] { cells().map { Written(key: $0.key, cell: $0.cell) } }
}

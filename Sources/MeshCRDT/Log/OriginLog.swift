/// What is known of one origin: a delta-state CRDT with one writer.
///
/// ## The lattice
/// A log is a generation, a *cut* and records. The newest generation wins whole. Inside it, the
/// highest cut wins, and brings exactly the records that are live at it (its *covered* records);
/// beside them lie *later* records, whose versions are above the cut, and of these the winner by
/// ``Cell/wins(over:)`` for each key. A record at or below the cut that is not covered is known to be
/// gone: that is why tombstones are needed above the cut only, and are dropped by causality, never by
/// the clock. A *claim*, the highest cut that the origin has signed, is joined by its own order.
///
/// So `join` is the product of total orders and of maps with a winner per key, filtered by a rising
/// bound: commutative, associative and idempotent, for any input, also when an origin signed two
/// bodies for one version. A delta is a log whose cut is empty.
///
/// ``settle()`` is a separate step that only ever raises a log: when the live records hash to the
/// claim, the claim becomes the cut.
///
/// Source: Almeida, Shoker and Baquero, *Delta State Replicated Data Types*, 2018, for deltas and
/// causal contexts; the signed hash in place of a context of dots is this project's.
package struct OriginLog: Hashable, Sendable {
  package private(set) var generation: UInt64
  /// What is known completely.
  package private(set) var cut: Cut = .empty
  /// The highest that the origin said of itself.
  package private(set) var claim: Cut = .empty
  package private(set) var entries = DenseMap<SessionID, SessionEntry>()
  /// What the origin orders about sessions of any host, and which rooms it follows: the lanes
  /// `removal` and `interest`.
  package private(set) var notices: [RecordKey: Cell] = [:]

  // Kept incrementally; functions of the above.
  /// The number of live records.
  package private(set) var liveCount: UInt64 = 0
  /// The sum of the hashes of the live records, modulo 2^64.
  package private(set) var liveHash: UInt64 = 0
  /// No record has a higher version than this. It may be above all of them.
  package private(set) var highestVersion: UInt64 = 0
  /// The keys of the tombstones that wait for a cut.
  private var tombstones: Set<RecordKey> = []

  package init(generation: UInt64) { self.generation = generation }

  /// Equal when all that peers can observe is equal.
  package static func == (left: Self, right: Self) -> Bool {
    left.generation == right.generation && left.cut == right.cut && left.claim == right.claim
      && left.entries == right.entries && left.notices == right.notices
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(generation)
    hasher.combine(cut)
    hasher.combine(claim)
  }

  package var tombstoneCount: Int { tombstones.count }
  /// True when everything the origin said it has is here.
  package var isSettled: Bool { cut == claim && highestVersion <= cut.version }

  /// What is held, whether or not it is complete: when it is, this equals the cut.
  package var held: Cut {
    Cut(version: max(highestVersion, cut.version), count: liveCount, hash: liveHash)
  }

  package subscript(key: RecordKey) -> Cell? {
    key.isNotice ? notices[key] : entries[key.session]?[key]
  }

  /// The live cell of a key: a tombstone is none.
  package func live(_ key: RecordKey) -> Cell? {
    guard let cell = self[key], !cell.isTombstone else { return nil }
    return cell
  }

  /// Looks at the live cell of a session in a room, where it lies. Cost: one look-up.
  ///
  /// This and the next one change nothing: `mutating` lets them work in place, without a copy of the
  /// log's parts.
  package mutating func look(
    at key: RecordKey, _ body: (borrowing Cell) -> UInt64?
  ) -> UInt64? {
    guard let row = entries.row(of: key.session) else { return nil }
    return entries.change(row: row) { entry in
      guard let cell = entry[key], !cell.isTombstone else { return nil }
      return body(cell)
    }
  }

  /// Which of some cursors have no record in the log from this counter or a later one, as bits: only
  /// of these a move is news. A tombstone counts too: a move from before it comes too late.
  mutating func unrested(
    _ moves: [CursorMove], in room: RoomID, counter: UInt64
  ) -> UInt64 {
    var bits: UInt64 = 0
    for index in moves.indices
    where cursorCounter(of: moves[index].session, in: room) < counter {
      bits |= 1 << UInt64(index)
    }
    return bits
  }

  /// The counter of the record of a cursor, at rest or removed; 0: there is none.
  mutating func cursorCounter(of session: SessionID, in room: RoomID) -> UInt64 {
    guard let row = entries.row(of: session) else { return 0 }
    return entries.change(row: row) { $0.cursorCounter(in: room) }
  }

  /// Calls `body` with each live cell, in no order.
  package func forEachLive(_ body: (RecordKey, Cell) -> Void) {
    for row in entries.rows {
      for (key, cell) in row.value.cells(of: row.key) where !cell.isTombstone { body(key, cell) }
    }
    for (key, cell) in notices where !cell.isTombstone { body(key, cell) }
  }

  /// The sessions that the origin says something of, in the order of their ids.
  package var sessions: [SessionID] {
    notices.isEmpty
      ? entries.keys.sorted()
      : Set(entries.rows.map(\.key)).union(notices.keys.map(\.session)).sorted()
  }

  /// All cells, notices last, in the order of the keys. Cost: the whole log, and a sort.
  package func cells() -> [(key: RecordKey, cell: Cell)] {
    entries.rows.sorted { $0.key < $1.key }.flatMap { $0.value.cells(of: $0.key) }
      + notices.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }
}

// MARK: - Join

extension OriginLog {
  /// What joining one record did.
  package enum Outcome: Sendable {
    /// The record was known, or is known to be gone.
    case known
    /// A bound of ``Limits`` keeps the record out.
    case refused
    /// The record is in; it replaced this one.
    case replaced(Cell?)
  }

  /// True when a record of this version can be news. Cost: constant; asked before any signature is
  /// verified.
  package func mayBeNews(version: UInt64, of generation: UInt64) -> Bool {
    if generation != self.generation { return generation > self.generation }
    return version > cut.version || PlantedBug.isActive(.coveredRecordRevived)
  }

  /// Joins one record of this log's generation: the smallest delta. Cost: one look-up.
  package mutating func join(_ key: RecordKey, _ cell: Cell) -> Outcome {
    guard cell.version > cut.version || PlantedBug.isActive(.coveredRecordRevived) else {
      return .known
    }
    if cell.isTombstone && tombstones.count >= Limits.tombstonesPerOrigin && self[key] == nil {
      return .refused
    }
    guard !key.isNotice else { return joinNotice(key, cell) }
    let row = entries.row(of: key.session, default: SessionEntry())
    let outcome = entries.change(row: row) { Self.put(key, cell, into: &$0) }
    guard case .replaced(let old) = outcome else { return outcome }
    if entries.count > Limits.sessionsPerOrigin {
      entries[key.session] = nil
      return .refused
    }
    count(key, old, replacedBy: cell)
    return .replaced(old)
  }

  private mutating func joinNotice(_ key: RecordKey, _ cell: Cell) -> Outcome {
    let old = notices[key]
    if let old, !cell.wins(over: old) { return .known }
    guard old != nil || notices.count < Limits.noticesPerOrigin else { return .refused }
    notices[key] = cell
    count(key, old, replacedBy: cell)
    return .replaced(old)
  }

  /// Puts a cell into an entry, if it wins and there is room.
  private static func put(
    _ key: RecordKey, _ cell: Cell, into entry: inout SessionEntry
  ) -> Outcome {
    let old = entry[key]
    if let old, !cell.wins(over: old) { return .known }
    // One place more than rooms: the lobby.
    if old == nil, key.lane != .session, entry.placeCount > Limits.roomsPerSession,
      !entry.isIn(key.room)
    {
      return .refused
    }
    entry[key] = cell
    return .replaced(old)
  }

  /// Joins a claim of the origin about itself. True when it is the highest so far.
  @discardableResult
  package mutating func witness(_ claim: Cut) -> Bool {
    guard claim > self.claim else { return false }
    self.claim = claim
    return true
  }

  /// Joins another log of the same origin. True when this one changed. Cost: both logs.
  @discardableResult
  package mutating func join(_ other: OriginLog) -> Bool {
    if other.generation != generation && !PlantedBug.isActive(.generationIgnored) {
      guard other.generation > generation else { return false }
      self = other
      return true
    }
    let before = self
    let mine = cut
    cut = max(cut, other.cut)
    if mine != cut && !PlantedBug.isActive(.uncoveredRecordKept) {
      // The records below the winning cut come from the other side; of ours, only later ones stay.
      for (key, cell) in cells() where cell.version <= cut.version { replace(key, cell, by: nil) }
    }
    for (key, cell) in other.cells() where other.cut == cut || cell.version > cut.version {
      let old = self[key]
      if let old, !cell.wins(over: old) { continue }
      replace(key, old, by: cell)
    }
    highestVersion = max(highestVersion, other.highestVersion)
    claim = max(claim, other.claim)
    return self != before
  }

  /// The join of two logs of the same origin.
  package func joined(_ other: OriginLog) -> OriginLog {
    var result = self
    result.join(other)
    return result
  }

  /// Makes the claim the cut when the live records are those that it hashes. True when it did.
  ///
  /// Cost: constant, plus the tombstones that are dropped.
  @discardableResult
  package mutating func settle() -> Bool {
    guard claim > cut, highestVersion <= claim.version else { return false }
    guard
      liveCount == claim.count && liveHash == claim.hash
        || PlantedBug.isActive(.settledWithoutHash)
    else { return false }
    cut = claim
    dropTombstones()
    return true
  }

  /// Removes records that the origin's manifest does not list, if the rest then hashes to the claim.
  ///
  /// - Parameter dead: keys and the versions at which they are gone.
  /// - Returns: the cells that were removed and true, or nothing and false with no change of state.
  package mutating func settle(
    removing dead: [(key: RecordKey, version: UInt64)]
  ) -> (removed: [(key: RecordKey, cell: Cell)], isSettled: Bool) {
    var hash = liveHash
    var count = liveCount
    var removed: [(key: RecordKey, cell: Cell)] = []
    for (key, version) in dead {
      guard let cell = live(key), cell.version == version else { continue }
      hash &-= cell.hash
      count &-= 1
      removed.append((key, cell))
    }
    guard claim >= cut, highestVersion <= claim.version, count == claim.count,
      hash == claim.hash || PlantedBug.isActive(.settledWithoutHash)
    else { return ([], false) }
    for (key, cell) in removed { replace(key, cell, by: nil) }
    cut = claim
    dropTombstones()
    return (removed, true)
  }
}

extension OriginLog {
  /// Forgets the cut and the records, and takes this claim for the last word.
  ///
  /// The way out when an origin signed two different words about one version, and the higher one is
  /// not the one that is held: its records can then be pulled again. The records go too, because of
  /// two bodies of one version the one that wins by its bytes may belong to the lower word.
  /// - Returns: the cells that went.
  @discardableResult
  package mutating func reopen(claim: Cut) -> [(key: RecordKey, cell: Cell)] {
    let gone = cells()
    self = OriginLog(generation: generation)
    self.claim = claim
    return gone
  }
}

// MARK: - Writing

extension OriginLog {
  /// Puts a cell in the place of another and keeps the sums.
  private mutating func replace(_ key: RecordKey, _ old: Cell?, by new: Cell?) {
    count(key, old, replacedBy: new)
    guard !key.isNotice else {
      notices[key] = new
      return
    }
    let row = entries.row(of: key.session, default: SessionEntry())
    let isEmpty = entries.change(row: row) { entry in
      entry[key] = new
      return entry.isEmpty
    }
    if isEmpty { entries.remove(key.session) }
  }

  /// Keeps the sums when a cell takes the place of another.
  private mutating func count(_ key: RecordKey, _ old: Cell?, replacedBy new: Cell?) {
    if let old {
      if old.isTombstone {
        tombstones.remove(key)
      } else {
        liveCount &-= 1
        liveHash &-= old.hash
      }
    }
    if let new {
      highestVersion = max(highestVersion, new.version)
      if new.isTombstone {
        tombstones.insert(key)
      } else {
        liveCount &+= 1
        liveHash &+= new.hash
      }
    }
  }

  private mutating func dropTombstones() {
    for key in tombstones {
      guard let cell = self[key], cell.isTombstone, cell.version <= cut.version else { continue }
      replace(key, cell, by: nil)
    }
  }

  /// The planted bug of that name: forgets tombstones that no cut covers.
  package mutating func dropTombstonesUncovered() {
    for key in tombstones {
      if let cell = self[key], cell.isTombstone { replace(key, cell, by: nil) }
    }
  }
}

// MARK: - Deltas

extension OriginLog {
  /// The records above a version, as a log that can be joined: a delta. Cost: the whole log.
  package func delta(above version: UInt64) -> OriginLog {
    var delta = OriginLog(generation: generation)
    for (key, cell) in cells() where cell.version > version { _ = delta.join(key, cell) }
    delta.claim = claim
    return delta
  }

  /// Breaks the sums down to what they must be; for tests and the simulator. Cost: the whole log.
  package func invariantViolation() -> String? {
    var count: UInt64 = 0
    var hash: UInt64 = 0
    var buried: Set<RecordKey> = []
    for (key, cell) in cells() {
      if cell.version > highestVersion { return "record \(cell.version) above the highest version" }
      if cell.isTombstone {
        buried.insert(key)
        if cell.version <= cut.version { return "tombstone \(cell.version) below the cut" }
      } else {
        count += 1
        hash &+= cell.hash
      }
    }
    if buried != tombstones { return "the list of tombstones differs from the records" }
    if count != liveCount || hash != liveHash { return "live sums differ from the records" }
    return nil
  }
}

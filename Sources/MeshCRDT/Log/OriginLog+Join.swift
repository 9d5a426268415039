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
  package func mayBeNews(version: UInt64, on room: RoomID, of generation: UInt64) -> Bool {
    if generation != self.generation { return generation > self.generation }
    return version > shelf(room).cut.version || PlantedBug.isActive(.coveredRecordRevived)
  }

  /// Joins one record of this log's generation: the smallest delta. Cost: some look-ups.
  package mutating func join(_ key: RecordKey, _ cell: Cell) -> Outcome {
    let room = key.shelf
    let row = room.isLobby ? nil : rooms.row(of: room)
    let cutVersion =
      room.isLobby ? lobby.cut.version : row.map { rooms.rows[$0].value.cut.version } ?? 0
    guard cell.version > cutVersion || PlantedBug.isActive(.coveredRecordRevived) else {
      return .known
    }
    if cell.isTombstone && tombstoneCount >= Limits.tombstonesPerOrigin && self[key] == nil {
      return .refused
    }
    if row == nil && !room.isLobby && rooms.count >= Limits.shelvesPerOrigin { return .refused }
    let outcome =
      switch key.lane {
      case .session, .presence, .cursor: joinEntry(key, cell)
      case .removal, .interest: joinNotice(key, cell)
      case .visit: joinVisit(key, cell)
      }
    if case .replaced(let old) = outcome { count(key, old, replacedBy: cell) }
    return outcome
  }

  private mutating func joinEntry(_ key: RecordKey, _ cell: Cell) -> Outcome {
    let row = entries.row(of: key.session, default: SessionEntry())
    let outcome = entries.change(row: row) { Self.put(key, cell, into: &$0) }
    guard case .replaced = outcome, entries.count > Limits.sessionsPerOrigin else { return outcome }
    entries[key.session] = nil
    return .refused
  }

  private mutating func joinNotice(_ key: RecordKey, _ cell: Cell) -> Outcome {
    let old = notices[key]
    if let old, !cell.wins(over: old) { return .known }
    guard old != nil || notices.count < Limits.noticesPerOrigin else { return .refused }
    notices[key] = cell
    return .replaced(old)
  }

  private mutating func joinVisit(_ key: RecordKey, _ cell: Cell) -> Outcome {
    var entry = visits[key.session] ?? VisitEntry()
    let old = entry[key.room]
    if let old, !cell.wins(over: old) { return .known }
    guard old != nil || entry.visits.count < Limits.roomsPerSession,
      !entry.visits.isEmpty || visits.count < Limits.sessionsPerOrigin
    else { return .refused }
    entry[key.room] = cell
    visits[key.session] = entry
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

  /// Joins a claim of the origin about a shelf. True when it is the highest so far.
  @discardableResult
  package mutating func witness(_ claim: Cut, of room: RoomID) -> Bool {
    guard claim > shelf(room).claim else { return false }
    if !room.isLobby && rooms.row(of: room) == nil && rooms.count >= Limits.shelvesPerOrigin {
      return false
    }
    change(room) { $0.claim = claim }
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
    let shelves = [RoomID.lobby] + other.rooms.keys
    if !PlantedBug.isActive(.uncoveredRecordKept) {
      // The records below the winning cut come from the other side; of ours, only later ones stay.
      let rising = Set(shelves.filter { other.shelf($0).cut > shelf($0).cut })
      for (key, cell) in rising.isEmpty ? [] : cells()
      where rising.contains(key.shelf) && cell.version <= other.shelf(key.shelf).cut.version {
        replace(key, cell, by: nil)
      }
    }
    for room in shelves {
      let theirs = other.shelf(room)
      if theirs.isUnheard { continue }
      change(room) { shelf in
        shelf.cut = max(shelf.cut, theirs.cut)
        shelf.claim = max(shelf.claim, theirs.claim)
        shelf.highestVersion = max(shelf.highestVersion, theirs.highestVersion)
      }
    }
    for (key, cell) in other.cells() {
      let cut = shelf(key.shelf).cut
      guard other.shelf(key.shelf).cut == cut || cell.version > cut.version else { continue }
      let old = self[key]
      if let old, !cell.wins(over: old) { continue }
      replace(key, old, by: cell)
    }
    return self != before
  }

  /// The join of two logs of the same origin.
  package func joined(_ other: OriginLog) -> OriginLog {
    var result = self
    result.join(other)
    return result
  }

  /// Makes the claim of a shelf its cut when the live records are those that it hashes. True when it
  /// did.
  ///
  /// Cost: constant, plus the tombstones that are dropped.
  @discardableResult
  package mutating func settle(_ room: RoomID) -> Bool {
    let shelf = shelf(room)
    guard shelf.claim > shelf.cut, shelf.highestVersion <= shelf.claim.version else { return false }
    guard
      shelf.liveCount == shelf.claim.count && shelf.liveHash == shelf.claim.hash
        || PlantedBug.isActive(.settledWithoutHash)
    else { return false }
    change(room) { $0.cut = $0.claim }
    dropTombstones(of: room)
    return true
  }

  /// Removes records of a shelf that the origin's manifest does not list, if the rest then hashes to
  /// the claim.
  ///
  /// - Parameter dead: keys and the versions at which they are gone.
  /// - Returns: the cells that were removed and true, or nothing and false with no change of state.
  package mutating func settle(
    _ room: RoomID, removing dead: [(key: RecordKey, version: UInt64)]
  ) -> (removed: [(key: RecordKey, cell: Cell)], isSettled: Bool) {
    let shelf = shelf(room)
    var hash = shelf.liveHash
    var count = shelf.liveCount
    var removed: [(key: RecordKey, cell: Cell)] = []
    for (key, version) in dead where key.shelf == room {
      guard let cell = live(key), cell.version == version else { continue }
      hash &-= cell.hash
      count &-= 1
      removed.append((key, cell))
    }
    guard shelf.claim >= shelf.cut, shelf.highestVersion <= shelf.claim.version,
      count == shelf.claim.count,
      hash == shelf.claim.hash || PlantedBug.isActive(.settledWithoutHash)
    else { return ([], false) }
    for (key, cell) in removed { replace(key, cell, by: nil) }
    change(room) { $0.cut = $0.claim }
    dropTombstones(of: room)
    return (removed, true)
  }
}

extension OriginLog {
  /// Forgets the cut and the records of a shelf, and takes this claim for the last word.
  ///
  /// The way out when an origin signed two different words about one version, and the higher one is
  /// not the one that is held: its records can then be pulled again. The records go too, because of
  /// two bodies of one version the one that wins by its bytes may belong to the lower word.
  /// - Returns: the cells that went.
  @discardableResult
  package mutating func reopen(_ room: RoomID, claim: Cut) -> [(key: RecordKey, cell: Cell)] {
    let gone = cells(of: room)
    for (key, cell) in gone { replace(key, cell, by: nil) }
    change(room) { shelf in
      let summed = shelf.summed
      shelf = Shelf()
      shelf.claim = claim
      shelf.summed = summed
    }
    return gone
  }

  /// Forgets a room's shelf as if nothing of it had ever been heard. Returns the cells that went.
  mutating func drop(_ room: RoomID) -> [(key: RecordKey, cell: Cell)] {
    precondition(!room.isLobby, "all nodes hold the lobby's shelves")
    guard rooms.row(of: room) != nil else { return [] }
    let gone = cells(of: room)
    for (key, cell) in gone { replace(key, cell, by: nil) }
    rooms.remove(room)
    return gone
  }
}

// MARK: - Writing

extension OriginLog {
  /// Puts a cell in the place of another and keeps the sums.
  private mutating func replace(_ key: RecordKey, _ old: Cell?, by new: Cell?) {
    count(key, old, replacedBy: new)
    switch key.lane {
    case .removal, .interest: notices[key] = new
    case .visit:
      var entry = visits[key.session] ?? VisitEntry()
      entry[key.room] = new
      visits[key.session] = entry.visits.isEmpty ? nil : entry
    case .session, .presence, .cursor:
      let row = entries.row(of: key.session, default: SessionEntry())
      let isEmpty = entries.change(row: row) { entry in
        entry[key] = new
        return entry.isEmpty
      }
      if isEmpty { entries.remove(key.session) }
    }
  }

  /// Keeps the sums when a cell takes the place of another.
  private mutating func count(_ key: RecordKey, _ old: Cell?, replacedBy new: Cell?) {
    let more = change(key.shelf) { shelf in
      let before = shelf.tombstones.count
      if let old {
        if old.isTombstone {
          shelf.tombstones.remove(key)
        } else {
          shelf.liveCount &-= 1
          shelf.liveHash &-= old.hash
        }
      }
      if let new {
        shelf.highestVersion = max(shelf.highestVersion, new.version)
        if new.isTombstone {
          shelf.tombstones.insert(key)
        } else {
          shelf.liveCount &+= 1
          shelf.liveHash &+= new.hash
        }
      }
      return shelf.tombstones.count - before
    }
    tombstoneCount += more
  }

  private mutating func dropTombstones(of room: RoomID) {
    let shelf = shelf(room)
    for key in shelf.tombstones {
      guard let cell = self[key], cell.isTombstone, cell.version <= shelf.cut.version else {
        continue
      }
      replace(key, cell, by: nil)
    }
  }

  /// The planted bug of that name: forgets tombstones that no cut covers.
  package mutating func dropTombstonesUncovered(of room: RoomID) {
    for key in shelf(room).tombstones {
      if let cell = self[key], cell.isTombstone { replace(key, cell, by: nil) }
    }
  }
}

// MARK: - Deltas

extension OriginLog {
  /// The records of a shelf above a version, as a log that can be joined: a delta. Cost: the whole log.
  package func delta(of room: RoomID, above version: UInt64) -> OriginLog {
    var delta = OriginLog(generation: generation)
    for (key, cell) in cells(of: room) where cell.version > version { _ = delta.join(key, cell) }
    delta.witness(shelf(room).claim, of: room)
    return delta
  }

  /// Breaks the sums down to what they must be; for tests and the simulator. Cost: the whole log.
  package func invariantViolation() -> String? {
    var found: [RoomID: Shelf] = [:]
    for (key, cell) in cells() {
      let shelf = shelf(key.shelf)
      if cell.version > shelf.highestVersion {
        return "record \(cell.version) above the highest version of its shelf"
      }
      if cell.isTombstone {
        found[key.shelf, default: Shelf()].tombstones.insert(key)
        if cell.version <= shelf.cut.version { return "tombstone \(cell.version) below the cut" }
      } else {
        found[key.shelf, default: Shelf()].liveCount += 1
        found[key.shelf, default: Shelf()].liveHash &+= cell.hash
      }
    }
    for room in [.lobby] + rooms.keys {
      let shelf = shelf(room)
      let sums = found.removeValue(forKey: room) ?? Shelf()
      if sums.tombstones != shelf.tombstones {
        return "the list of tombstones differs from the records"
      }
      if sums.liveCount != shelf.liveCount || sums.liveHash != shelf.liveHash {
        return "live sums differ from the records"
      }
    }
    if !found.isEmpty { return "records stand on no shelf" }
    let buried = rooms.values.reduce(lobby.tombstones.count) { $0 + $1.tombstones.count }
    return buried == tombstoneCount ? nil : "the number of tombstones differs from the records"
  }
}

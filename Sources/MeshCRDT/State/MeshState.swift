/// The joined state of a node: the logs of all origins, and what is kept about them incrementally.
///
/// Origins have dense slots, in the order in which they were first heard of. The order of slots can
/// be seen from outside only where the order of arrival can.
package struct MeshState: Sendable {
  package let hashKey: HashKey
  /// The id of the mesh-wide room in this state.
  package let lobby: RoomID
  package private(set) var lamport: LamportClock
  /// The summary of what is held, up to the last ``sum(slot:)`` of each slot.
  package private(set) var digest = Digest()
  /// The origins by slot; `nil` where one was forgotten.
  package private(set) var origins: [OriginID?] = []
  package private(set) var logs: [OriginLog] = []
  package private(set) var moving: [MovingCursors] = []
  /// What of each slot is in the digest.
  private var summed: [DigestEntry?] = []
  private var slots: [OriginID: Int] = [:]
  private var freeSlots: [Int] = []
  /// The slots of the origins that have a live record of a session: nearly always one.
  private var homes = SessionSlots()
  /// The slots of the origins that have a live removal under a key: few sessions have any.
  private var removers: [RecordKey: Homes] = [:]

  package init(hashKey: HashKey, lamport: UInt64 = 0) {
    self.hashKey = hashKey
    lobby = RoomID(.lobby, key: hashKey)
    self.lamport = LamportClock(counter: lamport)
  }

  /// The slot of an origin, if it is known. Cost: one look-up.
  package func slot(of origin: OriginID) -> Int? { slots[origin] }

  /// The number of origins in the state.
  package var originCount: Int { slots.count }

  /// The number of sessions with a live record.
  package var sessionCount: Int { homes.count }

  /// One hash of the whole state.
  package var stateHash: UInt64 { digest.stateHash(key: hashKey) }

  /// The slots in the order of the origin ids.
  package private(set) var sortedSlots: [Int] = []

  /// The id of a room in this state.
  package func room(_ name: RoomName) -> RoomID { RoomID(name, key: hashKey) }

  /// The slots that have a live record of a session, lowest first.
  package func homes(of session: SessionID) -> [Int] {
    homes.slots(of: session)
  }

  /// The slot that alone has a live record of a session; `nil` when none or several have. Cost: one
  /// look-up.
  package func onlyHome(of session: SessionID) -> Int? {
    homes.onlySlot(of: session)
  }

  /// False while nobody has ordered any removal.
  package var hasRemovals: Bool { !removers.isEmpty }

  /// True when somebody ordered the removal of a session from the mesh (the room is the lobby) or from
  /// a room, at or after a counter. Cost: one look-up, none while there are no removals.
  package func isRemoved(_ session: SessionID, from room: RoomID, since counter: UInt64) -> Bool {
    removals(of: session, from: room).contains { $0.counter >= counter }
  }

  /// The live orders to remove a session from the mesh (the room is the lobby) or from a room.
  package func removals(of session: SessionID, from room: RoomID) -> [Cell] {
    guard hasRemovals else { return [] }
    let key = RecordKey(session: session, lane: .removal, room: room)
    return removers[key]?.slots.compactMap { logs[Int($0)].live(key) } ?? []
  }

  /// What the log of a slot says of a session. Cost: one look-up.
  package func entry(of session: SessionID, slot: Int) -> SessionEntry? {
    logs[slot].entries[session]
  }

  package func digestEntry(slot: Int) -> DigestEntry? {
    origins[slot].map {
      DigestEntry(origin: $0, generation: logs[slot].generation, held: logs[slot].held)
    }
  }
}

// MARK: - Origins

extension MeshState {
  /// The slot of an origin, made if there is none.
  ///
  /// A higher generation than the known one empties its log. `nil` when the table is full or the
  /// generation is an old one.
  /// - Parameter dropped: the sessions that went with an old generation.
  package mutating func open(
    _ origin: OriginID, generation: UInt64, dropped: inout [SessionID]
  ) -> Int? {
    if let slot = slots[origin] {
      guard generation >= logs[slot].generation || PlantedBug.isActive(.generationIgnored) else {
        return nil
      }
      if generation > logs[slot].generation {
        dropped += logs[slot].sessions
        replaceLog(at: slot, by: OriginLog(generation: generation))
      }
      return slot
    }
    guard slots.count < Limits.origins else { return nil }
    let slot = freeSlots.popLast() ?? origins.count
    if slot == origins.count {
      origins.append(origin)
      summed.append(nil)
      logs.append(OriginLog(generation: generation))
      moving.append(MovingCursors())
    } else {
      origins[slot] = origin
      logs[slot] = OriginLog(generation: generation)
    }
    slots[origin] = slot
    sortedSlots.insert(slot, at: place(of: origin))
    sum(slot: slot)
    return slot
  }

  /// Drops an origin and everything of it. Returns the sessions that went.
  package mutating func forget(slot: Int) -> [SessionID] {
    guard let origin = origins[slot] else { return [] }
    let sessions = logs[slot].sessions
    unlist(slot)
    sortedSlots.remove(at: place(of: origin))
    logs[slot] = OriginLog(generation: 0)
    moving[slot] = MovingCursors()
    origins[slot] = nil
    sum(slot: slot)
    slots[origin] = nil
    freeSlots.append(slot)
    return sessions
  }

  /// Where an origin stands, or would stand, among the sorted slots.
  private func place(of origin: OriginID) -> Int {
    var low = 0
    var high = sortedSlots.count
    while low < high {
      let middle = (low + high) / 2
      if let other = origins[sortedSlots[middle]], other < origin {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return low
  }

  private mutating func replaceLog(at slot: Int, by log: OriginLog) {
    unlist(slot)
    logs[slot] = log
    moving[slot] = MovingCursors()
    sum(slot: slot)
  }
}

// MARK: - Join

extension MeshState {
  /// Raises the Lamport counter to a received one.
  package mutating func witness(counter: UInt64) { lamport.witness(counter) }

  /// The counter for the next local write; `nil` when the counters are used up.
  package mutating func nextCounter() -> UInt64? {
    let next = lamport.next()
    if PlantedBug.isActive(.wrappingCounter), let next { return max(1, next & 0x3F) }
    return next
  }

  /// Joins a record into the log of a slot. Cost: one look-up in the log. After the last of several
  /// records, ``sum(slot:)`` brings the digest up to date.
  package mutating func join(slot: Int, _ key: RecordKey, _ cell: Cell) -> OriginLog.Outcome {
    let outcome = logs[slot].join(key, cell)
    guard case .replaced(let old) = outcome else { return outcome }
    if key.lane == .session || key.lane == .removal {
      let was = old.map { !$0.isTombstone } ?? false
      if was && cell.isTombstone { unlist(key, slot) }
      if !was && !cell.isTombstone { list(key, slot) }
    }
    if key.lane == .cursor { moving[slot].rest(key, at: cell.counter) }
    return outcome
  }

  /// Joins a move of a cursor. True when it is news.
  package mutating func join(
    slot: Int, _ key: RecordKey, _ move: MovingCursors.Move
  ) -> Bool {
    // A tombstone counts too: a move from before it comes too late.
    if let resting = logs[slot][key], resting.counter >= move.counter { return false }
    return moving[slot].join(key, move)
  }

  /// Joins the moves of cursors in one room that have one counter, at most ``CursorMove/bound``.
  package mutating func join(
    slot: Int, _ moves: [CursorMove], in room: RoomID, counter: UInt64
  ) -> MovingCursors.Outcome {
    precondition(moves.count <= CursorMove.bound)
    let candidates = logs[slot].unrested(moves, in: room, counter: counter)
    return moving[slot].join(moves, in: room, counter: counter, where: candidates)
  }

  /// True when one of some moves is newer than what is known of its cursor. Cost: up to the first.
  package mutating func hasNews(
    slot: Int, _ moves: [CursorMove], in room: RoomID, counter: UInt64
  ) -> Bool {
    for move in moves where logs[slot].cursorCounter(of: move.session, in: room) < counter {
      let key = RecordKey(session: move.session, lane: .cursor, room: room)
      let known = moving[slot].counter(of: key)
      if known < counter || PlantedBug.isActive(.staleFrameWins) && known != counter { return true }
    }
    return false
  }

  /// Looks at the live cell of a session in a room, where it lies: see ``OriginLog/look(at:_:)``.
  package mutating func look(
    slot: Int, at key: RecordKey, _ body: (borrowing Cell) -> UInt64?
  ) -> UInt64? {
    logs[slot].look(at: key, body)
  }

  /// Joins a claim of an origin, and settles if it can. True when the log is settled now.
  @discardableResult
  package mutating func settle(slot: Int, claim: Cut? = nil) -> Bool {
    if let claim { logs[slot].witness(claim) }
    if logs[slot].settle() { sum(slot: slot) }
    return logs[slot].isSettled
  }

  /// Removes what a manifest does not list: see ``OriginLog/settle(removing:)``.
  package mutating func settle(
    slot: Int, removing dead: [(key: RecordKey, version: UInt64)]
  ) -> (removed: [(key: RecordKey, cell: Cell)], isSettled: Bool) {
    let result = logs[slot].settle(removing: dead)
    guard result.isSettled else { return result }
    for (key, _) in result.removed { unlist(key, slot) }
    sum(slot: slot)
    return result
  }

  /// Reopens a log: see ``OriginLog/reopen(claim:)``.
  @discardableResult
  package mutating func reopen(slot: Int, claim: Cut) -> [(key: RecordKey, cell: Cell)] {
    let gone = logs[slot].reopen(claim: claim)
    for (key, _) in gone { unlist(key, slot) }
    sum(slot: slot)
    return gone
  }

  /// Drops the moves up to a counter at which the origin has signed that all cursors are at rest, if
  /// everything that it signed is here. Returns the keys that went.
  package mutating func dropMoves(slot: Int, through counter: UInt64) -> [RecordKey] {
    logs[slot].isSettled ? moving[slot].drop(through: counter) : []
  }

  /// The planted bug of that name.
  package mutating func dropTombstonesUncovered(slot: Int) {
    logs[slot].dropTombstonesUncovered()
    sum(slot: slot)
  }

  /// Counts what is held of an origin now in the digest, in the place of what was held before.
  package mutating func sum(slot: Int) {
    let now = digestEntry(slot: slot)
    guard summed[slot] != now else { return }
    digest.replace(old: summed[slot], new: now, key: hashKey)
    summed[slot] = now
  }

  /// Notes that a slot has a live record of a session, or a live removal.
  private mutating func list(_ key: RecordKey, _ slot: Int) {
    if key.lane == .session { homes.insert(slot, for: key.session) }
    if key.lane == .removal { removers[key].insert(slot) }
  }

  private mutating func unlist(_ key: RecordKey, _ slot: Int) {
    if key.lane == .session { homes.remove(slot, from: key.session) }
    if key.lane == .removal { removers[key].remove(slot) }
  }

  /// Strikes a slot from the lists of all that its log holds.
  private mutating func unlist(_ slot: Int) {
    for session in logs[slot].entries.keys { homes.remove(slot, from: session) }
    for key in logs[slot].notices.keys where key.lane == .removal { removers[key].remove(slot) }
  }
}

/// Slots that have something, without an allocation for the first.
private enum Homes: Sendable {
  case one(Int32)
  case several([Int32])

  var slots: [Int32] {
    switch self {
    case .one(let slot): [slot]
    case .several(let slots): slots
    }
  }
}

extension Homes? {
  fileprivate mutating func insert(_ slot: Int) {
    guard let known = self else {
      self = .one(Int32(slot))
      return
    }
    self = .several(Set(known.slots + [Int32(slot)]).sorted())
  }

  fileprivate mutating func remove(_ slot: Int) {
    let left = self?.slots.filter { $0 != Int32(slot) } ?? []
    self = left.count > 1 ? .several(left) : left.first.map { .one($0) }
  }
}

// MARK: - Checks

extension MeshState {
  /// Compares everything that is kept incrementally with what it is made from; for tests and the
  /// simulator. Cost: the whole state.
  package func invariantViolation() -> String? {
    var digest = Digest()
    var homes: [SessionID: [Int]] = [:]
    var removers: [RecordKey: [Int]] = [:]
    for slot in sortedSlots {
      guard let origin = origins[slot] else { return "a forgotten origin has a slot" }
      if let violation = logs[slot].invariantViolation() { return "\(origin.short): \(violation)" }
      digest.replace(old: nil, new: digestEntry(slot: slot), key: hashKey)
      for row in logs[slot].entries.rows where row.value.session?.isTombstone == false {
        homes[row.key, default: []].append(slot)
      }
      for (key, cell) in logs[slot].notices where key.lane == .removal && !cell.isTombstone {
        removers[key, default: []].append(slot)
      }
    }
    if digest != self.digest { return "the digest differs from the logs" }
    if homes.count != self.homes.count { return "the index of sessions differs from the logs" }
    for (session, slots) in homes where slots.sorted() != self.homes(of: session) {
      return "the homes of session \(session) differ from the logs"
    }
    if removers.mapValues({ $0.sorted() })
      != self.removers.mapValues({ $0.slots.map { Int($0) } })
    {
      return "the index of removals differs from the logs"
    }
    return nil
  }
}

/// The joined state of a node: the logs of all origins, and what is kept about them incrementally.
///
/// Origins have dense slots, in the order in which they were first heard of. The order of slots can
/// be seen from outside only where the order of arrival can.
package struct MeshState: Sendable {
  package let hashKey: HashKey
  package private(set) var lamport: LamportClock
  /// The summary of what is held, up to the last ``sum(slot:room:)`` of each shelf.
  package private(set) var digest = Digest()
  /// The same for the shelves of the lobby alone.
  package private(set) var lobbyDigest = Digest()
  /// The origins by slot; `nil` where one was forgotten.
  package private(set) var origins: [OriginID?] = []
  package private(set) var logs: [OriginLog] = []
  package private(set) var moving: [MovingCursors] = []
  /// The slots of the origins that have live records on the shelf of a room: those in the digest.
  private(set) var residents: [RoomID: Homes] = [:]
  private var slots: [OriginID: Int] = [:]
  private var freeSlots: [Int] = []
  /// The slots of the origins that have a live record of a session: nearly always one.
  private(set) var homes = SessionSlots()
  /// The slots of the origins that have a live removal under a key: few sessions have any.
  private(set) var removers: [RecordKey: Homes] = [:]

  package init(hashKey: HashKey, lamport: UInt64 = 0) {
    self.hashKey = hashKey
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

  /// What is held of a shelf of an origin, be it nothing.
  package func digestEntry(slot: Int, room: RoomID) -> DigestEntry? {
    origins[slot].map {
      DigestEntry(
        shelf: ShelfID($0, room), generation: logs[slot].generation,
        held: logs[slot].shelf(room).held)
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
        sum(slot: slot, room: .lobby)
      }
      return slot
    }
    guard slots.count < Limits.origins else { return nil }
    let slot = freeSlots.popLast() ?? origins.count
    if slot == origins.count {
      origins.append(origin)
      logs.append(OriginLog(generation: generation))
      moving.append(MovingCursors())
    } else {
      origins[slot] = origin
      logs[slot] = OriginLog(generation: generation)
    }
    slots[origin] = slot
    sortedSlots.insert(slot, at: place(of: origin))
    sum(slot: slot, room: .lobby)
    return slot
  }

  /// Drops an origin and everything of it. Returns the sessions that went.
  package mutating func forget(slot: Int) -> [SessionID] {
    guard let origin = origins[slot] else { return [] }
    let sessions = logs[slot].sessions
    sortedSlots.remove(at: place(of: origin))
    replaceLog(at: slot, by: OriginLog(generation: 0))
    origins[slot] = nil
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

  /// Puts an empty log in the place of another, of which nothing is counted any more.
  private mutating func replaceLog(at slot: Int, by log: OriginLog) {
    unlist(slot)
    for room in [.lobby] + logs[slot].rooms.keys { count(slot: slot, room: room, hash: 0) }
    logs[slot] = log
    moving[slot] = MovingCursors()
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

  /// Joins a record into the log of a slot. Cost: some look-ups in the log. After the last of several
  /// records of a shelf, ``sum(slot:room:)`` brings the digest up to date.
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

  /// Joins a claim of an origin about a shelf, and settles if it can. True when the shelf is settled
  /// now.
  @discardableResult
  package mutating func settle(slot: Int, room: RoomID, claim: Cut? = nil) -> Bool {
    if let claim { logs[slot].witness(claim, of: room) }
    if logs[slot].settle(room) { sum(slot: slot, room: room) }
    return logs[slot].shelf(room).isSettled
  }

  /// Removes what a manifest does not list: see ``OriginLog/settle(_:removing:)``.
  package mutating func settle(
    slot: Int, room: RoomID, removing dead: [(key: RecordKey, version: UInt64)]
  ) -> (removed: [(key: RecordKey, cell: Cell)], isSettled: Bool) {
    let result = logs[slot].settle(room, removing: dead)
    guard result.isSettled else { return result }
    for (key, _) in result.removed { unlist(key, slot) }
    sum(slot: slot, room: room)
    return result
  }

  /// Reopens a shelf: see ``OriginLog/reopen(_:claim:)``.
  @discardableResult
  package mutating func reopen(
    slot: Int, room: RoomID, claim: Cut
  ) -> [(key: RecordKey, cell: Cell)] {
    let gone = logs[slot].reopen(room, claim: claim)
    for (key, _) in gone { unlist(key, slot) }
    sum(slot: slot, room: room)
    return gone
  }

  /// Forgets the shelf of a room, and the cursors that move there. Returns the keys that went.
  package mutating func drop(slot: Int, room: RoomID) -> [RecordKey] {
    guard logs[slot].rooms.row(of: room) != nil || moving[slot].count > 0 else { return [] }
    count(slot: slot, room: room, hash: 0)
    return logs[slot].drop(room).map(\.key) + moving[slot].drop(in: room)
  }

  /// Drops the moves up to a counter at which the origin has signed that all cursors are at rest, of
  /// the rooms of which everything that it signed is here. Returns the keys that went.
  package mutating func dropMoves(slot: Int, through counter: UInt64) -> [RecordKey] {
    guard moving[slot].count > 0 else { return [] }
    let log = logs[slot]
    return moving[slot].drop(through: counter) { log.shelf($0).isSettled }
  }

  /// The planted bug of that name.
  package mutating func dropTombstonesUncovered(slot: Int, room: RoomID) {
    logs[slot].dropTombstonesUncovered(of: room)
    sum(slot: slot, room: room)
  }

  /// Counts what is held of a shelf now in the digest, in the place of what was held before.
  ///
  /// Of rooms only those shelves count on which something lives: who never heard of one that is empty
  /// holds the same as who did.
  package mutating func sum(slot: Int, room: RoomID) {
    let shelf = logs[slot].shelf(room)
    guard room.isLobby || shelf.liveCount > 0,
      let entry = digestEntry(slot: slot, room: room)
    else { return count(slot: slot, room: room, hash: 0) }
    count(slot: slot, room: room, hash: entry.hash(key: hashKey))
  }

  private mutating func count(slot: Int, room: RoomID, hash: UInt64) {
    let old = logs[slot].shelf(room).summed
    guard old != hash, let origin = origins[slot] else { return }
    let shelf = ShelfID(origin, room)
    digest.replace(shelf, old: old, new: hash)
    logs[slot].change(room) { $0.summed = hash }
    if room.isLobby {
      lobbyDigest.replace(shelf, old: old, new: hash)
    } else if old == 0 {
      residents[room].insert(slot)
    } else if hash == 0 {
      residents[room].remove(slot)
    }
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
enum Homes: Sendable {
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
  mutating func insert(_ slot: Int) {
    guard let known = self else {
      self = .one(Int32(slot))
      return
    }
    var slots = known.slots
    let index = slots.firstIndex { $0 >= slot } ?? slots.count
    guard index == slots.count || slots[index] != slot else { return }
    slots.insert(Int32(slot), at: index)
    self = .several(slots)
  }

  mutating func remove(_ slot: Int) {
    let left = self?.slots.filter { $0 != Int32(slot) } ?? []
    self = left.count > 1 ? .several(left) : left.first.map { .one($0) }
  }
}

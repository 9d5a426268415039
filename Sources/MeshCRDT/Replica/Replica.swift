/// Everything that a node holds: the room logs of all origins, and what is kept about them.
///
/// Origins have numbers, their *slots*, in the order in which they were first heard of.
package struct Replica: Sendable {
  package let hashKey: HashKey
  private let bounds: OriginBounds
  private var origins: [OriginID?] = []
  private var replicas: [OriginReplica?] = []
  private var slots: [OriginID: Int] = [:]
  private var free: [Int] = []
  /// The complete checkpoints of all origins. See ``OriginSummary``.
  private var tree: HashTree
  /// The rooms of others that are held.
  package private(set) var scope = RoomScope.all
  private var index = SessionIndex()
  private var rooms = RoomNumbers()
  /// The slots of the origins that have a live removal of a session from a room.
  private var removers: [SessionID: [SessionIndex.Place]] = [:]

  package init(hashKey: HashKey, bounds: OriginBounds = OriginBounds()) {
    self.hashKey = hashKey
    self.bounds = bounds
    tree = HashTree(hashKey: hashKey)
  }

  // MARK: Origins

  /// The number of origins.
  package var originCount: Int { slots.count }

  /// The slots, lowest first. Cost: all.
  package var allSlots: [Int] { origins.indices.filter { origins[$0] != nil } }

  /// The slot of an origin. Cost: one look-up.
  package func slot(of origin: OriginID) -> Int? { slots[origin] }

  /// The origin in a slot.
  package func origin(slot: Int) -> OriginID? {
    origins.indices.contains(slot) ? origins[slot] : nil
  }

  /// What is held of an origin.
  package func replica(slot: Int) -> OriginReplica? {
    replicas.indices.contains(slot) ? replicas[slot] : nil
  }

  /// The incarnation that is held of an origin. It is read in place: a copy of all that is held of it counts
  /// many references.
  package func incarnation(slot: Int) -> Incarnation? {
    replicas.indices.contains(slot) ? replicas[slot]?.incarnation : nil
  }

  /// Makes room for an incarnation of an origin. A higher one than the one held takes its place, and
  /// everything that was held goes.
  ///
  /// - Parameters:
  ///   - scope: the rooms that are held of it, where these are not ``scope``.
  ///   - bounds: how much a new incarnation may be, where that is not what any origin may.
  /// - Returns: the slot, and what changed by that; `nil`, and nothing changed, when the incarnation is
  ///   lower than the one held, or ``Limits/origins`` are held.
  package mutating func open(
    _ origin: OriginID, _ incarnation: Incarnation, scope: RoomScope? = nil,
    bounds: OriginBounds? = nil
  ) -> (slot: Int, changes: [AppliedChange])? {
    func replica() -> OriginReplica {
      OriginReplica(
        incarnation: incarnation, hashKey: hashKey, scope: scope ?? self.scope,
        bounds: bounds ?? self.bounds)
    }
    if let slot = slots[origin], let held = replicas[slot]?.incarnation {
      guard incarnation >= held else { return nil }
      guard incarnation > held else { return (slot, []) }
      let changes = clear(slot)
      replicas[slot] = replica()
      return (slot, changes)
    }
    guard slots.count < Limits.origins else { return nil }
    let slot = free.popLast() ?? origins.count
    if slot == origins.count {
      origins.append(origin)
      replicas.append(replica())
    } else {
      origins[slot] = origin
      replicas[slot] = replica()
    }
    slots[origin] = slot
    return (slot, [])
  }

  /// Sets how much an origin may be; `nil`: as much as any. True when that is another bound.
  package mutating func setBounds(_ bounds: OriginBounds?, slot: Int) -> Bool {
    guard replicas.indices.contains(slot), let known = replicas[slot]?.bounds,
      known != bounds ?? self.bounds
    else { return false }
    replicas[slot]?.bounds = bounds ?? self.bounds
    return true
  }

  /// Drops an origin, and about so many of its records at the most. Its slot is free, and has no origin, once
  /// none are left after a call that might drop some; until then the rest stands there, and the origin may be opened anew in another slot.
  /// Returns what changed. Cost: what is dropped, and once the rooms.
  package mutating func forget(slot: Int, atMost bound: Int = .max) -> [AppliedChange] {
    guard let origin = origin(slot: slot) else { return [] }
    if slots[origin] == slot {
      tree.remove(origin.bytes)
      slots[origin] = nil
    }
    let changes = replicas[slot]?.drop(atMost: bound) ?? []
    note(changes, slot)
    guard bound > 0, replicas[slot]?.logs.isEmpty ?? true else { return changes }
    origins[slot] = nil
    replicas[slot] = nil
    free.append(slot)
    return changes
  }

  /// Takes all records of an origin out of what is kept about them.
  private mutating func clear(_ slot: Int) -> [AppliedChange] {
    guard let origin = origins[slot], let replica = replicas[slot] else { return [] }
    tree.remove(origin.bytes)
    var changes: [AppliedChange] = []
    let empty = HashTree(hashKey: hashKey)
    for room in replica.logs.keys.sorted() {
      OriginReplica.note(from: replica.logs[room]?.tree ?? empty, to: empty, room, &changes)
    }
    // The records are gone before the index is asked whether others are left.
    replicas[slot] = OriginReplica(
      incarnation: replica.incarnation, hashKey: hashKey, scope: replica.scope, bounds: bounds)
    note(changes, slot)
    return changes
  }

  /// Holds these rooms of others from now on: see ``OriginReplica/setScope(_:_:)``. Returns what changed, of
  /// each origin with changes. Cost: all rooms.
  package mutating func setScope(
    _ scope: RoomScope, except ownSlot: Int, _ hash: some TreeHash
  ) -> [(slot: Int, changes: [AppliedChange])] {
    self.scope = scope
    var result: [(slot: Int, changes: [AppliedChange])] = []
    for slot in allSlots where slot != ownSlot {
      guard let changes = replicas[slot]?.setScope(scope, hash) else { continue }
      note(changes, slot)
      result.append((slot, changes))
      if replicas[slot]?.complete == nil, let origin = origins[slot] { tree.remove(origin.bytes) }
    }
    return result
  }

  // MARK: Records

  /// Applies a batch of an origin: see ``OriginReplica/apply(_:_:)``.
  package mutating func apply(
    slot: Int, _ place: BatchPlace, _ changes: @autoclosure () -> [RecordChange]
  ) -> BatchOutcome {
    guard replicas.indices.contains(slot), let outcome = replicas[slot]?.apply(place, changes())
    else {
      return .otherIncarnation
    }
    if case .applied(let changes) = outcome { note(changes, slot) }
    return outcome
  }

  /// Compares what is held of an origin with a checkpoint: see ``OriginReplica/evaluate(_:_:)``.
  package mutating func evaluate(
    slot: Int, _ checkpoint: CheckpointFacts, _ hash: some TreeHash
  ) -> OriginReplica.Evaluation {
    guard let origin = origin(slot: slot),
      let evaluation = replicas[slot]?.evaluate(checkpoint, hash)
    else { return .otherIncarnation }
    if evaluation == .complete { tree.set(origin.bytes, to: OriginSummary(checkpoint).bytes) }
    return evaluation
  }

  /// Takes note of a newer checkpoint of an origin: see ``OriginReplica/follow(_:changed:)``.
  package mutating func follow(
    slot: Int, _ checkpoint: CheckpointFacts, changed: [RoomName: UInt64]?
  ) {
    if replicas.indices.contains(slot) { replicas[slot]?.follow(checkpoint, changed: changed) }
    if PlantedBug.isActive(.incompleteSummarised), let origin = origin(slot: slot) {
      tree.set(origin.bytes, to: OriginSummary(checkpoint).bytes)
    }
  }

  /// The root of what is held of an origin: see ``OriginReplica/root(_:)``.
  package mutating func root(slot: Int, _ hash: some TreeHash) -> Hash256 {
    guard replicas.indices.contains(slot) else { return .empty }
    return replicas[slot]?.root(hash) ?? .empty
  }

  /// A fetch of a checkpoint of an origin; `nil` when it is of another incarnation than is held.
  package mutating func fetch(
    slot: Int, _ checkpoint: CheckpointFacts, _ hash: some TreeHash
  ) -> OriginFetch? {
    guard incarnation(slot: slot) == checkpoint.incarnation,
      var replica = replicas[slot]
    else { return nil }
    // Hashes that are computed for the fetch are kept.
    replicas[slot] = nil
    defer { replicas[slot] = replica }
    return OriginFetch(checkpoint, from: &replica, hash)
  }

  /// What a fetch asks for before its checkpoint is known.
  package func firstWants(slot: Int?) -> [OriginFetch.Want] {
    let held = slot.flatMap { replica(slot: $0) }.flatMap { $0.isSmall ? nil : $0 }
    return OriginFetch.firstWants(
      scope, rooms: held?.completeRooms, held?.logs.mapValues(\.complete) ?? [:])
  }

  /// Takes over a checkpoint that was fetched: see ``OriginReplica/adopt(_:)``.
  package mutating func adopt(slot: Int, _ fetched: FetchedOrigin) -> [AppliedChange]? {
    guard let origin = origin(slot: slot),
      replicas[slot]?.incarnation == fetched.checkpoint.incarnation,
      let changes = replicas[slot]?.adopt(fetched)
    else { return nil }
    note(changes, slot)
    tree.set(origin.bytes, to: OriginSummary(fetched.checkpoint).bytes)
    return changes
  }

  /// Drops what is above the complete checkpoint of an origin. Returns what changed.
  package mutating func revert(slot: Int) -> [AppliedChange] {
    guard replicas.indices.contains(slot), let changes = replicas[slot]?.revert() else { return [] }
    note(changes, slot)
    return changes
  }

  /// Sets what stands in the tree beside the origins, under a key that has another length than an origin's id;
  /// `nil`: nothing.
  package mutating func setEntry(_ key: [UInt8], to value: [UInt8]?) {
    guard key.count != OriginID.byteCount else { return }
    if let value { tree.set(key, to: value) } else { tree.remove(key) }
  }

  /// What stands beside the origins under a key.
  package func entry(_ key: [UInt8]) -> [UInt8]? {
    key.count == OriginID.byteCount ? nil : tree[key].map { Array($0) }
  }

  // MARK: Hashes

  /// The tree of all complete checkpoints, its hashes computed.
  package mutating func summaries(_ hash: some TreeHash) -> HashTree {
    _ = tree.hash(hash)
    return tree
  }

  /// One hash of everything that is complete: equal on all nodes that hold the same.
  package mutating func stateHash(_ hash: some TreeHash) -> Hash128 { tree.hash(hash) }

  /// One hash of what all origins' complete checkpoints say of a room that is held. Cost: the origins.
  package func roomHash(_ room: RoomName, _ hash: some TreeHash) -> Hash128 {
    var bytes: [UInt8] = []
    for (origin, slot) in slots.sorted(by: { $0.key < $1.key }) {
      guard let entry = replicas[slot]?.completeEntry(room, hash) else { continue }
      bytes += origin.bytes
      bytes += entry.bytes
    }
    return bytes.isEmpty ? .empty : hash.hash128(bytes)
  }
}

// MARK: - The index

extension Replica {
  /// The number of sessions of which there is any record.
  package var sessionCount: Int { index.count }

  /// The origins that have records of a session, lowest slot first.
  package func homes(of session: SessionID) -> [SessionHome] {
    guard let places = index.places(of: session) else { return [] }
    let first = rooms.name(places.first.room)
    var homes = [SessionHome(slot: Int(places.first.slot), rooms: first.map { [$0] } ?? [])]
    for place in places.others ?? [] {
      if homes.last?.slot != Int(place.slot) {
        homes.append(SessionHome(slot: Int(place.slot), rooms: []))
      }
      if let room = rooms.name(place.room) { homes[homes.count - 1].rooms.append(room) }
    }
    for index in homes.indices where homes[index].rooms.count > 1 { homes[index].rooms.sort() }
    return homes
  }

  /// A record of an origin in a room's log.
  package func record(_ key: EntryKey, in room: RoomName, slot: Int) -> StoredRecord? {
    // Not by way of a function of the replica, for which all of it would be copied.
    guard replicas.indices.contains(slot), let logs = replicas[slot]?.logs,
      let index = logs.index(forKey: room)
    else { return nil }
    return logs.values[index].tree[key]
  }

  /// The live removals of a session from a room, with the slots of those who ordered them.
  package func removals(
    of session: SessionID, from room: RoomName
  ) -> [(slot: Int, record: StoredRecord)] {
    guard !removers.isEmpty, let places = removers[session], let number = rooms.number(room) else {
      return []
    }
    let key = EntryKey(.removal, session, room: room)
    return places.filter { $0.room == number }.compactMap { place in
      record(key, in: .lobby, slot: Int(place.slot)).map { (Int(place.slot), $0) }
    }
  }

  /// The sessions of which an origin has records, in the order of their ids. Cost: its records.
  package func sessions(slot: Int) -> [SessionID] {
    guard let logs = replica(slot: slot)?.logs else { return [] }
    var sessions: Set<SessionID> = []
    for log in logs.values {
      log.tree.visit { key, _ in
        if let key = EntryKey(bytes: key), key.kind != .removal, key.kind != .subscription {
          sessions.insert(key.session)
        }
      }
    }
    return sessions.sorted()
  }

  /// A few of the sessions that an origin has session records of, about `bound`, after one of them, in an
  /// order that depends on their ids alone. Cost: those that come.
  package func sessions(
    slot: Int, after last: SessionID?, atMost bound: Int
  ) -> [SessionID] {
    guard let tree = replica(slot: slot)?.logs[.lobby]?.tree else { return [] }
    var placement = last.map { tree.placement(of: EntryKey(.session, $0).bytes) }
    var result: [SessionID] = []
    // A node may have records of other kinds alone.
    while result.isEmpty {
      let keys = tree.keys(after: placement, atMost: bound)
      guard let end = keys.last else { return [] }
      placement = tree.placement(of: end)
      for key in keys {
        if let key = EntryKey(bytes: key), key.kind == .session { result.append(key.session) }
      }
    }
    return result
  }

  /// Brings the index up to date with changes of an origin's records.
  private mutating func note(_ changes: [AppliedChange], _ slot: Int) {
    // An element that is taken out counts each of its parts once more.
    for index in changes.indices where (changes[index].old == nil) != (changes[index].new == nil) {
      let change = changes[index]
      switch change.key.kind {
      case .session: noteSession(change.key.session, isThere: change.new != nil, slot)
      case .presence, .cursor:
        noteRoom(change.room, of: change.key.session, isWritten: change.new != nil, slot)
      case .occupancy:
        noteRoom(change.key.room, of: change.key.session, isWritten: change.new != nil, slot)
      case .removal: noteRemoval(change.key, isThere: change.new != nil, slot)
      default: break
      }
    }
  }

  private mutating func noteSession(_ session: SessionID, isThere: Bool, _ slot: Int) {
    let place = SessionIndex.Place(slot: Int32(slot), room: SessionIndex.noRoom)
    if isThere { index.insert(place, for: session) } else { index.remove(place, from: session) }
  }

  private mutating func noteRoom(
    _ room: RoomName, of session: SessionID, isWritten: Bool, _ slot: Int
  ) {
    let isThere =
      isWritten || record(EntryKey(.presence, session), in: room, slot: slot) != nil
      || record(EntryKey(.cursor, session), in: room, slot: slot) != nil
      || record(EntryKey(.occupancy, session, room: room), in: .lobby, slot: slot) != nil
    if isThere {
      let number = rooms.retain(room)
      if !index.insert(SessionIndex.Place(slot: Int32(slot), room: number), for: session) {
        rooms.release(number)
      }
    } else if let number = rooms.number(room),
      index.remove(SessionIndex.Place(slot: Int32(slot), room: number), from: session)
    {
      rooms.release(number)
      let key = EntryKey(.session, session)
      if record(key, in: .lobby, slot: slot) != nil {
        noteSession(session, isThere: true, slot)
      }
    }
  }

  private mutating func noteRemoval(_ key: EntryKey, isThere: Bool, _ slot: Int) {
    if isThere {
      let place = SessionIndex.Place(slot: Int32(slot), room: rooms.retain(key.room))
      removers[key.session] = ((removers[key.session] ?? []) + [place]).sorted()
    } else if let number = rooms.number(key.room) {
      let place = SessionIndex.Place(slot: Int32(slot), room: number)
      let left = (removers[key.session] ?? []).filter { $0 != place }
      removers[key.session] = left.isEmpty ? nil : left
      rooms.release(number)
    }
  }

  /// Compares the index with the records; for tests and the simulator. Cost: everything.
  package func invariantViolation() -> String? {
    var places: [SessionID: Set<String>] = [:]
    var removals = 0
    for slot in allSlots {
      for (room, log) in replicas[slot]?.logs ?? [:] {
        log.tree.visit { key, _ in
          guard let key = EntryKey(bytes: key) else { return }
          switch key.kind {
          case .session: places[key.session, default: []].insert("\(slot)")
          case .presence, .cursor: places[key.session, default: []].insert("\(slot)/\(room.text)")
          case .occupancy: places[key.session, default: []].insert("\(slot)/\(key.room.text)")
          case .removal: removals += 1
          default: break
          }
        }
      }
    }
    guard places.count == index.count else { return "the index has other sessions" }
    for (session, expected) in places {
      let found = self.homes(of: session).flatMap { home in
        ["\(home.slot)"] + home.rooms.map { "\(home.slot)/\($0.text)" }
      }
      // A slot stands in the index for its rooms, too.
      let slots = Set(expected.map { $0.prefix { $0 != "/" } }.map(String.init))
      guard Set(found) == expected.union(slots) else {
        return "the index of session \(session) has \(found), not \(expected)"
      }
    }
    let count = removers.values.reduce(0) { $0 + $1.count }
    return count == removals ? nil : "the index of removals has \(count) of \(removals)"
  }
}

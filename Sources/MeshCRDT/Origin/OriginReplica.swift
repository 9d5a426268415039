/// What is held of one origin: the room logs of its newest incarnation. A delta-state CRDT with one
/// writer, who signs its root.
///
/// ## The lattice
/// The highest incarnation wins whole. Inside it all records are numbered in the order in which they were
/// written, so that a set of versions that were applied says what is held. Batches of one room are applied
/// in their order, since each names the version before it; batches of different rooms in any. So two
/// replicas that applied the same versions hold the same records, in whatever order, and however often,
/// the batches came.
///
/// A *checkpoint* is the origin's signature under the root of all its rooms at a version. Whoever applied
/// exactly the versions up to it computes the root; if it is the signed one, everything is here, and
/// nothing else: the checkpoint is *complete*, and what was removed before it needs no trace. A replica
/// that misses too much takes over the trees of another one's complete checkpoint, node by node, each of
/// which hashes to what the node above says (``OriginFetch``).
///
/// The records at the complete checkpoint are kept beside the present ones, and share all nodes that are
/// the same: they answer other replicas' comparisons, and are what is left when the origin falls silent.
///
/// ## Some rooms
/// A replica of some rooms alone (``RoomScope``) misses the versions of the others, so that it can compute no
/// root. A fetch, which proves each room by the hashes on the way to it, makes it complete; after that,
/// checkpoints that name all rooms that changed are links of a *chain*: while none is missing in it, what they
/// name of the rooms that are held is all that changed there since.
///
/// Source: Almeida, Shoker and Baquero, *Delta State Replicated Data Types*, 2018.
package struct OriginReplica: Sendable {
  let hashKey: HashKey
  package let incarnation: Incarnation
  /// The rooms that are held.
  package private(set) var scope: RoomScope
  var bounds: OriginBounds
  package private(set) var usage = OriginUsage()
  /// The rooms whose records are still to be dropped, the last first; `nil`: nothing is.
  private var leaving: [RoomName]?
  package internal(set) var logs: [RoomName: RoomLog] = [:]
  /// The tree of rooms, but for ``stale`` entries. Of a replica of some rooms: that of a fetch.
  var rooms: HashTree
  /// Rooms whose entries in ``rooms`` are older than their logs.
  var stale: Set<RoomName> = []
  /// Rooms that were written since the complete checkpoint.
  package internal(set) var written: Set<RoomName> = []
  package internal(set) var applied = VersionSet()
  /// The newest checkpoint that is complete here.
  package internal(set) var complete: CheckpointFacts?
  /// The tree of rooms at ``complete``; of a replica of some rooms only while it ``isProven``.
  package internal(set) var completeRooms: HashTree
  /// True when ``completeRooms`` proves what is held at ``complete``.
  package private(set) var isProven = true
  /// True when rooms are held that were not before: only a fetch brings them.
  private var needsFetch = false
  /// What the last checkpoints have named, of a replica of some rooms.
  private var chain = CheckpointChain()

  package init(
    incarnation: Incarnation, hashKey: HashKey, scope: RoomScope = .all,
    bounds: OriginBounds = OriginBounds()
  ) {
    self.incarnation = incarnation
    self.hashKey = hashKey
    self.scope = scope
    self.bounds = bounds
    rooms = HashTree(hashKey: hashKey)
    completeRooms = rooms
  }

  /// The record of a key in a room's log. Cost: two look-ups.
  package func record(_ key: EntryKey, in room: RoomName) -> StoredRecord? { logs[room]?[key] }

  /// The number of records of all rooms. Cost: the rooms.
  package var recordCount: Int { logs.values.reduce(0) { $0 + $1.tree.count } }

  /// True when all records are not more than a node of a tree.
  var isSmall: Bool { usage.bytes < HashTree.bucketBytes }

  /// True when everything that was applied is in the complete checkpoint.
  package var isAtCheckpoint: Bool { written.isEmpty && complete != nil }
}

/// A record that changed.
package struct AppliedChange: Hashable, Sendable {
  package let room: RoomName
  package let key: EntryKey
  /// What was there; `nil`: nothing.
  package let old: StoredRecord?
  /// What is there now; `nil`: nothing.
  package let new: StoredRecord?

  package init(room: RoomName, key: EntryKey, old: StoredRecord?, new: StoredRecord?) {
    self.room = room
    self.key = key
    self.old = old
    self.new = new
  }
}

/// What applying a batch did.
package enum BatchOutcome: Hashable, Sendable {
  /// Its records are in.
  case applied([AppliedChange])
  /// Its versions were applied before, or what it wrote is gone already.
  case known
  /// Something before it is missing: nothing changed. The batch waits, or is asked for again.
  case gap
  /// It is of another incarnation: nothing changed.
  case otherIncarnation
  /// A bound keeps it out: nothing changed.
  case refused
}

extension OriginReplica {
  /// Applies a batch: the changes of consecutive versions in one room, which are read only when they are
  /// written. Cost: a tree write for each.
  package mutating func apply(
    _ place: BatchPlace, _ changes: @autoclosure () -> [RecordChange]
  ) -> BatchOutcome {
    guard place.incarnation == incarnation else { return .otherIncarnation }
    guard scope.contains(place.room), !applied.contains(place.versions) else { return .known }
    let version =
      PlantedBug.isActive(.batchesInAnyOrder) ? place.previous : logs[place.room]?.version ?? 0
    if place.versions.upperBound <= version {
      // A later batch began the log anew before this one came.
      return noteApplied(place.versions) ? .known : .refused
    }
    guard
      place.previous == version || place.previous == 0 && place.versions.lowerBound > version
        || PlantedBug.isActive(.previousIgnored)
    else { return .gap }
    let rooms = logs.count + (logs[place.room] == nil ? 1 : 0)
    guard !usage.exceeds(bounds, rooms: rooms, times: 2), noteApplied(place.versions) else {
      return .refused
    }
    return .applied(write(changes(), from: place.versions.lowerBound, place: place))
  }

  /// Of some rooms alone, the versions of their logs tell what was applied since the complete checkpoint.
  private mutating func noteApplied(_ versions: ClosedRange<UInt64>) -> Bool {
    !scope.isAll || applied.insert(versions)
  }

  private mutating func write(
    _ changes: [RecordChange], from first: UInt64, place: BatchPlace
  ) -> [AppliedChange] {
    var log = logs.removeValue(forKey: place.room) ?? RoomLog(hashKey: hashKey)
    var result: [AppliedChange] = []
    result.reserveCapacity(changes.count)
    if place.previous == 0, !log.tree.isEmpty, !PlantedBug.isActive(.clearedRoomKept) {
      log.tree.visit { key, value in
        guard let key = EntryKey(bytes: key) else { return }
        result.append(
          AppliedChange(room: place.room, key: key, old: StoredRecord(bytes: value), new: nil))
      }
      log.tree = HashTree(hashKey: hashKey)
    }
    var bytes: [UInt8] = []
    for (index, change) in changes.enumerated() {
      if change.value == nil, PlantedBug.isActive(.tombstoneIgnored) { continue }
      var new = change.value.map {
        StoredRecord(version: first + UInt64(index), counter: change.counter, value: $0)
      }
      bytes.removeAll(keepingCapacity: true)
      new?.append(to: &bytes)
      let old = change.key.withBytes { key in
        let write = bytes.withUnsafeBufferPointer { log.tree.write(key, new == nil ? nil : $0) }
        if case .done(let old) = write { return old }
        // One that no tree takes is not held; the root tells that it is missing.
        new = nil
        guard case .done(let old) = log.tree.write(key, nil) else { return nil }
        return old
      }.flatMap(StoredRecord.init(bytes:))
      if old != nil || new != nil {
        result.append(AppliedChange(room: place.room, key: change.key, old: old, new: new))
      }
    }
    log.version = place.versions.upperBound
    logs[place.room] = log
    stale.insert(place.room)
    written.insert(place.room)
    usage.note(result)
    return result
  }

  // MARK: Checkpoints

  /// The root of all rooms, as they are. Cost: what was written since it was asked for last.
  package mutating func root(_ hash: some TreeHash) -> Hash256 {
    for room in stale.sorted() { Self.enter(logs[room]?.entry(hash), of: room, in: &rooms) }
    stale = []
    return rooms.root(hash)
  }

  /// Brings what a tree of rooms says of a room up to date. False when its node is missing.
  @discardableResult
  private static func enter(
    _ entry: RoomEntry?, of room: RoomName, in tree: inout HashTree
  ) -> Bool {
    let key = RoomEntry.key(room)
    if let entry { return tree.set(key, to: entry.bytes) }
    tree.remove(key)
    return tree.reaches(key)
  }

  /// Computes the hashes of what is held. Returns the tree of rooms that a fetch is to begin with.
  mutating func settle(_ hash: some TreeHash) -> HashTree {
    if scope.isAll { _ = root(hash) }
    for room in stale { _ = logs[room]?.entry(hash) }
    stale = []
    return rooms
  }

  /// How what is held stands to a checkpoint of this incarnation.
  package enum Evaluation: Hashable, Sendable {
    /// Exactly this is held.
    case complete
    /// Later versions were applied already: a later checkpoint will tell.
    case overtaken
    /// These versions are missing.
    case missing([Gap])
    /// All versions are here, and their root is another one; or only a fetch can tell.
    case differs
    /// Exactly this is held, and is more than may be.
    case excessive
    /// It is of another incarnation.
    case otherIncarnation
  }

  /// Versions that are missing, of one room or of all.
  package struct Gap: Hashable, Sendable {
    package let room: RoomName?
    package let versions: ClosedRange<UInt64>

    package init(room: RoomName? = nil, _ versions: ClosedRange<UInt64>) {
      self.room = room
      self.versions = versions
    }
  }

  /// Compares what is held with a checkpoint; a complete one is kept. Cost: as of ``root(_:)``, if all
  /// versions and no others are here.
  package mutating func evaluate(
    _ checkpoint: CheckpointFacts, _ hash: some TreeHash
  ) -> Evaluation {
    guard checkpoint.incarnation == incarnation else { return .otherIncarnation }
    if let complete, complete.sequence >= checkpoint.sequence {
      return complete == checkpoint ? .complete : .overtaken
    }
    guard !needsFetch else { return .differs }
    guard scope.isAll else { return evaluateByChain(checkpoint, hash) }
    let missing = applied.missing(through: checkpoint.version)
    guard missing.isEmpty else { return .missing(missing.map { Gap($0) }) }
    guard applied.highest == checkpoint.version else { return .overtaken }
    guard root(hash) == checkpoint.root || PlantedBug.isActive(.rootNotChecked) else {
      return .differs
    }
    guard !usage.exceeds(bounds, rooms: rooms.count) else { return .excessive }
    keepComplete(checkpoint)
    return .complete
  }

  private mutating func keepComplete(_ checkpoint: CheckpointFacts) {
    for room in written {
      if logs[room]?.tree.isEmpty == true { logs[room] = nil }
      logs[room]?.keepComplete()
    }
    written = []
    complete = checkpoint
    completeRooms = rooms
  }

  /// The same of some rooms: the checkpoints since the complete one tell what their logs must be.
  private mutating func evaluateByChain(
    _ checkpoint: CheckpointFacts, _ hash: some TreeHash
  ) -> Evaluation {
    guard chain.sequence == checkpoint.sequence, chain.start <= complete?.sequence ?? 0 else {
      return .differs
    }
    var missing: [Gap] = []
    var isOvertaken = false
    for room in written.union(chain.changed.keys).sorted() where scope.contains(room) {
      let log = logs[room]
      let version = log?.version ?? 0
      // Of a log in which nothing lives, the version does not count.
      let expected = chain.changed[room] ?? log?.completeVersion ?? 0
      guard (log?.tree.isEmpty ?? true ? 0 : version) != expected else { continue }
      let end = expected == 0 ? checkpoint.version : expected
      if version > checkpoint.version {
        isOvertaken = true
      } else if version < end {
        missing.append(Gap(room: room, version + 1...end))
      } else {
        return .differs
      }
    }
    guard missing.isEmpty else { return .missing(missing) }
    guard !isOvertaken else { return .overtaken }
    guard !usage.exceeds(bounds) else { return .excessive }
    // Where no other rooms changed, the root can be computed all the same.
    var tree = completeRooms
    for room in chain.changed.keys.sorted() where isProven {
      let entry = logs[room]?.entry(hash)
      isProven = scope.contains(room) && Self.enter(entry, of: room, in: &tree)
    }
    isProven = isProven && tree.root(hash) == checkpoint.root
    if isProven { rooms = tree }
    keepComplete(checkpoint)
    applied = VersionSet(through: checkpoint.version)
    chain = CheckpointChain(at: checkpoint.sequence)
    return .complete
  }

  /// Takes note of a newer checkpoint.
  ///
  /// - Parameter changed: the rooms that changed since the one before, with their versions; `nil`: not all
  ///   are named.
  package mutating func follow(_ checkpoint: CheckpointFacts, changed: [RoomName: UInt64]?) {
    guard !scope.isAll, checkpoint.incarnation == incarnation else { return }
    if chain.follow(checkpoint.sequence, changed: changed) { return }
    // Under the same root stands the same.
    let isSame = complete.map { $0.root == checkpoint.root } ?? (checkpoint.root == .empty)
    chain = CheckpointChain(
      at: checkpoint.sequence, from: isSame ? complete?.sequence ?? 0 : checkpoint.sequence)
  }

  /// Holds these rooms from now on. Drops the others, and returns what changed by that. Where rooms are held
  /// from now on of which it is not known that nothing stands there, no checkpoint is complete until a fetch.
  /// Cost: the rooms, and the nodes of their tree.
  package mutating func setScope(_ scope: RoomScope, _ hash: some TreeHash) -> [AppliedChange] {
    var lacks = scope.isAll
    for room in scope.rooms ?? [] where !self.scope.contains(room) {
      let key = RoomEntry.key(room)
      lacks =
        lacks || !isProven || !completeRooms.reaches(key) || completeRooms[key] != nil
        || chain.changed[room] != nil
    }
    if complete == nil && logs.isEmpty && chain.sequence == 0 && !needsFetch { lacks = false }
    let wasAll = self.scope.isAll
    var result: [AppliedChange] = []
    let empty = HashTree(hashKey: hashKey)
    for room in logs.keys.sorted()
    where !scope.contains(room) && !PlantedBug.isActive(.unsubscribedRoomKept) {
      Self.note(from: logs[room]?.tree ?? empty, to: empty, room, &result)
      logs[room] = nil
      written.remove(room)
      stale.remove(room)
    }
    self.scope = scope
    if wasAll && !scope.isAll {
      chain = CheckpointChain(at: complete?.sequence ?? 0)
      needsFetch = needsFetch || complete == nil && !logs.isEmpty
      applied = VersionSet(through: complete?.version ?? 0)
      rooms = completeRooms
    }
    if lacks {
      (needsFetch, complete) = (true, nil)
    }
    if !scope.isAll {
      _ = completeRooms.hash(hash)
      completeRooms.prune(scope.reaches)
      rooms = completeRooms
    }
    usage.note(result)
    return result
  }

  /// Goes back to the complete checkpoint, or to nothing: what is above it is dropped. Returns what
  /// changed. Cost: what was written since.
  package mutating func revert() -> [AppliedChange] {
    var result: [AppliedChange] = []
    for room in written.sorted() {
      guard var log = logs.removeValue(forKey: room) else { continue }
      Self.note(from: log.tree, to: log.complete, room, &result)
      log.revert()
      if !log.tree.isEmpty { logs[room] = log }
    }
    written = []
    stale = []
    rooms = completeRooms
    applied = VersionSet(through: complete?.version ?? 0)
    usage.note(result)
    chain = CheckpointChain(at: complete?.sequence ?? 0)
    return result
  }

  /// Takes some records out, room by room: what is forgotten. The complete checkpoint goes at once.
  mutating func drop(atMost bound: Int) -> [AppliedChange] {
    var result: [AppliedChange] = []
    let empty = HashTree(hashKey: hashKey)
    var rooms = leaving ?? logs.keys.sorted()
    (complete, completeRooms, self.rooms) = (nil, empty, empty)
    while result.count < bound, let room = rooms.last {
      guard var log = logs.removeValue(forKey: room) else {
        rooms.removeLast()
        continue
      }
      log.complete = empty
      let keys = log.tree.keys(after: nil, atMost: bound - result.count).map(Array.init)
      for bytes in keys {
        let old = log.tree[bytes].flatMap(StoredRecord.init(bytes:))
        log.tree.remove(bytes)
        guard let key = EntryKey(bytes: bytes[...]) else { continue }
        result.append(AppliedChange(room: room, key: key, old: old, new: nil))
      }
      if !keys.isEmpty, !log.tree.isEmpty { logs[room] = log }
    }
    leaving = rooms
    usage.note(result)
    return result
  }

  /// What the complete checkpoint says of a room that is held; `nil`: it is empty there. Cost: as of
  /// ``HashTree/hash(_:)``.
  package func completeEntry(_ room: RoomName, _ hash: some TreeHash) -> RoomEntry? {
    guard var log = logs[room] else { return nil }
    log.revert()
    return log.entry(hash)
  }

  static func note(
    from old: HashTree, to new: HashTree, _ room: RoomName, _ result: inout [AppliedChange]
  ) {
    HashTree.forEachDifference(from: old, to: new) { key, old, new in
      guard let key = EntryKey(bytes: key) else { return }
      result.append(
        AppliedChange(
          room: room, key: key, old: old.flatMap(StoredRecord.init(bytes:)),
          new: new.flatMap(StoredRecord.init(bytes:))))
    }
  }

  /// Takes over the trees of a checkpoint that was fetched, in the place of all that it has. Returns what
  /// changed; `nil`, and nothing did, when they are more than may be, or of other rooms than are held.
  /// Cost: what differs.
  package mutating func adopt(_ fetched: FetchedOrigin) -> [AppliedChange]? {
    guard fetched.scope == scope else { return nil }
    var result: [AppliedChange] = []
    var new: [RoomName: RoomLog] = [:]
    for (room, tree) in fetched.trees { new[room] = RoomLog(version: tree.version, tree.tree) }
    // What was written later, in a room without a gap, is not put back.
    let end = fetched.checkpoint.version
    let later = logs.filter { $0.value.version > end }
    for (room, log) in later {
      var log = log
      log.keepComplete(new[room])
      new[room] = log
    }
    if PlantedBug.isActive(.fetchKeepsWhatItLacks) { new.merge(logs) { fetched, _ in fetched } }
    let empty = HashTree(hashKey: hashKey)
    for room in Set(logs.keys).union(new.keys).sorted() {
      Self.note(from: logs[room]?.tree ?? empty, to: new[room]?.tree ?? empty, room, &result)
    }
    var usage = usage
    usage.note(result)
    guard !usage.exceeds(bounds, rooms: new.count) else { return nil }
    self.usage = usage
    logs = new
    rooms = fetched.rooms
    completeRooms = fetched.rooms
    complete = fetched.checkpoint
    if later.isEmpty || !scope.isAll {
      applied = VersionSet(through: end)
    } else if end > 0 {
      _ = applied.insert(1...end)
    }
    written = Set(later.keys)
    stale = written
    isProven = true
    needsFetch = false
    // Checkpoints that came meanwhile may be links behind it.
    if !(chain.start..<chain.sequence).contains(fetched.checkpoint.sequence) {
      chain = CheckpointChain(at: fetched.checkpoint.sequence)
    }
    return result
  }
}

/// What the checkpoints behind one have named, as long as none is missing.
private struct CheckpointChain: Sendable {
  /// The sequence of the one before the first.
  let start: UInt64
  /// The sequence of the last one.
  private(set) var sequence: UInt64
  /// The rooms that changed, with their versions at the last one.
  private(set) var changed: [RoomName: UInt64] = [:]

  /// The most rooms.
  private static let bound = 256

  init(at sequence: UInt64 = 0, from start: UInt64? = nil) {
    self.start = min(start ?? sequence, sequence)
    self.sequence = sequence
  }

  /// Takes the next checkpoint in. False when it is not the next one, or does not name all that changed.
  mutating func follow(_ sequence: UInt64, changed: [RoomName: UInt64]?) -> Bool {
    guard let changed,
      sequence == self.sequence + 1 || PlantedBug.isActive(.chainGapIgnored)
    else { return false }
    self.sequence = sequence
    self.changed.merge(changed) { $1 }
    return self.changed.count <= Self.bound
  }
}

extension OriginReplica {
  /// The bytes of a node of the complete checkpoint; `nil`: nothing is there, or it is not held. Cost: its
  /// depth.
  package func completeContent(_ tree: OriginFetch.Tree, _ path: TreePath) -> [UInt8]? {
    completeTree(tree)?.content(at: path)
  }

  /// A tree of the complete checkpoint, of which nodes may be missing; `nil`: it is not held.
  package func completeTree(_ tree: OriginFetch.Tree) -> HashTree? {
    switch tree {
    case .rooms: return completeRooms
    case .records(let room):
      if let log = logs[room], log.completeVersion > 0 { return log.complete }
      let key = RoomEntry.key(room)
      let isEmpty = completeRooms.reaches(key) && completeRooms[key] == nil
      return isEmpty ? HashTree(hashKey: hashKey) : nil
    }
  }
}

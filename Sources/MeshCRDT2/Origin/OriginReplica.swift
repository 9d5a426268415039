package import MeshCRDT

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
/// Source: Almeida, Shoker and Baquero, *Delta State Replicated Data Types*, 2018.
package struct OriginReplica: Sendable {
  let hashKey: HashKey
  package let incarnation: Incarnation
  package internal(set) var logs: [RoomName: RoomLog] = [:]
  /// The tree of rooms, but for ``stale`` entries.
  var rooms: HashTree
  /// Rooms whose entries in ``rooms`` are older than their logs.
  var stale: Set<RoomName> = []
  /// Rooms that were written since the complete checkpoint.
  package internal(set) var written: Set<RoomName> = []
  package internal(set) var applied = VersionSet()
  /// The newest checkpoint that is complete here.
  package internal(set) var complete: CheckpointFacts?
  /// The tree of rooms at ``complete``.
  package internal(set) var completeRooms: HashTree

  package init(incarnation: Incarnation, hashKey: HashKey) {
    self.incarnation = incarnation
    self.hashKey = hashKey
    rooms = HashTree(hashKey: hashKey)
    completeRooms = rooms
  }

  /// The record of a key in a room's log. Cost: two look-ups.
  package func record(_ key: EntryKey, in room: RoomName) -> StoredRecord? { logs[room]?[key] }

  /// The number of records of all rooms. Cost: the rooms.
  package var recordCount: Int { logs.values.reduce(0) { $0 + $1.tree.count } }

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
  /// The most records of one room log. The lobby's can have a session, a presence, a cursor and some
  /// occupancies of each session.
  package static let recordsPerRoom = 8 * Limits.sessionsPerOrigin
  /// The most rooms, the lobby included.
  package static let roomsPerOrigin = Limits.shelvesPerOrigin + 1

  /// Applies a batch: the changes of consecutive versions in one room. Cost: a tree write for each.
  package mutating func apply(_ place: BatchPlace, _ changes: [RecordChange]) -> BatchOutcome {
    guard place.incarnation == incarnation else { return .otherIncarnation }
    guard !applied.contains(place.versions) else { return .known }
    let version = logs[place.room]?.version ?? 0
    if place.versions.upperBound <= version {
      // A later batch began the log anew before this one came.
      return applied.insert(place.versions) ? .known : .refused
    }
    guard place.previous == version || place.previous == 0 && place.versions.lowerBound > version
    else { return .gap }
    let additions = changes.filter { $0.value != nil }.count
    guard logs[place.room] != nil || logs.count < Self.roomsPerOrigin,
      (logs[place.room]?.tree.count ?? 0) + additions <= Self.recordsPerRoom
    else { return .refused }
    var copy = applied
    guard copy.insert(place.versions) else { return .refused }
    applied = copy
    return .applied(write(changes, from: place.versions.lowerBound, place: place))
  }

  private mutating func write(
    _ changes: [RecordChange], from first: UInt64, place: BatchPlace
  ) -> [AppliedChange] {
    var log = logs.removeValue(forKey: place.room) ?? RoomLog(hashKey: hashKey)
    var result: [AppliedChange] = []
    result.reserveCapacity(changes.count)
    if place.previous == 0, !log.tree.isEmpty {
      log.tree.visit { key, value in
        guard let key = EntryKey(bytes: key) else { return }
        result.append(
          AppliedChange(room: place.room, key: key, old: StoredRecord(bytes: value), new: nil))
      }
      log.tree = HashTree(hashKey: hashKey)
    }
    for (index, change) in changes.enumerated() {
      let key = change.key.bytes
      let old = log.tree[key].flatMap(StoredRecord.init(bytes:))
      var new: StoredRecord?
      if let value = change.value {
        let record = StoredRecord(
          version: first + UInt64(index), counter: change.counter, value: value[...])
        // One that no tree takes is not held; the root tells that it is missing.
        if log.tree.set(key, to: record.bytes) { new = record } else { log.tree.remove(key) }
      } else {
        log.tree.remove(key)
      }
      if old != nil || new != nil {
        result.append(AppliedChange(room: place.room, key: change.key, old: old, new: new))
      }
    }
    log.version = place.versions.upperBound
    logs[place.room] = log
    stale.insert(place.room)
    written.insert(place.room)
    return result
  }

  // MARK: Checkpoints

  /// The root of all rooms, as they are. Cost: what was written since it was asked for last.
  package mutating func root(_ hash: some TreeHash) -> Hash256 {
    for room in stale.sorted() {
      guard logs[room]?.tree.isEmpty == false else {
        rooms.remove(RoomEntry.key(room))
        continue
      }
      let treeHash = logs[room]?.tree.hash(hash) ?? .empty
      let entry = RoomEntry(
        version: logs[room]?.version ?? 0, count: UInt64(logs[room]?.tree.count ?? 0),
        hash: treeHash)
      rooms.set(RoomEntry.key(room), to: entry.bytes)
    }
    stale = []
    return rooms.root(hash)
  }

  /// How what is held stands to a checkpoint of this incarnation.
  package enum Evaluation: Hashable, Sendable {
    /// Exactly this is held.
    case complete
    /// Later versions were applied already: a later checkpoint will tell.
    case overtaken
    /// These versions are missing.
    case missing([ClosedRange<UInt64>])
    /// All versions are here, and their root is another one.
    case differs
    /// It is of another incarnation.
    case otherIncarnation
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
    let missing = applied.missing(through: checkpoint.version)
    guard missing.isEmpty else { return .missing(missing) }
    guard applied.highest == checkpoint.version else { return .overtaken }
    guard root(hash) == checkpoint.root else { return .differs }
    keepComplete(checkpoint)
    return .complete
  }

  private mutating func keepComplete(_ checkpoint: CheckpointFacts) {
    for room in written {
      if logs[room]?.tree.isEmpty == true { logs[room] = nil }
      if let tree = logs[room]?.tree { logs[room]?.complete = tree }
    }
    written = []
    complete = checkpoint
    completeRooms = rooms
  }

  /// Goes back to the complete checkpoint, or to nothing: what is above it is dropped. Returns what
  /// changed. Cost: what was written since.
  package mutating func revert() -> [AppliedChange] {
    var result: [AppliedChange] = []
    for room in written.sorted() {
      guard var log = logs.removeValue(forKey: room) else { continue }
      Self.note(from: log.tree, to: log.complete, room, &result)
      guard let entry = completeEntry(room) else { continue }
      log.tree = log.complete
      log.version = entry.version
      logs[room] = log
    }
    written = []
    stale = []
    rooms = completeRooms
    applied = VersionSet(through: complete?.version ?? 0)
    return result
  }

  /// What the complete checkpoint says of a room; `nil`: it is empty there.
  package func completeEntry(_ room: RoomName) -> RoomEntry? {
    completeRooms[RoomEntry.key(room)].flatMap(RoomEntry.init(bytes:))
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

  /// Takes over the trees of a checkpoint that was fetched, in the place of all that is held. Returns what
  /// changed. Cost: what differs.
  package mutating func adopt(_ fetched: FetchedOrigin) -> [AppliedChange] {
    var result: [AppliedChange] = []
    var new: [RoomName: RoomLog] = [:]
    for (room, tree) in fetched.trees {
      var log = RoomLog(hashKey: hashKey)
      log.version = tree.version
      log.tree = tree.tree
      log.complete = tree.tree
      new[room] = log
    }
    let empty = HashTree(hashKey: hashKey)
    for room in Set(logs.keys).union(new.keys).sorted() {
      Self.note(from: logs[room]?.tree ?? empty, to: new[room]?.tree ?? empty, room, &result)
    }
    logs = new
    rooms = fetched.rooms
    completeRooms = fetched.rooms
    complete = fetched.checkpoint
    applied = VersionSet(through: fetched.checkpoint.version)
    written = []
    stale = []
    return result
  }
}

extension OriginReplica {
  /// The bytes of a node of the complete checkpoint; `nil`: nothing is there. Cost: its depth.
  package func completeContent(_ tree: OriginFetch.Tree, _ path: TreePath) -> [UInt8]? {
    completeTree(tree)?.content(at: path)
  }

  /// A tree of the complete checkpoint; `nil`: it is empty.
  package func completeTree(_ tree: OriginFetch.Tree) -> HashTree? {
    switch tree {
    case .rooms: completeRooms
    case .records(let room): completeEntry(room) == nil ? nil : logs[room]?.complete
    }
  }
}

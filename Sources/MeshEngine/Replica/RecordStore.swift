import MeshCRDT
import MeshWire

/// The records of all origins, with what their signed messages say about them: what is complete, what is
/// missing, and what cannot both be true.
struct RecordStore: Sendable {
  /// The newest checkpoint of an origin, complete here or not.
  struct Newest: Sendable {
    let checkpoint: Authentic<Checkpoint>
    /// Who sent it first, and so has what it speaks of.
    let source: PeerAddress?
    /// True while it is to be sent on once it is complete; and whether it began an incarnation.
    var isHeldBack = false
    var isNewLife = false
    /// True when it speaks of more than an origin may have: it becomes complete nowhere.
    var isExcessive = false
    var facts: CheckpointFacts { checkpoint.body.facts }
  }

  private(set) var replica: Replica
  private let hash: any TreeHash
  // By slot.
  private var windows: [RecentBatches] = []
  private var newest: [Newest?] = []
  /// The message of the complete checkpoint.
  private var complete: [Authentic<Checkpoint>?] = []
  private var hidden: [Bool] = []

  init(hashKey: HashKey, hash: any TreeHash, bounds: OriginBounds = OriginBounds()) {
    replica = Replica(hashKey: hashKey, bounds: bounds)
    self.hash = hash
  }

  // MARK: Reading

  func slot(of origin: OriginID) -> Int? { replica.slot(of: origin) }

  /// The newest checkpoint of an origin.
  func newest(slot: Int) -> Newest? { newest.indices.contains(slot) ? newest[slot] : nil }

  /// The newest checkpoint of an origin that is complete here.
  func complete(slot: Int) -> Authentic<Checkpoint>? {
    complete.indices.contains(slot) ? complete[slot] : nil
  }

  /// True when the newest checkpoint of an origin is complete here.
  func isComplete(slot: Int) -> Bool {
    guard let newest = newest(slot: slot), let complete = complete(slot: slot) else { return false }
    return newest.checkpoint.message == complete.message
  }

  /// True while only a complete checkpoint is held of an origin: see ``hide(slot:)``.
  func isHidden(slot: Int) -> Bool { hidden.indices.contains(slot) && hidden[slot] }

  /// Sets what stands in the tree of the replica beside the origins.
  mutating func set(_ entries: [(key: [UInt8], value: [UInt8]?)]) {
    for entry in entries { replica.setEntry(entry.key, to: entry.value) }
  }

  /// Sets how much an origin may be, from now on; `nil`: as much as any.
  mutating func setBounds(_ bounds: OriginBounds?, slot: Int) {
    guard newest.indices.contains(slot), replica.setBounds(bounds, slot: slot) else { return }
    newest[slot]?.isExcessive = false
  }

  /// One hash of everything that is complete here.
  mutating func stateHash() -> Hash128 { replica.stateHash(hash) }

  // MARK: Origins

  /// Makes room for an incarnation of an origin: see ``Replica/open(_:_:)``.
  mutating func open(
    _ origin: OriginID, _ incarnation: Incarnation, scope: RoomScope? = nil,
    bounds: OriginBounds? = nil
  ) -> (slot: Int, changes: [AppliedChange])? {
    let held = slot(of: origin).flatMap { replica.incarnation(slot: $0) }
    guard let opened = replica.open(origin, incarnation, scope: scope, bounds: bounds)
    else { return nil }
    while windows.count <= opened.slot {
      windows.append(RecentBatches())
      newest.append(nil)
      complete.append(nil)
      hidden.append(false)
    }
    if held != incarnation { reset(opened.slot) }
    return opened
  }

  /// Drops an origin with what is known of it, a part of its records at a time: see
  /// ``Replica/forget(slot:atMost:)``.
  mutating func forget(slot: Int, atMost bound: Int) -> [AppliedChange] {
    reset(slot)
    return replica.forget(slot: slot, atMost: bound)
  }

  /// Holds these rooms of others from now on: see ``Replica/setScope(_:except:_:)``.
  mutating func setScope(
    _ scope: RoomScope, except ownSlot: Int
  ) -> [(slot: Int, changes: [AppliedChange])] {
    let result = replica.setScope(scope, except: ownSlot, hash)
    for (slot, _) in result {
      windows[slot].keep { scope.contains($0) }
      if replica.replica(slot: slot)?.complete == nil { complete[slot] = nil }
    }
    return result
  }

  private mutating func reset(_ slot: Int) {
    guard windows.indices.contains(slot) else { return }
    windows[slot] = RecentBatches()
    newest[slot] = nil
    complete[slot] = nil
    hidden[slot] = false
  }

  /// Drops what is above the complete checkpoint of an origin that is not shown any more, and applies no batch
  /// until ``resume(slot:)``: nobody may ever complete what they belong to. What was signed is kept, so that
  /// what contradicts it is known when the origin comes back. Returns what changed.
  mutating func hide(slot: Int) -> [AppliedChange] {
    guard windows.indices.contains(slot), !PlantedBug.isActive(.unfinishedWordsKept) else {
      return []
    }
    hidden[slot] = true
    windows[slot].reopen(above: complete[slot]?.body.version ?? 0)
    return replica.revert(slot: slot)
  }

  /// Goes on with what was heard of an origin that is shown again. Returns what changed.
  mutating func resume(slot: Int) -> [AppliedChange] {
    guard windows.indices.contains(slot) else { return [] }
    hidden[slot] = false
    return applyWaiting(slot)
  }

  /// Notes that the newest checkpoint speaks of more than an origin may have, and drops what is above the
  /// complete one. Returns what changed.
  mutating func refuseNewest(slot: Int) -> [AppliedChange] {
    guard windows.indices.contains(slot) else { return [] }
    windows[slot] = RecentBatches()
    newest[slot]?.isExcessive = true
    return replica.revert(slot: slot)
  }
}

// MARK: - Batches

extension RecordStore {
  /// What a batch did.
  struct BatchResult: Sendable {
    var slot: Int
    /// What its records changed, and those of batches that had waited for it.
    var changes: [AppliedChange] = []
    /// True when it is new, so that it is sent on.
    var isNews = false
    /// True when something before it is missing.
    var isGap = false
    /// True when a bound keeps it out.
    var isRefused = false
    /// Two batches that cannot both be true.
    var contradiction: (Authentic<Batch>, Authentic<Batch>)?
  }

  /// True when a batch may be news, before its signature is verified. Cost: the recent batches of its
  /// origin.
  func isNews(_ message: SignedMessage, _ heading: Batch.Heading) -> Bool {
    guard let slot = slot(of: message.origin), let held = replica.replica(slot: slot) else {
      return true
    }
    guard heading.incarnation == held.incarnation else {
      return heading.incarnation > held.incarnation
    }
    let versions = heading.first...heading.last
    if windows[slot].contains(message, first: heading.first) { return false }
    // Another body for versions that were applied is news, too: it is a contradiction.
    return !held.applied.contains(versions)
      || windows[slot].other(than: message, in: versions) != nil
  }

  /// Takes in a batch of an incarnation that is open. Applies it, and what waited for it.
  mutating func ingest(_ batch: Authentic<Batch>, slot: Int) -> BatchResult {
    var result = BatchResult(slot: slot)
    guard windows.indices.contains(slot), let place = batch.body.heading.place else {
      return result
    }
    if let other = windows[slot].other(than: batch.message, in: place.versions)?.decoded(),
      !PlantedBug.isActive(.contradictingBatchIgnored)
    {
      result.contradiction = (other, batch)
      return result
    }
    guard !hidden[slot] else {
      result.isNews = windows[slot].insert(batch, isApplied: false)
      return result
    }
    switch replica.apply(slot: slot, place, batch.body.changes) {
    case .applied(let changes):
      result.isNews = true
      result.changes = changes
      windows[slot].insert(batch, isApplied: true)
      result.changes += applyWaiting(slot)
    case .gap:
      result.isGap = true
      result.isNews = windows[slot].insert(batch, isApplied: false)
    case .refused: result.isRefused = true
    case .known, .otherIncarnation: break
    }
    return result
  }

  /// Applies the batches that waited, as far as what is before them has come.
  private mutating func applyWaiting(_ slot: Int) -> [AppliedChange] {
    var result: [AppliedChange] = []
    var isProgress = !windows[slot].isSettled && !hidden[slot]
    while isProgress {
      isProgress = false
      for index in windows[slot].entries.indices where !windows[slot].entries[index].isApplied {
        let batch = windows[slot].entries[index].batch
        guard let place = batch.heading.place else { continue }
        switch replica.apply(slot: slot, place, batch.decoded()?.body.changes ?? []) {
        case .applied(let changes):
          result += changes
          windows[slot].setApplied(at: index)
          isProgress = true
        case .known: windows[slot].setApplied(at: index)
        case .gap, .refused, .otherIncarnation: break
        }
      }
    }
    return result
  }

  /// The recent batches of an origin that a repair asks for.
  func batches(_ request: RepairRequest) -> [SignedMessage] {
    guard let slot = slot(of: request.origin),
      replica.incarnation(slot: slot) == request.incarnation
    else { return [] }
    return windows[slot].messages(
      after: request.after, through: request.through, room: request.room)
  }
}

// MARK: - Checkpoints

extension RecordStore {
  /// How a checkpoint stands to what is held, before its signature is verified.
  enum Standing: Hashable, Sendable {
    case newer
    /// It is the newest one.
    case same
    /// It has the sequence of the newest one, or of the complete one, and says something else.
    case contradicts
    case older
  }

  func standing(of message: SignedMessage, _ position: Checkpoint.Position) -> Standing {
    guard let slot = slot(of: message.origin), let held = replica.replica(slot: slot) else {
      return .newer
    }
    guard position.incarnation == held.incarnation else {
      return position.incarnation > held.incarnation ? .newer : .older
    }
    for known in [newest(slot: slot)?.checkpoint, complete(slot: slot)] {
      guard let known, known.body.sequence == position.sequence else { continue }
      let isNone = PlantedBug.isActive(.contradictingCheckpointIgnored)
      return known.message == message ? .same : isNone ? .older : .contradicts
    }
    return newest(slot: slot).map { $0.checkpoint.body.sequence < position.sequence } ?? true
      || PlantedBug.isActive(.olderCheckpointTaken) ? .newer : .older
  }

  /// The checkpoint of an origin that contradicts another one of the same sequence.
  func checkpoint(contradicting checkpoint: Authentic<Checkpoint>) -> Authentic<Checkpoint>? {
    guard let slot = slot(of: checkpoint.origin) else { return nil }
    return [newest(slot: slot)?.checkpoint, complete(slot: slot)].compactMap(\.self).first {
      $0.body.position == checkpoint.body.position && $0.message != checkpoint.message
    }
  }

  /// Notes that the newest checkpoint is to be sent on once it is complete.
  mutating func holdBack(slot: Int, isNewLife: Bool) {
    guard newest.indices.contains(slot) else { return }
    newest[slot]?.isHeldBack = true
    newest[slot]?.isNewLife = isNewLife
  }

  /// Takes the newest checkpoint if it was held back and is complete by now.
  mutating func takeHeldBack(slot: Int) -> (Newest, isNewLife: Bool)? {
    guard let held = newest(slot: slot), held.isHeldBack, isComplete(slot: slot) else { return nil }
    newest[slot]?.isHeldBack = false
    return (held, held.isNewLife)
  }

  /// Takes in a newer checkpoint of an incarnation that is open.
  mutating func ingest(
    _ checkpoint: Authentic<Checkpoint>, slot: Int, from source: PeerAddress? = nil
  ) {
    guard newest.indices.contains(slot) else { return }
    newest[slot] = Newest(checkpoint: checkpoint, source: source)
    let body = checkpoint.body
    let changed = body.changed.map { ($0.room, $0.version) }
    replica.follow(
      slot: slot, body.facts,
      changed: body.namesAllChanged ? Dictionary(changed) { $1 } : nil)
  }

  /// What has to be done so that the newest checkpoint of an origin becomes complete.
  enum Need: Hashable, Sendable {
    case nothing
    /// These versions are missing, and are few enough to be asked for.
    case repair([OriginReplica.Gap])
    /// The trees of the newest checkpoint are to be fetched: too much is missing, or what was signed in
    /// batches has another root.
    case fetch
    /// It speaks of more than an origin may have: see ``RecordStore/refuseNewest(slot:)``.
    case refusal
  }

  /// Compares what is held of an origin with its newest checkpoint. Cost: as of
  /// ``OriginReplica/evaluate(_:_:)``.
  mutating func need(slot: Int) -> Need {
    guard let newest = newest(slot: slot) else { return waitingNeed(slot) }
    guard !newest.isExcessive else { return .nothing }
    guard !isComplete(slot: slot) else { return waitingNeed(slot) }
    switch replica.evaluate(slot: slot, newest.facts, hash) {
    case .complete:
      complete[slot] = newest.checkpoint
      return waitingNeed(slot)
    case .overtaken, .otherIncarnation: return waitingNeed(slot)
    case .excessive: return .refusal
    case .differs: return hidden[slot] ? .nothing : .fetch
    case .missing where hidden[slot]: return .nothing
    case .missing(let gaps):
      // All records are less to send than more batches than there are records.
      let records = UInt64(clamping: replica.replica(slot: slot)?.usage.records ?? 0)
      let bound = max(records, EngineLimits.repairVersionsAtLeast)
      return Self.isSmall(gaps, atMost: bound) ? .repair(gaps) : .fetch
    }
  }

  /// The versions that are missing below batches that wait.
  private func waitingNeed(_ slot: Int) -> Need {
    guard windows.indices.contains(slot), !hidden[slot], let highest = windows[slot].highestWaiting,
      let held = replica.replica(slot: slot)
    else { return .nothing }
    let wanted = held.scope.isAll ? gaps(slot, held, below: highest) : roomGaps(slot, held)
    guard !wanted.isEmpty else { return .nothing }
    if Self.isSmall(wanted) { return .repair(wanted) }
    // Too much is missing below them: the next checkpoint will tell.
    return isComplete(slot: slot) || newest(slot: slot) == nil ? .nothing : .fetch
  }

  private func gaps(
    _ slot: Int, _ held: OriginReplica, below highest: UInt64
  ) -> [OriginReplica.Gap] {
    held.applied.missing(through: highest).filter { range in
      !windows[slot].has(range.lowerBound)
    }.map { OriginReplica.Gap($0) }
  }

  /// The same where the versions of other rooms are missing anyway: of each room what is before its first
  /// batch that waits.
  private func roomGaps(_ slot: Int, _ held: OriginReplica) -> [OriginReplica.Gap] {
    var rooms: Set<RoomName> = []
    return windows[slot].entries.compactMap { entry in
      let batch = entry.batch.heading
      let version = held.logs[batch.room]?.version ?? 0
      guard !entry.isApplied, rooms.insert(batch.room).inserted, version < batch.previous else {
        return nil
      }
      return OriginReplica.Gap(room: batch.room, version + 1...batch.previous)
    }
  }

  private static func isSmall(_ gaps: [OriginReplica.Gap], atMost bound: UInt64 = .max) -> Bool {
    gaps.count <= EngineLimits.repairRanges
      && gaps.reduce(UInt64(0)) { sum, gap in
        // The versions between those of one room are of others.
        let share = gap.room == nil ? 1 : EngineLimits.repairShareOfRoom
        return sum &+ (gap.versions.upperBound - gap.versions.lowerBound) / share + 1
      } <= min(EngineLimits.repairVersions, bound)
  }

  /// The root of everything that is held of an origin. Cost: what was written since it was asked for last.
  mutating func root(slot: Int) -> Hash256 { replica.root(slot: slot, hash) }

  /// Takes over what was fetched, and applies the recent batches above it; refuses it when it is more than
  /// an origin may have. Returns what changed; `nil` when a later checkpoint is complete by now, or other
  /// rooms or another incarnation are held.
  mutating func adopt(
    slot: Int, _ fetched: FetchedOrigin, _ checkpoint: Authentic<Checkpoint>
  ) -> [AppliedChange]? {
    guard let held = replica.replica(slot: slot), held.scope == fetched.scope,
      held.incarnation == fetched.checkpoint.incarnation,
      fetched.checkpoint == checkpoint.body.facts,
      held.complete.map({ !$0.isNewer(than: fetched.checkpoint) }) ?? true
    else { return nil }
    guard var changes = replica.adopt(slot: slot, fetched) else {
      return newest(slot: slot)?.facts == fetched.checkpoint ? refuseNewest(slot: slot) : nil
    }
    complete[slot] = checkpoint
    windows[slot].dropWaiting(through: fetched.checkpoint.version)
    windows[slot].reopen(above: fetched.checkpoint.version)
    changes += applyWaiting(slot)
    return changes
  }
}

// MARK: - For others

extension RecordStore: ComparisonSource {
  mutating func summaries() -> HashTree { replica.summaries(hash) }

  mutating func fetch(of checkpoint: Authentic<Checkpoint>) -> OriginFetch? {
    slot(of: checkpoint.origin).flatMap { replica.fetch(slot: $0, checkpoint.body.facts, hash) }
  }

  func completed(_ origin: OriginID) -> (checkpoint: Authentic<Checkpoint>, replica: OriginReplica)?
  {
    guard let slot = slot(of: origin), let checkpoint = complete(slot: slot),
      let held = replica.replica(slot: slot), held.complete == checkpoint.body.facts
    else { return nil }
    return (checkpoint, held)
  }
}

extension RecordStore: RecordReading {
  func origin(slot: Int) -> OriginID? { replica.origin(slot: slot) }

  func homes(of session: SessionID) -> [SessionHome] {
    replica.homes(of: session)
  }

  func record(_ key: EntryKey, in room: RoomName, slot: Int) -> StoredRecord? {
    replica.record(key, in: room, slot: slot)
  }

  func removals(
    of session: SessionID, from room: RoomName
  ) -> [(slot: Int, record: StoredRecord)] {
    replica.removals(of: session, from: room)
  }

  func sessions(slot: Int) -> [SessionID] { replica.sessions(slot: slot) }

  func sessions(slot: Int, after last: SessionID?, atMost bound: Int) -> [SessionID] {
    replica.sessions(slot: slot, after: last, atMost: bound)
  }
}

extension Batch.Heading {
  var place: BatchPlace? {
    BatchPlace(
      incarnation: incarnation, room: room, previous: previous, first: first,
      count: UInt64(count))
  }
}

extension Checkpoint {
  var facts: CheckpointFacts {
    CheckpointFacts(incarnation: incarnation, sequence: sequence, version: version, root: root)
  }
}

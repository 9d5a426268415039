import MeshCRDT
import MeshWire

/// What this node's next checkpoint says of its records. Whoever signs it adds the root of the own
/// replica, and what there is to say of beats.
struct CheckpointDraft: Hashable, Sendable {
  let incarnation: Incarnation
  let sequence: UInt64
  /// The version of the last record; 0: there is none.
  let version: UInt64
  let isLeaving: Bool
  /// The rooms that changed since the checkpoint before, in the order of their names: all of them,
  /// or more than a checkpoint can name (``Checkpoint/naming(_:)``).
  let changed: [Checkpoint.ChangedRoom]
}

/// Decides when this node signs a checkpoint, and what it says beside the root.
///
/// One is due some time after the last change, at the latest some time after the first one, and at
/// once when something demands it: the start, a new heartbeat chain, another period, leaving.
///
/// ## What has to be on the disk Before an incarnation sends anything, path proofs included, the
/// disk holds its counter (``DurableState``): the next process begins above it. Nothing else is
/// kept. Sequences and versions begin anew with each incarnation, and its random bits tell it from
/// one with the same counter: so a process whose counter was lost contradicts nobody, it is merely
/// outweighed until it begins above what it hears of itself.
struct CheckpointWriter: Sendable {
  /// The sequence of the last checkpoint; 0: there is none.
  private(set) var sequence: UInt64 = 0
  /// The version of the last record; 0: there is none.
  private(set) var version: UInt64 = 0
  private(set) var isLeaving = false
  private var incarnation: Incarnation
  private let delay: Span
  private let delayAtMost: Span
  /// Rooms that changed since the last checkpoint, with the versions of their logs. One more than a
  /// checkpoint can name tells that it does not name all.
  private var changed: [RoomName: UInt64] = [:]
  private var firstChangeAt: MonotonicTime?
  private var lastChangeAt: MonotonicTime?
  private var demandedAt: MonotonicTime?

  init(incarnation: Incarnation, delay: Span, delayAtMost: Span) {
    self.incarnation = incarnation
    self.delay = delay
    self.delayAtMost = delayAtMost
  }

  /// When a checkpoint is due.
  var deadline: MonotonicTime? {
    var due: MonotonicTime?
    if let firstChangeAt, let lastChangeAt {
      due = min(lastChangeAt + delay, firstChangeAt + delayAtMost)
    }
    return earliest(due, demandedAt)
  }

  /// Takes note of a batch that was written.
  mutating func note(_ written: WrittenBatch, now: MonotonicTime) {
    version = written.place.versions.upperBound
    if changed[written.place.room] != nil || changed.count <= Checkpoint.changedBound {
      changed[written.place.room] = written.logVersion
    }
    firstChangeAt = PlantedBug.isActive(.changesNotSigned) ? nil : firstChangeAt ?? now
    lastChangeAt = now
  }

  /// A checkpoint is due at once.
  mutating func demand(now: MonotonicTime) { demandedAt = demandedAt ?? now }

  /// The next checkpoint is the last one of this node.
  mutating func leave(now: MonotonicTime) {
    isLeaving = true
    demand(now: now)
  }

  /// Begins an incarnation, of which nothing was said.
  mutating func restart(_ incarnation: Incarnation, now: MonotonicTime) {
    let isLeaving = isLeaving
    self = CheckpointWriter(
      incarnation: incarnation, delay: delay, delayAtMost: delayAtMost)
    self.isLeaving = isLeaving
    demand(now: now)
  }

  /// The next checkpoint, due or not.
  mutating func take() -> CheckpointDraft {
    // 2^48 checkpoints, one each 40 ms, take 350,000 years.
    if !PlantedBug.isActive(.sequenceReused) || sequence != 3 {
      sequence = min(sequence + 1, Limits.counterBound - 1)
    }
    let rooms = changed.sorted { $0.key < $1.key }
      .map { Checkpoint.ChangedRoom(room: $0.key, version: $0.value) }
    changed = [:]
    (firstChangeAt, lastChangeAt, demandedAt) = (nil, nil, nil)
    return CheckpointDraft(
      incarnation: incarnation, sequence: sequence, version: version, isLeaving: isLeaving,
      changed: rooms)
  }
}

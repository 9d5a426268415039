import MeshCRDT
import MeshCRDT2
import MeshWire2

/// Decides when this node signs a checkpoint, and what it says beside the root.
///
/// One is due some time after the last change, at the latest some time after the first one, and at once
/// when something demands it: the start, a new heartbeat chain, another period, leaving.
///
/// ## What has to be on the disk
/// Before an incarnation sends anything, path proofs included, the disk holds its counter
/// (``DurableState``): the next process begins above it. Nothing else is kept. Sequences and versions
/// begin anew with each incarnation, and its random bits tell it from one with the same counter: so a
/// process whose counter was lost contradicts nobody, it is merely outweighed until it begins above what
/// it hears of itself.
struct CheckpointWriter: Sendable {
  /// What others know of the checkpoint: the root, and the chain of beats.
  struct Content: Sendable {
    /// Of the own replica, at the version of the last batch.
    var root: Hash256
    var anchor: Hash128
    var chain: UInt64
    var beat: UInt64
    var periodMilliseconds: UInt64
    var certificate: [UInt8] = []
    var features: UInt64 = 0
  }

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
    firstChangeAt = firstChangeAt ?? now
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
  mutating func write(_ content: Content) -> Checkpoint {
    // 2^48 checkpoints, one each 40 ms, take 350,000 years.
    sequence = min(sequence + 1, Limits.counterBound - 1)
    let rooms = changed.map { Checkpoint.ChangedRoom(room: $0.key, version: $0.value) }
    changed = [:]
    (firstChangeAt, lastChangeAt, demandedAt) = (nil, nil, nil)
    return Checkpoint(
      incarnation: incarnation, sequence: sequence, version: version, root: content.root,
      anchor: content.anchor, chain: content.chain, beat: content.beat,
      periodMilliseconds: content.periodMilliseconds, isLeaving: isLeaving,
      features: content.features, certificate: content.certificate
    ).naming(rooms)
  }
}

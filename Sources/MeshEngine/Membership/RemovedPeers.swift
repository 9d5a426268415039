import MeshCRDT
import MeshWire

/// The last words of origins that were forgotten, so that older ones do not bring them back.
///
/// A forgotten origin is taken up again by a higher (incarnation, sequence), or by the checkpoint of the
/// note itself once a newer beat of its chain was heard in time. The note keeps the clock, so that the
/// age of such a beat is known: a beat that was held back brings nobody back. It keeps the checkpoint itself for
/// the origin that comes back in a lower incarnation, since its disk was put back: so it learns of its later life,
/// and begins one above it. Bound: 4,096 origins, about 1 kB each; the one that was noted first goes.
struct RemovedPeers: Sendable {
  /// What is remembered of a forgotten origin.
  struct Note: Sendable {
    let incarnation: Incarnation
    /// Of its last checkpoint; 0: none was heard.
    let sequence: UInt64
    let checkpoint: SignedMessage?
    /// What was known of its chain.
    fileprivate(set) var clock: BeatClock?
    /// True when a newer beat was heard in time.
    fileprivate(set) var isRevived = false
  }

  private var notes: BoundedNotes<OriginID, Note>
  private var prefixes: [UInt64: OriginID] = [:]

  init(bound: Int = MembershipLimits.removedPeers) { notes = BoundedNotes(bound: bound) }

  var count: Int { notes.count }

  subscript(origin: OriginID) -> Note? { notes[origin] }

  /// Notes an origin that was forgotten.
  /// - Returns: the origin whose note had to go.
  mutating func add(
    _ origin: OriginID, incarnation: Incarnation, sequence: UInt64,
    checkpoint: SignedMessage? = nil, clock: BeatClock?
  ) -> OriginID? {
    let note = Note(
      incarnation: incarnation, sequence: sequence, checkpoint: checkpoint,
      clock: clock?.incarnation == incarnation ? clock : nil)
    let evicted = notes.set(origin, note)?.key
    if let evicted { dropPrefix(of: evicted) }
    if prefixes[origin.word0] == nil { prefixes[origin.word0] = origin }
    return evicted
  }

  /// Drops the note of an origin that is taken up again.
  mutating func remove(_ origin: OriginID) -> Note? {
    dropPrefix(of: origin)
    return notes.remove(origin)
  }

  /// True when a checkpoint is newer than the note of its origin, or a batch (sequence 0) of a higher
  /// incarnation.
  func admits(_ origin: OriginID, incarnation: Incarnation, sequence: UInt64) -> Bool {
    guard let note = notes[origin], !PlantedBug.isActive(.forgottenRevived) else { return true }
    if note.isRevived, (incarnation, sequence) == (note.incarnation, note.sequence) { return true }
    return (incarnation, sequence) > (note.incarnation, note.sequence)
  }

  /// Takes in a beat of an origin that was forgotten; of two with one prefix, of the one that was noted
  /// first.
  /// - Returns: `nil` if there is no note; else what the beat was. An origin whose note is revived by it
  ///   has to be asked for: a probe that names no incarnation goes to whoever sent the beat.
  mutating func accept(
    beat index: UInt64, value: Hash128, prefix: UInt64, hash: some TreeHash, at now: MonotonicTime
  ) -> (origin: OriginID, receipt: BeatClock.Receipt, isRevived: Bool)? {
    guard let origin = prefixes[prefix], var note = notes[origin], var clock = note.clock else {
      return nil
    }
    let receipt = clock.accept(beat: index, value: value, of: origin, hash: hash, at: now)
    note.clock = clock
    let isInTime = receipt.verdict == .fits && clock.age(at: now) < clock.timeToLive
    note.isRevived = note.isRevived || isInTime
    _ = notes.set(origin, note)
    return (origin, receipt, isInTime)
  }

  private mutating func dropPrefix(of origin: OriginID) {
    if prefixes[origin.word0] == origin { prefixes[origin.word0] = nil }
  }
}

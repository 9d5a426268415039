import MeshCRDT
import MeshWire

/// The signed batches of one origin that came lately: to fill gaps, of this node and of others.
///
/// A batch that comes before what it follows waits here until that has come. The rest is kept for others
/// that miss it. Bound: ``EngineLimits/recentBatchBytes`` of messages and
/// ``EngineLimits/recentBatches`` of them; the lowest versions go first.
struct RecentBatches: Sendable {
  struct Entry: Sendable {
    let batch: Authentic<Batch>
    /// False: something before it is missing.
    var isApplied: Bool

    var versions: ClosedRange<UInt64> { batch.body.first...batch.body.last }
  }

  /// By rising first version.
  private(set) var entries: [Entry] = []
  private var bytes = 0

  /// True when nothing waits for what is before it.
  var isSettled: Bool { entries.allSatisfy(\.isApplied) }

  /// The highest version of a batch that waits; `nil`: none does.
  var highestWaiting: UInt64? { entries.last { !$0.isApplied }?.versions.upperBound }

  /// The batch that has a version of a range and is not this one; `nil`: there is none.
  func other(than message: SignedMessage, in versions: ClosedRange<UInt64>) -> Authentic<Batch>? {
    entries.first { $0.versions.overlaps(versions) && $0.batch.message != message }?.batch
  }

  /// True when this very message is here.
  func contains(_ message: SignedMessage, first: UInt64) -> Bool {
    entries.contains { $0.batch.body.first == first && $0.batch.message == message }
  }

  /// Keeps a batch. False when it has to wait and there is no room for it.
  @discardableResult
  mutating func insert(_ batch: Authentic<Batch>, isApplied: Bool) -> Bool {
    guard !contains(batch.message, first: batch.body.first) else { return true }
    let index = entries.firstIndex { $0.batch.body.first > batch.body.first } ?? entries.count
    entries.insert(Entry(batch: batch, isApplied: isApplied), at: index)
    bytes += batch.message.bytes.count
    while bytes > EngineLimits.recentBatchBytes || entries.count > EngineLimits.recentBatches {
      // What waits is dearer: it cannot be asked for by whoever has it applied.
      let victim = entries.firstIndex { $0.isApplied } ?? entries.count - 1
      bytes -= entries[victim].batch.message.bytes.count
      let gone = entries.remove(at: victim)
      if gone.batch == batch { return isApplied }
    }
    return true
  }

  /// Forgets the batches of the other rooms.
  mutating func keep(where isKept: (RoomName) -> Bool) {
    entries.removeAll { !isKept($0.batch.body.room) }
    bytes = entries.reduce(0) { $0 + $1.batch.message.bytes.count }
  }

  mutating func setApplied(at index: Int) { entries[index].isApplied = true }

  /// Forgets the batches up to a version that wait: a fetch has brought what they say.
  mutating func dropWaiting(through version: UInt64) {
    for entry in entries where !entry.isApplied && entry.versions.upperBound <= version {
      bytes -= entry.batch.message.bytes.count
    }
    entries.removeAll { !$0.isApplied && $0.versions.upperBound <= version }
  }

  /// The batches above a version to apply again, after a fetch took the place of what they had written.
  mutating func reopen(above version: UInt64) {
    for index in entries.indices where entries[index].versions.upperBound > version {
      entries[index].isApplied = false
    }
  }

  /// The messages with versions in a range, of one room or of all, by rising version.
  func messages(after: UInt64, through: UInt64, room: RoomName?) -> [SignedMessage] {
    entries.filter { entry in
      entry.versions.upperBound > after && entry.versions.lowerBound <= through
        && (room.map { $0 == entry.batch.body.room } ?? true)
    }.map(\.batch.message)
  }
}

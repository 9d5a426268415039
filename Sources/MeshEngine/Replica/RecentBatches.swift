import MeshCRDT
import MeshWire

/// The signed batches of one origin that came lately: to fill gaps, of this node and of others.
///
/// A batch that comes before what it follows waits here until that has come. The rest is kept for others
/// that miss it. Bound: ``EngineLimits/recentBatchBytes`` of messages and
/// ``EngineLimits/recentBatches`` of them; the lowest versions go first.
///
/// All look-ups go through the entries by their places: an element that is taken out counts each of its parts
/// once more.
struct RecentBatches: Sendable {
  struct Entry: Sendable {
    let batch: AuthenticBatch
    /// False: something before it is missing.
    var isApplied: Bool
    let first: UInt64
    let last: UInt64

    init(batch: AuthenticBatch, isApplied: Bool) {
      (self.batch, self.isApplied) = (batch, isApplied)
      (first, last) = (batch.heading.first, batch.heading.last)
    }
  }

  /// By rising first version.
  private(set) var entries: [Entry] = []
  private var bytes = 0

  /// True when nothing waits for what is before it.
  var isSettled: Bool { entries.indices.allSatisfy { entries[$0].isApplied } }

  /// The highest version of a batch that waits; `nil`: none does.
  var highestWaiting: UInt64? {
    entries.indices.last { !entries[$0].isApplied }.map { entries[$0].last }
  }

  /// True when a batch has a version.
  func has(_ version: UInt64) -> Bool {
    entries.indices.contains { entries[$0].first <= version && version <= entries[$0].last }
  }

  /// The batch that has a version of a range and is not this one; `nil`: there is none.
  func other(than message: SignedMessage, in versions: ClosedRange<UInt64>) -> AuthenticBatch? {
    entries.indices.first {
      entries[$0].first <= versions.upperBound && entries[$0].last >= versions.lowerBound
        && entries[$0].batch.message != message
    }.map { entries[$0].batch }
  }

  /// True when this very message is here.
  func contains(_ message: SignedMessage, first: UInt64) -> Bool {
    entries.indices.contains { entries[$0].first == first && entries[$0].batch.message == message }
  }

  /// Keeps a batch. False when it has to wait and there is no room for it.
  @discardableResult
  mutating func insert(_ batch: Authentic<Batch>, isApplied: Bool) -> Bool {
    guard !contains(batch.message, first: batch.body.first) else { return true }
    let index = entries.indices.last { entries[$0].first <= batch.body.first }.map { $0 + 1 } ?? 0
    entries.insert(Entry(batch: AuthenticBatch(batch), isApplied: isApplied), at: index)
    bytes += batch.message.bytes.count
    while bytes > EngineLimits.recentBatchBytes || entries.count > EngineLimits.recentBatches {
      // What waits is dearer: it cannot be asked for by whoever has it applied.
      let victim = entries.indices.first { entries[$0].isApplied } ?? entries.count - 1
      bytes -= entries[victim].batch.message.bytes.count
      let gone = entries.remove(at: victim)
      if gone.batch.message == batch.message { return isApplied }
    }
    return true
  }

  /// Forgets the batches of the other rooms.
  mutating func keep(where isKept: (RoomName) -> Bool) {
    entries.removeAll { !isKept($0.batch.heading.room) }
    bytes = entries.reduce(0) { $0 + $1.batch.message.bytes.count }
  }

  mutating func setApplied(at index: Int) { entries[index].isApplied = true }

  /// Forgets the batches up to a version that wait: a fetch has brought what they say.
  mutating func dropWaiting(through version: UInt64) {
    for entry in entries where !entry.isApplied && entry.last <= version {
      bytes -= entry.batch.message.bytes.count
    }
    entries.removeAll { !$0.isApplied && $0.last <= version }
  }

  /// The batches above a version to apply again, after a fetch took the place of what they had written.
  mutating func reopen(above version: UInt64) {
    for index in entries.indices where entries[index].last > version {
      entries[index].isApplied = false
    }
  }

  /// The messages with versions in a range, of one room or of all, by rising version.
  func messages(after: UInt64, through: UInt64, room: RoomName?) -> [SignedMessage] {
    entries.filter { entry in
      entry.last > after && entry.first <= through
        && (room.map { $0 == entry.batch.heading.room } ?? true)
    }.map(\.batch.message)
  }
}

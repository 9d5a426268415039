import MeshCRDT
import MeshWire

/// The signed batches of one origin, as they came, in the order of their versions.
///
/// A batch is kept while a record of it lives. Of the others the newest few are kept, so that
/// somebody who missed them can be told what was removed without a manifest.
struct BatchStore: Sendable {
  struct Stored: Sendable {
    let first: UInt64
    let last: UInt64
    let envelope: Envelope
    var live: Int
  }

  /// How many batches without a live record are kept at least.
  static let recentDead = 32

  private(set) var batches: [Stored] = []
  private var deadCount = 0

  var byteCount: Int { batches.reduce(0) { $0 + $1.envelope.bytes.count } }
  var count: Int { batches.count }
  /// The number of records that the kept batches were signed with.
  private(set) var recordCount = 0

  /// The first index whose batch reaches beyond a version.
  private func index(after version: UInt64) -> Int {
    var low = 0
    var high = batches.count
    while low < high {
      let middle = (low + high) / 2
      if batches[middle].last > version { high = middle } else { low = middle + 1 }
    }
    return low
  }

  func contains(_ envelope: Envelope, first: UInt64) -> Bool {
    var index = index(after: first - 1)
    while index < batches.count, batches[index].first <= first {
      if batches[index].first == first, batches[index].envelope.bytes == envelope.bytes {
        return true
      }
      index += 1
    }
    return false
  }

  /// True when a batch with a record of this version is kept.
  func covers(_ version: UInt64) -> Bool {
    let index = index(after: version - 1)
    return index < batches.count && batches[index].first <= version
  }

  /// Keeps a batch of which `live` records live.
  mutating func insert(_ envelope: Envelope, first: UInt64, last: UInt64, live: Int) {
    let stored = Stored(first: first, last: last, envelope: envelope, live: live)
    if let newest = batches.last, newest.last >= last {
      batches.insert(stored, at: index(after: last))
    } else {
      batches.append(stored)
    }
    recordCount += Int(last - first + 1)
    if live == 0 { deadCount += 1 }
    collect()
  }

  /// A record that one of the batches brought lives no more.
  mutating func release(_ cell: Cell) {
    var index = index(after: cell.version - 1)
    // Two batches have the same version only if two processes wrote with one key.
    while index < batches.count, batches[index].first <= cell.version,
      batches[index].envelope.bytes != cell.bytesOfValue
    {
      index += 1
    }
    guard index < batches.count, batches[index].first <= cell.version, batches[index].live > 0
    else { return }
    batches[index].live -= 1
    if batches[index].live == 0 { deadCount += 1 }
    collect()
  }

  private mutating func collect() {
    guard deadCount > Self.recentDead + batches.count / 2 else { return }
    let recent = batches.count - Self.recentDead
    var index = 0
    batches.removeAll { batch in
      defer { index += 1 }
      return batch.live == 0 && index < recent
    }
    deadCount = batches.count { $0.live == 0 }
    recordCount = batches.reduce(0) { $0 + Int($1.last - $1.first + 1) }
  }

  mutating func removeAll() { self = BatchStore() }

  /// The batches with records above a version, oldest first, of at most so many bytes but at least
  /// one; and whether there are more.
  func answer(after version: UInt64, bytes: Int) -> (batches: ArraySlice<Stored>, hasMore: Bool) {
    let start = index(after: version)
    var end = start
    var sum = 0
    while end < batches.count, end == start || sum + batches[end].envelope.bytes.count <= bytes {
      sum += batches[end].envelope.bytes.count
      end += 1
    }
    return (batches[start..<end], end < batches.count)
  }

  /// The oldest batches of which less than a quarter lives.
  func mostlyDead(atMost count: Int) -> [Stored] {
    var result: [Stored] = []
    for batch in batches where batch.live > 0 && batch.live * 4 < Int(batch.last - batch.first + 1)
    {
      result.append(batch)
      if result.count == count { break }
    }
    return result
  }
}

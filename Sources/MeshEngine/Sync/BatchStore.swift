import MeshCRDT
import MeshWire

/// The signed batches of one origin, shelf by shelf.
struct BatchStores: Sendable {
  private(set) var lobby = BatchStore(keptDead: 32)
  private(set) var rooms = DenseMap<RoomID, BatchStore>()

  /// The batches of a shelf. Cost: one look-up.
  subscript(room: RoomID) -> BatchStore {
    room.isLobby ? lobby : rooms[room] ?? BatchStore(keptDead: Self.keptDead)
  }

  /// How many batches without a live record are kept of a room's shelf. There may be many rooms.
  private static let keptDead = 4

  var count: Int { rooms.values.reduce(lobby.count) { $0 + $1.count } }

  /// All stores: the lobby's, then those of the rooms in the order of their ids.
  var all: [(room: RoomID, store: BatchStore)] {
    [(.lobby, lobby)] + rooms.rows.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// Changes the store of a shelf, in place.
  mutating func change<Result>(_ room: RoomID, _ body: (inout BatchStore) -> Result) -> Result {
    guard !room.isLobby else { return body(&lobby) }
    let row = rooms.row(of: room, default: BatchStore(keptDead: Self.keptDead))
    return rooms.change(row: row, body)
  }

  mutating func remove(_ room: RoomID) {
    if room.isLobby { lobby = BatchStore(keptDead: 32) } else { rooms.remove(room) }
  }
}

/// The signed batches of one shelf, as they came, in the order of their versions.
///
/// A batch is kept while a record of it lives. Of the others the newest few are kept, so that
/// somebody who missed them can be told what was removed without a manifest.
struct BatchStore: Sendable {
  struct Stored: Sendable {
    let first: UInt64
    let last: UInt64
    let envelope: Envelope
    var live: Int
    /// True when a record of it removed something.
    let hasTombstone: Bool
  }

  /// How many batches without a live record are kept at least.
  private let keptDead: Int
  private(set) var batches: [Stored] = []
  private var deadCount = 0

  init(keptDead: Int) { self.keptDead = keptDead }

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

  /// The index of a batch with a version that fulfils a condition. Two batches have the same version
  /// only if two processes wrote with one key; then their order says little, so that all that may
  /// have it are looked at.
  private func index(of version: UInt64, where isWanted: (Stored) -> Bool) -> Int? {
    guard version > 0 else { return nil }
    var index = index(after: version - 1)
    while index < batches.count, batches[index].last < version + BatchBody.recordBound {
      if batches[index].first <= version, isWanted(batches[index]) { return index }
      index += 1
    }
    return nil
  }

  func contains(_ envelope: Envelope, first: UInt64) -> Bool {
    index(of: first) { $0.first == first && $0.envelope.bytes == envelope.bytes } != nil
  }

  /// True when a batch with a record of this version is kept.
  func covers(_ version: UInt64) -> Bool { index(of: version) { _ in true } != nil }

  /// Keeps a batch of which `live` records live.
  mutating func insert(
    _ envelope: Envelope, first: UInt64, last: UInt64, live: Int, hasTombstone: Bool
  ) {
    let stored = Stored(
      first: first, last: last, envelope: envelope, live: live, hasTombstone: hasTombstone)
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
    let index = index(of: cell.version) { $0.envelope.bytes == cell.bytesOfValue }
    guard let index, batches[index].live > 0 else { return }
    batches[index].live -= 1
    if batches[index].live == 0 { deadCount += 1 }
    collect()
  }

  private mutating func collect() {
    guard deadCount > keptDead + batches.count / 2 else { return }
    let recent = batches.count - keptDead
    var index = 0
    batches.removeAll { batch in
      defer { index += 1 }
      return batch.live == 0 && index < recent
    }
    deadCount = batches.count { $0.live == 0 }
    recordCount = batches.reduce(0) { $0 + Int($1.last - $1.first + 1) }
  }

  /// The batches above a version that say something, oldest first, of at most so many bytes but at
  /// least one; up to which version that is all; and whether there are more.
  ///
  /// What was written over is left out: the later word counts. So is, for who knows nothing, what was
  /// removed. The newest batch always stands in it: its claim says what the log is now.
  func answer(
    after version: UInt64, bytes: Int
  ) -> (batches: [Stored], through: UInt64, hasMore: Bool) {
    var found: [Stored] = []
    var sum = 0
    for index in index(after: version)..<batches.count {
      let batch = batches[index]
      let saysSomething = batch.live > 0 || batch.hasTombstone && version > 0
      guard saysSomething || index == batches.count - 1 else { continue }
      guard found.isEmpty || sum + batch.envelope.bytes.count <= bytes else {
        return (found, found.last?.last ?? version, true)
      }
      sum += batch.envelope.bytes.count
      found.append(batch)
    }
    return (found, batches.last?.last ?? version, false)
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

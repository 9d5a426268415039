import MeshCRDT

/// What an origin tells at once: records of consecutive versions of one shelf, and its word about the
/// shelf.
struct Delta {
  let generation: UInt64
  var room = RoomID.lobby
  let records: [Written]
  let claim: Cut
}

extension OriginLog {
  /// Joins a delta as a node does: a higher generation empties the log, a lower one is not heard.
  mutating func join(_ delta: Delta, settling: Bool = true) {
    if delta.generation > generation { self = OriginLog(generation: delta.generation) }
    guard delta.generation == generation else { return }
    join(each: delta.records)
    witness(delta.claim, of: delta.room)
    if settling { settle(delta.room) }
  }
}

/// An origin that writes at random on several shelves: it adds, changes, removes and packs anew, and
/// starts again.
struct Writer {
  private(set) var log = OriginLog(generation: 1)
  /// The highest version of each shelf.
  private var versions: [RoomID: UInt64] = [:]
  private(set) var counter: UInt64 = 0
  private var generator: SplitMix64
  private let restartPercent: Int

  static let keys: [RecordKey] = (1...3).flatMap { session in
    [
      Sample.key(session), Sample.key(session, .presence, room: 0),
      Sample.key(session, .visit, room: 1), Sample.key(session, .presence, room: 1),
      Sample.key(session, .presence, room: 2), Sample.key(session, .cursor, room: 1),
      Sample.key(session, .removal), Sample.key(session, .removal, room: 1),
    ]
  }

  init(seed: UInt64, restartPercent: Int = 0) {
    generator = SplitMix64(seed: seed)
    self.restartPercent = restartPercent
  }

  /// Writes 1…4 records.
  mutating func write() -> Delta {
    if generator.chance(restartPercent) {
      log = OriginLog(generation: log.generation + 1)
      versions = [:]
    }
    var records: [Written] = []
    let room = Sample.room(UInt64.random(in: 0...2, using: &generator))
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      let record = next(room)
      records.append(record)
      log.join(each: [record])
    }
    let shelf = log.shelf(room)
    let delta = Delta(
      generation: log.generation, room: room, records: records,
      claim: Cut(
        version: versions[room] ?? 0, count: shelf.liveCount, hash: shelf.liveHash))
    log.join(Delta(generation: log.generation, room: room, records: [], claim: delta.claim))
    return delta
  }

  private mutating func key(_ room: RoomID) -> RecordKey {
    let keys = Self.keys.filter { $0.shelf == room }
    return keys.randomElement(using: &generator) ?? keys[0]
  }

  private mutating func next(_ room: RoomID) -> Written {
    let key = key(room)
    let version = (versions[room] ?? 0) + 1
    versions[room] = version
    let live = log.live(key)
    // Packed anew: another version of what was said, with the counter of that time.
    if let live, generator.chance(25) {
      return Sample.written(key, version: version, counter: live.counter, Array(live.value))
    }
    counter += UInt64.random(in: 1...3, using: &generator)
    let isRemoved = live != nil && generator.chance(50)
    let value = (0..<Int.random(in: 0...5, using: &generator)).map { _ in
      UInt8.random(in: 0...255, using: &generator)
    }
    return Sample.written(
      key, version: version, counter: counter, isRemoved ? nil : value)
  }

  /// Other bodies for the versions of a delta, with a claim of their own: what an origin must not do.
  mutating func contradict(_ delta: Delta) -> Delta {
    var other = OriginLog(generation: delta.generation)
    let records = delta.records.map { record in
      let key = key(delta.room)
      let value: [UInt8]? =
        generator.chance(30) ? nil : [UInt8.random(in: 0...9, using: &generator)]
      return Sample.written(
        key, version: record.cell.version, counter: record.cell.counter, value)
    }
    other.join(each: records)
    let shelf = other.shelf(delta.room)
    return Delta(
      generation: delta.generation, room: delta.room, records: records,
      claim: Cut(
        version: delta.claim.version, count: shelf.liveCount, hash: shelf.liveHash))
  }
}

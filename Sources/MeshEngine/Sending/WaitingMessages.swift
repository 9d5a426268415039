import MeshCRDT
import MeshWire

/// Messages for one address that have to wait for their share of the bytes.
///
/// They wait by class, in the order in which they came, and a newer one that says the same better takes
/// the place of the older one: the newest wins, and does not have to queue again. While several classes
/// wait, each gets its share of the bytes, so that none starves: stride scheduling (Waldspurger and
/// Weihl, 1995). What is beyond the bound of a class goes, the oldest first: whoever misses a batch sees
/// the gap, and pulls what still lives.
struct WaitingMessages: Sendable {
  enum Class: Int, CaseIterable, Sendable {
    /// Digests, pulls, proofs: short, and others wait for them.
    case control
    /// Moves of cursors.
    case cursors
    case heads
    /// Batches that were just signed, or are sent on.
    case records
    /// Answers to pulls, lists and manifests.
    case answers

    /// What it gets of the bytes, in parts, while all of them wait.
    fileprivate var share: UInt64 {
      switch self {
      case .control, .records, .cursors: 4
      case .heads, .answers: 2
      }
    }
  }

  /// What a message is superseded by.
  private enum Key: Hashable, Sendable {
    case head(OriginID)
    case frame(OriginID, RoomName)
    case digest
    case pull(ShelfID)
  }

  private struct Entry: Sendable {
    let message: Message
    let bytes: [UInt8]
    let key: Key?
    let since: MonotonicTime
    /// What tells a newer frame from an older one.
    var counter: UInt64 = 0
    /// The sessions of a frame of which no newer move waits.
    var sessions: Set<SessionID> = []

    /// `nil`: nobody could read the message.
    init?(_ bytes: [UInt8], isAnswer: Bool, since: MonotonicTime) {
      var reader = ByteReader(bytes)
      guard let message = try? Message.read(&reader) else { return nil }
      self.message = message
      self.bytes = bytes
      self.since = since
      guard !isAnswer else {
        key = nil
        return
      }
      switch message {
      case .head(_, let envelope): key = .head(envelope.origin)
      case .frame(let envelope):
        var reader = envelope.body
        guard let body = try? FrameBody.read(&reader) else { return nil }
        key = .frame(envelope.origin, body.room)
        counter = body.counter
        sessions = Set(body.moves.map(\.session))
      case .digest: key = .digest
      case .pull(let pull): key = .pull(pull.shelf)
      default: key = nil
      }
    }

    /// The class in which it waits, unless it is a part of an answer.
    var kind: Class {
      switch message {
      case .batch: .records
      case .frame: .cursors
      case .head: .heads
      case .entries, .pullEnd, .manifest: .answers
      default: .control
      }
    }

    /// The message as it goes now: a head has aged while it waited.
    func encoded(_ now: MonotonicTime) -> [UInt8] {
      guard case .head(let age, let envelope) = message else { return bytes }
      return Message.head(ageMilliseconds: age + now.since(since).milliseconds, envelope).encoded()
    }
  }

  private struct Lane: Sendable {
    /// The entries by number; the numbers in the order in which they go.
    var entries: [UInt64: Entry] = [:]
    var order: [UInt64] = []
    var first = 0
    var bytes = 0
    /// The entries of a key, oldest first.
    var byKey: [Key: [UInt64]] = [:]
    /// How many bytes went, divided by the share: who went least goes next.
    var pass: UInt64 = 0
  }

  private var lanes = [Lane](repeating: Lane(), count: Class.allCases.count)
  private var nextNumber: UInt64 = 0
  /// The most bytes of a class that may wait. They are few: what waits long is not new any more.
  private let bound: Int
  private var dropped: UInt64 = 0
  private var superseded: UInt64 = 0

  /// - Parameter rate: the bytes that go in a second, all classes together.
  init(rate: UInt64) {
    // Half a second of a class's share, while all wait.
    bound = min(max(Int(clamping: rate / 8), Self.leastBound), Self.mostBound)
  }

  private static let leastBound = 4 * Limits.datagramBytes
  private static let mostBound = 256 << 10

  var isEmpty: Bool { lanes.allSatisfy(\.entries.isEmpty) }
  var answerBytes: Int { lanes[Class.answers.rawValue].bytes }

  /// How many went for lack of room since this was asked last.
  mutating func takeDropped() -> UInt64 {
    defer { dropped = 0 }
    return dropped
  }

  /// How many went because newer ones say the same better, since this was asked last.
  mutating func takeSuperseded() -> UInt64 {
    defer { superseded = 0 }
    return superseded
  }
}

// MARK: - In

extension WaitingMessages {
  /// Adds a message.
  mutating func append(_ bytes: [UInt8], isAnswer: Bool, now: MonotonicTime) {
    guard var entry = Entry(bytes, isAnswer: isAnswer, since: now) else {
      dropped &+= 1
      return
    }
    let kind = isAnswer ? .answers : entry.kind
    let lane = kind.rawValue
    begin(kind)
    let place = supersede(by: &entry, in: lane)
    if case .frame = entry.key, entry.sessions.isEmpty {
      superseded &+= 1
      return
    }
    if let place {
      put(entry, at: place, in: lane)
    } else {
      let number = nextNumber
      nextNumber += 1
      lanes[lane].order.append(number)
      put(entry, at: number, in: lane)
      if let key = entry.key { lanes[lane].byKey[key, default: []].append(number) }
    }
    // An answer is as long as it was made.
    while lanes[lane].bytes > bound * (kind == .answers ? 8 : 1), let oldest = front(of: lane) {
      remove(oldest, from: lane)
      dropped &+= 1
    }
  }

  /// Takes back what a newer message says better. Returns the place of the first that went.
  private mutating func supersede(by newer: inout Entry, in lane: Int) -> UInt64? {
    guard let key = newer.key, let known = lanes[lane].byKey[key] else { return nil }
    var place: UInt64?
    var left: [UInt64] = []
    for number in known {
      guard let entry = lanes[lane].entries[number] else { continue }
      guard isSuperseded(number, entry, by: &newer, in: lane) else {
        left.append(number)
        continue
      }
      superseded &+= 1
      lanes[lane].bytes -= entry.bytes.count
      lanes[lane].entries[number] = nil
      if place == nil {
        place = number
        left.append(number)
      }
    }
    lanes[lane].byKey[key] = left
    return place
  }

  /// True when nothing of an entry is news beside a newer one. Of two frames, each is news for the
  /// sessions of which the other has no later move.
  private mutating func isSuperseded(
    _ number: UInt64, _ entry: Entry, by newer: inout Entry, in lane: Int
  ) -> Bool {
    guard case .frame = entry.key else { return true }
    if entry.counter > newer.counter {
      newer.sessions.subtract(entry.sessions)
      return false
    }
    let sessions = entry.sessions.subtracting(newer.sessions)
    lanes[lane].entries[number]?.sessions = sessions
    return sessions.isEmpty
  }

  private mutating func put(_ entry: Entry, at number: UInt64, in lane: Int) {
    lanes[lane].entries[number] = entry
    lanes[lane].bytes += entry.bytes.count
  }

  /// A class that had nothing to send has no claim to what went in the meantime.
  private mutating func begin(_ kind: Class) {
    guard lanes[kind.rawValue].entries.isEmpty else { return }
    let busy = lanes.filter { !$0.entries.isEmpty }.map(\.pass).min()
    lanes[kind.rawValue].pass = max(lanes[kind.rawValue].pass, busy ?? 0)
  }
}

// MARK: - Out

extension WaitingMessages {
  /// The messages of a datagram, at most so many bytes.
  mutating func take(upTo bytes: Int, now: MonotonicTime) -> [[UInt8]] {
    var result: [[UInt8]] = []
    var left = bytes
    while let kind = next, let number = front(of: kind.rawValue),
      let entry = lanes[kind.rawValue].entries[number]
    {
      let message = entry.encoded(now)
      guard message.count <= left else { break }
      left -= message.count
      remove(number, from: kind.rawValue)
      lanes[kind.rawValue].pass += UInt64(message.count) * Self.scale / kind.share
      result.append(message)
    }
    return result
  }

  /// So that shares divide it.
  private static let scale: UInt64 = 16

  /// The class whose turn it is.
  private var next: Class? {
    let busy = Class.allCases.filter { !lanes[$0.rawValue].entries.isEmpty }
    if PlantedBug.isActive(.queueStarves) { return busy.first }
    return busy.min { lanes[$0.rawValue].pass < lanes[$1.rawValue].pass }
  }

  /// The oldest entry of a lane.
  private mutating func front(of lane: Int) -> UInt64? {
    while lanes[lane].first < lanes[lane].order.count {
      let number = lanes[lane].order[lanes[lane].first]
      if lanes[lane].entries[number] != nil { return number }
      lanes[lane].first += 1
    }
    lanes[lane].order.removeAll()
    lanes[lane].first = 0
    return nil
  }

  private mutating func remove(_ number: UInt64, from lane: Int) {
    guard let entry = lanes[lane].entries.removeValue(forKey: number) else { return }
    lanes[lane].bytes -= entry.bytes.count
    if let key = entry.key {
      lanes[lane].byKey[key]?.removeAll { $0 == number }
      if lanes[lane].byKey[key]?.isEmpty == true { lanes[lane].byKey[key] = nil }
    }
    // What went leaves no more than as much behind.
    if lanes[lane].first > 64, lanes[lane].first * 2 > lanes[lane].order.count {
      lanes[lane].order.removeFirst(lanes[lane].first)
      lanes[lane].first = 0
    }
  }
}

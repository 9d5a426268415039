import MeshCRDT

/// Messages for one address that have to wait for their share of the bytes.
///
/// They wait by class, in the order in which they came. A newer one that says the same better takes the
/// place of the older one: the newest wins, and does not have to queue again. While several classes
/// wait, each gets its share of the bytes, so that none starves: stride scheduling (Waldspurger and
/// Weihl, 1995). What is beyond the bound of a class goes, the oldest first: whoever misses a batch
/// sees the gap, and asks for it.
struct WaitingMessages: Sendable {
  private struct Entry: Sendable {
    let message: OutgoingMessage
    let since: MonotonicTime
    /// How many of its parts no newer message that waits says better.
    var newestParts: Int
  }

  /// The newest message that waits with a part of a key.
  private struct Newest: Sendable {
    let number: UInt64
    let rank: UInt64
  }

  private struct ClassQueue: Sendable {
    /// The entries by number; the numbers in the order in which they go.
    var entries: [UInt64: Entry] = [:]
    var order: [UInt64] = []
    var first = 0
    var bytes = 0
    var newest: [MessageKey: [MessagePart.Subject: Newest]] = [:]
    /// How many bytes went, divided by the share: the class with the least goes next.
    var pass: UInt64 = 0
  }

  private var queues = [ClassQueue](repeating: ClassQueue(), count: MessageClass.allCases.count)
  private var nextNumber: UInt64 = 0
  private let rate: UInt64
  private var dropped: UInt64 = 0
  private var superseded: UInt64 = 0

  /// - Parameter rate: the bytes that go in a second, all classes together.
  init(rate: UInt64) {
    self.rate = rate
  }

  /// The most bytes of a class that may wait. They are few: what waits long is not new any more.
  static func bound(of messageClass: MessageClass, rate: UInt64) -> Int {
    // Half a second of a class's share, while all wait.
    let bound = min(max(Int(clamping: rate / 8), leastBound), mostBound)
    return messageClass == .answers ? answerFactor * bound : bound
  }

  private static let leastBound = 4 * Limits.datagramBytes
  private static let mostBound = 256 << 10
  /// An answer is as long as it was asked for.
  private static let answerFactor = 8

  var isEmpty: Bool { queues.allSatisfy(\.entries.isEmpty) }
  var answerBytes: Int { queues[MessageClass.answers.rawValue].bytes }

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
  /// Adds a message. Cost: linear in its parts.
  mutating func append(_ message: OutgoingMessage, now: MonotonicTime) {
    let index = message.messageClass.rawValue
    begin(index)
    var entry = Entry(message: message, since: now, newestParts: 0)
    var number = nextNumber
    if let key = message.key {
      var group = queues[index].newest.removeValue(forKey: key) ?? [:]
      let (count, gone) = supersede(by: message, of: &group, in: index)
      // The place of the first that went.
      number = gone.min() ?? nextNumber
      for part in message.parts where group[part.subject]?.number == Self.thisMessage {
        group[part.subject] = Newest(number: number, rank: part.rank)
      }
      queues[index].newest[key] = group
      guard count > 0 else {
        superseded &+= 1
        return
      }
      entry.newestParts = count
    }
    if number == nextNumber {
      nextNumber += 1
      queues[index].order.append(number)
    }
    queues[index].entries[number] = entry
    queues[index].bytes += message.byteCount
    let bound = Self.bound(of: message.messageClass, rate: rate)
    while queues[index].bytes > bound, let oldest = front(of: index) {
      remove(oldest, from: index)
      dropped &+= 1
    }
  }

  /// Stands for the number of a message that has none yet.
  private static let thisMessage = UInt64.max

  /// Takes back what a newer message says better. Returns how many of its parts are the newest, and
  /// the numbers of the messages that went.
  private mutating func supersede(
    by newer: OutgoingMessage, of group: inout [MessagePart.Subject: Newest], in index: Int
  ) -> (newestParts: Int, gone: [UInt64]) {
    var count = 0
    var gone: [UInt64] = []
    for part in newer.parts {
      if let old = group[part.subject] {
        // A subject that is named twice counts once.
        guard old.rank <= part.rank, old.number != Self.thisMessage else { continue }
        queues[index].entries[old.number]?.newestParts -= 1
        if let entry = queues[index].entries[old.number], entry.newestParts == 0 {
          queues[index].entries[old.number] = nil
          queues[index].bytes -= entry.message.byteCount
          superseded &+= 1
          gone.append(old.number)
        }
      }
      group[part.subject] = Newest(number: Self.thisMessage, rank: part.rank)
      count += 1
    }
    return (count, gone)
  }

  /// A class that had nothing to send has no claim to what went in the meantime.
  private mutating func begin(_ index: Int) {
    guard queues[index].entries.isEmpty else { return }
    let busy = queues.filter { !$0.entries.isEmpty }.map(\.pass).min()
    queues[index].pass = max(queues[index].pass, busy ?? 0)
  }
}

// MARK: - Out

extension WaitingMessages {
  /// The encoded messages of a datagram, at most so many bytes.
  mutating func take(upTo bytes: Int, now: MonotonicTime) -> [[UInt8]] {
    var result: [[UInt8]] = []
    var left = bytes
    while let kind = next, let number = front(of: kind.rawValue),
      let entry = queues[kind.rawValue].entries[number]
    {
      let message = entry.message.encoded(waited: now.since(entry.since))
      // A message that fits nowhere would stop all others.
      guard message.count <= left || message.count > bytes else { break }
      remove(number, from: kind.rawValue)
      guard message.count <= bytes else {
        dropped &+= 1
        continue
      }
      left -= message.count
      queues[kind.rawValue].pass += UInt64(message.count) * Self.scale / kind.share
      result.append(message)
    }
    return result
  }

  /// So that shares divide it.
  private static let scale: UInt64 = 16

  /// The class whose turn it is.
  private var next: MessageClass? {
    let busy = MessageClass.allCases.filter { !queues[$0.rawValue].entries.isEmpty }
    if PlantedBug.isActive(.queueStarves) { return busy.first }
    return busy.min { queues[$0.rawValue].pass < queues[$1.rawValue].pass }
  }

  /// The number of the oldest message of a class.
  private mutating func front(of index: Int) -> UInt64? {
    while queues[index].first < queues[index].order.count {
      let number = queues[index].order[queues[index].first]
      if queues[index].entries[number] != nil { return number }
      queues[index].first += 1
    }
    queues[index].order.removeAll()
    queues[index].first = 0
    return nil
  }

  private mutating func remove(_ number: UInt64, from index: Int) {
    guard let entry = queues[index].entries.removeValue(forKey: number) else { return }
    queues[index].bytes -= entry.message.byteCount
    if let key = entry.message.key {
      for part in entry.message.parts
      where queues[index].newest[key]?[part.subject]?.number == number {
        queues[index].newest[key]?[part.subject] = nil
      }
      if queues[index].newest[key]?.isEmpty == true { queues[index].newest[key] = nil }
    }
    // What went leaves no more than as much behind.
    if queues[index].first > 64, queues[index].first * 2 > queues[index].order.count {
      queues[index].order.removeFirst(queues[index].first)
      queues[index].first = 0
    }
  }
}

import MeshCRDT
import MeshWire

/// Messages on their way out, by address, in the order of the addresses' first message.
///
/// While there is budget for them, they go at once, as they came: what one input caused goes before the
/// next. An address whose bytes are used up rests, and its messages wait by class, see
/// ``WaitingMessages``.
struct Outbox: Sendable {
  private static let messagesPerAddress = 1024

  /// The bytes that go to one address in a second.
  private let rate: UInt64

  init(rate: UInt64) { self.rate = rate }

  /// A message that may go at once.
  struct Outgoing: Sendable {
    let bytes: [UInt8]
    /// A part of an answer, whose order matters.
    let isAnswer: Bool
  }

  private struct Queue: Sendable {
    var messages: [Outgoing] = []
    /// Where messages go when some have to wait; `nil`: none has to.
    var waiting: WaitingMessages?

    mutating func startWaiting(rate: UInt64, now: MonotonicTime) {
      guard waiting == nil else { return }
      var waiting = WaitingMessages(rate: rate)
      for message in messages {
        waiting.append(message.bytes, isAnswer: message.isAnswer, now: now)
      }
      messages = []
      self.waiting = waiting
    }
  }

  private var queues: [PeerAddress: Queue] = [:]
  /// The addresses that may be sent to, first come, first served.
  private var order: [PeerAddress] = []
  private var first = 0
  /// The addresses whose bytes are used up, until when.
  private var resting: [PeerAddress: MonotonicTime] = [:]
  /// Until when the bytes of all are used up.
  private var pausedUntil: MonotonicTime?
  /// When something that waits may go; `nil`: nothing waits for that.
  private(set) var due: MonotonicTime?
  /// Messages that went for lack of room.
  private(set) var dropped: UInt64 = 0
  /// Messages that went because newer ones say the same better.
  private(set) var superseded: UInt64 = 0

  /// Messages with an echo of their own, to addresses without a path.
  private var singles: [(address: PeerAddress, echo: UInt64, message: [UInt8])] = []

  /// The number of turns that are kept, past ones among them.
  var turns: Int { order.count }

  /// True when nothing can go now.
  var isEmpty: Bool { singles.isEmpty && (first == order.count || pausedUntil != nil) }

  /// Adds an encoded message.
  mutating func append(
    _ message: [UInt8], to address: PeerAddress, isAnswer: Bool = false, now: MonotonicTime
  ) {
    guard let index = queues.index(forKey: address) else {
      var queue = Queue()
      if pausedUntil != nil { queue.startWaiting(rate: rate, now: now) }
      queues[address] = queue
      order.append(address)
      return append(message, to: address, isAnswer: isAnswer, now: now)
    }
    if queues.values[index].waiting != nil {
      queues.values[index].waiting?.append(message, isAnswer: isAnswer, now: now)
    } else if queues.values[index].messages.count < Self.messagesPerAddress {
      queues.values[index].messages.append(Outgoing(bytes: message, isAnswer: isAnswer))
    } else {
      dropped &+= 1
    }
  }

  mutating func append(single message: [UInt8], echo: UInt64, to address: PeerAddress) {
    guard singles.count < Self.messagesPerAddress else {
      dropped &+= 1
      return
    }
    singles.append((address, echo, message))
  }

  mutating func nextSingle() -> (address: PeerAddress, echo: UInt64, message: [UInt8])? {
    singles.isEmpty ? nil : singles.removeFirst()
  }

  /// How many bytes of answers wait for an address.
  func answerBytes(for address: PeerAddress) -> Int {
    queues[address]?.waiting?.answerBytes ?? 0
  }

  /// Forgets what waits for an address.
  mutating func forget(_ address: PeerAddress) {
    guard queues[address]?.waiting != nil else { return }
    queues[address] = nil
    resting[address] = nil
  }
}

// MARK: - Out

extension Outbox {
  /// The address whose turn it is; `nil`: nothing can go now.
  mutating func next() -> PeerAddress? {
    guard pausedUntil == nil else { return nil }
    while first < order.count {
      let address = order[first]
      if queues[address] != nil && resting[address] == nil { return address }
      first += 1
    }
    order.removeAll(keepingCapacity: true)
    first = 0
    return nil
  }

  /// The messages of the next datagram to the address whose turn it is: as many as fit.
  mutating func take(now: MonotonicTime) -> [[UInt8]] {
    let address = order[first]
    guard var queue = queues.removeValue(forKey: address) else { return [] }
    var taken: [[UInt8]]
    if queue.waiting != nil {
      taken = queue.waiting?.take(upTo: DatagramLayout.messageBytes, now: now) ?? []
      dropped &+= queue.waiting?.takeDropped() ?? 0
      superseded &+= queue.waiting?.takeSuperseded() ?? 0
      // Others have their turn.
      first += 1
      guard queue.waiting?.isEmpty == false else { return taken }
      order.append(address)
      // Under a load that does not end, what had its turn would pile up.
      if first > Self.messagesPerAddress, 2 * first > order.count {
        order.removeFirst(first)
        first = 0
      }
    } else {
      var count = 0
      var bytes = 0
      while count < queue.messages.count,
        bytes + queue.messages[count].bytes.count <= DatagramLayout.messageBytes
      {
        bytes += queue.messages[count].bytes.count
        count += 1
      }
      precondition(count > 0, "a message is longer than a datagram")
      taken = queue.messages[..<count].map(\.bytes)
      if count == queue.messages.count {
        first += 1
        return taken
      }
      queue.messages.removeFirst(count)
    }
    queues[address] = queue
    return taken
  }

  /// The address whose turn it is has used up its bytes.
  mutating func rest(until time: MonotonicTime, now: MonotonicTime) {
    let address = order[first]
    first += 1
    resting[address] = time
    due = min(due ?? time, time)
    if let index = queues.index(forKey: address) {
      queues.values[index].startWaiting(rate: rate, now: now)
    }
  }

  /// The bytes of all addresses are used up.
  mutating func pause(until time: MonotonicTime, now: MonotonicTime) {
    pausedUntil = time
    due = min(due ?? time, time)
    for address in order[first...] {
      if let index = queues.index(forKey: address) {
        queues.values[index].startWaiting(rate: rate, now: now)
      }
    }
  }

  /// Takes the time in: what has waited long enough may go.
  mutating func wake(now: MonotonicTime) {
    guard let due, due <= now else { return }
    if let pausedUntil, pausedUntil <= now { self.pausedUntil = nil }
    let rested = resting.filter { $0.value <= now }.sorted {
      ($0.value, $0.key) < ($1.value, $1.key)
    }
    for (address, _) in rested {
      resting[address] = nil
      order.append(address)
    }
    self.due = [pausedUntil, resting.values.min()].compactMap(\.self).min()
  }
}

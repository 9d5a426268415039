import MeshCRDT
import MeshWire

/// Messages on their way out, by address, in the order of the addresses' first message.
///
/// While there are bytes for them they go at once, as they came: what one input caused goes before the
/// next. An address that has used up its bytes rests, and its messages wait by class, see
/// ``WaitingMessages``. All addresses have their turns, so that none keeps the others from theirs.
struct Outbox: Sendable {
  /// The bytes that go to one address in a second.
  private let rate: UInt64
  private let peerRate: UInt64?

  private struct Queue: Sendable {
    var messages: [OutgoingMessage] = []
    /// Where messages go when some have to wait; `nil`: none has to.
    var waiting: WaitingMessages?
    /// The bytes that may be sent now; `nil`: as many as there are.
    var budget: Budget?
    /// True from the first message until all are gone: it has a turn, or rests.
    var isInLine = false

    mutating func startWaiting(rate: UInt64, now: MonotonicTime) {
      guard waiting == nil else { return }
      var waiting = WaitingMessages(rate: rate)
      for message in messages { waiting.append(message, now: now) }
      messages = []
      self.waiting = waiting
    }
  }

  /// Kept while they are empty, too: most are filled again soon.
  private var queues: [PeerAddress: Queue] = [:]
  /// The addresses that may be sent to, first come, first served.
  private var order: [PeerAddress] = []
  private var first = 0
  /// The bytes that may be sent now; `nil`: as many as there are.
  private var budget: Budget?
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

  /// Challenges and proofs. Each begins a datagram, with an echo of its own.
  private var openings: [(address: PeerAddress, echo: UInt64, message: [UInt8])] = []
  private var firstOpening = 0
  private var announcement = false

  init(configuration: EngineConfiguration, now: MonotonicTime) {
    rate = configuration.rate
    peerRate = configuration.peerRate
    budget = configuration.sendRate.map { Budget(bytesPerSecond: $0, now: now) }
  }

  /// The number of turns that are kept, past ones among them.
  var turns: Int { order.count }

  /// True when nothing can go now.
  var isEmpty: Bool {
    firstOpening == openings.count && !announcement
      && (first == order.count || pausedUntil != nil)
  }
}

// MARK: - In

extension Outbox {
  /// Adds a message.
  mutating func append(_ message: OutgoingMessage, to address: PeerAddress, now: MonotonicTime) {
    guard message.byteCount <= DatagramHeader.messageBytes else {
      dropped &+= 1
      return
    }
    guard let index = queues.index(forKey: address) else {
      queues[address] = Queue(budget: peerRate.map { Budget(bytesPerSecond: $0, now: now) })
      return append(message, to: address, now: now)
    }
    if !queues.values[index].isInLine {
      queues.values[index].isInLine = true
      order.append(address)
      if pausedUntil != nil || resting[address] != nil {
        queues.values[index].startWaiting(rate: rate, now: now)
      }
    }
    if queues.values[index].waiting != nil {
      queues.values[index].waiting?.append(message, now: now)
    } else if queues.values[index].messages.count < EngineLimits.messagesPerAddress {
      queues.values[index].messages.append(message)
    } else {
      dropped &+= 1
    }
  }

  /// Adds a challenge or a path proof, which begins a datagram of its own. They are few, and do not
  /// wait: whoever adds them keeps their rate.
  mutating func append(opening message: [UInt8], echo: UInt64, to address: PeerAddress) {
    guard openings.count - firstOpening < EngineLimits.openings else {
      dropped &+= 1
      return
    }
    openings.append((address, echo, message))
  }

  /// Adds an announcement, unless one is there.
  mutating func announce() { announcement = true }

  /// How many more bytes of answers may wait for an address.
  func answerRoom(for address: PeerAddress) -> Int {
    guard budget != nil || peerRate != nil else { return .max }
    return WaitingMessages.bound(of: .answers, rate: rate)
      - (queues[address]?.waiting?.answerBytes ?? 0)
  }

  /// Forgets what waits for an address to which there is no path any more.
  mutating func forget(_ address: PeerAddress) {
    queues[address] = nil
    resting[address] = nil
  }
}

// MARK: - Out

extension Outbox {
  /// The messages of one datagram.
  struct Departure: Sendable, Equatable {
    /// `nil`: everybody on the LAN.
    let address: PeerAddress?
    /// The echo of a challenge or a proof; `nil`: that of the path.
    let echo: UInt64?
    let messages: [[UInt8]]
  }

  /// Takes the messages of the next datagram; `nil`: nothing can go before ``due``.
  mutating func depart(now: MonotonicTime) -> Departure? {
    wake(now: now)
    if let opening = nextOpening() { return opening }
    while let (address, index) = nextQueue() {
      if let wait = budget?.wait(for: UInt64(Limits.datagramBytes), now: now) {
        pause(until: now + wait, now: now)
        break
      }
      let wait = queues.values[index].budget?.wait(for: UInt64(Limits.datagramBytes), now: now)
      if let wait {
        rest(address, index, until: now + wait, now: now)
        continue
      }
      let messages = take(address, index, now: now)
      guard !messages.isEmpty else { continue }
      let bytes = messages.reduce(DatagramHeader.overheadBytes) { $0 + $1.count }
      budget?.spend(UInt64(bytes))
      queues.values[index].budget?.spend(UInt64(bytes))
      return Departure(address: address, echo: nil, messages: messages)
    }
    guard announcement else { return nil }
    announcement = false
    // No token: there is nobody yet to give one to.
    return Departure(
      address: nil, echo: 0, messages: [MeshMessage.challenge(token: 0).encoded()])
  }

  private mutating func nextOpening() -> Departure? {
    guard firstOpening < openings.count else { return nil }
    let opening = openings[firstOpening]
    firstOpening += 1
    if firstOpening == openings.count {
      openings.removeAll(keepingCapacity: true)
      firstOpening = 0
    }
    var messages = [opening.message]
    // What was said to the same address since fits in behind it.
    if opening.echo != 0, budget == nil, peerRate == nil,
      let index = queues.index(forKey: opening.address)
    {
      let left = DatagramHeader.messageBytes - opening.message.count
      messages += Self.takeFirst(of: &queues.values[index].messages, upTo: left)
    }
    return Departure(address: opening.address, echo: opening.echo, messages: messages)
  }

  private typealias QueueIndex = Dictionary<PeerAddress, Queue>.Index

  /// The address whose turn it is, and its queue.
  private mutating func nextQueue() -> (PeerAddress, QueueIndex)? {
    guard pausedUntil == nil else { return nil }
    while first < order.count {
      let address = order[first]
      if let index = queues.index(forKey: address), queues.values[index].isInLine,
        resting[address] == nil
      {
        return (address, index)
      }
      first += 1
    }
    order.removeAll(keepingCapacity: true)
    first = 0
    if queues.count > 2 * EngineLimits.paths { queues = queues.filter(\.value.isInLine) }
    return nil
  }

  /// The messages of the next datagram to the address whose turn it is: as many as fit.
  private mutating func take(
    _ address: PeerAddress, _ index: QueueIndex, now: MonotonicTime
  ) -> [[UInt8]] {
    guard queues.values[index].waiting == nil else {
      let taken =
        queues.values[index].waiting?.take(upTo: DatagramHeader.messageBytes, now: now) ?? []
      dropped &+= queues.values[index].waiting?.takeDropped() ?? 0
      superseded &+= queues.values[index].waiting?.takeSuperseded() ?? 0
      // Others have their turn.
      first += 1
      guard queues.values[index].waiting?.isEmpty == false else {
        queues.values[index].waiting = nil
        queues.values[index].isInLine = false
        return taken
      }
      order.append(address)
      // Under a load that does not end, what had its turn would pile up.
      if first > EngineLimits.messagesPerAddress, 2 * first > order.count {
        order.removeFirst(first)
        first = 0
      }
      return taken
    }
    let more = PlantedBug.isActive(.datagramTooLong) ? 400 : 0
    let taken = Self.takeFirst(
      of: &queues.values[index].messages, upTo: DatagramHeader.messageBytes + more)
    if queues.values[index].messages.isEmpty {
      first += 1
      queues.values[index].isInLine = false
      // Memory that a burst took is given back.
      if queues.values[index].messages.capacity > 64 { queues.values[index].messages = [] }
    }
    return taken
  }

  private static func takeFirst(
    of messages: inout [OutgoingMessage], upTo bytes: Int
  ) -> [[UInt8]] {
    var count = 0
    var left = bytes
    while count < messages.count, messages[count].byteCount <= left {
      left -= messages[count].byteCount
      count += 1
    }
    defer { messages.removeFirst(count) }
    // None has waited: what is here came with the present input.
    return messages[..<count].map { $0.encoded(waited: Span(nanoseconds: 0)) }
  }

  /// The address whose turn it is has used up its bytes.
  private mutating func rest(
    _ address: PeerAddress, _ index: QueueIndex, until time: MonotonicTime, now: MonotonicTime
  ) {
    first += 1
    resting[address] = time
    due = min(due ?? time, time)
    queues.values[index].startWaiting(rate: rate, now: now)
  }

  /// The bytes of all addresses are used up.
  private mutating func pause(until time: MonotonicTime, now: MonotonicTime) {
    pausedUntil = time
    due = min(due ?? time, time)
    for address in order[first...] {
      if let index = queues.index(forKey: address) {
        queues.values[index].startWaiting(rate: rate, now: now)
      }
    }
  }

  /// Takes the time in: what has waited long enough may go.
  private mutating func wake(now: MonotonicTime) {
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

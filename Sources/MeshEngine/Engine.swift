package import MeshCRDT
package import MeshTrust
import MeshWire

/// The whole protocol as one value, without input or output: datagrams, local operations and time
/// go in; datagrams, events and a deadline come out.
///
/// ## The contract
/// After every call of ``receive(_:from:now:)``, ``perform(_:now:)``, ``tick(now:)`` or
/// ``addPeers(_:now:)`` take everything from ``nextOutput()`` until it is `nil`; then wait for the
/// next input, at the longest until ``deadline``. Times must not go back. Two engines that get the
/// same calls give the same outputs.
///
/// ```
/// in:   sealed datagram → opened → unverified batch/head/frame → Verified → join → changes → events
/// out:  operation → records → signed batch → datagram → sealed datagram → send
/// ```
package struct Engine: Sendable {
  package internal(set) var configuration: EngineConfiguration
  /// The node's id.
  package let origin: OriginID
  /// This life of the node. It rises when the mesh knows of a later one than it was given.
  package var generation: UInt64 { configuration.generation }
  /// What happened so far, in numbers.
  package internal(set) var counters = Counters()
  /// What went in and came out, if the configuration asks for it.
  package private(set) var recording: EngineRecording?

  let crypto: any Crypto
  let verifier: Verifier
  var random: RandomSource
  let noncePrefix: (UInt64, UInt64)
  /// Tells this life from others of the same generation.
  let life: UInt64
  let meshTag: UInt64

  // The state, and what is known about it here, by slot.
  var state: MeshState
  var stores: [BatchStores] = []
  var liveness: [Liveness] = []
  var graves = Graves()
  var roomNames: [RoomID: RoomName] = [:]
  var roomNamesSwept = 0
  let ownSlot: Int

  // Paths to other nodes.
  var paths: [PeerAddress: Path] = [:]
  /// The best path to each origin.
  var pathOf: [OriginID: PeerAddress] = [:] {
    didSet {
      sortedReceivers = nil
      knownNeighbours = nil
      frameRoutes = [:]
    }
  }
  /// The addresses of ``pathOf``, when they were put in order since it changed.
  var sortedReceivers: [PeerAddress]?
  /// All visible origins, and who is whose neighbour.
  var overlay: Overlay {
    didSet {
      knownNeighbours = nil
      frameRoutes = [:]
    }
  }
  /// The paths to this node's neighbours, when they were looked up since something changed.
  var knownNeighbours: [PeerAddress]?
  /// Whom records and cursors go to by room, as far as it was looked up since something changed.
  var frameRoutes: [RoomID: FrameRoute] = [:]
  /// The rooms that those follow who do not follow all, by slot; `nil`: to be looked up.
  var knownInterests: [Int: Set<RoomID>]?
  /// True when somebody has said something else of that since the last input.
  var interestsChanged = false
  /// Where origins were heard last, or are said to be.
  var book: [OriginID: PeerAddress] = [:]
  /// What was heard of each sender. Kept when its path is lost, so that nothing is heard twice.
  var windows: [Life: ReplayWindow] = [:]
  var contacts: [PeerAddress: Contact] = [:]
  var challengeBudget: Budget

  // Exchanges under way.
  var pulls: [ShelfID: PullState] = [:]
  /// The rooms that were asked for as a whole.
  var fetches: [RoomID: FetchState] = [:]
  /// Those that wait for a path to somebody who follows them.
  var waitingRooms: Set<RoomID> = []
  /// The slots whose heads wait to be sent on.
  var waitingHeads: [Int] = []
  /// What was pulled and is to be offered to the neighbours: from whom.
  var offers: [ShelfID: PeerAddress] = [:]
  /// The rooms in which this node wrote lately, and is to say so once more.
  var hinted: Set<RoomID> = []
  /// The neighbour that a digest was sent to, and how many others may be asked in its place.
  var asked: (address: PeerAddress, tries: Int)?
  /// Until when digests go more often, because much was pulled.
  var busyUntil: MonotonicTime?
  /// Who is asked for more when what was pulled is here, in this order.
  var toAsk: [ListToGoOn] = []
  /// Room logs of which another word about the same version was asked for in vain, and until when it
  /// is not asked for again.
  var vain: [ShelfID: MonotonicTime] = [:]
  var manifests: [ShelfID: ManifestState] = [:]
  var manifestCache: ManifestCache?

  // Hosting.
  var hosted: [SessionID: HostedSession] = [:]
  /// Sessions that another node hosts now and that are in this one's log still, and until when.
  var handedOver: [SessionID: MonotonicTime] = [:]
  /// The rooms that this node follows; `nil`: all.
  var followed: Set<RoomName>?
  /// The same by their ids.
  var followedIDs: Set<RoomID>?
  /// True once somebody was seen who does not follow all rooms: sessions are told with where they
  /// are.
  var tellsVisits = false
  /// The counter of its word about that; `nil`: it said nothing.
  var interestCounter: UInt64?
  /// The removals that this node ordered and keeps up.
  var orders: [SessionID: [RoomName: RemovalOrder]] = [:]
  var pending = PendingWrites()
  /// Frames of this node that are on their way out, and are joined here when they have gone: the
  /// others need not wait for that.
  var ownFrames: [Verified<FrameBody>] = []
  var heartbeat: UInt64 = 0
  var lastHead: Envelope?
  var lastHeadAt: MonotonicTime
  var lastBatchAt: MonotonicTime?
  var lastFrameAt: MonotonicTime?
  /// When the moves of all were due last.
  var lastTickAt: MonotonicTime?
  var lastRaiseAt: MonotonicTime?
  var hasLeft = false
  /// The farewell that is still to be said again.
  var farewell: Message?
  var lamportCeiling: UInt64

  // The view.
  var shown = SessionSlots()
  var dirty: [SessionID] = []
  var isDirty: Set<SessionID> = []
  package internal(set) var isStale = false
  var lastHeardAt: MonotonicTime
  /// After a pause: what is heard until then may have waited in the socket for as long as that.
  var backlog: (until: MonotonicTime, span: Span)?

  // Time and outputs.
  var timers = TimerQueue<EngineTimer>()
  var lastNow: MonotonicTime
  var outbox: Outbox
  /// The bytes that may be sent now; `nil`: as many as there are.
  var budget: Budget?
  var datagramCounter: UInt64 = 0
  var announcement = false
  var events: [MeshEvent] = []
  var nextEvent = 0
  var durable: DurableState?

  /// How many Lamport counters are reserved on the disk at once.
  static let lamportReserve: UInt64 = 1 << 16

  package init(
    configuration: EngineConfiguration, crypto: any Crypto, now: MonotonicTime
  ) {
    self.configuration = configuration
    self.crypto = crypto
    origin = crypto.origin
    verifier = Verifier(mesh: configuration.mesh, crypto: crypto)
    random = RandomSource(seed: configuration.seed)
    // Nonces are seen by everybody: nothing of the seed can be found from them.
    let seed = configuration.seed
    func word(_ index: UInt64) -> UInt64 {
      SipHash.hash(
        seed.2.bigEndianBytes + seed.3.bigEndianBytes + index.bigEndianBytes,
        key: HashKey(seed.0, seed.1))
    }
    noncePrefix = (word(0), word(1))
    life = word(2)
    meshTag = configuration.mesh.tag
    challengeBudget = Budget(perSecond: 200, burst: 200, now: now)
    outbox = Outbox(rate: configuration.rate)
    budget = configuration.sendRate.map { Budget(bytesPerSecond: $0, now: now) }
    lastNow = now
    lastHeadAt = now
    lastHeardAt = now
    lamportCeiling = configuration.lamport
    if configuration.isRecording {
      recording = EngineRecording(configuration: configuration, start: now)
    }
    var state = MeshState(hashKey: configuration.mesh.hashKey, lamport: configuration.lamport)
    var dropped: [SessionID] = []
    guard
      let slot = state.open(
        crypto.origin, generation: configuration.generation, dropped: &dropped)
    else { preconditionFailure("an empty state has room for its own origin") }
    self.state = state
    ownSlot = slot
    overlay = Overlay(rings: configuration.rings, hashKey: configuration.mesh.hashKey)
    overlay.insert(crypto.origin)
    stores = [BatchStores()]
    liveness = [Liveness(heardAt: now, health: .online)]
    reserveCounters()
    timers.set(.head, at: now)
    timers.set(.stale, at: now + configuration.headPeriod)
    timers.set(.digest, at: now + random.jittered(configuration.digestPeriod))
    if let period = configuration.announcePeriod {
      announcement = true
      timers.set(.announce, at: now + random.jittered(period))
    }
  }

  /// One hash of the whole state: equal on all nodes that converged and follow all rooms.
  package var stateHash: UInt64 { state.stateHash }

  /// One hash of what is held of a room: equal on all nodes that converged and follow it.
  package func roomHash(_ room: RoomName) -> UInt64 { state.roomHash(state.room(room)) }

  /// The sessions that this node hosts, in the order of their ids.
  package var hostedSessions: [SessionID] { hosted.keys.sorted() }

  /// The number of sessions and the origins in the state, seen or not.
  package var size: (origins: Int, sessions: Int) { (state.originCount, state.sessionCount) }

  /// The number of records that this life of the node has written.
  package var ownVersion: UInt64 {
    let log = state.logs[ownSlot]
    return log.rooms.values.reduce(log.lobby.highestVersion) { $0 + $1.highestVersion }
  }

  /// The number of nodes that are seen, this one among them.
  package var visibleCount: Int { overlay.count }

  /// The number of proven addresses.
  package var pathCount: Int { paths.count }

  /// When ``tick(now:)`` is next due.
  package var deadline: MonotonicTime? { timers.deadline }

  /// The same, without a copy of the engine: for whoever asks after each input.
  package mutating func currentDeadline() -> MonotonicTime? { timers.deadline }
}

// MARK: - Inputs

extension Engine {
  /// Hears a datagram. Whatever is wrong with it is counted, and answered with silence.
  package mutating func receive(
    _ datagram: [UInt8], from address: PeerAddress, now: MonotonicTime
  ) {
    recording?.note(.receive(datagram, from: address, now: now))
    notice(now)
    guard !hasLeft else { return }
    counters.count(.datagramsReceived)
    counters.count(.bytesReceived, datagram.count)
    open(datagram, from: address)
    flushEvents()
  }

  /// Does what a user of this node asks for.
  ///
  /// - Throws: ``OperationError``; then no state changed.
  package mutating func perform(
    _ operation: LocalOperation, now: MonotonicTime
  ) throws(OperationError) {
    recording?.note(.perform(operation, now: now))
    notice(now)
    guard !hasLeft else { throw .meshLeft }
    try host(operation)
    flushEvents()
  }

  /// Does what is due.
  package mutating func tick(now: MonotonicTime) {
    recording?.note(.tick(now: now))
    notice(now)
    // Each timer sets itself for later when it fires, so that this ends.
    while let timer = timers.next(due: now) {
      guard !hasLeft else { continue }
      fire(timer)
    }
    flushEvents()
  }

  /// Tries to reach nodes at addresses that the user gave, or that are remembered. They are tried
  /// again and again, ever more rarely, as long as there is no path to them.
  package mutating func addPeers(_ addresses: [PeerAddress], now: MonotonicTime) {
    recording?.note(.addPeers(addresses, now: now))
    notice(now)
    for address in addresses { contact(address, isConfigured: true) }
  }

  /// Takes the time in, and forgives a pause: see ``Engine/forgive(pause:)``.
  private mutating func notice(_ now: MonotonicTime) {
    joinOwnFrames()
    let now = max(now, lastNow)
    let due = max(timers.deadline ?? now, lastNow)
    let pause = now.since(lastNow)
    lastNow = now
    outbox.wake(now: now)
    if now > due + configuration.pauseThreshold, !PlantedBug.isActive(.pauseNotForgiven) {
      forgive(pause: pause)
    }
  }

  /// The time of the current input.
  var now: MonotonicTime { lastNow }
}

// MARK: - Outputs

extension Engine {
  /// True when the next output is a datagram, so that others wait for it.
  package var hasDatagram: Bool { mutating get { durable == nil && !outbox.isEmpty } }

  /// What is to be done next; `nil`: nothing.
  package mutating func nextOutput() -> Output? {
    guard let output = takeOutput() else { return nil }
    recording?.note(output)
    return output
  }

  private mutating func takeOutput() -> Output? {
    if let durable {
      self.durable = nil
      return .persist(durable)
    }
    // Datagrams first: others wait for them.
    if let single = outbox.nextSingle() {
      return .send(sealed([single.message], echo: single.echo), to: single.address)
    }
    if let datagram = nextDatagram() { return datagram }
    if !ownFrames.isEmpty {
      joinOwnFrames()
      return takeOutput()
    }
    if let farewell {
      self.farewell = nil
      disseminate(farewell)
      return takeOutput()
    }
    if announcement {
      announcement = false
      // No token: there is nobody yet to give one to.
      return .announce(sealed([Message.challenge(token: 0).encoded()], echo: 0))
    }
    if nextEvent < events.count {
      nextEvent += 1
      return .event(events[nextEvent - 1])
    }
    events.removeAll(keepingCapacity: true)
    nextEvent = 0
    counters[.outboxDropped] = outbox.dropped
    counters[.outboxSuperseded] = outbox.superseded
    return nil
  }

  /// A datagram of messages for which there are bytes left, of this node's and of the address's.
  private mutating func nextDatagram() -> Output? {
    while let address = outbox.next() {
      let now = now
      if let wait = budget?.wait(for: UInt64(Limits.datagramBytes), now: now) {
        outbox.pause(until: now + wait, now: now)
        break
      }
      let path = paths.index(forKey: address)
      if let path, let wait = paths.values[path].wait(now: now) {
        outbox.rest(until: now + wait, now: now)
        continue
      }
      let messages = outbox.take(now: now)
      let datagram = sealed(messages, echo: path.map { paths.values[$0].echo() } ?? 0)
      budget?.spend(UInt64(datagram.count))
      if let path { paths.values[path].budget?.spend(UInt64(datagram.count)) }
      return .send(datagram, to: address)
    }
    if let due = outbox.due { timers.set(.send, at: due) }
    return nil
  }

  /// A datagram of these messages.
  private mutating func sealed(_ messages: [[UInt8]], echo: UInt64) -> [UInt8] {
    datagramCounter += 1
    var writer = ByteWriter(reserving: Limits.datagramBytes)
    OuterHeader(tag: meshTag, epoch: crypto.sealingEpoch).write(to: &writer)
    // Unique: 16 random bytes of this life and a counter.
    writer.uint64(noncePrefix.0)
    writer.uint64(noncePrefix.1)
    writer.uint64(datagramCounter)
    InnerHeader(
      sender: origin, generation: generation,
      counter: Life.mark(life) | datagramCounter, echo: echo
    ).write(to: &writer)
    for message in messages { writer.raw(message) }
    var datagram = writer.take()
    crypto.seal(&datagram)
    precondition(datagram.count <= Limits.datagramBytes)
    counters.count(.datagramsSent)
    counters.count(.bytesSent, datagram.count)
    return datagram
  }

  mutating func emit(_ event: MeshEvent) {
    if configuration.emitsEvents { events.append(event) }
  }
}

import MeshCRDT
import MeshTrust
import MeshWire

/// What the parts of an engine share: time, randomness, cryptography, and what they want done.
///
/// It is passed inout. A part keeps its own state; it reads the time here, sets its timers, adds what
/// is to be sent, and counts. It tells what it found by its results, not here.
struct EngineContext: Sendable {
  /// The time of the present input. It never goes back.
  private(set) var now: MonotonicTime
  let configuration: EngineConfiguration
  private(set) var crypto: any Crypto
  let treeHash: any TreeHash
  /// Signs and verifies.
  private(set) var verifier: SignatureVerifier
  /// The epoch whose mesh key seals datagrams; 0: this node has none yet.
  var sealingEpoch: UInt32
  /// The node's id.
  let origin: OriginID
  /// This life of the node. It rises once the mesh is found to know of a later one.
  private(set) var incarnation: Incarnation
  var random: RandomSource
  var timers = TimerQueue<EngineTimer>()
  var counters = Counters()
  var outbox: Outbox
  /// The origins whose words count; `nil`: everybody's.
  var admitted: Set<OriginID>?
  /// This node's own certificate, for whoever has not seen it.
  var ownCertificate: Certificate?
  /// Milliseconds since 1970 at a moment of ``now``.
  private var wallClock: (milliseconds: UInt64, at: MonotonicTime)
  private var events: [MeshEvent] = []
  private var nextEventIndex = 0

  init(
    configuration: EngineConfiguration, crypto: any Crypto, treeHash: any TreeHash,
    now: MonotonicTime
  ) {
    self.configuration = configuration
    self.crypto = crypto
    self.treeHash = treeHash
    self.now = now
    origin = crypto.origin
    sealingEpoch = crypto.newestEpoch
    incarnation = configuration.incarnation
    verifier = SignatureVerifier(mesh: configuration.mesh, crypto: crypto, hash: treeHash)
    random = RandomSource(seed: configuration.seed)
    outbox = Outbox(configuration: configuration, now: now)
    wallClock = (configuration.trust?.wallMilliseconds ?? 0, now)
    ownCertificate = configuration.trust?.certificate
    if configuration.trust != nil { admitted = [] }
  }

  /// Milliseconds since 1970, as far as this node knows.
  var wall: UInt64 { wallClock.milliseconds &+ now.since(wallClock.at).milliseconds }

  /// Goes on with other keys.
  mutating func setCrypto(_ crypto: any Crypto) {
    self.crypto = crypto
    verifier = SignatureVerifier(mesh: configuration.mesh, crypto: crypto, hash: treeHash)
  }

  /// Takes the wall clock in.
  mutating func setWall(_ milliseconds: UInt64) { wallClock = (milliseconds, now) }

  /// True when an origin's words count.
  func isAdmitted(_ origin: OriginID) -> Bool {
    admitted?.contains(origin) ?? true || PlantedBug.isActive(.strangersHeard)
  }

  /// Takes the time of an input in. One that lies back is taken for the last one.
  mutating func advance(to time: MonotonicTime) { now = max(now, time) }

  /// Begins an incarnation with a counter above all that the mesh knows of. Its random bits are those
  /// of the process. Nothing happens when the counter is not above the present one.
  mutating func raiseIncarnation(to counter: UInt64) {
    guard counter > incarnation.counter,
      let raised = Incarnation(counter: counter, nonce: incarnation.nonce)
    else { return }
    incarnation = raised
  }
}

// MARK: - Timers

extension EngineContext {
  /// Sets a timer to fire after a span from now, unless it fires earlier than that already.
  mutating func setTimer(_ timer: EngineTimer, after span: Span) {
    timers.set(timer, at: now + span)
  }

  /// The same, at between 80 % and 100 % of the span, so that timers of many nodes do not beat
  /// together.
  mutating func setTimer(_ timer: EngineTimer, afterJittered span: Span) {
    timers.set(timer, at: now + random.jittered(span))
  }
}

// MARK: - Sending

extension EngineContext {
  /// Sends a message on a path.
  mutating func send(_ message: OutgoingMessage, to address: PeerAddress) {
    outbox.append(message, to: address, now: now)
  }

  /// The messages of the next datagram; `nil`: nothing can go now. A timer is set for what has to wait.
  mutating func nextDeparture() -> Outbox.Departure? {
    if let departure = outbox.depart(now: now) { return departure }
    if let due = outbox.due { timers.set(.outbox, at: due) }
    counters[.outboxDropped] = outbox.dropped
    counters[.outboxSuperseded] = outbox.superseded
    return nil
  }
}

// MARK: - Events

extension EngineContext {
  /// Tells the user.
  mutating func emit(_ event: MeshEvent) {
    if configuration.emitsEvents { events.append(event) }
  }

  /// Takes the next event. The user takes all of them after each input, so that they are as many as
  /// one input can cause.
  mutating func nextEvent() -> MeshEvent? {
    guard nextEventIndex < events.count else {
      events.removeAll(keepingCapacity: true)
      nextEventIndex = 0
      return nil
    }
    nextEventIndex += 1
    return events[nextEventIndex - 1]
  }
}

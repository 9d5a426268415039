import MeshCRDT
import MeshEngine
import MeshTrust

/// Nodes under virtual time, a network, clients and adversaries: everything from one seed.
struct World {
  enum Event {
    case deliver(to: PeerAddress, from: PeerAddress, bytes: [UInt8])
    case tick(node: Int, life: UInt64, time: UInt64)
    case start(node: Int)
    case client
    case heartbeat(session: Int)
    case strike
    case endPause(node: Int, life: UInt64)
    case checkDead(origin: OriginID, diedAt: UInt64)
    case check
    case adversary
    case scripted(ScriptStep)
  }

  static let second: UInt64 = 1_000_000_000
  static let millisecond: UInt64 = 1_000_000

  let options: SimulationOptions
  var random: RandomSource
  var time: UInt64 = 0
  var queue = EventQueue<Event>()
  var nodes: [SimulatedNode] = []
  var nodeAt: [PeerAddress: Int] = [:]
  let mesh: MeshID
  let meshSecret: UInt64
  let faults: [Fault]
  let faultsEnd: UInt64
  var isHealing = false
  /// True when nodes follow only some rooms, and other ones after a while.
  let isRestricted: Bool

  // The network.
  var weather: Weather { didSet { slowest = max(slowest, weather.longestDelay) } }
  /// The longest that a datagram could be under way so far.
  var slowest: UInt64
  let calm: Weather
  /// The side of each node; different sides do not hear each other.
  var side: [Int: Int] = [:]
  /// Cut directions between nodes.
  var cut: Set<Int> = []
  var nextPort: UInt16 = 7000
  /// True when announcements reach everybody on the same side.
  var hasMulticast: Bool
  /// The most bytes that nodes send to an address in a second, in some worlds.
  let peerRate: UInt64?

  // Clients.
  var sessions: [ClientSession] = []
  var operations = 0
  var cursors = CursorWatch()

  // Adversaries.
  var outsider: Outsider?
  var traitor: Traitor?

  /// True when costs are measured: what a check would remember of each datagram is left out.
  var isMeasuring = false
  /// Counts what is sent for a change.
  var batchMeter: BatchMeter?
  /// When a datagram first went from a node of even index to one of odd index, or back, when costs
  /// are measured.
  var crossedAt: UInt64?
  /// A change that is waited for, when spreading is measured.
  var watched: Watch?
  /// Takes samples, when they are asked for.
  var sampler: Sampler?

  // What happened.
  var trace = Trace()
  var failure: String?
  var datagrams: UInt64 = 0
  /// When origins died, unless they live again.
  var deaths: [OriginID: UInt64] = [:]
  /// The time between two heads of those that died, in nanoseconds.
  var periods: [OriginID: UInt64] = [:]

  init(_ options: SimulationOptions) {
    self.options = options
    var random = RandomSource(seed: options.seed)
    let count = options.nodes ?? 5 + random.below(12)
    meshSecret = random.next()
    let idBytes = random.next().bigEndianBytes + random.next().bigEndianBytes
    guard let mesh = MeshID(bytes: idBytes) else { preconditionFailure("an id has 16 bytes") }
    self.mesh = mesh
    var drawn: [Fault] = []
    for fault in Fault.allCases where options.faults.contains(fault) {
      if options.isExact || random.chance(0.5) { drawn.append(fault) }
    }
    faults = drawn
    let span = options.faultMilliseconds ?? UInt64(15_000 + random.below(25_000))
    faultsEnd = span * Self.millisecond
    let least = UInt64(100 + random.below(2000)) * 1000
    let drawnDelay = least...(least * UInt64(2 + random.below(8)))
    calm = options.links.weather(drawnDelay: drawnDelay)
    weather = calm
    slowest = calm.longestDelay
    let drawnMulticast = random.chance(0.5)
    hasMulticast = options.hasMulticast ?? drawnMulticast
    let drawnRate = random.chance(0.15) ? 30_000 + UInt64(random.below(30_000)) : nil
    peerRate = options.faults.isEmpty ? nil : drawnRate
    isRestricted = !options.faults.isEmpty && options.script == nil && random.chance(0.4)
    self.random = random
    for index in 0..<count { addNode(secret: self.random.next(), index: index) }
  }

  mutating func addNode(secret: UInt64, index: Int) {
    let address = newAddress()
    let base = UInt64(random.below(1_000_000)) * Self.millisecond
    nodes.append(
      SimulatedNode(
        index: index, disk: Disk(secret: secret), address: address, clockBase: base))
    nodeAt[address] = index
  }

  mutating func newAddress() -> PeerAddress {
    nextPort += 1
    return PeerAddress(ipv4: 0x0A00_0000 | UInt32(nextPort), port: nextPort)
  }

  // MARK: Running

  mutating func run() -> SimulationResult {
    prepare()
    var converged: UInt64?
    while failure == nil, let (time, event) = queue.next() {
      self.time = max(self.time, time)
      if !isHealing && time >= faultsEnd { heal() }
      if isHealing, time > faultsEnd + options.boundMilliseconds * Self.millisecond {
        fail("not converged after \(options.boundMilliseconds) ms: \(disagreement() ?? "")")
        break
      }
      handle(event)
      if isHealing, case .check = event, failure == nil, disagreement() == nil {
        converged = (self.time - faultsEnd) / Self.millisecond
        checkEverything()
        checkCursors()
        checkFairness()
        break
      }
    }
    return SimulationResult(
      seed: options.seed, nodes: nodes.count, faults: faults, failure: failure,
      trace: failure == nil ? [] : trace.lines,
      convergenceMilliseconds: failure == nil ? converged : nil, traceHash: trace.hash,
      virtualMilliseconds: time / Self.millisecond, datagrams: datagrams, operations: operations)
  }

  /// Lets time pass up to a moment, or until something is so.
  mutating func run(until end: UInt64, isDone: (World) -> Bool = { _ in false }) {
    while let next = queue.nextTime, next <= end, !isDone(self), let (time, event) = queue.next() {
      self.time = max(self.time, time)
      handle(event)
    }
    if !isDone(self) { time = max(time, end) }
  }

  private mutating func prepare() {
    let isStorm = faults.contains(.joinStorm)
    for index in nodes.indices {
      queue.add(
        .start(node: index), at: isStorm ? 0 : UInt64(random.below(4000)) * Self.millisecond)
    }
    if isStorm {
      for _ in 0..<40 { queue.add(.client, at: UInt64(random.below(50)) * Self.millisecond) }
    }
    queue.add(.client, at: 100 * Self.millisecond)
    queue.add(.check, at: Self.second)
    if !faults.isEmpty && options.script == nil { queue.add(.strike, at: Self.second) }
    prepareAdversaries()
    prepareScript()
  }

  private mutating func handle(_ event: Event) {
    if let due = sampler?.due, time >= due { takeSample() }
    switch event {
    case .deliver(let to, let from, let bytes): deliver(bytes, to: to, from: from)
    case .tick(let node, let life, let due):
      guard nodes[node].life == life, nodes[node].tickAt == due else { return }
      nodes[node].tickAt = nil
      guard nodes[node].pausedUntil == nil else { return }
      drive(node) { engine, now in engine.tick(now: now) }
    case .start(let node):
      if !nodes[node].isUp && !(isHealing && nodes[node].isClone) { start(node) }
    case .client:
      if !isHealing {
        act()
        queue.add(.client, at: time + UInt64(20 + random.below(300)) * Self.millisecond)
      }
    case .heartbeat(let session): beat(session)
    case .strike:
      guard !isHealing else { return }
      strike()
      queue.add(.strike, at: time + UInt64(200 + random.below(2500)) * Self.millisecond)
    case .endPause(let node, let life):
      if nodes[node].life == life, nodes[node].pausedUntil != nil { endPause(node) }
    case .checkDead(let origin, let diedAt): checkDead(origin, diedAt: diedAt)
    case .check:
      checkSome()
      queue.add(.check, at: time + 250 * Self.millisecond)
    case .adversary: actAdversary()
    case .scripted(let step): act(step)
    }
  }

  // MARK: Nodes

  /// Begins a life of a node from its disk.
  mutating func start(_ index: Int) {
    nodes[index].life += 1
    nodes[index].disk.generation += 1
    let disk = nodes[index].disk
    var configuration = EngineConfiguration(
      mesh: mesh, generation: disk.generation, lamport: disk.lamportCeiling,
      seed: (random.next(), random.next(), random.next(), random.next()))
    configuration.forgetAfter = .seconds(600)
    configuration.removalHold = .seconds(3)
    configuration.peerRate = peerRate
    options.configure(&configuration)
    if hasMulticast { configuration.announcePeriod = .seconds(5) }
    let crypto = options.makeCrypto(disk.secret, meshSecret, nodes[index].life &* 0x9E37 &+ 1)
    let now = nodes[index].local(time)
    let engine = Engine(configuration: configuration, crypto: crypto, now: now)
    nodes[index].box = EngineBox(engine)
    nodes[index].replayed = ReplayedView(engine.snapshot())
    nodes[index].graceAt = time
    nodes[index].buffer = []
    nodes[index].heard = []
    nodes[index].wasOnline = []
    cursors.forget(node: index)
    deaths[engine.origin] = nil
    note("node \(index) \(engine.origin.short) starts, generation \(disk.generation)")
    // Configured are the first two nodes; the others are heard of, or remembered.
    let seeds = [0, 1].filter { $0 != index && $0 < nodes.count }.map { nodes[$0].address }
    let addresses = seeds + disk.addresses
    drive(index) { engine, now in engine.addPeers(addresses, now: now) }
    if isRestricted && disk.generation == 1 && random.chance(0.5) { follow(index) }
    if let followed = nodes[index].disk.followed {
      drive(index) { engine, now in try? engine.perform(.follow(followed), now: now) }
    }
    reopenSessions(of: index)
  }

  /// Ends a life without a word.
  mutating func crash(_ index: Int) {
    guard let engine = nodes[index].engine else { return }
    nodes[index].disk.addresses = engine.knownAddresses
    nodes[index].box = nil
    nodes[index].pausedUntil = nil
    nodes[index].tickAt = nil
    periods[engine.origin] = engine.headPeriod.nanoseconds
    noteDeath(of: engine.origin)
    note("node \(index) crashes")
    for session in sessions.indices where sessions[session].node == index {
      sessions[session].isLost = true
    }
    // Its orders go with it, unless the host has heard them.
    for session in sessions.indices
    where sessions[session].orderedOutBy == index && !sessions[session].isEnded {
      sessions[session].isContested = true
    }
  }

  mutating func noteDeath(of origin: OriginID) {
    // A clone may live on.
    guard !nodes.contains(where: { $0.engine?.origin == origin }) else { return }
    deaths[origin] = time
    queue.add(.checkDead(origin: origin, diedAt: time), at: time + patience(with: origin))
  }

  /// How long after its end an origin may be seen. Clocks run 1 % fast or slow, and an age leaves out
  /// the time under way: up to three hops, or as many as a big mesh has.
  func patience(with origin: OriginID) -> UInt64 {
    let timeToLive = max(periods[origin] ?? 0, 2 * Self.second) * 5 / 2
    let hops: UInt64 = nodes.count > 17 ? 8 : 3
    return timeToLive + timeToLive / 50 + 100 * Self.millisecond + hops * slowest
  }

  /// Gives an engine an input and does what it wants done.
  mutating func drive(
    _ index: Int, _ body: (inout Engine, MonotonicTime) -> Void
  ) {
    guard let box = nodes[index].box else { return }
    body(&box.engine, nodes[index].local(time))
    while let output = box.engine.nextOutput() {
      switch output {
      case .send(let bytes, let address):
        if bytes.count > Limits.datagramBytes { fail("I6: a datagram of \(bytes.count) bytes") }
        sampler?.count(bytes, from: index, at: time)
        send(bytes, from: index, to: address)
      case .announce(let bytes):
        sampler?.count(bytes, from: index, at: time)
        for other in nodes.indices { send(bytes, from: index, to: nodes[other].address) }
      case .persist(let durable):
        nodes[index].backups.append(nodes[index].disk)
        if nodes[index].backups.count > 8 { nodes[index].backups.removeFirst() }
        nodes[index].disk.generation = durable.generation
        nodes[index].disk.lamportCeiling = durable.lamportCeiling
      case .event(let event): observe(event, at: index)
      }
    }
    schedule(index)
  }

  private mutating func schedule(_ index: Int) {
    guard let box = nodes[index].box, let deadline = Self.deadline(of: &box.engine) else { return }
    let due = max(nodes[index].world(deadline), time)
    if let known = nodes[index].tickAt, known <= due { return }
    nodes[index].tickAt = due
    queue.add(.tick(node: index, life: nodes[index].life, time: due), at: due)
  }

  /// Reads it in place: an engine is a big value to copy.
  private static func deadline(of engine: inout Engine) -> MonotonicTime? { engine.deadline }

  // MARK: Notes

  mutating func note(_ line: @autoclosure () -> String) { trace.note(line(), at: time) }

  mutating func fail(_ what: String) {
    guard failure == nil else { return }
    failure = "at \(time / Self.millisecond) ms: \(what)"
    note("FAILURE \(what)")
  }
}

/// What happened: a hash of everything, and the last lines of what is worth telling.
struct Trace {
  private var hasher = SipHash(key: HashKey(0x7472, 0x6163))
  private var recent: [String] = []

  var hash: UInt64 {
    let copy = hasher
    return copy.finalize()
  }

  var lines: [String] { Array(recent.suffix(60)) }

  mutating func record(_ time: UInt64, _ kind: UInt64, _ value: UInt64) {
    hasher.combine(time)
    hasher.combine(kind)
    hasher.combine(value)
  }

  mutating func note(_ line: String, at time: UInt64) {
    hasher.combine(time)
    for byte in line.utf8 { hasher.combine(byte) }
    recent.append("\(time / World.millisecond) ms  \(line)")
    if recent.count > 240 { recent.removeFirst(120) }
  }
}

import MeshCRDT
import MeshEngine
import MeshTrust

/// Nodes under virtual time, a network, clients, and members that lie: everything from one seed.
///
/// One thread runs a world. Times are nanoseconds of the world's own clock.
final class World {
  enum Event {
    case deliver(to: PeerAddress, from: PeerAddress, bytes: [UInt8])
    case tick(node: Int, life: UInt64, time: UInt64)
    case start(node: Int)
    case client
    case heartbeat(client: Int)
    case disconnect(client: Int, node: Int, life: UInt64)
    case gateway(Int)
    case strike
    case endPause(node: Int, life: UInt64)
    case checkDead(origin: OriginID, diedAt: UInt64)
    case checkEnded(client: Int, endedAt: UInt64)
    case check
    case adversary
    case lie(node: Int)
    case resend(node: Int, life: UInt64, bytes: [UInt8], to: PeerAddress)
    case scripted(ScriptStep)
  }

  static let second: UInt64 = 1_000_000_000
  static let millisecond: UInt64 = 1_000_000

  let scenario: Scenario
  var random: RandomSource
  var time: UInt64 = 0
  var queue = EventQueue<Event>()
  var nodes: [SimulatedNode] = []
  let mesh: MeshID
  let meshSecret: UInt64
  /// True when an authority says who is a member.
  let isClosed: Bool
  let faults: [Scenario.Fault]
  let faultsEnd: UInt64
  var isHealing = false
  /// How long a hidden origin is kept, in this world.
  let forgetAfter: Span

  // The network.
  var weather: Weather { didSet { slowest = max(slowest, weather.longestDelay) } }
  /// The longest that a datagram could be under way so far.
  var slowest: UInt64
  /// The weather after the faults.
  var calm: Weather
  var receivers: [PeerAddress: Receiver] = [:]
  /// The side of each node; different sides do not hear each other.
  var side: [Int: Int] = [:]
  /// Cut directions between nodes.
  var cut: Set<Int> = []
  /// When links last changed.
  var linksChangedAt: UInt64 = 0
  var nextPort: UInt16 = 7000
  /// True when announcements reach everybody on the same side.
  let hasMulticast: Bool

  // Clients.
  var clients: [Client] = []
  var clientOf: [SessionID: Int] = [:]
  var gateways: [Gateway] = []
  var operations = 0
  var cursors = CursorWatch()

  // Adversaries.
  var outsider: Outsider?
  var liarOrigins: Set<OriginID> = []
  /// When origins were first found to contradict themselves.
  var contradictedAt: [OriginID: UInt64] = [:]

  // What happened.
  var trace = Trace()
  var failure: Failure?
  var datagrams: UInt64 = 0
  var events: UInt64 = 0
  /// When origins died, unless they live again.
  var deaths: [OriginID: UInt64] = [:]
  /// When origins left politely, and the epoch of the mesh key that sealed it.
  var farewells: [OriginID: (at: UInt64, epoch: UInt32)] = [:]
  /// A change that is waited for, when spreading is measured.
  var watched: SpreadWatch?
  /// Looks at the world as it runs, when plots are made of it.
  var sampler: Sampler?
  /// Counts what is sent, in a world that is measured and not checked.
  var meter: Meter?
  /// Datagrams that came from a node of another remainder by two.
  var datagramsAcross: UInt64 = 0

  init(_ scenario: Scenario) {
    self.scenario = scenario
    var random = RandomSource(seed: scenario.seed)
    meshSecret = random.next()
    let idBytes = random.next().bigEndianBytes + random.next().bigEndianBytes
    guard let mesh = MeshID(bytes: idBytes) else { preconditionFailure("an id has 16 bytes") }
    self.mesh = mesh
    isClosed = scenario.isClosed ?? (scenario.seed % 4 == 2)
    let share = [0.15, 0.3, 0.5][random.below(3)]
    faults = Scenario.Fault.allCases.filter { fault in
      let isDrawn = random.chance(share)
      return scenario.faults.contains(fault) && (scenario.isExact || isDrawn)
    }
    // Most worlds are small: they find as much, and more of them run.
    let drawnCount = random.chance(0.8) ? 3 + random.below(7) : 10 + random.below(15)
    let count = scenario.nodes ?? drawnCount
    let isLong = random.chance(0.1)
    let drawnSpan = UInt64(10_000 + random.below(20_000)) + (isLong ? 40_000 : 0)
    faultsEnd = (scenario.faultMilliseconds ?? drawnSpan) * Self.millisecond
    forgetAfter = isLong ? .seconds(20) : .seconds(600)
    let least = UInt64(100 + random.below(2000)) * 1000
    calm = Weather(scenario.links, drawnDelay: least...(least * UInt64(2 + random.below(8))))
    weather = calm
    slowest = calm.longestDelay
    let drawnMulticast = random.chance(0.3)
    hasMulticast = scenario.hasMulticast ?? drawnMulticast
    self.random = random
    for index in 0..<count { addNode(secret: self.random.next(), index: index) }
    prepareTrust()
    prepareResidue()
    prepareMembers()
    prepareGateways()
  }

  func addNode(secret: UInt64, index: Int) {
    let address = newAddress()
    let base = UInt64(random.below(1_000_000)) * Self.millisecond
    nodes.append(
      SimulatedNode(index: index, disk: Disk(secret: secret), address: address, clockBase: base))
    receivers[address] = Receiver(node: index)
  }

  func newAddress() -> PeerAddress {
    nextPort += 1
    return PeerAddress(ipv4: 0x0A00_0000 | UInt32(nextPort), port: nextPort)
  }

  /// Nodes that run, and do not lie.
  var honest: [SimulatedNode] { nodes.filter { $0.isUp && $0.isHonest } }

  // MARK: Running

  func run() -> Outcome {
    prepare()
    var converged: UInt64?
    while failure == nil, let (time, event) = queue.next() {
      pass(to: time)
      if !isHealing && time >= faultsEnd { heal() }
      handle(event)
      guard isHealing, case .check = event, failure == nil else { continue }
      // Where datagrams do not fit into the links, nobody can be asked to agree.
      if calm.sizeLimit < Limits.datagramBytes { break }
      if let why = disagreement() {
        if self.time > faultsEnd + bound {
          fail("convergence", "not after \(bound / Self.millisecond) ms: \(why)")
        }
        continue
      }
      converged = (self.time - faultsEnd) / Self.millisecond
      checkCalm()
      break
    }
    return outcome(converged, focus: faultsEnd)
  }

  /// How long after the faults all must agree. A node that may send little takes long to say to all what it holds:
  /// at 30 kB in a second, 300 kB to ten others take 100 s.
  var bound: UInt64 {
    let isLittle = nodes.contains { $0.isUp && ($0.sendRate != nil || $0.peerRate != nil) }
    return scenario.boundMilliseconds * Self.millisecond * (isLittle ? 3 : 1)
  }

  /// - Parameter focus: when the faults ended, or the first change was made.
  func outcome(_ converged: UInt64?, focus: UInt64) -> Outcome {
    Outcome(
      seed: scenario.seed, nodes: nodes.count, faults: faults, failure: failure,
      trace: failure == nil ? [] : trace.lines(scenario.traceLines),
      convergenceMilliseconds: failure == nil ? converged : nil, traceHash: trace.hash,
      virtualMilliseconds: time / Self.millisecond, datagrams: datagrams, operations: operations,
      events: events, samples: finishedSamples(focus: focus))
  }

  /// Lets time pass up to a moment, or until something is so.
  func run(until end: UInt64, isDone: () -> Bool = { false }) {
    while failure == nil, let next = queue.nextTime, next <= end, !isDone(),
      let (time, event) = queue.next()
    {
      pass(to: time)
      handle(event)
    }
    if !isDone() { pass(to: end) }
  }

  private func pass(to moment: UInt64) {
    if let due = sampler?.due, due <= moment { takeSamples(before: moment) }
    time = max(time, moment)
  }

  func prepare() {
    let isStorm = faults.contains(.joinStorm)
    for index in nodes.indices {
      queue.add(
        .start(node: index), at: isStorm ? 0 : UInt64(random.below(4000)) * Self.millisecond)
    }
    for _ in 0..<(isStorm ? 40 : 0) {
      queue.add(.client, at: UInt64(random.below(50)) * Self.millisecond)
    }
    if scenario.changes == nil { queue.add(.client, at: 100 * Self.millisecond) }
    queue.add(.check, at: Self.second)
    if !faults.isEmpty && scenario.script == nil { queue.add(.strike, at: Self.second) }
    if outsider != nil { queue.add(.adversary, at: 500 * Self.millisecond) }
    for gateway in gateways.indices { queue.add(.gateway(gateway), at: Self.second) }
    prepareScript()
  }

  private func handle(_ event: Event) {
    events += 1
    switch event {
    case .deliver(let to, let from, let bytes): deliver(bytes, to: to, from: from)
    case .tick(let index, let life, let due):
      guard nodes[index].life == life, nodes[index].tickAt == due else { return }
      nodes[index].tickAt = nil
      guard nodes[index].pausedUntil == nil else { return }
      release(index)
      drive(index) { engine, now in engine.tick(now: now) }
    case .start(let index):
      if !nodes[index].isUp && !(isHealing && nodes[index].isClone) { start(index) }
    case .client: actClients()
    case .heartbeat(let client): beat(client)
    case .disconnect(let client, let node, let life): disconnect(client, node, life)
    case .gateway(let gateway): actGateway(gateway)
    case .strike:
      guard !isHealing else { return }
      strike()
      queue.add(.strike, at: time + UInt64(200 + random.below(2500)) * Self.millisecond)
    case .endPause(let index, let life):
      if nodes[index].life == life, nodes[index].pausedUntil != nil { endPause(index) }
    case .checkDead(let origin, let diedAt): checkDead(origin, diedAt: diedAt)
    case .checkEnded(let client, let endedAt): checkEnded(client, endedAt: endedAt)
    case .check:
      checkSome()
      queue.add(.check, at: time + 250 * Self.millisecond)
    case .adversary: actOutsider()
    case .lie(let index): actLiar(index)
    case .resend(let index, let life, let bytes, let to):
      if nodes[index].life == life, nodes[index].isUp {
        transmitOwn(bytes, from: nodes[index], to: to)
      }
    case .scripted(let step): act(step)
    }
  }

  // MARK: Notes

  func note(_ line: @autoclosure () -> String) { trace.note(line(), at: time) }

  func fail(_ check: String, _ text: @autoclosure () -> String) {
    guard failure == nil, meter == nil else { return }
    let found = Failure(check: check, milliseconds: time / Self.millisecond, text: text())
    failure = found
    note("FAILURE \(check): \(found.text)")
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

  func lines(_ count: Int) -> [String] { Array(recent.suffix(count)) }

  mutating func record(_ time: UInt64, _ kind: UInt64, _ value: UInt64) {
    hasher.combine(time)
    hasher.combine(kind)
    hasher.combine(value)
  }

  mutating func note(_ line: String, at time: UInt64) {
    hasher.combine(time)
    for byte in line.utf8 { hasher.combine(byte) }
    recent.append("\(time / World.millisecond) ms  \(line)")
    if recent.count > 8000 { recent.removeFirst(4000) }
  }
}

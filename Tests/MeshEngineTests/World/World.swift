import MeshCRDT
import MeshTrust
import MeshWire

@testable import MeshEngine

/// Engines under a simulated clock and network: datagrams take time, get lost, and stop at cuts. The same
/// seed gives the same run.
struct World {
  struct Node {
    var engine: Engine
    let address: PeerAddress
    /// The counter of the incarnation that its disk remembers.
    var disk: UInt64 = 0
    /// What its disk remembers of the membership.
    var decrees: [Decree] = []
    var epochs: [UInt32] = []
    var isRunning = true
    /// Its timers are not run before.
    var stalledUntil = MonotonicTime(nanoseconds: 0)
    /// What its events have told.
    var sessions: [SessionID: SessionSnapshot] = [:]
    var health: [OriginID: NodeHealth] = [:]
    var events: [MeshEvent] = []
  }

  private struct Delivery {
    let at: MonotonicTime
    let order: UInt64
    let bytes: [UInt8]
    let from: PeerAddress
    let to: Int
  }

  var nodes: [Node] = []
  var now = MonotonicTime(nanoseconds: 1_000_000_000_000)
  var random: RandomSource
  var delay: ClosedRange<UInt64> = 200_000...1_000_000
  /// Lost datagrams, of a thousand.
  var loss = 0
  /// Nodes whose datagrams do not reach each other: those of different groups.
  var groups: [Int: Int] = [:]
  /// Sees each datagram, and says whether it is delivered.
  var filter: ((_ bytes: [UInt8], _ from: Int, _ to: Int) -> Bool)?
  /// What a node begins with in a closed mesh.
  var trust: ((_ index: Int) -> TrustConfiguration?)?
  /// The epochs whose mesh keys a node begins with.
  var epochs: (_ index: Int) -> [UInt32] = { _ in [1] }
  private(set) var datagrams = 0
  private(set) var bytes = 0
  private var queue = DeadlineQueue<Delivery>()
  private var order: UInt64 = 0
  /// When each engine is next due, and the node at each address.
  private var deadlines: [MonotonicTime?] = []
  private var indices: [PeerAddress: Int] = [:]
  private var configure: (inout EngineConfiguration) -> Void = { _ in }

  static let mesh = MeshID(bytes: (0..<16).map { UInt8($0) })

  init(seed: UInt64 = 1, configure: @escaping (inout EngineConfiguration) -> Void = { _ in }) {
    random = RandomSource(seed: (seed, 2, 3, 4))
    self.configure = configure
  }

  private static func address(_ index: Int) -> PeerAddress {
    PeerAddress(
      high: 0xfd00_0000_0000_0000 | UInt64(index + 1) << 16, low: UInt64(index + 1), port: 7000)
  }

  /// Starts a node that knows the addresses of some others.
  @discardableResult
  mutating func start(peers: [Int] = [], counter: UInt64 = 1) -> Int {
    let index = nodes.count
    let engine = makeEngine(index, counter: counter)
    nodes.append(Node(engine: engine, address: Self.address(index), epochs: epochs(index)))
    indices[Self.address(index)] = index
    deadlines.append(nil)
    drain(index)
    nodes[index].engine.addPeers(peers.map { nodes[$0].address }, now: now)
    drain(index)
    return index
  }

  /// Starts a node of the same key again, with what its disk remembers, or with an older copy of it.
  mutating func restart(_ index: Int, peers: [Int] = [], disk: UInt64? = nil) {
    nodes[index].engine = makeEngine(index, counter: (disk ?? nodes[index].disk) + 1)
    nodes[index].isRunning = true
    nodes[index].sessions = [:]
    nodes[index].health = [:]
    drain(index)
    nodes[index].engine.addPeers(peers.map { nodes[$0].address }, now: now)
    drain(index)
  }

  private mutating func makeEngine(_ index: Int, counter: UInt64) -> Engine {
    guard let mesh = Self.mesh,
      let incarnation = Incarnation(counter: counter, nonce: random.next())
    else { fatalError("a mesh id has 16 bytes, and counters begin at 1") }
    var configuration = EngineConfiguration(
      mesh: mesh, incarnation: incarnation,
      seed: (random.next(), random.next(), random.next(), random.next()))
    configure(&configuration)
    configuration.trust = trust?(index)
    if nodes.indices.contains(index) { configuration.trust?.decrees = nodes[index].decrees }
    configuration.trust?.wallMilliseconds = wall
    return Engine(
      configuration: configuration,
      crypto: TestCrypto(
        secret: UInt64(index + 1), process: random.next(),
        epochs: nodes.indices.contains(index) ? nodes[index].epochs : epochs(index)),
      treeHash: TestTreeHash(), now: now)
  }

  /// Milliseconds since 1970.
  var wall: UInt64 { Self.wallStart + now.nanoseconds / 1_000_000 }
  static let wallStart: UInt64 = 1_800_000_000_000

  func origin(_ index: Int) -> OriginID { nodes[index].engine.origin }

  mutating func perform(_ index: Int, _ operation: LocalOperation) throws {
    try nodes[index].engine.perform(operation, now: now)
    drain(index)
  }

  /// Lets a node say something about the membership.
  mutating func publish(_ index: Int, _ decree: Decree) {
    nodes[index].engine.publish(decree, now: now)
    drain(index)
  }

  /// Opens a session and enters a room.
  mutating func open(_ index: Int, _ session: SessionID, user: String, in room: RoomName) throws {
    try perform(
      index,
      .all([
        .open(
          session, Profile(userID: user), device: "test", .attached, at: WallTime(milliseconds: 1)),
        .enter(session, room),
      ]))
  }

  /// Ends a node without a word.
  mutating func kill(_ index: Int) { nodes[index].isRunning = false }

  /// Delivers a datagram that this test made or captured.
  mutating func deliver(_ bytes: [UInt8], from address: PeerAddress, to index: Int) {
    guard nodes[index].isRunning else { return }
    nodes[index].engine.receive(bytes, from: address, now: now)
    drain(index)
  }

  /// Lets a node handle a message as if it had come on its path to another node.
  mutating func inject(_ message: MeshMessage, at index: Int, from other: Int) {
    nodes[index].engine.inject(message, from: nodes[other].address, sender: origin(other), now: now)
    drain(index)
  }

  private mutating func drain(_ index: Int) {
    defer { deadlines[index] = nodes[index].engine.deadline }
    while let output = nodes[index].engine.nextOutput() {
      switch output {
      case .persist(let state): nodes[index].disk = state.incarnationCounter
      case .keep(let decrees): nodes[index].decrees = decrees
      case .keepKeys: nodes[index].epochs = nodes[index].engine.crypto.epochs
      case .event(let event): note(event, index)
      case .announce: break
      case .send(let bytes, let address): send(bytes, index, address)
      }
    }
  }

  private mutating func send(_ bytes: [UInt8], _ from: Int, _ address: PeerAddress) {
    datagrams += 1
    self.bytes += bytes.count
    guard let to = indices[address],
      groups[from] == groups[to], loss == 0 || random.below(1000) >= loss,
      filter?(bytes, from, to) ?? true
    else { return }
    order += 1
    let span = delay.lowerBound + random.next() % (delay.upperBound - delay.lowerBound + 1)
    let at = now + Span(nanoseconds: span)
    queue.insert(
      Delivery(at: at, order: order, bytes: bytes, from: nodes[from].address, to: to), at: at)
  }

  private mutating func note(_ event: MeshEvent, _ index: Int) {
    nodes[index].events.append(event)
    switch event {
    case .appeared(let snapshot), .changed(let snapshot):
      nodes[index].sessions[snapshot.id] = snapshot
    case .disappeared(let session): nodes[index].sessions[session] = nil
    case .cursor(let session, let room, let cursor):
      nodes[index].sessions[session] = nodes[index].sessions[session]?.moving(in: room, to: cursor)
    case .node(let origin, let health): nodes[index].health[origin] = health
    case .forgotten(let origin): nodes[index].health[origin] = nil
    default: break
    }
  }

  /// Goes on by one event. False when nothing will ever happen.
  private mutating func step(until end: MonotonicTime) -> Bool {
    var next = queue.first
    for index in nodes.indices where nodes[index].isRunning {
      guard let deadline = deadlines[index] else { continue }
      let time = max(deadline, nodes[index].stalledUntil)
      if next.map({ time < $0 }) ?? true { next = time }
    }
    guard let next, next <= end else { return false }
    now = max(now, next)
    while let delivery = queue.take(due: now) {
      guard nodes[delivery.to].isRunning else { continue }
      nodes[delivery.to].engine.receive(delivery.bytes, from: delivery.from, now: now)
      drain(delivery.to)
    }
    for index in nodes.indices where nodes[index].isRunning {
      guard let deadline = deadlines[index],
        max(deadline, nodes[index].stalledUntil) <= now
      else { continue }
      nodes[index].engine.tick(now: now)
      drain(index)
    }
    return true
  }

  mutating func run(milliseconds: UInt64) {
    let end = now + .milliseconds(milliseconds)
    while step(until: end) {}
    now = end
  }

  /// Runs until something holds. Returns after how many milliseconds; `nil`: it did not in time.
  mutating func run(
    atMost milliseconds: UInt64, until isSo: (inout World) -> Bool
  ) -> UInt64? {
    let start = now
    let end = now + .milliseconds(milliseconds)
    while !isSo(&self) {
      guard step(until: end) else { return nil }
    }
    return now.since(start).milliseconds
  }

  /// True when all running nodes of a set hold the same, completely.
  mutating func agree(_ indices: [Int]? = nil) -> Bool {
    let running = (indices ?? Array(nodes.indices)).filter { nodes[$0].isRunning }
    var hashes: Set<Hash128> = []
    for index in running { hashes.insert(nodes[index].engine.stateHash()) }
    return hashes.count <= 1
  }
}

/// A queue by time, first in first out among equal times.
struct DeadlineQueue<Element> {
  private var heap: [(time: MonotonicTime, order: UInt64, element: Element)] = []
  private var order: UInt64 = 0

  var first: MonotonicTime? { heap.first?.time }

  private func precedes(_ left: Int, _ right: Int) -> Bool {
    (heap[left].time, heap[left].order) < (heap[right].time, heap[right].order)
  }

  mutating func insert(_ element: Element, at time: MonotonicTime) {
    order += 1
    heap.append((time, order, element))
    var child = heap.count - 1
    while child > 0, precedes(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func take(due now: MonotonicTime) -> Element? {
    guard let first = heap.first, first.time <= now else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while 2 * parent + 1 < heap.count {
      var least = 2 * parent + 1
      if least + 1 < heap.count, precedes(least + 1, least) { least += 1 }
      guard precedes(least, parent) else { break }
      heap.swapAt(least, parent)
      parent = least
    }
    return first.element
  }
}

extension Engine {
  /// Handles a message as if it had come in a datagram of a proven path.
  mutating func inject(
    _ message: MeshMessage, from address: PeerAddress, sender: OriginID, now: MonotonicTime
  ) {
    tick(now: now)
    guard let path = paths.table.path(at: address), path.sender.origin == sender else { return }
    handle(message, from: address, sender: path.sender)
    tick(now: now)
  }
}

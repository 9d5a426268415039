import MeshCRDT
import MeshEngine
import MeshTrust
import MeshWire

/// What a mesh of many nodes costs and how fast it is: in a world without faults but loss.
package struct ScaleResult: Sendable {
  package let nodes: Int
  /// Virtual seconds from the start of the last node until every node saw every other.
  package let joinSeconds: Double
  /// Bytes that a node sent in a second while nothing happened: the mean over the nodes, the most.
  package let idleBytes: (mean: Double, most: Double)
  /// How fast the counters of a node rose meanwhile, in a second, over all nodes.
  package let idleCounters: [(name: String, perSecond: Double)]
  /// Virtual milliseconds from a change at its node until another node told it, over all nodes and
  /// changes; and the longest.
  package let spread: (p50: Double, p99: Double, last: Double)
  /// Nodes that were not told a change within 30 s.
  package let missed: Int
  /// Bytes of datagrams with a batch that a node sent for one change, in sizes of the smallest of
  /// them: the mean over nodes and changes, the most of any node.
  package let copies: (mean: Double, most: Double)
  /// The number of paths of a node: mean and most.
  package let paths: (mean: Double, most: Int)
  /// Virtual seconds in all.
  package let virtualSeconds: Double

  package var figures: [MeasuredFigure] {
    [
      .init("join", joinSeconds, "s", "from the start of the last node until all saw all"),
      .init("idle-mean", idleBytes.mean / 1000, "kB/s", "sent by a node while nothing happens"),
      .init("idle-most", idleBytes.most / 1000, "kB/s", "sent by the node that sends most"),
      .init("spread-p50", spread.p50, "ms", "from a change until half of the nodes told it"),
      .init("spread-p99", spread.p99, "ms", "until 99 % told it"),
      .init("spread-last", spread.last, "ms", "until the last of all nodes and changes told it"),
      .init("missed", Double(missed), "nodes", "that did not tell a change within 30 s"),
      .init("copies-mean", copies.mean, "sizes", "of the change sent by a node, for one change"),
      .init("copies-most", copies.most, "sizes", "sent by the node that sent most"),
      .init("paths-mean", paths.mean, "paths", "kept by a node"),
      .init("paths-most", Double(paths.most), "paths", "kept by the node that keeps most"),
    ]
  }
}

/// Measures a mesh in which nodes join, then nothing happens, then one status at a time changes.
///
/// Cost: minutes, and about 4 GB, for 1,000 nodes.
package func measureScale(
  _ mesh: MeasuredMesh, changes: Int, idleSeconds: UInt64 = 30
) -> ScaleResult {
  let count = mesh.nodes
  var world = mesh.world()
  let joined = world.joinAll(every: 10 * World.millisecond)
  var sessions: [SessionID] = []
  for index in world.nodes.indices { sessions.append(world.openSession(at: index)) }
  world.run(until: world.time + 60 * World.second)
  // What a node costs while nothing happens.
  let before = world.bytesSent
  let countersBefore = world.counters
  world.run(until: world.time + idleSeconds * World.second)
  let idle = zip(world.bytesSent, before).map { Double($0 - $1) / Double(idleSeconds) }
  let idleCounters = zip(world.counters, countersBefore).map { now, before in
    (now.name, Double(now.value - before.value) / Double(count) / Double(idleSeconds))
  }
  let idleMean = idle.reduce(0, +) / Double(count)
  world.weather.loss = mesh.loss
  var spans: [UInt64] = []
  var copies: (sum: Double, most: Double) = (0, 0)
  var missed = 0
  for change in 0..<changes {
    let index = world.random.below(count)
    let status = Status.allCases[change % Status.allCases.count]
    let begin = world.time
    world.batchMeter = BatchMeter(for: world)
    world.watched = Watch(
      session: sessions[index], status: status, missing: Set(world.nodes.indices))
    let operation = LocalOperation.setStatus(
      sessions[index], .lobby, status, message: "change \(change)", at: WallTime(milliseconds: 1))
    world.drive(index) { engine, now in try? engine.perform(operation, now: now) }
    world.run(until: begin + 30 * World.second) { $0.watched?.missing.isEmpty ?? true }
    missed += world.watched?.missing.count ?? 0
    spans += (world.watched?.arrivals ?? []).map { $0 - begin }
    world.watched = nil
    world.run(until: max(world.time, begin + World.second))
    guard let meter = world.batchMeter, meter.least > 0 else { continue }
    for bytes in meter.bytes {
      let own = Double(bytes) / Double(meter.least)
      copies.sum += own
      copies.most = max(copies.most, own)
    }
    world.batchMeter = nil
  }
  spans.sort()
  func milliseconds(_ share: Double) -> Double {
    guard !spans.isEmpty else { return .infinity }
    let index = min(Int(Double(spans.count) * share), spans.count - 1)
    return Double(spans[index]) / Double(World.millisecond)
  }
  let paths = world.nodes.compactMap { $0.box?.engine.pathCount }
  return ScaleResult(
    nodes: count, joinSeconds: Double(joined) / Double(World.second),
    idleBytes: (idleMean, idle.max() ?? 0), idleCounters: idleCounters.filter { $0.1 > 0 },
    spread: (milliseconds(0.5), milliseconds(0.99), milliseconds(1)), missed: missed,
    copies: (copies.sum / Double(count * max(1, changes)), copies.most),
    paths: (Double(paths.reduce(0, +)) / Double(count), paths.max() ?? 0),
    virtualSeconds: Double(world.time) / Double(World.second))
}

extension World {
  /// The bytes that each node has sent in its life.
  var bytesSent: [UInt64] { nodes.map { $0.box?.engine.counters[.bytesSent] ?? 0 } }

  /// The counters of all nodes, added.
  var counters: [(name: String, value: UInt64)] {
    var sums = Counters().all
    for node in nodes {
      for (index, counter) in (node.box?.engine.counters.all ?? []).enumerated() {
        sums[index].value += counter.value
      }
    }
    return sums
  }

  /// Starts all nodes, one after the other, and lets them find each other. Returns how long that took
  /// after the last one started, 120 s at the most.
  /// - Parameter members: how many each node must see.
  mutating func joinAll(every step: UInt64, until members: Int? = nil) -> UInt64 {
    let members = members ?? nodes.count
    for index in nodes.indices { queue.add(.start(node: index), at: UInt64(index) * step) }
    run(until: UInt64(nodes.count) * step)
    let begin = time
    while time < begin + 120 * Self.second {
      run(until: time + Self.second / 2)
      let isComplete = nodes.allSatisfy { ($0.box?.engine.visibleCount ?? 0) >= members }
      if isComplete { break }
    }
    return time - begin
  }

  /// Opens a session of a user of its own at a node.
  mutating func openSession(at index: Int, user: String? = nil) -> SessionID {
    let id = SessionID(random.next(), random.next())
    drive(index) { engine, now in
      try? engine.perform(
        .open(
          id, Profile(userID: user ?? "user-\(index)"), device: "", .attached,
          at: WallTime(milliseconds: 0)), now: now)
    }
    return id
  }
}

/// Counts the datagrams with batches that nodes send.
struct BatchMeter {
  /// By node.
  private(set) var bytes: [UInt64]
  /// The length of the smallest of them; 0: there was none.
  private(set) var least: UInt64 = 0
  /// The bytes of all batches, with their signatures.
  private(set) var batchBytes: UInt64 = 0
  private let reader: any Crypto

  init(for world: World) {
    bytes = Array(repeating: 0, count: world.nodes.count)
    reader = world.options.makeCrypto(0, world.meshSecret, 0)
  }

  mutating func count(_ datagram: [UInt8], from index: Int) {
    guard let inner = reader.open(datagram, epoch: reader.sealingEpoch) else { return }
    var messages = ByteReader(inner)
    guard (try? InnerHeader.read(&messages)) != nil else { return }
    var hasBatch = false
    while !messages.isAtEnd, let message = try? Message.read(&messages) {
      guard case .batch(let envelope) = message else { continue }
      batchBytes += UInt64(envelope.bytes.count)
      hasBatch = true
    }
    guard hasBatch else { return }
    let size = UInt64(datagram.count)
    bytes[index] += size
    least = least == 0 ? size : min(least, size)
  }
}

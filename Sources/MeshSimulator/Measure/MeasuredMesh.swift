import MeshCRDT
import MeshEngine
import MeshTrust
import MeshWire

/// A mesh whose costs are measured: no faults but loss, and no checks.
package struct MeasuredMesh: Sendable {
  /// 2…1,000.
  package var nodes: Int
  /// The sessions that each node hosts.
  package var sessions: Int
  /// The chance of a datagram to be lost once all have joined, 0…1.
  package var loss: Double
  /// The bounds of the one-way delay.
  package var delayMicroseconds: ClosedRange<UInt64>
  package var seed: UInt64
  /// Rings of the overlay.
  package var rings: Int

  package init(
    nodes: Int, sessions: Int = 1, loss: Double = 0.01,
    delayMicroseconds: ClosedRange<UInt64> = 1000...10_000, seed: UInt64 = 1, rings: Int = 2
  ) {
    self.nodes = nodes
    self.sessions = sessions
    self.loss = loss
    self.delayMicroseconds = delayMicroseconds
    self.seed = seed
    self.rings = rings
  }

  /// The world before its nodes start. It loses nothing yet.
  func world() -> World {
    var scenario = Scenario(seed: seed)
    scenario.nodes = nodes
    scenario.faults = []
    scenario.hasMulticast = false
    scenario.gatewayRooms = 0
    scenario.links.delayMicroseconds = delayMicroseconds
    scenario.configure = { [rings] in $0.rings = rings }
    let world = World(scenario)
    world.meter = Meter(for: world)
    return world
  }
}

/// A figure of a measured mesh.
package struct MeasuredFigure: Encodable, Sendable {
  package let name: String
  /// `nil`: it did not come about.
  package let value: Double?
  package let unit: String
  package let meaning: String

  init(_ name: String, _ value: Double?, _ unit: String, _ meaning: String) {
    self.name = name
    self.value = value
    self.unit = unit
    self.meaning = meaning
  }
}

/// What came of measuring.
package struct Measured: Sendable {
  package let figures: [MeasuredFigure]
  /// How the counters of all nodes rose in a second while nothing happened, those that did.
  package var idleCounters: [(name: String, perSecond: Double)] = []
  package let virtualSeconds: Double
}

/// Counts what nodes send. While a world has one, it checks nothing and draws no clients.
struct Meter {
  /// Bytes by node.
  private(set) var sent: [UInt64]
  /// Bytes of datagrams with a batch, by node; and the least of these datagrams, 0: none was.
  private(set) var batches: (byNode: [UInt64], least: UInt64)
  private let reader: any Crypto

  init(for world: World) {
    sent = Array(repeating: 0, count: world.nodes.count)
    batches = (sent, 0)
    reader = world.scenario.makeCrypto(
      NodeSecrets(node: 0, mesh: world.meshSecret, process: 0))
  }

  var total: UInt64 { sent.reduce(0, +) }

  mutating func forgetBatches() { batches = (Array(repeating: 0, count: sent.count), 0) }

  mutating func note(_ datagram: [UInt8], from index: Int) {
    let size = UInt64(datagram.count)
    sent[index] += size
    guard let clear = try? DatagramHeader.Clear.read(datagram),
      let opened = reader.open(datagram, epoch: clear.epoch),
      var messages = try? DatagramHeader.Inner.read(opened: opened).messages
    else { return }
    while let message = try? messages.next() {
      guard case .batch = message else { continue }
      batches.byNode[index] += size
      batches.least = batches.least == 0 ? size : min(batches.least, size)
      return
    }
  }
}

extension World {
  var seconds: Double { Double(time) / Double(Self.second) }

  /// Lets time pass in small steps until something is so; how long that took, `nil`: longer than the bound.
  func wait(_ bound: UInt64, step: UInt64 = 20 * millisecond, _ isSo: () -> Bool) -> Double? {
    let begin = time
    while time < begin + bound {
      run(until: time + step)
      if isSo() { return Double(time - begin) / Double(Self.second) }
    }
    return nil
  }

  /// Starts all nodes, one after the other, until each sees so many. Returns how long that took after the
  /// last one started; `nil`: longer than 120 s.
  func joinAll(every interval: UInt64, until members: Int? = nil) -> Double? {
    let members = members ?? nodes.count
    for index in nodes.indices { queue.add(.start(node: index), at: UInt64(index) * interval) }
    run(until: UInt64(nodes.count) * interval)
    return wait(120 * Self.second, step: Self.second / 2) {
      nodes.allSatisfy { ($0.process?.engine.visibleCount ?? 0) >= members }
    }
  }

  /// Opens a session, in the lobby, or in a room.
  func openMeasured(at index: Int, user: String, in room: RoomName? = nil) -> SessionID {
    let id = SessionID(random.next(), random.next())
    var operations: [LocalOperation] = [
      .open(
        id, Profile(userID: user), device: "", .attached, at: WallTime(milliseconds: 0))
    ]
    if let room { operations.append(.enter(id, room)) }
    _ = perform(index, .all(operations))
    return id
  }

  /// Says something new in the lobby.
  func setMeasuredStatus(_ session: SessionID, at index: Int, number: Int) {
    _ = perform(
      index,
      .setStatus(
        session, .lobby, Status.allCases[number % Status.allCases.count],
        message: "change \(number)", at: WallTime(milliseconds: UInt64(number))))
  }

  /// True when all nodes hold the same, and all see all.
  var isEqual: Bool {
    Set(nodes.map { $0.process?.change { $0.stateHash() } }).count == 1
  }

  /// The bytes of living records that nodes lack of what others host.
  func missingBytes() -> UInt64 {
    var sum: UInt64 = 0
    for node in nodes {
      guard let host = node.process?.engine else { continue }
      for other in nodes where other !== node {
        sum += other.process.map { host.ownBytes(missingAt: $0.engine) } ?? 0
      }
    }
    return sum
  }
}

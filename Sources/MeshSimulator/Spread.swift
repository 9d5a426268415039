import MeshCRDT
import MeshEngine

/// How long status changes took until they were everywhere.
package struct SpreadResult: Sendable {
  package let nodes: Int
  package let changes: Int
  /// Virtual milliseconds from the change at its node until the last node told it, over changes.
  package let p50Milliseconds: Double
  package let p99Milliseconds: Double
  package let maxMilliseconds: Double
  /// Changes that were not everywhere within 30 s.
  package let unfinished: Int
  /// What was simulated in all, joining included.
  package let virtualSeconds: Double
  package let datagrams: UInt64
}

/// Measures in a mesh without faults but loss: nodes join, then one status at a time changes.
///
/// - Parameters:
///   - loss: the chance of a datagram to be lost, 0…1.
///   - delayMilliseconds: the bounds of the one-way delay.
package func measureSpread(
  nodes: Int, loss: Double, delayMilliseconds: ClosedRange<UInt64>, changes: Int, seed: UInt64
) -> SpreadResult {
  var options = SimulationOptions(seed: seed)
  options.nodes = nodes
  options.faults = []
  options.faultMilliseconds = .max / 2_000_000
  var world = World(options)
  let least = delayMilliseconds.lowerBound * World.millisecond
  world.weather.delay = least...(delayMilliseconds.upperBound * World.millisecond)
  for index in world.nodes.indices {
    world.queue.add(.start(node: index), at: UInt64(index) * 20 * World.millisecond)
  }
  world.run(until: UInt64(nodes) * 20 * World.millisecond + 10 * World.second)
  var sessions: [SessionID] = []
  for index in world.nodes.indices {
    let id = SessionID(world.random.next(), world.random.next())
    sessions.append(id)
    world.drive(index) { engine, now in
      try? engine.perform(
        .open(
          id, Profile(userID: "user-\(index)"), device: "", .attached,
          at: WallTime(milliseconds: 0)), now: now)
    }
  }
  world.run(until: world.time + 10 * World.second)
  world.weather.loss = loss
  var spans: [UInt64] = []
  for change in 0..<changes {
    let index = world.random.below(nodes)
    let status = Status.allCases[change % Status.allCases.count]
    let begin = world.time
    world.watched = Watch(
      session: sessions[index], status: status, missing: Set(world.nodes.indices))
    world.drive(index) { engine, now in
      try? engine.perform(
        .setStatus(
          sessions[index], .lobby, status, message: "change \(change)",
          at: WallTime(milliseconds: 1)), now: now)
    }
    world.run(until: begin + 30 * World.second) { $0.watched?.missing.isEmpty ?? true }
    if world.watched?.missing.isEmpty == true { spans.append(world.time - begin) }
    world.watched = nil
    // Changes do not come at the same phase of the timers.
    world.run(until: world.time + UInt64(300 + world.random.below(700)) * World.millisecond)
  }
  spans.sort()
  func percentile(_ share: Double) -> Double {
    guard let last = spans.last else { return .infinity }
    let index = min(Int(Double(spans.count) * share), spans.count - 1)
    return Double(share >= 1 ? last : spans[index]) / Double(World.millisecond)
  }
  return SpreadResult(
    nodes: nodes, changes: changes, p50Milliseconds: percentile(0.5),
    p99Milliseconds: percentile(0.99), maxMilliseconds: percentile(1),
    unfinished: changes - spans.count,
    virtualSeconds: Double(world.time) / Double(World.second), datagrams: world.datagrams)
}

/// A change that is on its way to everybody.
struct Watch {
  let session: SessionID
  let status: Status
  var missing: Set<Int>
  /// When nodes told it.
  var told: [UInt64] = []

  /// Takes in what a node tells.
  mutating func note(_ event: MeshEvent, at index: Int, time: UInt64) {
    switch event {
    case .changed(let snapshot), .appeared(let snapshot):
      guard snapshot.id == session,
        snapshot.place(in: .lobby)?.presence.status?.status == status
      else { return }
      if missing.remove(index) != nil { told.append(time) }
    default: break
    }
  }
}

import MeshCRDT
import MeshEngine

/// What it cost two halves of a mesh to become one again.
package struct HealingResult: Sendable {
  package let nodes: Int
  /// Virtual seconds from the first datagram that crossed until all held the same; `nil`: not within
  /// 60 s.
  package let seconds: Double?
  /// Virtual seconds until all saw all, from the same moment; `nil`: not within 60 s.
  package let secondsToSee: Double?
  /// Bytes of signed batches that a node lacked when they met, over all nodes.
  package let missing: UInt64
  /// Bytes that all nodes sent until all held the same, less what they send when idle.
  package let sent: UInt64
  /// Bytes of batches that all nodes sent meanwhile, with their signatures.
  package let batchBytes: UInt64
  /// How the counters of all nodes rose meanwhile, those that did.
  package let counters: [(name: String, value: UInt64)]
  /// Virtual seconds in all.
  package let virtualSeconds: Double
  /// Bytes sent for each that was missing.
  package var ratio: Double { Double(sent) / Double(max(1, missing)) }
  /// Bytes of batches that were sent for each that was missing.
  package var recordRatio: Double { Double(batchBytes) / Double(max(1, missing)) }

  package var figures: [MeasuredFigure] {
    [
      .init("equal", seconds, "s", "from the first datagram across until all held the same"),
      .init("seen", secondsToSee, "s", "until all saw all"),
      .init("missing", Double(missing) / 1000, "kB", "of signed batches lacked, over all nodes"),
      .init("records", recordRatio, "ratio", "bytes of batches sent, to bytes missing"),
      .init("all-bytes", ratio, "ratio", "all bytes sent beyond idling, to bytes missing"),
    ]
  }
}

/// Cuts a mesh in two halves, lets statuses change on both sides, heals it and measures.
///
/// - Parameters:
///   - seconds: how long the halves do not hear each other; 0: they never met before.
///   - changes: status changes in a second on each side while they are apart.
package func measureHealing(
  _ mesh: MeasuredMesh, seconds: UInt64, changes: Int
) -> HealingResult {
  let count = mesh.nodes
  let sessions = mesh.sessions
  var world = mesh.world()
  let halves: [Int: Int] = Dictionary(
    uniqueKeysWithValues: world.nodes.indices.map { ($0, $0 % 2) })
  if seconds == 0 { world.side = halves }
  let views = seconds == 0 ? (count + 1) / 2 : count
  _ = world.joinAll(every: 10 * World.millisecond, until: views)
  var hosted: [[SessionID]] = Array(repeating: [], count: count)
  for index in world.nodes.indices {
    for number in 0..<sessions {
      hosted[index].append(world.openSession(at: index, user: "user-\(index)-\(number)"))
    }
  }
  world.run(until: world.time + 30 * World.second)
  // What idling costs.
  let before = world.bytesSent.reduce(0, +)
  world.run(until: world.time + 10 * World.second)
  let idle = Double(world.bytesSent.reduce(0, +) - before) / 10
  world.weather.loss = mesh.loss
  world.side = halves
  let end = world.time + seconds * World.second
  var number = 0
  while world.time < end, changes > 0 {
    for side in 0..<2 {
      let index = world.random.below(count / 2) * 2 + side
      number += 1
      let session = hosted[index][world.random.below(sessions)]
      world.setStatus(session, at: index, number: number)
    }
    world.run(until: world.time + World.second / UInt64(changes))
  }
  world.run(until: world.time + 2 * World.second)
  let missing = world.missingBytes()
  world.crossedAt = nil
  world.side = [:]
  world.run(until: world.time + 120 * World.second) { $0.crossedAt != nil }
  let crossing = world.crossedAt ?? world.time
  let countersBefore = world.counters
  world.batchMeter = BatchMeter(for: world)
  let sentBefore = world.bytesSent.reduce(0, +)
  var equalAt: UInt64?
  var seenAt: UInt64?
  var sent: UInt64 = 0
  var batchBytes: UInt64 = 0
  var counters: [(name: String, value: UInt64)] = []
  let step = 20 * World.millisecond
  while world.time < crossing + 60 * World.second, equalAt == nil || seenAt == nil {
    world.run(until: world.time + step)
    if equalAt == nil, Set(world.nodes.compactMap { $0.box?.engine.stateHash }).count == 1 {
      equalAt = world.time
      batchBytes = world.batchMeter?.batchBytes ?? 0
      world.batchMeter = nil
      counters = zip(world.counters, countersBefore).map { ($0.name, $0.value &- $1.value) }
      let own = Double(world.bytesSent.reduce(0, +) - sentBefore)
      let rest = idle * Double(world.time - crossing) / Double(World.second)
      sent = UInt64(max(0, own - rest))
    }
    if seenAt == nil, world.nodes.allSatisfy({ $0.box?.engine.visibleCount == count }) {
      seenAt = world.time
    }
  }
  func span(_ moment: UInt64?) -> Double? {
    moment.map { Double($0 - crossing) / Double(World.second) }
  }
  return HealingResult(
    nodes: count, seconds: span(equalAt), secondsToSee: span(seenAt), missing: missing, sent: sent,
    batchBytes: batchBytes, counters: counters.filter { $0.value > 0 },
    virtualSeconds: Double(world.time) / Double(World.second))
}

extension World {
  /// Changes a status.
  fileprivate mutating func setStatus(_ session: SessionID, at index: Int, number: Int) {
    let operation = LocalOperation.setStatus(
      session, .lobby, Status.allCases[number % Status.allCases.count],
      message: "change \(number)", at: WallTime(milliseconds: UInt64(number)))
    drive(index) { engine, now in try? engine.perform(operation, now: now) }
  }

  /// The bytes of batches with a live record that nodes lack of what others host.
  fileprivate func missingBytes() -> UInt64 {
    var sum: UInt64 = 0
    for node in nodes {
      guard let host = node.box?.engine else { continue }
      for other in nodes {
        guard let engine = other.box?.engine, engine.origin != host.origin else { continue }
        sum += host.missingBytes(at: engine)
      }
    }
    return sum
  }
}

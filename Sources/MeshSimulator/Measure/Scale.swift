import MeshCRDT
import MeshEngine

/// Measures a mesh in which nodes join, then nothing happens, then one status at a time changes, then a
/// node dies.
///
/// Cost: minutes, and some GB, for 1,000 nodes.
package func measureScale(
  _ mesh: MeasuredMesh, changes: Int, idleSeconds: UInt64 = 30
) -> Measured {
  let count = mesh.nodes
  let world = mesh.world()
  let joined = world.joinAll(every: 10 * World.millisecond)
  let sessions = world.nodes.indices.map { world.openMeasured(at: $0, user: "user-\($0)") }
  world.run(until: world.time + 60 * World.second)
  // What a node costs while nothing happens.
  let before = world.meter?.sent ?? []
  let countersBefore = world.summedCounters()
  world.run(until: world.time + idleSeconds * World.second)
  let idle = zip(world.meter?.sent ?? [], before).map {
    Double($0 - $1) / Double(idleSeconds) / 1000
  }
  let idleCounters = zip(world.summedCounters(), countersBefore).map { now, before in
    (now.name, Double(now.value - before.value) / Double(count) / Double(idleSeconds))
  }
  world.weather.loss = mesh.loss
  var spans: [Double] = []
  var copies: (sum: Double, most: Double) = (0, 0)
  var missed = 0
  for change in 0..<changes {
    let index = world.random.below(count)
    let begin = world.time
    world.meter?.forgetBatches()
    world.watched = SpreadWatch(
      session: sessions[index], message: "change \(change)", missing: Set(world.nodes.indices))
    world.setMeasuredStatus(sessions[index], at: index, number: change)
    world.run(until: begin + 30 * World.second) { world.watched?.missing.isEmpty ?? true }
    missed += world.watched?.missing.count ?? 0
    spans += (world.watched?.arrivals ?? []).map { Double($0 - begin) / Double(World.millisecond) }
    world.watched = nil
    world.run(until: max(world.time, begin + World.second))
    guard let sent = world.meter?.batches, sent.least > 0 else { continue }
    for bytes in sent.byNode {
      let own = Double(bytes) / Double(sent.least)
      copies.sum += own
      copies.most = max(copies.most, own)
    }
  }
  spans.sort()
  func spread(_ share: Double) -> Double? {
    spans.isEmpty ? nil : spans[min(Int(Double(spans.count) * share), spans.count - 1)]
  }
  let paths = world.nodes.compactMap { $0.process?.engine.pathCount }
  // The last to join dies without a word.
  world.weather.loss = 0
  world.crash(count - 1)
  let noticed = world.wait(120 * World.second) {
    world.nodes.dropLast().allSatisfy { $0.process?.engine.visibleCount == count - 1 }
  }
  return Measured(
    figures: [
      .init("join", joined, "s", "from the start of the last node until all saw all"),
      .init(
        "idle-mean", idle.reduce(0, +) / Double(count), "kB/s",
        "sent by a node while nothing happens"),
      .init("idle-most", idle.max(), "kB/s", "sent by the node that sends most"),
      .init("spread-p50", spread(0.5), "ms", "from a change until half of the nodes told it"),
      .init("spread-p99", spread(0.99), "ms", "until 99 % told it"),
      .init("spread-last", spread(1), "ms", "until the last of all nodes and changes told it"),
      .init("missed", Double(missed), "nodes", "that did not tell a change within 30 s"),
      .init(
        "copies-mean", copies.sum / Double(count * max(1, changes)), "sizes",
        "of the change sent by a node, for one change"),
      .init("copies-most", copies.most, "sizes", "sent by the node that sent most"),
      .init(
        "paths-mean", Double(paths.reduce(0, +)) / Double(count), "paths", "kept by a node"),
      .init(
        "paths-most", paths.max().map { Double($0) }, "paths", "kept by the node that keeps most"),
      .init("noticed", noticed, "s", "from the death of a node until nobody shows it"),
    ], idleCounters: idleCounters.filter { $0.1 > 0 }, virtualSeconds: world.seconds)
}

extension World {
  /// The counters of all nodes, added.
  func summedCounters() -> [(name: String, value: UInt64)] {
    var sums = Counters().all
    for node in nodes {
      for (index, counter) in (node.process?.engine.counters.all ?? []).enumerated() {
        sums[index].value += counter.value
      }
    }
    return sums
  }
}

import MeshCRDT
import MeshEngine

/// Cuts a mesh in two halves, lets statuses change on both sides, heals it and measures.
///
/// - Parameters:
///   - seconds: how long the halves do not hear each other; 0: they never met before.
///   - changes: status changes in a second on each side while they are apart.
package func measureHealing(_ mesh: MeasuredMesh, seconds: UInt64, changes: Int) -> Measured {
  let count = mesh.nodes
  let world = mesh.world()
  let halves = Dictionary(uniqueKeysWithValues: world.nodes.indices.map { ($0, $0 % 2) })
  if seconds == 0 { world.side = halves }
  _ = world.joinAll(
    every: 10 * World.millisecond, until: seconds == 0 ? (count + 1) / 2 : count)
  let hosted = world.nodes.indices.map { index in
    (0..<mesh.sessions).map { world.openMeasured(at: index, user: "user-\(index)-\($0)") }
  }
  world.run(until: world.time + 30 * World.second)
  world.weather.loss = mesh.loss
  world.side = halves
  let end = world.time + seconds * World.second
  var number = 0
  while world.time < end, changes > 0 {
    for side in 0..<2 {
      let index = world.random.below(count / 2) * 2 + side
      number += 1
      world.setMeasuredStatus(
        hosted[index][world.random.below(mesh.sessions)], at: index, number: number)
    }
    world.run(until: world.time + World.second / UInt64(changes))
  }
  return measureMeeting(world)
}

/// Gateways with many rooms each that join, are cut, change and heal.
///
/// Each of the nodes has one session in each of its rooms; a hundredth of them change while the mesh is cut
/// in halves.
package func measureRooms(_ mesh: MeasuredMesh, rooms: Int) -> Measured {
  let world = mesh.world()
  for index in world.nodes.indices { world.queue.add(.start(node: index), at: 0) }
  world.run(until: 10 * World.millisecond)
  // All rooms are there before the nodes hear of each other.
  world.side = Dictionary(uniqueKeysWithValues: world.nodes.indices.map { ($0, $0) })
  var sessions: [(id: SessionID, node: Int)] = []
  for index in world.nodes.indices {
    for room in 0..<rooms {
      guard let name = RoomName("node \(index), room \(room)") else { continue }
      let id = world.openMeasured(at: index, user: "user-\(index)-\(room)", in: name)
      sessions.append((id, index))
    }
  }
  world.run(until: world.time + 5 * World.second)
  world.weather.loss = mesh.loss
  let joined = measureMeeting(world)
  world.side = Dictionary(uniqueKeysWithValues: world.nodes.indices.map { ($0, $0 % 2) })
  for number in 0..<max(1, sessions.count / 100) {
    let session = sessions[world.random.below(sessions.count)]
    world.setMeasuredStatus(session.id, at: session.node, number: number)
  }
  let healed = measureMeeting(world)
  func named(_ prefix: String, _ measured: Measured) -> [MeasuredFigure] {
    measured.figures.map { .init("\(prefix)-\($0.name)", $0.value, $0.unit, $0.meaning) }
  }
  return Measured(
    figures: named("join", joined) + named("heal", healed), virtualSeconds: world.seconds)
}

/// Takes the sides of a world away, and measures what it takes until all is equal.
private func measureMeeting(_ world: World) -> Measured {
  world.run(until: world.time + 2 * World.second)
  let missing = world.missingBytes()
  world.side = [:]
  let before = world.datagramsAcross
  _ = world.wait(120 * World.second, step: World.millisecond) { world.datagramsAcross > before }
  let (begin, sent) = (world.time, world.meter?.total ?? 0)
  let equal = world.wait(60 * World.second, step: 5 * World.millisecond) { world.isEqual }
  let bytes = (world.meter?.total ?? 0) - sent
  let seen =
    world.nodes.allSatisfy { $0.process?.engine.visibleCount == world.nodes.count }
    ? equal
    : world.wait(60 * World.second) {
      world.nodes.allSatisfy { $0.process?.engine.visibleCount == world.nodes.count }
    }.map { _ in Double(world.time - begin) / Double(World.second) }
  return Measured(
    figures: [
      .init("equal", equal, "s", "from the first datagram across until all held the same"),
      .init("seen", seen, "s", "until all saw all"),
      .init("missing", Double(missing) / 1000, "kB", "of living records lacked, over all nodes"),
      .init(
        "bytes", equal.map { _ in Double(bytes) / Double(max(1, missing)) }, "ratio",
        "all bytes sent until then, to bytes missing"),
    ], virtualSeconds: world.seconds)
}

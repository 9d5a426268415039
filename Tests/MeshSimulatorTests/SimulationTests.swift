import Foundation
import MeshCRDT
import MeshEngine
import MeshTrust
import Testing

@testable import MeshSimulator

@Suite("Simulated worlds")
struct SimulationTests {
  /// A small world: it takes about half a second in a debug build.
  private func small(_ seed: UInt64, _ faults: Set<Scenario.Fault>) -> Scenario {
    var scenario = Scenario(seed: seed)
    scenario.nodes = 4
    scenario.faults = faults
    scenario.isExact = true
    scenario.faultMilliseconds = 7000
    return scenario
  }

  private func expectNoFailure(_ outcome: Outcome) {
    let trace = outcome.trace.suffix(10).joined(separator: "\n")
    #expect(outcome.failure == nil, "\(trace)")
    // Where links stay that carry short datagrams only, nobody is asked to agree.
    #expect(outcome.convergenceMilliseconds != nil || outcome.faults.contains(.residue))
    #expect(outcome.datagrams > 100)
  }

  @Test("A measured mesh joins, spreads changes, notices a death, heals, and takes many rooms in")
  func measured() {
    func figures(_ measured: Measured) -> [String: Double] {
      Dictionary(
        measured.figures.compactMap { figure in figure.value.map { (figure.name, $0) } },
        uniquingKeysWith: { $1 })
    }
    let mesh = MeasuredMesh(nodes: 4, loss: 0)
    let scale = figures(measureScale(mesh, changes: 2, idleSeconds: 5))
    #expect(scale["missed"] == 0 && scale["paths-mean"] == 3)
    // The time to live is 5 s from the last beat, which came up to 2 s before the death.
    #expect((3.0...5.5).contains(scale["noticed"] ?? 0))
    let healing = figures(measureHealing(mesh, seconds: 15, changes: 2))
    #expect(healing["missing"] ?? 0 > 0 && healing["equal"] ?? 60 < 10)
    let rooms = figures(measureRooms(mesh, rooms: 20))
    #expect(rooms["join-missing"] ?? 0 > rooms["heal-missing"] ?? 0)
    #expect(rooms["join-equal"] ?? 60 < 5 && rooms["heal-equal"] ?? 60 < 5)
  }

  @Test("Each fault alone ends in agreement", arguments: Scenario.Fault.allCases)
  func faultAlone(fault: Scenario.Fault) async {
    expectNoFailure(await runAside(small(7, [fault])))
  }

  @Test("Honest nodes agree while one member lies in each way", arguments: Lie.allCases)
  func lieAlone(lie: Lie) async {
    var scenario = small(11, [.liars])
    scenario.lies = [lie]
    expectNoFailure(await runAside(scenario))
  }

  @Test("Worlds of drawn faults end in agreement", arguments: 1...12 as ClosedRange<UInt64>)
  func drawn(seed: UInt64) async {
    var scenario = small(seed, Set(Scenario.Fault.allCases).subtracting([.joinStorm]))
    scenario.isExact = false
    scenario.gatewayRooms = seed.isMultiple(of: 4) ? 100 : nil
    expectNoFailure(await runAside(scenario))
  }

  @Test("Scripts end in agreement", arguments: [Script.splitBrain, .rollingRestart])
  func scripts(script: Script) async {
    var scenario = small(1, script == .splitBrain ? [.partition] : [.churn])
    scenario.script = script
    scenario.sessionsPerNode = 2
    scenario.faultMilliseconds = 16_000
    expectNoFailure(await runAside(scenario))
  }

  @Test(
    "Scenarios with names end in agreement, also with sessions that the script opens among liars",
    arguments: [Preset.adversary, .splitBrain, .joinStorm])
  func presets(preset: Preset) async {
    expectNoFailure(await runAside(preset.scenario(seed: 1, nodes: 6)))
  }

  @Test("Timed changes are everywhere, not before the links can have brought them")
  func changes() async {
    var scenario = small(1, [])
    scenario.links.delayMicroseconds = 5000...10_000
    scenario.changes = 5
    let outcome = await runAside(scenario)
    #expect(outcome.failure == nil)
    #expect(outcome.changes.count == 5)
    #expect(outcome.changes.allSatisfy { $0.arrivalMilliseconds.count == 4 })
    #expect(outcome.changes.allSatisfy { $0.milliseconds.map { (5...200).contains($0) } ?? false })
  }

  @Test("The same seed gives the same trace, another one another")
  func replay() {
    let faults: Set<Scenario.Fault> = [.loss, .reordering, .crashKeptDisk, .outsider, .liars]
    let outcomes = [3, 3, 4].map { small($0, faults).run() }
    #expect(outcomes[0].traceHash == outcomes[1].traceHash)
    #expect(outcomes[0].traceHash != outcomes[2].traceHash)
  }

  @Test("A trace has the hash that every build gives it")
  func traceHashIsKnown() async throws {
    var scenario = Scenario(seed: 11)
    scenario.nodes = 5
    scenario.faultMilliseconds = 8000
    // The release build is compared with the same file by the CI script.
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "trace-hash")
    let known = try String(contentsOf: file, encoding: .utf8)
    var hasher = SipHash(key: HashKey(0, 0))
    hasher.combine(await runAside(scenario).traceHash)
    let digits = String(hasher.finalize(), radix: 16)
    #expect(known.contains(String(repeating: "0", count: 16 - digits.count) + digits))
  }

  @Test("A node of a large mesh whose address changed is seen by all again")
  func addressChangeInLargeMesh() async {
    var scenario = Scenario(seed: 24)
    scenario.nodes = 23
    scenario.faults = [.addressChange, .reordering]
    scenario.isExact = true
    scenario.faultMilliseconds = 10_000
    #expect(await runAside(scenario).failure == nil)
  }

  @Test("A world that is sampled for plots has the trace of one that is not")
  func samplesChangeNothing() async throws {
    var scenario = small(5, [.loss, .partition])
    let plain = await runAside(scenario)
    scenario.isSampled = true
    let sampled = await runAside(scenario)
    #expect(sampled.traceHash == plain.traceHash && plain.samples == nil)
    let samples = try #require(sampled.samples)
    #expect(samples.agreement.last?.share == 1)
    #expect(samples.agreement.contains { $0.share < 1 })
    let bytes = samples.traffic.reduce(into: [UInt64](repeating: 0, count: Samples.kindNames.count))
    {
      sums, traffic in
      for (kind, count) in traffic.bytes.enumerated() { sums[kind] += count }
    }
    // Whatever a mesh needs was seen by its kind.
    for name in ["framing", "path proof", "batch", "checkpoint", "beats", "compare"] {
      let kind = try #require(Samples.kindNames.firstIndex(of: name))
      #expect(bytes[kind] > 0, "\(name)")
    }
  }

  @Test("A status change spreads to every node, also when a fifth of the datagrams is lost")
  func changesSpread() async {
    var scenario = Scenario(seed: 1)
    scenario.nodes = 20
    scenario.faults = []
    scenario.links.loss = 0.2
    scenario.links.delayMicroseconds = 1000...10_000
    scenario.changes = 5
    let outcome = await runAside(scenario)
    #expect(outcome.failure == nil)
    #expect(outcome.changes.count == 5)
    #expect(outcome.changes.allSatisfy { $0.milliseconds ?? 0 >= 1 })
  }

  // MARK: Controls

  @Test("A mesh that is asked to agree at once fails, and says how")
  func boundIsChecked() async {
    var scenario = small(2, [.partition])
    scenario.script = .splitBrain
    scenario.sessionsPerNode = 2
    scenario.boundMilliseconds = 0
    let outcome = await runAside(scenario)
    #expect(outcome.failure?.check == "convergence")
    #expect(outcome.failure?.text.contains("not after 0 ms") == true)
    #expect(!outcome.trace.isEmpty)
    #expect(outcome.convergenceMilliseconds == nil)
  }

  @Test("Only where a node may send little all have longer to agree")
  func boundOfSendRates() {
    let world = World(small(1, []))
    world.prepare()
    world.run(until: 5 * World.second)
    let bound = world.scenario.boundMilliseconds * World.millisecond
    #expect(world.bound == bound)
    world.nodes[1].peerRate = 15_000
    #expect(world.bound == 3 * bound)
    world.crash(1)
    #expect(world.bound == bound)
    world.nodes[2].sendRate = 30_000
    #expect(world.bound == 3 * bound)
  }

  @Test(
    "A session brings the rooms that its client is in, and need not bring those that it left",
    arguments: [false, true])
  func handOverOfRooms(isLeft: Bool) throws {
    let world = rotated(isEverywhere: true)
    let room = World.roomNames[0]
    world.open(at: 0)
    let index = world.clients.count - 1
    let id = world.clients[index].id
    let isIn = world.say(index, .enter(id, room)) { $0.places[room] = .init() }
    world.run(until: world.time + World.second)
    let seen = try #require(world.nodes[1].engine?.session(id))
    #expect(isIn && seen.rooms.contains(room))
    world.clients[index].places[room] = nil
    world.connect(index, to: 1)
    #expect(world.nodes[1].engine?.hostedSession(id)?.rooms == [])
    if !isLeft { world.clients[index].places[room] = .init() }
    world.checkHandOver(index, from: seen, at: world.nodes[1])
    #expect(world.failure?.check == (isLeft ? nil : "handOver"))
  }

  @Test("An engine whose origins are never hidden is found by the dead that it shows")
  func deadShown() {
    // Beats that are due so rarely that nobody's silence is noticed in time.
    var scenario = small(5, [.crashKeptDisk])
    scenario.configure = { $0.beatPeriod = .seconds(60) }
    let checks = ([5, 6, 7, 8] as [UInt64]).map { seed -> String? in
      scenario.seed = seed
      scenario.faultMilliseconds = 20_000
      return scenario.run().failure?.check
    }
    #expect(checks.contains("dead"))
  }

  /// Three nodes that met, and nobody else, of which the last has a new mesh key, and the others where it is everywhere.
  private func rotated(isEverywhere: Bool) -> World {
    var scenario = small(1, [])
    scenario.nodes = 3
    scenario.faultMilliseconds = 100_000
    // No clients but those of the test.
    scenario.changes = 0
    let world = World(scenario)
    world.prepare()
    world.run(until: 8 * World.second)
    for node in world.nodes where isEverywhere || node.index == 2 {
      node.newestEpoch = 2
      world.crash(node.index)
      world.start(node.index)
    }
    world.run(until: 20 * World.second)
    return world
  }

  @Test(
    "A farewell must be known where its mesh key is, and nowhere else",
    arguments: [false, true], [nil, PlantedBug.farewellIgnored])
  func farewellNeedsKey(isEverywhere: Bool, planted: PlantedBug?) {
    let failure = PlantedBug.with(planted) {
      let world = rotated(isEverywhere: isEverywhere)
      world.leave(world.nodes[2])
      world.run(until: 30 * World.second)
      return world.failure
    }
    #expect(failure?.check == (isEverywhere && planted != nil ? "farewell" : nil))
  }

  @Test("Who left, came back and died is not taken to have left")
  func farewellOfAnEarlierLife() {
    let world = rotated(isEverywhere: true)
    world.leave(world.nodes[2])
    world.run(until: 22 * World.second)
    world.start(2)
    world.run(until: 40 * World.second)
    world.crash(2)
    world.run(until: 60 * World.second)
    #expect(world.failure == nil)
    #expect(world.farewells.isEmpty && world.deaths.count == 1)
  }

  @Test(
    "The end of a session must be known where the host's mesh key is and paths lead, and nowhere else",
    arguments: [(true, nil), (false, nil), (true, 5), (true, 15)] as [(Bool, UInt64?)])
  func endNeedsKeyAndPaths(isKeyEverywhere: Bool, movedSecondsBefore: UInt64?) throws {
    let world = rotated(isEverywhere: isKeyEverywhere)
    world.open(at: 2)
    let client = try #require(world.clients.last)
    let index = world.clients.count - 1
    world.run(until: world.time + World.second)
    let host = try #require(world.nodes[2].engine)
    let seen = try #require(host.session(client.id))
    world.leave(index)
    let endedAt = world.time
    world.run(until: endedAt + 2 * World.second)
    // The first node shows it still.
    world.nodes[0].replayed.sessions[client.id] = seen
    world.nodes[0].replayed.nodes[host.origin] = .online
    if let movedSecondsBefore {
      world.nodes[0].movedAt = endedAt - movedSecondsBefore * World.second
    }
    world.checkEnded(index, endedAt: endedAt)
    let isDemanded = isKeyEverywhere && movedSecondsBefore != 5
    #expect(world.failure?.check == (isDemanded ? "ended" : nil))
  }

  @Test("Whoever comes once more to a node that hosts it is not taken over from where it was")
  func secondOpening() throws {
    let world = rotated(isEverywhere: true)
    world.open(at: 0)
    let index = world.clients.count - 1
    let id = world.clients[index].id
    let isIn = world.say(index, .enter(id, .lobby)) { $0.places[.lobby] = .init() }
    world.run(until: world.time + World.second)
    // What the node has just written makes its next batch wait: it shows the session at the other one still.
    world.open(at: 1)
    world.connect(index, to: 1)
    let isSaid = world.say(index, .setStatus(id, .lobby, .busy, message: nil, at: world.wall)) {
      $0.places[.lobby]?.status = .busy
    }
    let shown = try #require(world.nodes[1].engine?.session(id))
    #expect(isIn && isSaid && shown.host == world.nodes[0].engine?.origin)
    world.connect(index, to: 1)
    #expect(world.failure == nil)
  }

  @Test("Stand-in hashes of many inputs differ, and depend on each byte and on the key")
  func hashes() {
    var seen: Set<UInt64> = []
    for length in 0..<80 {
      var bytes = [UInt8](repeating: 0, count: length)
      seen.insert(FoldedHash(bytes).first)
      for index in bytes.indices {
        bytes[index] = 1
        seen.insert(FoldedHash(bytes).first)
        seen.insert(FoldedHash(bytes, key: HashKey(1, 2)).first)
        bytes[index] = 0
      }
    }
    #expect(seen.count == 80 + 2 * (0..<80).reduce(0, +))
  }

  @Test("The stand-in refuses what was signed by others, sealed by others, or changed")
  func standIn() {
    let one = StandInCrypto(NodeSecrets(node: 1, mesh: 5, process: 1))
    let two = StandInCrypto(NodeSecrets(node: 2, mesh: 6, process: 1))
    let signature = one.sign([1, 2, 3])
    #expect(one.origin != two.origin)
    #expect(two.verify([1, 2, 3], signature: signature[...], by: one.origin))
    #expect(!two.verify([1, 2, 3], signature: signature[...], by: two.origin))
    #expect(!two.verify([1, 2, 4], signature: signature[...], by: one.origin))
    var sealed = [UInt8](repeating: 9, count: 60)
    one.seal(&sealed)
    #expect(one.open(sealed, epoch: 1) == Array(sealed[37..<60]))
    #expect(two.open(sealed, epoch: 1) == nil)
    #expect(one.open(sealed, epoch: 2) == nil)
    sealed[50] ^= 1
    #expect(one.open(sealed, epoch: 1) == nil)
  }
}

import MeshCRDT
import Testing

/// The laws for random histories of one origin, each from its seed.
@Suite("Random histories of one origin with several shelves")
struct HistoryTests {
  /// A history, and replicas that heard parts of it.
  struct World {
    var writer: Writer
    var deltas: [Delta] = []
    var replicas: [OriginLog]
    var generator: SplitMix64

    /// - Parameter contradictions: how many percent of the deltas have a second body.
    init(seed: UInt64, contradictions: Int = 0, settling: Bool = true) {
      generator = SplitMix64(seed: seed)
      writer = Writer(seed: seed ^ 0x55, restartPercent: 3)
      replicas = Array(repeating: OriginLog(generation: 1), count: 4)
      for _ in 0..<Int.random(in: 1...25, using: &generator) {
        let delta = writer.write()
        deltas.append(delta)
        if generator.chance(contradictions) { deltas.append(writer.contradict(delta)) }
      }
      for index in replicas.indices {
        // A part of the deltas, some of them twice, in any order.
        let share = Int.random(in: 0...100, using: &generator)
        let heard = (deltas + deltas).filter { _ in generator.chance(share) }
          .shuffled(using: &generator)
        for delta in heard { replicas[index].join(delta, settling: settling) }
      }
    }
  }

  @Test("Replicas that hear everything, in any order and repeated, equal the origin's own log")
  func everythingHeardIsEverythingKnown() {
    var records = 0
    for seed in seeds(200) {
      var world = World(seed: seed)
      for index in world.replicas.indices {
        for delta in (world.deltas + world.deltas).shuffled(using: &world.generator) {
          world.replicas[index].join(delta)
          if let violation = world.replicas[index].invariantViolation() {
            Issue.record("seed \(seed): \(violation)")
          }
        }
        let log = world.replicas[index]
        #expect(log == world.writer.log, "seed \(seed), replica \(index)")
        #expect(log.isSettled && log.tombstoneCount == 0, "seed \(seed), replica \(index)")
      }
      records += world.deltas.reduce(0) { $0 + $1.records.count }
    }
    print("heard \(records) records")
  }

  @Test("Joins of replicas are commutative, associative, idempotent and monotone")
  func replicasKeepTheLaws() {
    for seed in seeds(200) {
      // With contradictions, and settled as they go: laws hold for any input.
      let logs = World(seed: seed, contradictions: 30).replicas
      for left in logs {
        #expect(left.joined(left) == left, "seed \(seed)")
        #expect(left.joined(left.settled) == left.settled, "seed \(seed)")
        for right in logs {
          let both = left.joined(right)
          #expect(both == right.joined(left), "seed \(seed)")
          #expect(left.joined(both) == both && right.joined(both) == both, "seed \(seed)")
          #expect(both.invariantViolation() == nil, "seed \(seed)")
          for third in logs {
            #expect(both.joined(third) == left.joined(right.joined(third)), "seed \(seed)")
          }
        }
      }
    }
  }

  @Test("Gossip of whole logs in any order gives one log, also when the origin contradicts itself")
  func gossipConverges() {
    for seed in seeds(100) {
      var world = World(seed: seed, contradictions: 30)
      let expected = world.replicas.dropFirst().reduce(world.replicas[0]) { $0.joined($1) }
      // Each log reaches each replica, straight or through others.
      for _ in 0..<2 {
        for index in world.replicas.indices.shuffled(using: &world.generator) {
          for other in world.replicas.indices.shuffled(using: &world.generator) {
            world.replicas[index].join(world.replicas[other])
          }
        }
      }
      for log in world.replicas { #expect(log == expected, "seed \(seed)") }
    }
  }

  @Test("Deltas in any order, repeated, equal the join of their logs, whatever the origin signed")
  func deltaOrderDoesNotMatter() {
    for seed in seeds(150) {
      var world = World(seed: seed, contradictions: 40, settling: false)
      let logs = world.deltas.map { delta in
        var log = OriginLog(generation: delta.generation)
        log.join(delta, settling: false)
        return log
      }
      let expected = logs.dropFirst().reduce(logs[0]) { $0.joined($1) }
      for index in world.replicas.indices {
        for delta in (world.deltas + world.deltas).shuffled(using: &world.generator) {
          world.replicas[index].join(delta, settling: false)
        }
        #expect(world.replicas[index] == expected, "seed \(seed)")
        #expect(world.replicas[index].settled == expected.settled, "seed \(seed)")
      }
    }
  }

  @Test("The delta above what is known, and the manifest, give the full log")
  func deltaAndManifestGiveTheFullLog() {
    var removals = 0
    for seed in seeds(200) {
      var writer = Writer(seed: seed)
      var log = OriginLog(generation: 1)
      for _ in 0..<5 { log.join(writer.write()) }
      for _ in 0..<10 { _ = writer.write() }
      #expect(log.isSettled, "seed \(seed)")
      // Tombstones between are forgotten by the origin itself.
      var late = log
      for room in (UInt64(0)...2).map({ Sample.room($0) }) {
        late.join(writer.log.delta(of: room, above: log.shelf(room).cut.version))
      }
      late.settle()
      let live = Set(writer.log.records)
      let dead = late.records.filter { !live.contains($0) }
      removals += dead.count
      for room in (UInt64(0)...2).map({ Sample.room($0) }) {
        let result = late.settle(room, removing: dead.map { ($0.key, $0.cell.version) })
        #expect(result.isSettled, "seed \(seed)")
      }
      #expect(late == writer.log, "seed \(seed)")
      #expect(late.invariantViolation() == nil, "seed \(seed)")
      #expect(log.joined(writer.log) == late, "seed \(seed)")
    }
    print("a manifest removed \(removals) records")
    #expect(removals > 200 || seeds(2).count == 1)
  }
}

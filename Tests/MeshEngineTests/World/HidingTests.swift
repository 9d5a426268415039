import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Origins that are hidden before all have what they said")
struct HidingTests {
  /// An origin that writes a session in each batch, and signs a checkpoint behind each.
  private struct Writer {
    let verifier: SignatureVerifier
    let incarnation: Incarnation
    let origin: OriginID
    private(set) var batches: [SignedMessage] = []
    private(set) var checkpoints: [SignedMessage] = []

    init(batches count: UInt64) throws {
      let crypto = TestCrypto(secret: 99)
      let mesh = try #require(World.mesh)
      verifier = SignatureVerifier(mesh: mesh, crypto: crypto, hash: TestTreeHash())
      incarnation = try #require(Incarnation(counter: 1, nonce: 77))
      origin = crypto.origin
      var replica = OriginReplica(incarnation: incarnation, hashKey: mesh.hashKey)
      for version in 1...count {
        let value = SessionValue(
          profile: Profile(userID: "ada"), device: "", joinedAt: WallTime(milliseconds: 1))
        let batch = Batch(
          incarnation: incarnation, room: .lobby, previous: version - 1, first: version,
          changes: [
            RecordChange(
              EntryKey(.session, SessionID(9, version)), counter: 1,
              value: RecordValues.bytes(value))
          ])
        _ = replica.apply(try #require(batch.heading.place), batch.changes)
        let checkpoint = Checkpoint(
          incarnation: incarnation, sequence: version, version: version,
          root: replica.root(TestTreeHash()), value: Hash128(1, 1), chain: 1, schedule: 1,
          offsetMilliseconds: 0, beat: version < count ? 0 : 8, periodMilliseconds: 2000)
        batches.append(try #require(verifier.sign(batch)).message)
        checkpoints.append(try #require(verifier.sign(checkpoint)).message)
      }
    }
  }

  private let writer: Writer
  private var world = World()

  init() throws {
    writer = try Writer(batches: 6)
    for index in 0..<3 { world.start(peers: index == 0 ? [] : [0]) }
    world.run(milliseconds: 2000)
  }

  /// Tells a node the batches and the checkpoints of some numbers.
  private mutating func tell(
    _ node: Int, batches: [Int] = [], checkpoints: [Int] = [], age: UInt64 = 0
  ) {
    for number in batches {
      world.inject(.batch(writer.batches[number - 1]), at: node, from: (node + 1) % 3)
    }
    for number in checkpoints {
      let message = MeshMessage.checkpoint(
        ageMilliseconds: age, writer.checkpoints[number - 1])
      world.inject(message, at: node, from: (node + 1) % 3)
    }
  }

  /// The version that each node holds of the origin, and that of its complete checkpoint.
  private func versions() -> [[UInt64]] {
    world.nodes.map { node in
      guard let slot = node.engine.records.slot(of: writer.origin) else { return [] }
      return [
        node.engine.records.replica.replica(slot: slot)?.applied.highest ?? 0,
        node.engine.records.complete(slot: slot)?.body.version ?? 0,
      ]
    }
  }

  @Test(
    "All hold the newest checkpoint that one of them has completely, though they know of newer ones"
  )
  mutating func olderCheckpointIsFetched() {
    // The last batch comes to nobody.
    for node in 0..<3 { tell(node, batches: [1], checkpoints: [1]) }
    world.groups = [0: 0, 1: 1, 2: 2]
    tell(0, batches: [2, 3, 4], checkpoints: [4])
    tell(0, batches: [5], checkpoints: [6])
    tell(1, batches: [2], checkpoints: [2, 6])
    tell(2, checkpoints: [6])
    #expect(versions() == [[5, 4], [2, 2], [1, 1]])
    world.run(milliseconds: 30_000)
    #expect(versions() == [[4, 4], [2, 2], [1, 1]])
    world.groups = [:]
    let time = world.run(atMost: 10_000) { $0.agree() }
    #expect(time != nil)
    #expect(versions() == [[4, 4], [4, 4], [4, 4]])
  }

  @Test(
    "What comes of a hidden origin is not applied above its checkpoint, and is when it is seen again"
  )
  mutating func lateBatches() throws {
    for node in 0..<3 { tell(node, batches: [1, 2], checkpoints: [1, 2]) }
    world.run(milliseconds: 8000)
    #expect(world.nodes.allSatisfy { $0.health[writer.origin] == .offline })
    // A batch alone; and a fetch by a node that has batches above what it fetches.
    tell(0, batches: [3])
    #expect(versions() == [[2, 2], [2, 2], [2, 2]])
    tell(1, batches: [3, 4], checkpoints: [3], age: 60_000)
    tell(2, batches: [4], checkpoints: [4], age: 60_000)
    world.run(milliseconds: 8000)
    let held = versions()
    #expect(Set(held).count == 1)
    #expect(held.allSatisfy { $0[0] == $0[1] })
    let isEqual = world.agree()
    #expect(isEqual)
    // It comes back, and goes on.
    for node in 0..<3 { tell(node, batches: [3, 4, 5, 6], checkpoints: [6]) }
    world.run(milliseconds: 100)
    #expect(versions() == [[6, 6], [6, 6], [6, 6]])
  }

  @Test("A checkpoint that comes behind a later one changes nothing")
  mutating func overtakenCheckpoint() throws {
    tell(0, batches: [1, 2, 3], checkpoints: [3])
    let slot = try #require(world.nodes[0].engine.records.slot(of: writer.origin))
    for checkpoints in [[1], [2, 1]] {
      tell(0, checkpoints: checkpoints)
      let sequence = world.nodes[0].engine.records.newest(slot: slot)?.facts.sequence
      let isComplete = world.nodes[0].engine.records.isComplete(slot: slot)
      #expect(sequence == 3 && isComplete)
    }
  }

  @Test("Who hears of a dead origin first holds no more of it than its checkpoint")
  mutating func deadAtFirstContact() {
    tell(0, batches: [1], checkpoints: [1], age: 60_000)
    // It has applied more than the checkpoint, so that it can compute no root.
    tell(1, batches: [1, 2], checkpoints: [1], age: 60_000)
    #expect(versions()[1] == [0, 0])
    world.run(milliseconds: 3000)
    #expect(versions()[1] == [1, 1])
  }
}

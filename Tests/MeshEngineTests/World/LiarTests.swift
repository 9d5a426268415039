import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Members that lie")
struct LiarTests {
  private func room(_ name: String) -> RoomName { RoomName(name) ?? .lobby }

  /// What an origin that lies can sign.
  private struct Liar {
    let verifier: SignatureVerifier
    let incarnation: Incarnation
    let origin: OriginID

    init(_ secret: UInt64) throws {
      let crypto = TestCrypto(secret: secret)
      verifier = SignatureVerifier(
        mesh: try #require(World.mesh), crypto: crypto, hash: TestTreeHash())
      incarnation = try #require(Incarnation(counter: 1, nonce: 77))
      origin = crypto.origin
    }

    func batch(
      _ session: SessionID, _ text: String, in room: RoomName, first: UInt64 = 1
    ) throws -> SignedMessage {
      let value =
        room.isLobby
        ? RecordValues.bytes(
          SessionValue(
            profile: Profile(userID: text), device: "", joinedAt: WallTime(milliseconds: 1)))
        : RecordValues.bytes(PresenceValue(enteredCounter: 1, message: text))
      let key = EntryKey(room.isLobby ? .session : .presence, session)
      let body = Batch(
        incarnation: incarnation, room: room, previous: first - 1, first: first,
        changes: [RecordChange(key, counter: 1, value: value)])
      return try #require(verifier.sign(body)).message
    }

    func checkpoint(
      sequence: UInt64, version: UInt64, root: Hash256 = .empty
    ) throws -> SignedMessage {
      let body = Checkpoint(
        incarnation: incarnation, sequence: sequence, version: version, root: root,
        value: Hash128(1, 1), chain: 1, schedule: 1, offsetMilliseconds: 0, beat: 0,
        periodMilliseconds: 2000)
      return try #require(verifier.sign(body)).message
    }
  }

  private func mesh(_ count: Int) throws -> World {
    var world = World()
    for index in 0..<count { world.start(peers: index == 0 ? [] : [0]) }
    for index in 0..<count {
      try world.open(
        index, SessionID(UInt64(index + 1), 1), user: "user \(index)", in: room("design"))
    }
    let time = world.run(atMost: 10_000) { world in
      world.agree() && world.nodes.allSatisfy { $0.sessions.count == count }
    }
    try #require(time != nil)
    return world
  }

  /// Lets a node hear a message as if a proven path had brought it.
  private func inject(
    _ message: MeshMessage, _ world: inout World, at node: Int, from other: Int
  ) {
    world.inject(message, at: node, from: other)
  }

  @Test("Batches of an incarnation of which no checkpoint comes count for ten seconds")
  func batchesWithoutCheckpoint() throws {
    var world = try mesh(3)
    let liar = try Liar(99)
    // All nodes hold an earlier life, in which it said nothing.
    let earlier = try liar.checkpoint(sequence: 1, version: 0)
    for node in 0..<3 {
      inject(.checkpoint(ageMilliseconds: 0, earlier), &world, at: node, from: (node + 1) % 3)
    }
    world.run(milliseconds: 1000)
    var isEqual = world.agree()
    #expect(isEqual)
    let removal = RecordChange(
      EntryKey(.removal, SessionID(1, 1)), counter: 1000,
      value: RecordValues.bytes(RemovalValue(isFinal: false)))
    let body = Batch(
      incarnation: try #require(Incarnation(counter: 2, nonce: 77)), room: .lobby, previous: 0,
      first: 1, changes: [removal])
    inject(.batch(try #require(liar.verifier.sign(body)).message), &world, at: 1, from: 2)
    world.run(milliseconds: 8000)
    #expect(world.nodes[1].sessions[SessionID(1, 1)] == nil)
    #expect(world.nodes[2].sessions[SessionID(1, 1)] != nil)
    world.run(milliseconds: 6000)
    #expect(world.nodes.allSatisfy { $0.sessions[SessionID(1, 1)] != nil })
    isEqual = world.agree()
    #expect(isEqual)
    let isHeld = world.nodes[1].engine.holds(liar.origin)
    #expect(isHeld)
  }

  @Test(
    "Two bodies for one version end in quarantine everywhere, without a storm",
    arguments: ["design", ""])
  func equivocation(name: String) throws {
    var world = try mesh(4)
    let liar = try Liar(99)
    let session = SessionID(9, 9)
    inject(.batch(try liar.batch(session, "one", in: room(name))), &world, at: 1, from: 0)
    inject(.batch(try liar.batch(session, "two", in: room(name))), &world, at: 2, from: 0)
    world.run(milliseconds: 100)
    // One of them gets the other's batch.
    inject(.batch(try liar.batch(session, "one", in: room(name))), &world, at: 2, from: 1)
    let before = world.datagrams
    let time = world.run(atMost: 1000) { world in
      world.nodes.allSatisfy { $0.engine.quarantine.contains(liar.origin, liar.incarnation) }
    }
    #expect(time.map { $0 <= 1000 } == true)
    world.run(milliseconds: 10_000)
    #expect(world.datagrams - before < 600, "\(world.datagrams - before) datagrams in 10 s")
    let isEqual = world.agree()
    #expect(isEqual)
    #expect(world.nodes.allSatisfy { $0.sessions[session] == nil })
  }

  @Test(
    "Two bodies for one version of which each node has another cause no storm, and leave nothing behind"
  )
  func equivocationUnseen() throws {
    var world = try mesh(4)
    let liar = try Liar(99)
    for (node, text) in [(1, "one"), (2, "two")] {
      inject(
        .batch(try liar.batch(SessionID(9, 9), text, in: room("design"))), &world, at: node, from: 0
      )
      inject(
        .checkpoint(
          ageMilliseconds: 0,
          try liar.checkpoint(sequence: 1, version: 1, root: Hash256(Hash128(1, 2), Hash128(3, 4)))),
        &world, at: node, from: 0)
    }
    let before = world.datagrams
    world.run(milliseconds: 10_000)
    #expect(world.datagrams - before < 1000, "\(world.datagrams - before) datagrams in 10 s")
    world.run(milliseconds: 60_000)
    let isEqual = world.agree()
    #expect(isEqual)
  }

  @Test("Who missed a proof gets it from whoever it compares with", arguments: 1...3)
  func missedProof(turn: UInt64) throws {
    var world = try mesh(4)
    let liar = try Liar(99)
    // All hold a complete checkpoint of it, of nothing.
    for node in 0..<4 {
      inject(
        .checkpoint(ageMilliseconds: 0, try liar.checkpoint(sequence: turn, version: 0)), &world,
        at: node, from: (node + 1) % 4)
    }
    // One is cut off while the others find out.
    world.groups = [3: 1]
    let session = SessionID(9, 9)
    for text in ["one", "two"] {
      inject(.batch(try liar.batch(session, text, in: room("design"))), &world, at: 1, from: 0)
    }
    world.run(milliseconds: 3000)
    #expect(
      world.nodes.map { $0.engine.quarantine.contains(liar.origin, liar.incarnation) }
        == [true, true, true, false])
    world.groups = [:]
    let time = world.run(atMost: 12_000) { world in
      world.nodes[3].engine.quarantine.contains(liar.origin, liar.incarnation)
    }
    #expect(time != nil)
    world.run(milliseconds: 100)
    let isEqual = world.agree()
    #expect(isEqual)
  }

  @Test("Two checkpoints of one sequence end in quarantine everywhere")
  func checkpoints() throws {
    var world = try mesh(4)
    let liar = try Liar(99)
    inject(
      .checkpoint(ageMilliseconds: 0, try liar.checkpoint(sequence: 1, version: 0)), &world, at: 1,
      from: 0)
    inject(
      .checkpoint(ageMilliseconds: 0, try liar.checkpoint(sequence: 1, version: 3)), &world, at: 2,
      from: 0)
    // The checkpoints meet by a comparison.
    let time = world.run(atMost: 5000) { world in
      world.nodes.allSatisfy { $0.engine.quarantine.contains(liar.origin, liar.incarnation) }
    }
    #expect(time != nil)
  }

  @Test("Beats far ahead that do not fit cost their path all that they make others hash")
  func wrongBeats() throws {
    var world = try mesh(2)
    let liar = try Liar(99)
    world.inject(
      .checkpoint(ageMilliseconds: 0, try liar.checkpoint(sequence: 1, version: 0)), at: 0, from: 1)
    let before = world.nodes[0].engine.counters[.beatsRefused]
    for step in 0..<20 {
      for number in 0..<50 {
        let beats = (0..<40).map {
          Beat(of: liar.origin, index: 512, value: Hash128(UInt64(step * 50 + number), $0))
        }
        world.inject(.beats(beats), at: 0, from: 1)
      }
      world.run(milliseconds: 50)
    }
    let refused = world.nodes[0].engine.counters[.beatsRefused] - before
    let share = 2 * EngineLimits.workPerSecond / MembershipLimits.stepsPerBeat
    #expect(refused > 100 && refused < share, "\(refused) beats")
    // And the peer itself is heard as ever.
    try world.perform(
      1,
      .setStatus(
        SessionID(2, 1), room("design"), .busy, message: nil, at: WallTime(milliseconds: 1)))
    world.run(milliseconds: 1000)
    #expect(
      world.nodes[0].sessions[SessionID(2, 1)]?.place(in: room("design"))?.presence.status?.status
        == .busy)
  }

  /// An origin that signs a batch, and is hidden before any checkpoint speaks of it.
  private func hiddenLiar(_ world: inout World) throws -> (Liar, [SignedMessage]) {
    let liar = try Liar(99)
    let session = SessionID(9, 9)
    let batches = [
      try liar.batch(session, "one", in: room("design")),
      try liar.batch(session, "two", in: room("design")),
    ]
    let first = try liar.checkpoint(sequence: 1, version: 0)
    let second = try liar.checkpoint(sequence: 2, version: 1, root: Hash256(Hash128(1, 2), .empty))
    for node in 0..<3 {
      for checkpoint in [first, second] {
        world.inject(
          .checkpoint(ageMilliseconds: 0, checkpoint), at: node, from: (node + 1) % 3)
      }
      world.inject(.batch(batches[0]), at: node, from: (node + 1) % 3)
    }
    world.run(milliseconds: 20_000)
    for node in world.nodes { #expect(node.health[liar.origin] == .offline) }
    return (liar, batches)
  }

  @Test("What a hidden origin said before is remembered, and what contradicts it is found")
  func contradictionAfterHiding() throws {
    for isBatch in [true, false] {
      var world = try mesh(3)
      let (liar, batches) = try hiddenLiar(&world)
      let other: MeshMessage =
        isBatch
        ? .batch(batches[1])
        : .checkpoint(ageMilliseconds: 0, try liar.checkpoint(sequence: 2, version: 5))
      world.inject(other, at: 0, from: 1)
      world.run(milliseconds: 1000)
      for node in world.nodes {
        #expect(node.engine.quarantine.contains(liar.origin, liar.incarnation))
      }
    }
  }

  @Test("An origin that contradicted itself while it was hidden, or forgotten, does not come back")
  func quarantineLasts() throws {
    for isForgotten in [false, true] {
      var world = try mesh(3)
      let (liar, batches) = try hiddenLiar(&world)
      if isForgotten { world.run(milliseconds: 40 * 60_000) }
      let (one, two) = (
        try liar.verifier.verify(batches[0], try batches[0].read(Batch.self)),
        try liar.verifier.verify(batches[1], try batches[1].read(Batch.self))
      )
      let proof = try #require(liar.verifier.contradiction(one, two)).contradiction
      world.inject(.contradiction(proof), at: 0, from: 1)
      world.run(milliseconds: 1000)
      for pause: UInt64 in [0, 40 * 60_000] {
        world.run(milliseconds: pause)
        for node in 0..<3 {
          world.inject(
            .checkpoint(ageMilliseconds: 0, try liar.checkpoint(sequence: 3, version: 0)), at: node,
            from: (node + 1) % 3)
          world.inject(.batch(batches[0]), at: node, from: (node + 1) % 3)
        }
        world.run(milliseconds: 1000)
        for node in world.nodes {
          #expect(node.engine.records.slot(of: liar.origin) == nil)
          #expect(node.engine.quarantine.contains(liar.origin, liar.incarnation))
        }
      }
    }
  }

  @Test("A forgotten origin does not come back by a checkpoint that was never complete here")
  func forgottenWithAnIncompleteCheckpoint() throws {
    var world = try mesh(3)
    let (liar, _) = try hiddenLiar(&world)
    world.run(milliseconds: 40 * 60_000)
    let old = try liar.checkpoint(sequence: 2, version: 1, root: Hash256(Hash128(1, 2), .empty))
    world.inject(.checkpoint(ageMilliseconds: 0, old), at: 0, from: 1)
    world.run(milliseconds: 100)
    #expect(world.nodes[0].engine.records.slot(of: liar.origin) == nil)
  }

  @Test("What an origin says beyond its bounds is complete nowhere, and costs no fetch after fetch")
  func tooMuch() throws {
    var world = try mesh(3)
    let liar = try Liar(99)
    var replica = OriginReplica(
      incarnation: liar.incarnation, hashKey: try #require(World.mesh).hashKey)
    var batches: [SignedMessage] = []
    let value = RecordValues.bytes(RemovalValue(isFinal: false))
    for first in stride(from: UInt64(1), through: 4097, by: 32) {
      let changes = (first..<first + 32).map {
        RecordChange(EntryKey(.removal, SessionID(9, $0)), counter: 1, value: value)
      }
      let body = Batch(
        incarnation: liar.incarnation, room: .lobby, previous: first - 1, first: first,
        changes: changes)
      _ = replica.apply(try #require(body.heading.place), changes)
      batches.append(try #require(liar.verifier.sign(body)).message)
    }
    let checkpoint = try liar.checkpoint(
      sequence: 2, version: UInt64(32 * batches.count), root: replica.root(TestTreeHash()))
    let before = try liar.checkpoint(sequence: 1, version: 0)
    for node in 0..<3 {
      let other = (node + 1) % 3
      inject(.checkpoint(ageMilliseconds: 0, before), &world, at: node, from: other)
    }
    // One hears all, one a part, one the end alone.
    for message in batches { inject(.batch(message), &world, at: 0, from: 1) }
    for message in batches.prefix(40) { inject(.batch(message), &world, at: 1, from: 2) }
    for node in 0..<3 {
      let other = (node + 1) % 3
      inject(.checkpoint(ageMilliseconds: 0, checkpoint), &world, at: node, from: other)
    }
    let sent = world.bytes
    world.run(milliseconds: 20_000)
    #expect(world.nodes[0].engine.counters[.checkpointsExcessive] == 1)
    #expect(world.bytes - sent < 200_000, "\(world.bytes - sent) bytes")
    let isEqual = world.agree()
    #expect(isEqual)
    for node in world.nodes {
      let slot = try #require(node.engine.records.slot(of: liar.origin))
      #expect(node.engine.records.complete(slot: slot)?.body.sequence == 1)
      #expect(node.engine.records.replica.replica(slot: slot)?.recordCount == 0)
    }
  }

  @Test("A counter at its bound fixes one session, and stops nobody else")
  func poisonedCounter() throws {
    var world = try mesh(3)
    let liar = try Liar(99)
    let highest = Limits.counterBound - 1
    let key = EntryKey(.session, SessionID(1, 1))
    let value = RecordValues.bytes(
      SessionValue(profile: Profile(userID: "eve"), device: "", joinedAt: WallTime(milliseconds: 1))
    )
    let body = Batch(
      incarnation: liar.incarnation, room: .lobby, previous: 0, first: 1,
      changes: [RecordChange(key, counter: highest, value: value)])
    let message = try #require(liar.verifier.sign(body)).message
    for node in 0..<3 { inject(.batch(message), &world, at: node, from: (node + 1) % 3) }
    world.run(milliseconds: 1000)
    try world.perform(
      1,
      .setStatus(
        SessionID(2, 1), room("design"), .busy, message: nil, at: WallTime(milliseconds: 1)))
    try world.open(0, SessionID(1, 2), user: "user 0", in: room("design"))
    world.run(milliseconds: 1000)
    for node in world.nodes {
      #expect(
        node.sessions[SessionID(2, 1)]?.place(in: room("design"))?.presence.status?.status == .busy)
      #expect(node.sessions[SessionID(1, 2)] != nil)
    }
  }

  @Test("A path that brings wrong signatures is dropped, and those beside it are heard")
  func wrongSignatures() throws {
    var world = try mesh(3)
    let liar = try Liar(99)
    for step in 0..<500 {
      let message = try liar.batch(
        SessionID(9, UInt64(step)), "x", in: room("design"), first: UInt64(step + 1))
      var bytes = message.bytes
      bytes[40] ^= 1
      inject(.batch(try SignedMessage(kind: .batch, bytes: bytes)), &world, at: 0, from: 2)
    }
    #expect(world.nodes[0].engine.counters[.signaturesVerified] < 120)
    try world.perform(
      1,
      .setStatus(
        SessionID(2, 1), room("design"), .busy, message: nil, at: WallTime(milliseconds: 1)))
    world.run(milliseconds: 100)
    #expect(
      world.nodes[0].sessions[SessionID(2, 1)]?.place(in: room("design"))?.presence.status?.status
        == .busy)
  }

  @Test("Requests without end get no more than their path's share of answers and work")
  func floodOfRequests() throws {
    var world = World(configure: { $0.answerRate = 100_000 })
    world.start()
    world.start(peers: [0])
    for index in 0..<1000 {
      try world.open(0, SessionID(1, UInt64(index)), user: "ada", in: room("r\(index)"))
    }
    world.run(milliseconds: 3000)
    let facts = try #require(
      world.nodes[0].engine.records.complete(slot: world.nodes[0].engine.ownSlot)?.body)
    let before = world.bytes
    for step in 0..<3000 {
      let request = CompareRequest(
        place: .origin(world.origin(0), facts.incarnation, sequence: facts.sequence),
        request: UInt16(step), budget: 65_536,
        nodes: [.init(tree: .rooms, path: .top, hash: .empty)])
      inject(.compare(request), &world, at: 0, from: 1)
      if step % 300 == 299 { world.run(milliseconds: 100) }
    }
    #expect(world.bytes - before < 400_000, "\(world.bytes - before) bytes")
    // Who is over its share is told nothing, and nothing is made for it.
    let refused = world.nodes[0].engine.counters[.answersRefused]
    let sent = world.nodes[0].engine.counters[.nodesSent]
    for step in 0..<100 {
      inject(
        .compare(
          CompareRequest(
            place: .replica, request: UInt16(step), budget: 65_536,
            nodes: [.init(tree: .rooms, path: .top, hash: .empty)])), &world, at: 0, from: 1)
      inject(
        .repair(
          RepairRequest(
            origin: world.origin(0), incarnation: facts.incarnation, room: nil, after: 0,
            through: 9)), &world, at: 0, from: 1)
      inject(
        .probe([Probe(origin: world.origin(0), incarnation: nil, sequence: 0, beat: 0)]), &world,
        at: 0, from: 1)
    }
    #expect(world.nodes[0].engine.counters[.answersRefused] - refused > 250)
    #expect(world.nodes[0].engine.counters[.nodesSent] - sent < 40)
  }
}

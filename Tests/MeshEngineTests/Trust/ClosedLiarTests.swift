import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

/// Members of a closed mesh that say what their certificate does not cover, or more than is true.
@Suite("Members of a closed mesh that lie")
struct ClosedLiarTests {
  private let room = RoomName("design") ?? .lobby
  private let ada = ClosedMesh.session("ada")

  /// A member that may speak for Eve alone, and signs what it likes.
  private struct Liar {
    let certificate: Certificate
    private let verifier: SignatureVerifier
    private let incarnation: Incarnation
    private var version: UInt64 = 0
    private var logs: [RoomName: UInt64] = [:]

    init() throws {
      let index = 7
      certificate = try ClosedMesh.certificate(index, users: ClosedMesh.users("eve"))
      verifier = SignatureVerifier(
        mesh: try #require(World.mesh), crypto: TestCrypto(secret: UInt64(index + 1)),
        hash: TestTreeHash())
      incarnation = try #require(Incarnation(counter: 1, nonce: 77))
    }

    mutating func batch(_ change: RecordChange, in room: RoomName) throws -> MeshMessage {
      version += 1
      let body = Batch(
        incarnation: incarnation, room: room, previous: logs[room] ?? 0, first: version,
        changes: [change])
      logs[room] = version
      return .batch(try #require(verifier.sign(body)).message)
    }

    mutating func checkpoint() throws -> MeshMessage {
      let body = Checkpoint(
        incarnation: incarnation, sequence: 1, version: version, root: .empty, value: Hash128(1, 1),
        chain: 1, schedule: 1, offsetMilliseconds: 0, beat: 0, periodMilliseconds: 2000)
      return .checkpoint(
        ageMilliseconds: 0, try #require(verifier.sign(body)).message)
    }
  }

  /// Two nodes for all users, with a session of Ada at the first one, and a liar that both have admitted.
  private func world(_ liar: inout Liar, withAda: Bool = true) throws -> World {
    var world = ClosedMesh.world(try (0..<2).map { try ClosedMesh.certificate($0) })
    for index in 0..<2 { world.start(peers: index == 0 ? [] : [0]) }
    if withAda { try world.open(0, ada, user: "ada", in: room) }
    let isMet = world.run(atMost: 5000) { world in
      world.nodes.allSatisfy { $0.engine.pathCount == 1 && $0.sessions.count == (withAda ? 1 : 0) }
    }
    try #require(isMet != nil)
    say([.certificate(liar.certificate), try liar.checkpoint()], in: &world)
    return world
  }

  private func say(_ messages: [MeshMessage], in world: inout World) {
    for message in messages {
      for index in 0..<2 { world.inject(message, at: index, from: 1 - index) }
    }
    world.run(milliseconds: 50)
  }

  private let highest = Limits.counterBound - 1

  @Test("Words about a session that the liar has not got leave it writable")
  func presenceWithoutSession() throws {
    var liar = try Liar()
    var world = try world(&liar)
    let value = RecordValues.bytes(PresenceValue(enteredCounter: highest, message: "mine"))
    say(
      [
        try liar.batch(
          RecordChange(EntryKey(.presence, ada), counter: highest, value: value), in: room)
      ], in: &world)
    try world.perform(
      0, .setStatus(ada, room, .busy, message: "here", at: WallTime(milliseconds: 9)))
    world.run(milliseconds: 1000)
    #expect(world.nodes[1].sessions[ada]?.place(in: room)?.presence.message == "here")
    // It goes on at another host, too.
    try world.open(1, ada, user: "ada", in: room)
    world.run(milliseconds: 1000)
    #expect(world.nodes[0].sessions[ada]?.host == world.origin(1))
  }

  @Test("A session record that does not decode, of a session of somebody else, hides nobody")
  func malformedSession() throws {
    let eve = Rights(role: .member, users: ClosedMesh.users("eve"))
    let evaluation = SessionEvaluation(
      hosts: [SessionView.Host(isVisible: true, rights: eve)],
      hashKey: try #require(World.mesh).hashKey)
    var records = ViewRecords(origins: 1)
    _ = records.write(slot: 0, EntryKey(.session, ada), counter: highest, [1, 2, 3])
    #expect(evaluation.host(of: ada, records) == nil)
  }

  @Test("A removal of a session that nobody holds does not bar it")
  func removalInAdvance() throws {
    var liar = try Liar()
    var world = try world(&liar, withAda: false)
    let value = RecordValues.bytes(RemovalValue(isFinal: true))
    say(
      [
        try liar.batch(
          RecordChange(EntryKey(.removal, ada), counter: highest, value: value), in: .lobby)
      ], in: &world)
    try world.open(0, ada, user: "ada", in: room)
    let time = world.run(atMost: 2000) { [ada] in $0.nodes[1].sessions[ada] != nil }
    #expect(time != nil)
  }

  @Test("A refusal that anybody can make up puts no member out")
  func forgedRefusal() throws {
    var liar = try Liar()
    var world = try world(&liar)
    let tag = try #require(World.mesh).tag
    let stranger = PeerAddress(high: 0xfd00_0000_0000_0000, low: 99, port: 1)
    // A datagram of an epoch that nobody knows, to be asked for its key.
    var unknown = [UInt8](repeating: 0, count: 200)
    unknown.replaceSubrange(0..<13, with: [2] + tag.bigEndianBytes + [255, 255, 255, 255])
    world.deliver(unknown, from: stranger, to: 0)
    for reason in RefusalReason.allCases {
      let sealed = try #require(
        TestCrypto(secret: 9).seal(
          AdmissionMessage.Refusal(reason, wall: 1).encoded(), keyOf: nil, to: world.origin(0)))
      world.deliver(
        AdmissionMessage.refusal(sealed: sealed).encoded(tag: tag), from: stranger, to: 0)
    }
    world.run(milliseconds: 5000)
    #expect(
      !world.nodes[0].events.contains { event in
        switch event {
        case .expelled, .admissionRefused: true
        default: false
        }
      })
    try world.perform(0, .enter(ada, RoomName("other") ?? .lobby))
  }

  @Test("A cookie that was not asked for makes a node send no more than it got")
  func strayCookie() throws {
    var liar = try Liar()
    var world = try world(&liar)
    let tag = try #require(World.mesh).tag
    let victim = PeerAddress(high: 0xfd00_0000_0000_0000, low: 98, port: 1)
    let cookie = AdmissionMessage.cookie(5, nonce: 6).encoded(tag: tag)
    var sent = 0
    world.filter = { bytes, _, _ in
      if AdmissionMessage.isOne(bytes, tag: tag) { sent += bytes.count }
      return true
    }
    let before = world.bytes
    for _ in 0..<20 { world.deliver(cookie, from: victim, to: 0) }
    let after = world.bytes
    #expect(after - before <= 20 * cookie.count)
    world.run(milliseconds: 10_000)
    #expect(sent == 0)
  }

  @Test(
    "An epoch of which other admins decreed the same number, and which is cut off at once, is told once"
  )
  func noStormOfEpochs() throws {
    let authority = ClosedMesh.authority
    let admins = try (0..<2).map { try ClosedMesh.certificate($0, role: .admin) }
    var world = ClosedMesh.world(admins)
    for index in 0..<2 { world.start(peers: index == 0 ? [] : [0]) }
    let isMet = world.run(atMost: 5000) { $0.nodes.allSatisfy { $0.engine.pathCount == 1 } }
    try #require(isMet != nil)
    let signers = (0..<2).map { Signer(UInt64($0 + 1), link: admins[$0].link) }
    for epoch in [UInt32(5), 6, 7, 8] {
      world.publish(0, try authority.decree(.epoch(epoch, check: .empty), at: world.wall))
    }
    for signer in signers {
      world.publish(0, try signer.decree(.epoch(5, check: .empty), at: world.wall))
    }
    world.run(milliseconds: 200)
    let before = world.nodes[0].engine.counters[.decreesReceived]
    world.run(milliseconds: 3000)
    #expect(world.nodes[0].engine.counters[.decreesReceived] - before <= 6)
    let isEqual = world.agree()
    #expect(isEqual)
  }
}

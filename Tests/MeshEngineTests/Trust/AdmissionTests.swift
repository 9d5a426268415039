import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Admission to a closed mesh")
struct AdmissionTests {
  private let room = RoomName("design") ?? .lobby

  private func session(_ number: Int) -> SessionID { ClosedMesh.session("user \(number)") }

  /// Node 0, an admin, begins the mesh; others have a certificate and no mesh key.
  private func world(
    _ certificates: [Certificate]? = nil, count: Int = 8, seed: UInt64 = 1
  ) throws -> World {
    let certificates =
      try certificates
      ?? (0..<count).map { try ClosedMesh.certificate($0, role: $0 == 0 ? .admin : .member) }
    var world = ClosedMesh.world(seed: seed, certificates)
    let first = try ClosedMesh.authority.decree(.epoch(1, check: TestCrypto(secret: 1).check(1)))
    let trust = world.trust
    world.trust = { index in
      var configuration = trust?(index)
      configuration?.admission = (1, TestCrypto.admissionKey(1))
      if index == 0 { configuration?.decrees = [first] }
      return configuration
    }
    world.epochs = { $0 == 0 ? [1] : [] }
    return world
  }

  private func open(_ index: Int, _ world: inout World) throws {
    try world.open(index, session(index), user: "user \(index)", in: room)
  }

  /// Starts a number of nodes that each know the first one, and waits until all see all.
  private func start(_ count: Int, _ world: inout World) throws {
    for index in 0..<count {
      world.start(peers: index == 0 ? [] : [0])
      try open(index, &world)
    }
    let time = world.run(atMost: 10_000) { world in
      world.agree() && world.nodes.allSatisfy { $0.sessions.count == count }
    }
    try #require(time != nil)
  }

  @Test("A node with a ticket and no key gets the key from any member", arguments: [0, 30])
  func newcomerIsAdmitted(loss: Int) throws {
    var world = try world()
    world.loss = loss * 10
    world.start()
    world.start(peers: [0])
    try open(0, &world)
    try open(1, &world)
    var time = world.run(atMost: 20_000) { $0.nodes.allSatisfy { $0.sessions.count == 2 } }
    #expect(time != nil)
    #expect(world.nodes[1].events.contains(.admitted(1)))
    #expect(world.nodes[1].epochs == [1])
    // No admin has to be there.
    world.kill(0)
    world.start(peers: [1])
    try open(2, &world)
    time = world.run(atMost: 20_000) { world in
      (1...2).allSatisfy { world.nodes[$0].engine.pathCount == 1 }
    }
    #expect(time != nil)
  }

  @Test("Nothing that a node without the key sends can be read by who has not the admission key")
  func requestsAreSealed() throws {
    var world = try world()
    var sizes: [Int] = []
    var isShown = false
    let certificate = try ClosedMesh.certificate(1).encoded()
    world.filter = { bytes, from, _ in
      guard from == 1, AdmissionMessage.isOne(bytes, tag: World.mesh?.tag ?? 0) else { return true }
      sizes.append(bytes.count)
      // The stand-in for sealing leaves the bytes as they are: what stands before them is what is sent in clear.
      let clear = bytes.prefix(26)
      isShown = isShown || clear.count > 14 && certificate.starts(with: clear.suffix(8))
      return true
    }
    try start(2, &world)
    #expect(sizes.contains { $0 > certificate.count })
    #expect(sizes.allSatisfy { $0 <= Limits.datagramBytes })
    #expect(!isShown)
  }

  @Test(
    "A hello is answered with no more than twice its bytes, and a request without the cookie with nothing"
  )
  func strangersCostNothing() throws {
    var world = try world()
    world.start()
    let stranger = PeerAddress(high: 0xfd00_0000_0000_0000, low: 99, port: 1)
    let tag = World.mesh?.tag ?? 0
    let hello = AdmissionMessage.hello(nonce: 7).encoded(tag: tag)
    let before = world.bytes
    for _ in 0..<1000 { world.deliver(hello, from: stranger, to: 0) }
    let answered = world.bytes - before
    #expect(answered > 0)
    #expect(answered <= 2 * 1000 * hello.count)
    let sent = world.bytes
    let request = AdmissionMessage.Request(
      wall: World.wallStart, certificate: try ClosedMesh.certificate(1)
    ).encoded()
    let sealed = try #require(
      TestCrypto(secret: 9).seal(request, toAdmissionKey: TestCrypto.admissionKey(1)))
    let message = AdmissionMessage.request(cookie: 12345, epoch: 1, sealed: sealed)
    for _ in 0..<100 { world.deliver(message.encoded(tag: tag), from: stranger, to: 0) }
    #expect(world.bytes == sent)
    #expect(world.nodes[0].engine.certifiedNodes.count == 1)
  }

  @Test(
    "A ticket for two admits two nodes, the first ones by the time of their binding, everywhere")
  func usesAreCounted() throws {
    let ticket = try ClosedMesh.authority.ticket(2500, uses: 2)
    let certificates =
      try [ClosedMesh.certificate(0, role: .admin)]
      + (1...3).map { index in
        try ClosedMesh.authority.certificate(
          of: TestCrypto(secret: UInt64(index + 1)).origin, ticket, 2500,
          at: World.wallStart + UInt64(10 - index))
      }
    var world = try world(certificates)
    try start(3, &world)
    // The third was bound before the two others: it takes the place of the one that was bound last.
    world.start(peers: [0, 2])
    try open(3, &world)
    let time = world.run(atMost: 10_000) { world in
      [0, 2, 3].allSatisfy { world.nodes[$0].sessions.count == 3 }
    }
    #expect(time != nil)
    world.run(milliseconds: 3000)
    #expect(world.nodes[1].engine.refusal == .usesExceeded)
    #expect(world.nodes[1].events.contains(.expelled(.usesExceeded)))
    let isEqual = world.agree([0, 2, 3])
    #expect(isEqual)
  }

  @Test("Who was bound after a ticket's last use is refused, and told so")
  func exhaustedTicketIsRefused() throws {
    let ticket = try ClosedMesh.authority.ticket(2500, uses: 1)
    let certificates =
      try [ClosedMesh.certificate(0, role: .admin)]
      + (1...2).map { index in
        try ClosedMesh.authority.certificate(
          of: TestCrypto(secret: UInt64(index + 1)).origin, ticket, 2500,
          at: World.wallStart + UInt64(index))
      }
    var world = try world(certificates)
    try start(2, &world)
    world.start(peers: [0])
    world.run(milliseconds: 3000)
    #expect(
      world.nodes[2].events.contains(
        .admissionRefused(.usesExceeded, at: world.nodes[0].address)))
    #expect(world.nodes[2].engine.pathCount == 0)
  }

  @Test(
    "A new epoch reaches everybody; the old key opens nothing after a minute", arguments: [3, 20])
  func rotation(count: Int) throws {
    var world = try world(count: count)
    try start(count, &world)
    let changes = (0..<count).map { index in
      (session(index), RoomName("after \(index)") ?? .lobby)
    }
    try world.nodes[0].engine.rotate(now: world.now)
    let time = world.run(atMost: 3000) { world in
      world.nodes.allSatisfy { $0.epochs.count == 2 || $0.engine.crypto.epochs.count == 2 }
    }
    #expect(time != nil)
    for (index, change) in changes.enumerated() {
      try world.perform(index, .enter(change.0, change.1))
    }
    world.run(milliseconds: 5000)
    #expect(world.nodes.allSatisfy { $0.engine.context.sealingEpoch > 1 })
    world.run(milliseconds: 65_000)
    #expect(world.nodes.allSatisfy { $0.engine.crypto.epochs.count == 1 })
    #expect(
      world.nodes.allSatisfy {
        $0.sessions.count == count && $0.health.values.allSatisfy { $0 == .online }
      })
    let isEqual = world.agree()
    #expect(isEqual)
  }

  @Test("A node that was away during some rotations comes back by its certificate")
  func awayDuringRotations() throws {
    var world = try world()
    try start(3, &world)
    world.kill(2)
    for _ in 0..<6 {
      try world.nodes[0].engine.rotate(now: world.now)
      world.run(milliseconds: 70_000)
    }
    world.restart(2, peers: [0, 1])
    try open(2, &world)
    let time = world.run(atMost: 10_000) { world in
      world.nodes.allSatisfy { $0.sessions.count == 3 }
    }
    #expect(time != nil)
    world.run(milliseconds: 2000)
    let isEqual = world.agree()
    #expect(isEqual)
  }

  @Test("Who was parted during a rotation is not lost")
  func partedDuringRotation() throws {
    var world = try world()
    try start(4, &world)
    world.groups = [2: 1, 3: 1]
    try world.nodes[0].engine.rotate(now: world.now)
    world.run(milliseconds: 120_000)
    world.groups = [:]
    let time = world.run(atMost: 30_000) { world in
      world.agree() && world.nodes.allSatisfy { $0.sessions.count == 4 }
    }
    #expect(time != nil)
  }

  @Test("Two admins that rotate at once end in one epoch")
  func concurrentRotations() throws {
    var certificates = try (0..<4).map {
      try ClosedMesh.certificate($0, role: $0 < 2 ? .admin : .member)
    }
    certificates += [try ClosedMesh.certificate(4)]
    var world = try world(certificates)
    try start(4, &world)
    world.groups = [1: 1, 3: 1]
    try world.nodes[0].engine.rotate(now: world.now)
    try world.nodes[1].engine.rotate(now: world.now)
    world.run(milliseconds: 10_000)
    world.groups = [:]
    let time = world.run(atMost: 60_000) { world in
      let epochs = Set(world.nodes.map { $0.engine.context.sealingEpoch })
      return epochs.count == 1 && world.agree()
        && world.nodes.allSatisfy { $0.sessions.count == 4 }
    }
    #expect(time != nil)
  }

  @Test("A revoked node gets no key of the next epoch")
  func revokedNodeIsLeftBehind() throws {
    var world = try world()
    try start(3, &world)
    let node = world.origin(2)
    let address = world.nodes[2].address
    try world.nodes[0].engine.decree(
      .revokedNode(node), until: world.wall + 1_000_000_000, now: world.now)
    try world.nodes[0].engine.rotate(now: world.now)
    world.run(milliseconds: 70_000)
    // With its old disk, and what it knew.
    world.nodes[2].decrees = []
    world.restart(2, peers: [0, 1])
    world.run(milliseconds: 30_000)
    #expect(world.nodes[2].engine.crypto.epochs == [1])
    #expect(world.nodes[2].engine.pathCount == 0)
    #expect(world.nodes[2].events.contains(.expelled(.revokedNode)))
    #expect(world.nodes[0].engine.paths.table.path(at: address) == nil)
  }

  @Test("Nobody goes on with the key of an admin who was revoked")
  func revokedAdminsKey() throws {
    let certificates = try (0..<4).map {
      try ClosedMesh.certificate($0, role: $0 < 2 ? .admin : .member)
    }
    var world = try world(certificates)
    try start(3, &world)
    try world.nodes[1].engine.rotate(now: world.now)
    world.run(milliseconds: 10_000)
    let epoch = world.nodes[0].engine.context.sealingEpoch
    #expect(epoch > 1 && world.nodes[2].engine.context.sealingEpoch == epoch)
    world.publish(
      0, try ClosedMesh.authority.decree(.revokedNode(world.origin(1)), at: world.wall))
    world.run(milliseconds: 1000)
    for index in [0, 2] {
      #expect(!world.nodes[index].engine.trust.epochs.contains { $0.epoch == epoch })
    }
    try world.nodes[0].engine.rotate(now: world.now)
    world.run(milliseconds: 5000)
    let next = world.nodes[0].engine.context.sealingEpoch
    #expect(next > epoch && world.nodes[2].engine.context.sealingEpoch == next)
  }

  @Test("A ticket that admitted somebody who was revoked brings nobody else the key")
  func keptTickets() throws {
    let ticket = try ClosedMesh.authority.ticket(2500)
    var certificates = try [ClosedMesh.certificate(0, role: .admin)]
    certificates += try (1..<6).map { index in
      try ClosedMesh.authority.certificate(
        of: TestCrypto(secret: UInt64(index + 1)).origin, ticket, 2500)
    }
    var world = try world(certificates)
    try start(2, &world)
    // While nobody was revoked, and in time, it admits.
    world.start(peers: [0])
    world.run(milliseconds: 2000)
    #expect(world.nodes[2].events.contains(.admitted(1)))
    world.publish(
      0, try ClosedMesh.authority.decree(.revokedNode(world.origin(1)), at: world.wall))
    world.start(peers: [0])
    world.run(milliseconds: 2000)
    let address = world.nodes[0].address
    #expect(world.nodes[3].events.contains(.admissionRefused(.revokedTicket, at: address)))
    // Who came by it before stays.
    #expect(world.nodes[2].engine.refusal == nil)
    #expect(world.nodes[2].engine.pathCount == 1)
  }

  @Test("A ticket that is over brings nobody the key, whatever time its holder says")
  func expiredTickets() throws {
    var world = try world()
    try start(2, &world)
    world.run(milliseconds: Signer.day + EngineLimits.clockTolerance.milliseconds + 1000)
    world.start(peers: [0])
    world.run(milliseconds: 3000)
    let address = world.nodes[0].address
    #expect(world.nodes[2].events.contains(.admissionRefused(.expired, at: address)))
    #expect(world.nodes[1].engine.refusal == nil)
  }

  @Test("Only an admin begins an epoch")
  func membersDoNotRotate() throws {
    var world = try world()
    try start(2, &world)
    #expect(throws: OperationError.notAdmin) {
      try world.nodes[1].engine.rotate(now: world.now)
    }
  }
}

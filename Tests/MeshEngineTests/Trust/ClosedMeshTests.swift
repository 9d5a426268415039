import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

@Suite("A closed mesh")
struct ClosedMeshTests {
  private let room = RoomName("design") ?? .lobby

  private func session(_ number: Int) -> SessionID { ClosedMesh.session("user \(number)") }

  /// Nodes that all hold a certificate, each with a session of its own user, after all see all.
  private func mesh(_ count: Int, users: (Int) -> UserScope = { _ in .all }) throws -> World {
    var world = ClosedMesh.world(
      try (0..<count + 4).map { try ClosedMesh.certificate($0, users: users($0)) })
    for index in 0..<count { world.start(peers: index == 0 ? [] : [0]) }
    for index in 0..<count {
      try world.open(index, session(index), user: "user \(index)", in: room)
    }
    let time = world.run(atMost: 10_000) { world in
      world.agree() && world.nodes.allSatisfy { $0.sessions.count == count }
    }
    try #require(time != nil)
    return world
  }

  @Test("Certified nodes find each other, see each other and agree", arguments: [2, 5, 24])
  func certifiedNodesMeet(count: Int) throws {
    var world = try mesh(count)
    world.run(milliseconds: 5000)
    let isEqual = world.agree()
    #expect(isEqual)
    for index in 0..<count {
      #expect(world.nodes[index].engine.certifiedNodes.count == count)
    }
  }

  @Test("Who holds the mesh key and no certificate gets no path and is heard by nobody")
  func uncertifiedNodeIsNotHeard() throws {
    var world = try mesh(3)
    world.trust = { index in
      // Signed by a key that is no authority.
      let stranger = Signer(6000)
      guard let ticket = try? stranger.ticket(7000),
        let certificate = try? stranger.certificate(
          of: TestCrypto(secret: UInt64(index + 1)).origin, ticket, 7000)
      else { return nil }
      return TrustConfiguration(
        authority: stranger.key, certificate: certificate, wallMilliseconds: 0)
    }
    let stranger = world.start(peers: [0, 1, 2])
    try world.open(stranger, session(9), user: "eve", in: room)
    world.run(milliseconds: 20_000)
    for index in 0..<3 {
      #expect(world.nodes[index].engine.pathCount == 2)
      #expect(world.nodes[index].sessions.count == 3)
      #expect(world.nodes[index].health[world.origin(stranger)] == nil)
      #expect(world.nodes[index].engine.counters[.pathsWithoutCertificate] > 0)
    }
    #expect(world.nodes[stranger].sessions.count == 1)
  }

  @Test("A session of a user whom its host's certificate does not name is shown by nobody")
  func onlyOwnUsersAreShown() throws {
    var world = try mesh(3) { ClosedMesh.users("user \($0)", "shared \($0)") }
    #expect(throws: OperationError.userNotCovered("user 1")) {
      try world.open(0, ClosedMesh.session("user 1", 2), user: "user 1", in: room)
    }
    // One that does not ask itself.
    world.nodes[0].engine.hosting.setRights(.unlimited)
    let stolen = ClosedMesh.session("user 1", 2)
    try world.open(0, stolen, user: "user 1", in: room)
    try world.open(0, ClosedMesh.session("shared 0"), user: "shared 0", in: room)
    let time = world.run(atMost: 5000) { world in
      (1...2).allSatisfy { world.nodes[$0].sessions[ClosedMesh.session("shared 0")] != nil }
    }
    #expect(time != nil)
    world.run(milliseconds: 2000)
    let isEqual = world.agree()
    #expect(isEqual)
    for index in 1...2 { #expect(world.nodes[index].sessions[stolen] == nil) }
  }

  @Test("A session is neither taken over nor removed by a node that may not speak for its user")
  func othersSessionsAreLeftAlone() throws {
    var world = try mesh(3) { ClosedMesh.users("user \($0)") }
    #expect(throws: OperationError.mayNotRemove(session(1))) {
      try world.perform(0, .remove(session(1), from: .lobby, isFinal: true))
    }
    world.nodes[0].engine.hosting.setRights(.unlimited)
    try world.perform(0, .remove(session(1), from: .lobby, isFinal: true))
    world.run(milliseconds: 5000)
    for index in 1...2 {
      #expect(world.nodes[index].sessions[session(1)]?.host == world.origin(1))
      #expect(world.nodes[index].engine.hostedSessions.contains(session(index)))
    }
  }

  @Test(
    "The id of a user's session opened for another user is shown by nobody, whatever its counter")
  func idsBelongToUsers() throws {
    var world = try mesh(3) { ClosedMesh.users("user \($0)", "late \($0)") }
    let session = ClosedMesh.session("late 1")
    world.nodes[0].engine.hosting.setRights(.unlimited)
    world.groups = [0: 1]
    try world.open(1, session, user: "late 1", in: room)
    for _ in 0..<3 { try world.open(0, session, user: "late 0", in: room) }
    world.run(milliseconds: 1000)
    world.groups = [:]
    world.run(milliseconds: 8000)
    for index in 1...2 {
      #expect(world.nodes[index].sessions[session]?.host == world.origin(1))
    }
    #expect(world.nodes[1].engine.hostedSessions.contains(session))
  }

  @Test("A node keeps to the sessions, rooms and bytes that its certificate lets it have")
  func quotasAreKept() throws {
    let quotas = Quotas(sessions: 2, rooms: 2, records: 0, bytesPerSecond: 20_000)
    let certificates = try [
      ClosedMesh.certificate(0), ClosedMesh.certificate(1, quotas: quotas),
    ]
    var world = ClosedMesh.world(certificates)
    for index in 0..<2 { world.start(peers: index == 0 ? [] : [0]) }
    let isMet = world.run(atMost: 5000) { $0.nodes.allSatisfy { $0.engine.pathCount == 1 } }
    try #require(isMet != nil)
    for number in 0..<2 {
      try world.open(1, session(number), user: "user \(number)", in: room)
    }
    #expect(throws: OperationError.tooManySessions(limit: 2)) {
      try world.open(1, session(2), user: "user 2", in: room)
    }
    try world.perform(1, .enter(session(0), RoomName("b") ?? .lobby))
    #expect(throws: OperationError.tooManyRoomLogs(limit: 2)) {
      try world.perform(1, .enter(session(0), RoomName("c") ?? .lobby))
    }
    world.run(milliseconds: 2000)
    #expect(world.nodes[0].sessions.count == 2)
    // One that does not keep to them is held at what it had when it did.
    world.nodes[1].engine.hosting.setRights(.unlimited)
    try world.open(1, session(2), user: "user 2", in: room)
    world.run(milliseconds: 5000)
    #expect(world.nodes[0].engine.counters[.checkpointsExcessive] > 0)
    #expect(world.nodes[0].sessions.count == 2)
    // The rate: what is dropped comes by comparing.
    try world.perform(1, .leave(session(2)))
    for step in 0..<400 {
      try world.perform(
        1,
        .setData(session(0), room, [UInt8](repeating: UInt8(step & 255), count: 300)))
      world.run(milliseconds: 11)
    }
    #expect(world.nodes[0].engine.counters[.quotasExceeded] > 0)
    let time = world.run(atMost: 10_000) { $0.agree() }
    #expect(time != nil)
  }

  @Test("A moderator removes the sessions of others")
  func moderatorRemoves() throws {
    let certificates = try (0..<3).map {
      try ClosedMesh.certificate(
        $0, role: $0 == 0 ? .moderator : .member, users: ClosedMesh.users("user \($0)"))
    }
    var world = ClosedMesh.world(certificates)
    for index in 0..<3 {
      world.start(peers: index == 0 ? [] : [0])
      try world.open(index, session(index), user: "user \(index)", in: room)
    }
    let isMet = world.run(atMost: 5000) { $0.nodes.allSatisfy { $0.sessions.count == 3 } }
    try #require(isMet != nil)
    try world.perform(0, .remove(session(1), from: .lobby, isFinal: true))
    let time = world.run(atMost: 2000) { world in
      world.nodes.allSatisfy { $0.sessions[session(1)] == nil }
    }
    #expect(time != nil)
  }

  @Test("A revoked node is unseen everywhere at once, and does not come back", arguments: [3, 20])
  func revokedNodeIsGone(count: Int) throws {
    var world = try mesh(count)
    let gone = count - 1
    let node = world.origin(gone)
    let decree = try ClosedMesh.authority.decree(.revokedNode(node), at: world.wall)
    world.publish(0, decree)
    let time = world.run(atMost: 1000) { world in
      (0..<count - 1).allSatisfy {
        world.nodes[$0].sessions[session(gone)] == nil
          && world.nodes[$0].health[node] == nil
      }
    }
    #expect(time != nil)
    world.run(milliseconds: 3000)
    #expect(world.nodes[gone].engine.refusal == .revokedNode)
    world.restart(gone, peers: [0, 1])
    world.nodes[gone].engine.hosting.setRights(.unlimited)
    try? world.open(gone, session(gone), user: "user \(gone)", in: room)
    // Who comes later hears of it, too.
    let late = world.start(peers: [1])
    world.run(milliseconds: 20_000)
    for index in Array(0..<count - 1) + [late] {
      #expect(world.nodes[index].sessions[session(gone)] == nil)
      #expect(world.nodes[index].health[node] == nil)
    }
    let isEqual = world.agree(Array(0..<count - 1) + [late])
    #expect(isEqual)
  }

  @Test("A node that is told of its own revocation says so, and does nothing any more")
  func revokedNodeKnows() throws {
    var world = try mesh(2)
    let decree = try ClosedMesh.authority.decree(.revokedNode(world.origin(1)), at: world.wall)
    world.publish(1, decree)
    world.run(milliseconds: 10)
    #expect(world.nodes[1].engine.refusal == .revokedNode)
    #expect(world.nodes[1].events.contains(.expelled(.revokedNode)))
    #expect(throws: OperationError.expelled) {
      try world.perform(1, .enter(session(1), RoomName("other") ?? .lobby))
    }
  }

  @Test("A revoked user is shown nowhere, whoever hosts it, until the decree drops out")
  func revokedUserIsGone() throws {
    var world = try mesh(3)
    let end = world.wall + 60_000
    let decree = try ClosedMesh.authority.decree(
      .revokedUser("user 1"), at: world.wall, until: end)
    world.publish(2, decree)
    let time = world.run(atMost: 1000) { world in
      world.nodes.allSatisfy { $0.sessions[session(1)] == nil }
    }
    #expect(time != nil)
    world.run(milliseconds: 60_000 + EngineLimits.clockTolerance.milliseconds + 2000)
    for index in world.nodes.indices {
      world.nodes[index].engine.setWall(world.wall, now: world.now)
    }
    world.run(milliseconds: 1000)
    #expect(world.nodes.allSatisfy { $0.sessions[session(1)] != nil })
  }

  @Test("What was revoked is known after a restart of everybody")
  func decreesAreKept() throws {
    var world = try mesh(3)
    let decree = try ClosedMesh.authority.decree(.revokedNode(world.origin(2)), at: world.wall)
    world.publish(0, decree)
    world.run(milliseconds: 2000)
    for index in 0..<3 { world.kill(index) }
    world.run(milliseconds: 1000)
    world.restart(0)
    world.restart(2, peers: [0])
    world.run(milliseconds: 5000)
    #expect(world.nodes[0].engine.pathCount == 0)
  }

  @Test("An admin's certificates count, until an authority revokes the admin")
  func adminsIssue() throws {
    let admin = try ClosedMesh.certificate(0, role: .admin)
    let signer = Signer(1, link: admin.link)
    let member = try signer.certificate(
      of: TestCrypto(secret: 2).origin, signer.ticket(3000), 3000)
    var world = ClosedMesh.world([admin, member, try ClosedMesh.certificate(2)])
    for index in 0..<3 {
      world.start(peers: index == 0 ? [] : [0])
      try world.open(index, session(index), user: "user \(index)", in: room)
    }
    let isMet = world.run(atMost: 5000) { $0.nodes.allSatisfy { $0.sessions.count == 3 } }
    #expect(isMet != nil)
    let decree = try ClosedMesh.authority.decree(.revokedNode(world.origin(0)), at: world.wall)
    world.publish(2, decree)
    world.run(milliseconds: 1000)
    #expect(world.nodes[2].sessions.keys.sorted() == [session(2)])
  }

  @Test("An admin revokes members, and no other admin")
  func adminsRevokeMembers() throws {
    let admins = try (0..<2).map { try ClosedMesh.certificate($0, role: .admin) }
    var world = ClosedMesh.world(admins + [try ClosedMesh.certificate(2)])
    for index in 0..<3 {
      world.start(peers: index == 0 ? [] : [0])
      try world.open(index, session(index), user: "user \(index)", in: room)
    }
    let isMet = world.run(atMost: 5000) { $0.nodes.allSatisfy { $0.sessions.count == 3 } }
    try #require(isMet != nil)
    let signer = Signer(1, link: admins[0].link)
    for index in 1...2 {
      let decree = try signer.decree(.revokedNode(world.origin(index)), at: world.wall)
      world.publish(0, decree)
    }
    world.run(milliseconds: 2000)
    #expect(world.nodes[0].sessions.keys.sorted() == [session(0), session(1)])
    #expect(world.nodes[1].engine.refusal == nil)
  }

  @Test("A certificate that ends is heard no longer; its node is gone everywhere")
  func certificatesEnd() throws {
    var certificates = try (0..<3).map { try ClosedMesh.certificate($0) }
    let ticket = try ClosedMesh.authority.ticket(2002, lifetime: 60_000)
    certificates[2] = try ClosedMesh.authority.certificate(
      of: TestCrypto(secret: 3).origin, ticket, 2002,
      at: World.wallStart + 1_000_000)
    var world = ClosedMesh.world(certificates)
    for index in 0..<3 {
      world.start(peers: index == 0 ? [] : [0])
      try world.open(index, session(index), user: "user \(index)", in: room)
    }
    let isMet = world.run(atMost: 5000) { $0.nodes.allSatisfy { $0.sessions.count == 3 } }
    try #require(isMet != nil)
    world.run(milliseconds: 60_000 + EngineLimits.clockTolerance.milliseconds + 5000)
    #expect(world.nodes[0].sessions.keys.sorted() == [session(0), session(1)])
    #expect(world.nodes[2].engine.refusal == .expired)
  }
}

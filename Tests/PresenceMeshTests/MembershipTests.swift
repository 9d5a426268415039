import Foundation
import PresenceMesh
import Testing

@Suite("Closed meshes", .timeLimit(.minutes(10)))
struct MembershipTests {
  /// A node of a closed mesh that joins by an invite of another one.
  private func join(
    _ first: PresenceMesh, _ terms: InviteTerms = InviteTerms()
  ) async throws -> PresenceMesh {
    try await PresenceMesh.join(.loopback(membership: .invite(first.invite(terms: terms))))
  }

  @Test("The first node makes a closed mesh; who it invites is a member, with what the invite says")
  func members() async throws {
    let first = try await PresenceMesh.join(.loopback(membership: .new))
    #expect(!first.isOpen && first.isAdmin && first.certificate?.role == .admin)
    let second = try await join(first, InviteTerms(role: .moderator, users: ["bob*"]))
    #expect(!second.isAdmin && second.certificate?.users == ["bob*"])
    #expect(throws: PresenceError.self) { try second.invite() }
    let bob = try await second.openSession(Profile(userID: "bob 1"))
    try await eventually("the first sees it") { first.isOnline("bob 1") }
    #expect(first.session(bob.id)?.value.profile.userID == "bob 1")
    await #expect(throws: PresenceError.userNotCovered("ada")) {
      try await second.openSession(Profile(userID: "ada"))
    }
    for node in [first, second] {
      try await eventually("both are known") { await node.members().count == 2 }
      let known = await node.members().first { $0.id == second.nodeID }
      #expect(known?.standing == .member && known?.certificate == second.certificate)
    }
    let invite = try #require(await first.invites().first)
    #expect(invite.used == 1 && invite.role == .moderator && !invite.isRevoked)
    await second.leave()
    await first.leave()
  }

  @Test("A node that is revoked is told so, says nothing any more, and is gone elsewhere")
  func revocation() async throws {
    let first = try await PresenceMesh.join(.loopback(membership: .new))
    let second = try await join(first)
    let session = try await second.openSession(Profile(userID: "bob"))
    try await eventually("the first sees it") { first.isOnline("bob") }
    let before = first.epochs
    let told = Task {
      for await event in second.events {
        if case .expelled = event { return }
        if second.expulsion != nil { return }
      }
    }
    try await first.revoke(.node(second.nodeID))
    await told.value
    #expect(second.expulsion == .revokedNode)
    await #expect(throws: PresenceError.expelled(.revokedNode)) {
      try await session.setStatus(.busy)
    }
    try await eventually("it is gone") { !first.isOnline("bob") }
    // What it knows opens nothing that is said from now on.
    #expect(try #require(first.epochs.last) > (before.last ?? 0))
    #expect(second.epochs == before)
    await second.leave()
    await first.leave()
  }

  @Test(
    "What a gateway seals is by the key of an epoch: each new one makes another word, and the old one holds on"
  )
  func seals() async throws {
    let mesh = try await PresenceMesh.join(.loopback(membership: .new))
    let other = try await PresenceMesh.join(.loopback(membership: .new))
    let word = mesh.seal(of: "a session")
    #expect(word.count == 32 && mesh.isSeal(word, of: "a session"))
    #expect(!mesh.isSeal(word, of: "another session") && !other.isSeal(word, of: "a session"))
    let epoch = try await mesh.rotate()
    #expect(mesh.epochs.last == epoch && mesh.seal(of: "a session") != word)
    #expect(mesh.isSeal(word, of: "a session"))
    await other.leave()
    await mesh.leave()
  }

  @Test("A service whose node is put out of the mesh ends with the reason")
  func service() async throws {
    let first = try await PresenceMesh.join(.loopback(membership: .new))
    let service = PresenceMeshService(.loopback(membership: .invite(try first.invite())))
    let running = Task { try await service.run() }
    let second = try await service.mesh()
    try await eventually("it is a member") { await first.members().count == 2 }
    try await first.revoke(.node(second.nodeID))
    await #expect(throws: PresenceError.expelled(.revokedNode)) { try await running.value }
    await first.leave()
  }

  @Test("A user that is revoked is shown by nobody")
  func revokedUser() async throws {
    let first = try await PresenceMesh.join(.loopback(membership: .new))
    let second = try await join(first)
    _ = try await second.openSession(Profile(userID: "bob"))
    try await eventually("the first sees it") { first.isOnline("bob") }
    try await first.revoke(.user("bob"))
    for node in [first, second] {
      try await eventually("he is gone") { !node.isOnline("bob") }
      #expect(await node.revokedUsers() == ["bob"])
    }
    await second.leave()
    await first.leave()
  }

  @Test("An invite admits as many nodes as it says; one more is refused, and knows why")
  func uses() async throws {
    let first = try await PresenceMesh.join(.loopback(membership: .new))
    let line = try first.invite(terms: InviteTerms(uses: 1))
    let second = try await PresenceMesh.join(.loopback(membership: .invite(line)))
    try await eventually("it is a member") { await first.members().count == 2 }
    let third = try await PresenceMesh.join(.loopback(membership: .invite(line)))
    try await eventually("it is refused") { third.expulsion == .usesExceeded }
    #expect(third.epochs.isEmpty && second.expulsion == nil)
    for node in [third, second, first] { await node.leave() }
  }

  @Test("Its sessions' ids belong to their users")
  func sessionIDs() async throws {
    let mesh = try await PresenceMesh.join(.loopback())
    #expect(mesh.isOpen && mesh.certificate == nil)
    let laptop = mesh.sessionID(of: "eve", named: "laptop")
    #expect(laptop == mesh.sessionID(of: "eve", named: "laptop"))
    #expect(laptop != mesh.sessionID(of: "ada", named: "laptop"))
    #expect(mesh.sessionID(of: "eve", named: "\(laptop)") == laptop)
    #expect(mesh.sessionID(of: "ada", named: "\(laptop)") != laptop)
    #expect(mesh.sessionID(of: "eve") != mesh.sessionID(of: "eve"))
    await mesh.leave()
  }
}

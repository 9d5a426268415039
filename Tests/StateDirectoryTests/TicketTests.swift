import Foundation
import MeshCRDT
import MeshCrypto
import MeshEngine
import MeshTrust
import MeshWire
import Testing

@testable import PresenceMesh

@Suite("Invites to closed meshes")
struct TicketTests {
  private let mesh = Closed()

  private func error<Value>(_ body: () throws(InviteError) -> Value) -> InviteError? {
    do throws(InviteError) {
      _ = try body()
      return nil
    } catch {
      return error
    }
  }

  private func news(
    _ credentials: inout MeshCredentials, _ invite: Invite, _ node: NodeKey, at moment: WallTime
  ) throws -> MeshCredentials.News {
    try credentials.learn(from: invite, node: node.origin, at: moment)
  }

  @Test("One that is printed and read again is the same", arguments: [0, 1, 8])
  func roundTrip(count: Int) throws {
    let addresses = (0..<count).map {
      PeerAddress(high: 0x2001_0DB8 << 32, low: UInt64($0), port: 7946)
    }
    var terms = InviteTerms(
      uses: 3, expiresIn: .seconds(60), lifetime: .seconds(3600), role: .moderator,
      users: ["bob-*", "ada"])
    terms.sessions = 5
    let node = NodeKey.random()
    let admin = try mesh.admin(node)
    let byAdmin = try #require(Issuer(admin, node: node, authority: nil))
      .invite(terms, to: admin, by: addresses, at: Closed.now).invite
    for (invite, isChained) in [(try mesh.invite(terms, by: addresses), false), (byAdmin, true)] {
      let line = invite.line
      #expect(line.hasPrefix("presence-mesh:2:") && line.utf8.count < 1500)
      #expect(
        line.allSatisfy { $0.isASCII && !$0.isWhitespace && !"'\"$`\\&|;<>()*?#~".contains($0) })
      let read = try Invite(line: line)
      #expect(
        read.line == line && read.mesh == mesh.credentials.mesh && read.addresses == addresses)
      let held = try #require(read.ticket)
      #expect(read.key == nil && held.authority == mesh.authority.origin)
      #expect((held.issuer != nil) == isChained)
      #expect(held.ticket.rights.users.patterns == ["ada", "bob-*"])
      #expect(held.ticket.rights.quotas.sessions == 5 && held.ticket.uses == 3)
      let member = NodeKey.random()
      let joined = try MeshCredentials(read, node: member.origin, at: Closed.now)
      let certificate = try #require(joined.membership?.certificate)
      #expect(certificate.node == member.origin && certificate.rights.role == .moderator)
      #expect(certificate.isGenuine(mesh.credentials.mesh, mesh.authority.origin))
      #expect(certificate.notAfter == Closed.later(3_600_000).milliseconds)
    }
  }

  @Test("The line of known keys is the one that stands in the protocol")
  func knownLine() throws {
    func key(_ byte: UInt8) -> NodeKey {
      NodeKey(seed: SecretBytes([UInt8](repeating: byte, count: 32)))
    }
    let id = try #require(MeshID(bytes: (0xA0...0xAF).map { UInt8($0) }))
    let (authority, secret) = (key(1), key(2))
    let issuer = Issuer(key: authority, link: nil, mesh: id)
    let terms = InviteTerms(uses: 1, users: ["ada"])
    let ticket = try issuer.ticket(terms, key: secret.origin, at: Closed.now)
    let held = HeldTicket(
      ticket: ticket, issuer: nil, authority: authority.origin,
      admissionKey: (0..<32).map { UInt8($0) }, key: secret)
    let address = PeerAddress(ipv4: 0xC000_0207, port: 7946)
    let line = Invite(mesh: id, epoch: 1, content: .ticket(held), addresses: [address]).line
    let document = try String(
      contentsOf: URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Docs/Protocol.md"), encoding: .utf8)
    #expect(document.replacing("\n", with: "").contains(line), "\(line)")
  }

  @Test("Every wrong character, and every line that was cut, is found")
  func damage() throws {
    let line = Array(try mesh.invite().line)
    for index in "presence-mesh:2:".count..<line.count {
      var changed = line
      changed[index] = line[index] == "A" ? "B" : "A"
      #expect(error { () throws(InviteError) in try Invite(line: String(changed)) } == .damaged)
      let cut = String(line[..<index])
      #expect(error { () throws(InviteError) in try Invite(line: cut) } == .damaged)
    }
    // The checksum covers the version.
    let other = String(line).replacing("mesh:2:", with: "mesh:1:")
    #expect(error { () throws(InviteError) in try Invite(line: other) } == .damaged)
  }

  @Test(
    "An invite that has ended, is from the future or is not an authority's admits nobody, and says so"
  )
  func refusals() throws {
    let node = NodeKey.random().origin
    let invite = try mesh.invite(InviteTerms(expiresIn: .seconds(60)))
    func refusal(_ invite: Invite, _ moment: WallTime) -> InviteError? {
      error { () throws(InviteError) in try MeshCredentials(invite, node: node, at: moment) }
    }
    #expect(refusal(invite, Closed.later(60_000)) == nil)
    #expect(refusal(invite, Closed.later(60_001)) == .expired(Closed.later(60_000)))
    let early = WallTime(milliseconds: Closed.now.milliseconds - WallClock.tolerance)
    #expect(refusal(invite, early) == nil)
    let earlier = WallTime(milliseconds: early.milliseconds - 1)
    #expect(refusal(invite, earlier) == .notYetValid(Closed.now))
    let held = try #require(invite.ticket)
    let forged = Invite(
      mesh: invite.mesh, epoch: 1,
      content: .ticket(
        HeldTicket(
          ticket: held.ticket, issuer: nil, authority: NodeKey.random().origin,
          admissionKey: held.admissionKey, key: held.key)), addresses: [])
    #expect(refusal(forged, Closed.now) == .notGenuine)
    for (refusal, words) in [
      (InviteError.expired(Closed.now), "presence invite"),
      (.notYetValid(Closed.now), "set the clock"),
      (.notGenuine, "no authority"), (.otherMesh, "another state directory"),
    ] {
      #expect("\(refusal)".contains(words))
    }
  }

  @Test(
    "A newer invite takes the place of the certificate, an older one does not, another mesh's is refused"
  )
  func news() throws {
    let node = NodeKey.random()
    let first = try mesh.invite()
    let second = try mesh.invite(InviteTerms(role: .moderator), at: Closed.later(1000))
    var known = try MeshCredentials(first, node: node.origin, at: Closed.now)
    let before = known.membership
    #expect(try news(&known, first, node, at: Closed.later(5000)) == .nothing)
    #expect(known.membership == before)
    #expect(try news(&known, second, node, at: Closed.later(5000)) == .newerCertificate)
    #expect(known.membership?.certificate.rights.role == .moderator)
    #expect(try news(&known, first, node, at: Closed.later(5000)) == .olderTicket)
    // It has ended, and the certificate holds.
    let short = try mesh.invite(InviteTerms(expiresIn: .seconds(1)), at: Closed.later(2000))
    #expect(try news(&known, short, node, at: Closed.later(9000)) == .olderTicket)
    // The certificate has ended, too.
    let late = Closed.later(400 * Closed.day)
    #expect(throws: InviteError.self) { try news(&known, short, node, at: late) }
    let open = Invite(
      mesh: known.mesh, epoch: 1, key: .random(count: 32), addresses: [])
    #expect(throws: InviteError.otherMesh) { try news(&known, open, node, at: Closed.now) }
    var openMesh = MeshCredentials(mesh: known.mesh, keyring: mesh.credentials.keyring)
    #expect(throws: InviteError.otherMesh) { try news(&openMesh, first, node, at: Closed.now) }
  }

  @Test("Terms are read as people write them, and bounded")
  func terms() throws {
    for (patterns, words) in [
      (["*"], ["*"]), ([], []), (["ada"], ["ada"]), (["x*", "ada", "ada"], ["ada", "x*"]),
      (["ada", "*"], ["*"]),
    ] as [([String], [String])] {
      #expect(try UserScope(patterns: patterns).patterns == words)
    }
    #expect(try UserScope(patterns: ["bob-*"]).includes("bob-7"))
    #expect(try !UserScope(patterns: ["bob-"]).includes("bob-7"))
    for patterns in [[""], [String(repeating: "a", count: 65)], (0..<9).map { "user \($0)" }] {
      #expect(throws: PresenceError.self) { try UserScope(patterns: patterns) }
    }
    var wrong = [InviteTerms(uses: -1), InviteTerms(uses: 65_536), InviteTerms(expiresIn: .zero)]
    wrong.append(InviteTerms(lifetime: .seconds(3651 * 86_400)))
    var terms = InviteTerms()
    terms.rooms = 1 << 32
    for terms in wrong + [terms] {
      #expect(throws: PresenceError.self) { try mesh.invite(terms) }
    }
  }

  @Test("An admin lets members and moderators in, and no admin; a member lets nobody in")
  func issuers() throws {
    let node = NodeKey.random()
    let admin = try mesh.admin(node)
    let issuer = try #require(Issuer(admin, node: node, authority: nil))
    for role in [MemberRole.member, .moderator] {
      _ = try issuer.invite(InviteTerms(role: role), to: admin, by: [], at: Closed.now)
    }
    #expect(throws: PresenceError.self) {
      try issuer.invite(InviteTerms(role: .admin), to: admin, by: [], at: Closed.now)
    }
    let member = try MeshCredentials(mesh.invite(), node: node.origin, at: Closed.now)
    #expect(Issuer(member, node: node, authority: nil) == nil)
    #expect(Issuer(member, node: node, authority: .random()) == nil)
    #expect(Issuer(member, node: node, authority: mesh.authority) != nil)
    // A chain has two links at the most.
    let below = try issuer.invite(InviteTerms(), to: admin, by: [], at: Closed.now).invite
    let third = try MeshCredentials(below, node: node.origin, at: Closed.now)
    #expect(Issuer(third, node: node, authority: nil) == nil)
  }

  @Test("The key of an authority is printed and read again; damage is found")
  func authorityLine() throws {
    let line = AuthorityLine(mesh: mesh.credentials.mesh, key: mesh.authority).line
    #expect(line.hasPrefix("presence-authority:1:"))
    let read = try #require(AuthorityLine(" \(line)\n"))
    #expect(read.mesh == mesh.credentials.mesh && read.key.origin == mesh.authority.origin)
    // Whoever takes it over before it was admitted still knows whom to ask for the key.
    var known = try MeshCredentials(mesh.invite(), node: mesh.node.origin, at: Closed.now)
    let admission = known.membership?.admission
    known.certify(mesh.node.origin, by: try mesh.issuer(), at: Closed.now)
    #expect(known.membership?.admission == admission && admission != nil)
    #expect(known.membership?.certificate.rights.role == .admin)
    for wrong in [String(line.dropLast()), line + "A", "", "hello", try mesh.invite().line] {
      #expect(AuthorityLine(wrong) == nil)
    }
  }

  @Test("What ended by its time or was revoked is told from what is kept")
  func expulsions() throws {
    let node = NodeKey.random()
    let membership = try #require(
      try MeshCredentials(mesh.invite(), node: node.origin, at: Closed.now).membership)
    func reason(_ subjects: [Decree.Subject], _ moment: WallTime = Closed.now) throws -> Expulsion?
    {
      Expulsion(membership, try subjects.map { try mesh.decree($0) }, at: moment)
    }
    #expect(try reason([]) == nil)
    #expect(try reason([.revokedNode(node.origin)]) == .revokedNode)
    #expect(try reason([.revokedNode(mesh.node.origin), .revokedUser("ada")]) == nil)
    #expect(try reason([.revokedTicket(membership.certificate.ticket.key)]) == .revokedTicket)
    #expect(try reason([], Closed.later(366 * Closed.day)) == .expired)
    let early = WallTime(milliseconds: Closed.now.milliseconds - WallClock.tolerance - 1)
    #expect(try reason([], early) == .notYetValid)
  }
}

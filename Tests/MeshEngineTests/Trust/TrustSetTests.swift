import MeshCRDT
import MeshWire
import Testing

@testable import MeshEngine

@Suite("The set of certificates and decrees")
struct TrustSetTests {
  private enum Word {
    case certificate(Certificate)
    case decree(Decree)
  }

  private static let wall = World.wallStart + 100_000

  private static func add(_ word: Word, to set: inout TrustSet, at wall: UInt64 = wall) {
    func check(_ bytes: [UInt8], _ signature: ArraySlice<UInt8>, _ key: OriginID) -> Bool {
      ClosedMesh.authority.crypto.verify(bytes, signature: signature, by: key)
    }
    let change: TrustSet.Change? =
      switch word {
      case .certificate(let certificate):
        try? set.add(certificate, at: wall, mesh: Signer.mesh, check: check)
      case .decree(let decree): try? set.add(decree, at: wall, mesh: Signer.mesh, check: check)
      }
    _ = set.evaluate(change?.nodes ?? [], at: wall)
  }

  /// Everything that is held and what counts of it, as text.
  private static func described(_ set: TrustSet) -> String {
    let nodes = set.nodes.map { node in
      let held = set.certificates(of: node).map { "\($0.ticket.key.short)/\($0.link.boundAt)" }
      return "\(node.short) \(held.sorted()) \(set.standing(of: node))"
    }
    let decrees = set.allDecrees.map { "\($0.key) \($0.issuedAt)" }
    return (nodes + decrees + set.epochs.map { "\($0.epoch)" } + set.revokedUsers.sorted())
      .joined(separator: "\n")
  }

  /// Words that outweigh, revoke and displace each other.
  private static func words(_ random: inout RandomSource) throws -> [Word] {
    let authority = ClosedMesh.authority
    func node(_ index: Int) -> OriginID { Signer(UInt64(1 + index)).key }
    let admins = try (0..<2).map { index in
      let secret = 3000 + UInt64(index)
      return try authority.certificate(
        of: node(index), authority.ticket(secret, role: .admin), secret)
    }
    let signers =
      [authority]
      + admins.enumerated().map { Signer(UInt64(1 + $0.offset), link: $0.element.link) }
    var words = admins.map { Word.certificate($0) }
    var tickets: [(Signer, Ticket, UInt64)] = []
    for index in 0..<4 {
      let signer = signers[random.below(3)]
      let secret = 4000 + UInt64(index)
      tickets.append((signer, try signer.ticket(secret, uses: UInt64(random.below(3))), secret))
    }
    for _ in 0..<14 {
      let (signer, ticket, secret) = tickets[random.below(4)]
      words.append(
        .certificate(
          try signer.certificate(
            of: node(2 + random.below(5)), ticket, secret,
            at: World.wallStart + UInt64(random.below(6)))))
    }
    for _ in 0..<12 {
      let subject: Decree.Subject
      switch random.below(8) {
      case 0, 1: subject = .revokedNode(node(random.below(7)))
      case 2: subject = .revokedTicket(tickets[random.below(4)].1.key)
      case 3: subject = .revokedUser("user \(random.below(2))")
      default: subject = .epoch(UInt32(1 + random.below(9)), check: .empty)
      }
      words.append(
        .decree(
          try signers[random.below(3)].decree(
            subject, at: World.wallStart + UInt64(random.below(3)))))
    }
    return words
  }

  @Test("Sets that heard the same hold the same, in whatever order, and how often, it came")
  func orderDoesNotMatter() throws {
    for seed in UInt64(1)...60 {
      var random = RandomSource(seed: (seed, 2, 3, 4))
      let words = try Self.words(&random)
      var expected: String?
      for _ in 0..<6 {
        var set = TrustSet(root: ClosedMesh.authority.key)
        // Who was refused for a while is told again, as comparing does.
        for _ in 0..<4 {
          for word in random.sample(words, words.count) { Self.add(word, to: &set) }
        }
        let found = Self.described(set)
        #expect(expected == nil || expected == found, "seed \(seed)")
        expected = found
      }
    }
  }

  @Test("An admin's revocation ends with the admin, and other's stay")
  func revokedAdminsRevokeNothing() throws {
    let authority = ClosedMesh.authority
    let links = try (0..<2).map { index in
      try authority.certificate(
        of: Signer(UInt64(1 + index)).key,
        authority.ticket(3000 + UInt64(index), role: .admin), 3000 + UInt64(index))
    }
    let admins = links.enumerated().map { Signer(UInt64(1 + $0.offset), link: $0.element.link) }
    let members = try (5..<7).map { index in
      try authority.certificate(
        of: Signer(UInt64(index)).key, authority.ticket(4000 + UInt64(index)),
        4000 + UInt64(index))
    }
    var set = TrustSet(root: authority.key)
    for certificate in links + members { Self.add(.certificate(certificate), to: &set) }
    // The first admin says it of both, the second later of one of them.
    for member in members {
      Self.add(.decree(try admins[0].decree(.revokedNode(member.node))), to: &set)
    }
    Self.add(
      .decree(try admins[1].decree(.revokedNode(members[0].node), at: World.wallStart + 5)),
      to: &set)
    #expect(members.allSatisfy { set.standing(of: $0.node) == .refused(.revokedNode) })
    Self.add(.decree(try authority.decree(.revokedNode(links[1].node))), to: &set)
    #expect(members.allSatisfy { set.standing(of: $0.node) == .refused(.revokedNode) })
    Self.add(.decree(try authority.decree(.revokedNode(links[0].node))), to: &set)
    #expect(
      members.allSatisfy {
        set.standing(of: $0.node) == .admitted(Rights(role: .member, users: .all))
      })
  }

  @Test("What ends drops out after the tolerance, and is not taken in again")
  func endedWordsDropOut() throws {
    let authority = ClosedMesh.authority
    var set = TrustSet(root: authority.key)
    let certificate = try authority.certificate(
      of: Signer(5).key, authority.ticket(4000, lifetime: 1000), 4000)
    let decree = try authority.decree(.revokedUser("eve"), until: World.wallStart + 1000)
    Self.add(.certificate(certificate), to: &set, at: World.wallStart)
    Self.add(.decree(decree), to: &set, at: World.wallStart)
    #expect(set.count == (1, 1))
    let next = World.wallStart + 1000 + EngineLimits.clockTolerance.milliseconds + 1
    #expect(set.nextChange(of: [Signer(5).key], after: World.wallStart + 1) == next)
    _ = set.evaluate([Signer(5).key], at: next)
    #expect(set.standing(of: Signer(5).key) == .refused(.expired))
    #expect(set.revokedUsers.isEmpty)
    let end = World.wallStart + 1000 + EngineLimits.endedKept.milliseconds
    #expect(set.dropEnded(at: end).entries.isEmpty)
    #expect(set.dropEnded(at: end + 1).entries.count == 2)
    #expect(set.count == (0, 0))
    Self.add(.certificate(certificate), to: &set, at: end + 1)
    Self.add(.decree(decree), to: &set, at: end + 1)
    #expect(set.count == (0, 0))
  }

  @Test("A certificate that begins later than now is not yet valid, and is when its time has come")
  func clocksMayDiffer() throws {
    let authority = ClosedMesh.authority
    var set = TrustSet(root: authority.key)
    let node = Signer(5).key
    let begin = World.wallStart + 3_600_000
    let certificate = try authority.certificate(of: node, authority.ticket(4000), 4000, at: begin)
    Self.add(.certificate(certificate), to: &set, at: World.wallStart)
    #expect(set.standing(of: node) == .refused(.notYetValid))
    let time = try #require(set.nextChange(of: [node], after: World.wallStart))
    #expect(time == begin - EngineLimits.clockTolerance.milliseconds)
    #expect(set.evaluate([node], at: time) == [node])
    #expect(set.standing(of: node) == .admitted(Rights(role: .member, users: .all)))
  }
}

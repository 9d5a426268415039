import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

/// What the holders of keys of a closed mesh can sign.
struct Signer {
  let crypto: TestCrypto
  /// What certifies the signer; `nil`: it is an authority, or nobody.
  var link: CertificateLink?

  init(_ secret: UInt64, link: CertificateLink? = nil) {
    crypto = TestCrypto(secret: secret)
    self.link = link
  }

  var key: OriginID { crypto.origin }

  static let mesh = World.mesh?.bytes ?? []
  static let day: UInt64 = 86_400_000

  func ticket(
    _ secret: UInt64, role: Role = .member, users: UserScope = .all, quotas: Quotas = .none,
    uses: UInt64 = 0, issuedAt: UInt64 = World.wallStart, expires: UInt64 = World.wallStart + day,
    lifetime: UInt64 = 365 * day
  ) throws -> Ticket {
    try #require(
      Ticket(
        issuer: key, key: Signer(secret).key,
        rights: Rights(role: role, users: users, quotas: quotas), uses: uses, issuedAt: issuedAt,
        expires: expires, lifetime: lifetime, mesh: Self.mesh, sign: crypto.sign))
  }

  /// A certificate by a ticket of this signer.
  func certificate(
    of node: OriginID, _ ticket: Ticket, _ secret: UInt64, at moment: UInt64 = World.wallStart
  ) throws -> Certificate {
    let link = try #require(
      CertificateLink(
        binding: node, to: ticket, at: moment, mesh: Self.mesh, sign: Signer(secret).crypto.sign))
    return Certificate(node: node, link: link, issuer: self.link)
  }

  func decree(
    _ subject: Decree.Subject, at moment: UInt64 = World.wallStart,
    until: UInt64 = World.wallStart + 1000 * day
  ) throws -> Decree {
    try #require(
      Decree(
        subject, signer: key, link: link, issuedAt: moment, until: until, mesh: Self.mesh,
        sign: crypto.sign))
  }
}

/// A closed mesh whose authority has certified its nodes: node *n* may speak for the users given.
struct ClosedMesh {
  static let authority = Signer(1000)
  private static let ticketSecret: UInt64 = 2000

  /// The certificate of a node, by a ticket of its own.
  static func certificate(
    _ index: Int, role: Role = .member, users: UserScope = .all, quotas: Quotas = .none
  ) throws -> Certificate {
    let secret = ticketSecret + UInt64(index)
    return try authority.certificate(
      of: TestCrypto(secret: UInt64(index + 1)).origin,
      authority.ticket(secret, role: role, users: users, quotas: quotas), secret)
  }

  static func world(
    seed: UInt64 = 1, _ certificates: [Certificate],
    configure: @escaping (inout EngineConfiguration) -> Void = { _ in }
  ) -> World {
    var world = World(seed: seed, configure: configure)
    world.trust = { index in
      TrustConfiguration(
        authority: authority.key, certificate: certificates[index], wallMilliseconds: 0)
    }
    return world
  }

  /// The session of a user with a number.
  static func session(_ user: String, _ number: UInt64 = 1) -> SessionID {
    SessionID(of: user, number, key: World.mesh?.hashKey ?? HashKey(0, 0))
  }

  static func users(_ names: String...) -> UserScope {
    UserScope(names.compactMap { UserPattern($0) }) ?? .none
  }
}

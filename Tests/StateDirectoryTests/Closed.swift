import MeshCRDT
import MeshCrypto
import MeshEngine
import MeshTrust
import MeshWire
import Testing

@testable import PresenceMesh

/// A closed mesh with its authority and its first node, at a moment.
struct Closed {
  static let now = WallTime(milliseconds: 1_700_000_000_000)
  static let day: UInt64 = 86_400_000

  let authority = NodeKey.random()
  let node = NodeKey.random()
  let credentials: MeshCredentials
  /// By which the first epoch begins.
  let decree: Decree

  init() {
    (credentials, decree) = MeshCredentials.closed(by: authority, node: node.origin, at: Self.now)
  }

  static func later(_ milliseconds: UInt64) -> WallTime {
    WallTime(milliseconds: now.milliseconds + milliseconds)
  }

  func issuer() throws -> Issuer {
    try #require(Issuer(credentials, node: node, authority: authority))
  }

  func invite(
    _ terms: InviteTerms = InviteTerms(), at moment: WallTime = now,
    by addresses: [PeerAddress] = []
  ) throws -> Invite {
    try issuer().invite(terms, to: credentials, by: addresses, at: moment).invite
  }

  /// What a node becomes by an invite of an authority.
  func admin(_ node: NodeKey) throws -> MeshCredentials {
    var result = try MeshCredentials(
      invite(InviteTerms(role: .admin)), node: node.origin, at: Self.now)
    result.keyring = credentials.keyring
    return result
  }

  func decree(_ subject: Decree.Subject) throws -> Decree {
    try issuer().decree(subject, until: nil, at: Self.now)
  }
}

extension Certificate {
  func isGenuine(_ mesh: MeshID, _ authority: OriginID) -> Bool {
    (try? verify(mesh: mesh.bytes, isAuthority: { $0 == authority }, check: NodeKey.verify)) != nil
  }
}

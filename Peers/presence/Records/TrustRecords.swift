import PresenceMesh

/// How a node stands in its mesh.
struct MembershipRecord: Codable, Hashable, Sendable {
  /// The id of the mesh, which members alone may know.
  var mesh: String
  /// True: whoever has the key of the mesh is a member.
  var open: Bool
  /// True: the node may let others in and revoke.
  var admin: Bool
  /// The epochs whose keys are known; the last one is used.
  var epochs: [UInt32]
  /// `null`: the mesh is open.
  @Nullable var certificate: CertificateRecord?
  /// Why it is no member (any more); `null`: it is one.
  @Nullable var expelled: String?
}

/// What makes a node a member.
struct CertificateRecord: Codable, Hashable, Sendable {
  var role: String
  /// Ids, or beginnings of ids with a `*` behind; `*` alone: all.
  var users: [String]
  var notAfterAtMs: UInt64
  var ticket: String

  init(_ certificate: MemberCertificate) {
    role = certificate.role.rawValue
    users = certificate.users
    notAfterAtMs = certificate.notAfter.milliseconds
    ticket = "\(certificate.ticket)"
  }
}

/// `presence members`.
struct MembersRecord: Codable, Hashable, Sendable {
  struct Member: Codable, Hashable, Sendable {
    var node: String
    /// `member`, `revoked` or `invalid`.
    var standing: String
    /// `null`: none counts.
    @Nullable var certificate: CertificateRecord?
  }

  /// The node that answers.
  var node: String
  var open: Bool
  /// By id.
  var members: [Member]
  var revokedUsers: [String]
}

/// `presence invites`: the tickets that the node issued.
struct InvitesRecord: Codable, Hashable, Sendable {
  struct Invite: Codable, Hashable, Sendable {
    var ticket: String
    var role: String
    var users: [String]
    /// 0: any number.
    var uses: Int
    /// How many members came by it; `null` when no node is running.
    @Nullable var used: Int?
    var issuedAtMs: UInt64
    var expiresAtMs: UInt64
    var revoked: Bool
  }

  /// In the order of their issue.
  var invites: [Invite]
}

/// What is to be taken back.
enum RevokeRequest: Codable, Hashable, Sendable {
  /// The first digits of an id are enough.
  case node(String)
  case ticket(String)
  case user(String)
}

extension MembershipRecord {
  init(_ mesh: PresenceMesh) {
    self.init(
      mesh: "\(mesh.meshText)", open: mesh.isOpen, admin: mesh.isAdmin, epochs: mesh.epochs,
      certificate: mesh.certificate.map { CertificateRecord($0) },
      expelled: mesh.expulsion?.description)
  }
}

extension MembershipRecord {
  /// How the node of a state directory stands, while it is not running; `nil`: no mesh is known.
  init?(_ directory: StateDirectory, atMs: UInt64) throws {
    guard let known = try directory.mesh() else { return nil }
    let decrees = try directory.decrees()
    self.init(
      mesh: "", open: known.membership == nil, admin: false, epochs: known.epochs,
      certificate: known.membership.map { CertificateRecord(MemberCertificate($0.certificate)) },
      expelled: known.membership
        .flatMap { Expulsion($0, decrees, at: WallTime(milliseconds: atMs)) }?.description)
  }
}

extension MembersRecord.Member {
  init(_ member: Member) {
    self.init(
      node: "\(member.id)", standing: member.standing.rawValue,
      certificate: member.certificate.map { CertificateRecord($0) })
  }
}

extension InvitesRecord.Invite {
  init(_ invite: IssuedInvite, isCounted: Bool) {
    self.init(
      ticket: "\(invite.id)", role: invite.role.rawValue, users: invite.users, uses: invite.uses,
      used: isCounted ? invite.used : nil,
      issuedAtMs: invite.issuedAt.milliseconds, expiresAtMs: invite.expires.milliseconds,
      revoked: invite.isRevoked)
  }
}

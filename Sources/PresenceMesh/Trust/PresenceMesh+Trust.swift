import MeshCrypto
import MeshEngine
import MeshTransport
import MeshTrust
package import MeshWire

/// What makes a node a member of a closed mesh, for people to look at.
public struct MemberCertificate: Hashable, Sendable {
  /// What the node may do beyond speaking for its users.
  public let role: MemberRole
  /// The users that the node may speak for: ids, or beginnings of ids with a `*` behind; `*` alone: all.
  public let users: [String]
  /// When it ends.
  public let notAfter: WallTime
  /// The id of the ticket that it came by: the public half of its key.
  public let ticket: NodeID
  /// The authority or the admin that issued the ticket.
  public let issuer: NodeID

  package init(_ certificate: Certificate) {
    role = MemberRole(certificate.rights.role)
    users = certificate.rights.users.patterns
    notAfter = WallTime(milliseconds: certificate.notAfter)
    ticket = certificate.ticket.key
    issuer = certificate.ticket.issuer
  }
}

/// A node of which a certificate is known.
public struct Member: Hashable, Sendable, Identifiable {
  /// Whether the node is a member.
  public enum Standing: String, Codable, Sendable {
    case member
    /// It, its ticket or who issued that was revoked.
    case revoked
    /// Its certificate does not hold for another reason: its time, or the uses of its ticket.
    case invalid
  }

  /// The node.
  public let id: NodeID
  /// Whether it is a member.
  public let standing: Standing
  /// The certificate that counts; `nil`: none does.
  public let certificate: MemberCertificate?
}

/// An invite that this node issued.
public struct IssuedInvite: Hashable, Sendable, Identifiable {
  /// The id of its ticket.
  public let id: NodeID
  /// What whoever joins by it may do.
  public let role: MemberRole
  /// The users that whoever joins by it may speak for.
  public let users: [String]
  /// How many nodes it admits; 0: any number.
  public let uses: Int
  /// How many members came by it, as far as this node knows.
  public let used: Int
  /// When it was issued.
  public let issuedAt: WallTime
  /// Nodes can join by it up to this time.
  public let expires: WallTime
  /// True when it admits nobody any more.
  public let isRevoked: Bool
}

/// What an admin takes back.
public enum Revocation: Hashable, Sendable {
  /// A node is no member any more, whatever invite it shows.
  case node(NodeID)
  /// An invite admits nobody, and whoever came by it is no member any more.
  case ticket(NodeID)
  /// What anybody says about a user does not count.
  case user(String)
}

extension IssuedInvite {
  init(_ ticket: Ticket, used: Int, isRevoked: Bool) {
    id = ticket.key
    role = MemberRole(ticket.rights.role)
    users = ticket.rights.users.patterns
    uses = Int(clamping: ticket.uses)
    self.used = used
    issuedAt = WallTime(milliseconds: ticket.issuedAt)
    expires = WallTime(milliseconds: ticket.expires)
    self.isRevoked = isRevoked
  }

  /// The invites that were issued from a state directory; nobody has counted their uses.
  package static func stored(in directory: StateDirectory) throws(StateError) -> [IssuedInvite] {
    let revoked = Set(try directory.decrees().map(\.subject))
    return try directory.tickets().map {
      IssuedInvite($0, used: 0, isRevoked: revoked.contains(.revokedTicket($0.key)))
    }
  }
}

extension PresenceMesh {
  /// True when whoever has the key of the mesh is a member, and may say anything.
  public var isOpen: Bool { keeper.credentials.membership == nil }

  /// True when this node may let others in, revoke, and rotate the key.
  public var isAdmin: Bool { issuer != nil }

  /// The certificate of this node; `nil`: the mesh is open.
  public var certificate: MemberCertificate? {
    keeper.credentials.membership.map { MemberCertificate($0.certificate) }
  }

  /// The id of the mesh, which members alone may know, in 32 hexadecimal digits.
  package var meshText: String { hexadecimal(meshID.bytes) }

  /// The epochs whose mesh keys are known, rising; the last one is used.
  public var epochs: [UInt32] { keeper.credentials.epochs }

  /// An invite to this mesh, a single line: whoever reads it can join. Hand it over as a password.
  ///
  /// - Parameters:
  ///   - addresses: Where others find a node of the mesh, the first eight; without any, this node's own.
  ///   - terms: What the invite is good for; only a closed mesh has any.
  /// - Throws: ``PresenceError``: for text that is no numeric address, terms out of their bounds, and nodes
  ///   that may let nobody in.
  public func invite(
    addresses: [String] = [], terms: InviteTerms? = nil
  ) throws(PresenceError) -> String {
    let chosen = try reachable(addresses)
    let credentials = keeper.credentials
    guard credentials.membership != nil else {
      guard terms == nil, let invite = credentials.invite(by: chosen) else {
        throw .mayNotAdminister(reason: Issuer.openMesh)
      }
      return invite.line
    }
    let (invite, ticket) = try administering().invite(
      terms ?? InviteTerms(), to: credentials, by: chosen, at: WallClock.now)
    if let error = keeper.note(ticket) { throw .stateDirectory(reason: "\(error)") }
    return invite.line
  }

  private func reachable(_ texts: [String]) throws(PresenceError) -> [PeerAddress] {
    var addresses: [PeerAddress] = []
    for text in texts {
      do throws(TransportError) {
        addresses.append(try PeerAddress(parsing: text))
      } catch {
        throw PresenceError(error)
      }
    }
    guard addresses.isEmpty else { return addresses }
    let own = driver.localAddresses
    let abroad = own.filter { !$0.isLoopback }
    return abroad.isEmpty ? own : abroad
  }

  private func administering() throws(PresenceError) -> Issuer {
    if let issuer { return issuer }
    throw .mayNotAdminister(reason: isOpen ? Issuer.openMesh : Issuer.notAnAdmin)
  }

  /// Begins an epoch with a new key of the mesh, which goes to all members. Returns its number.
  ///
  /// - Throws: ``PresenceError/mayNotAdminister(reason:)`` on nodes that are no admins.
  @discardableResult
  public func rotate() async throws(PresenceError) -> UInt32 {
    _ = try administering()
    let result = await driver.update { engine, now -> Result<UInt32, OperationError> in
      do throws(OperationError) {
        try engine.rotate(now: now)
        return .success(engine.crypto.newestEpoch)
      } catch {
        return .failure(error)
      }
    }
    do throws(OperationError) {
      return try result.get()
    } catch {
      throw PresenceError(error, hub.expulsion)
    }
  }

  /// Returns when the node is no member any more, or has left the mesh, or the task is cancelled.
  package func untilExpelled() async {
    for await _ in events where expulsion != nil { return }
  }

  // MARK: Members

  /// The nodes of which a certificate is known, in the order of their ids; none in an open mesh.
  public func members() async -> [Member] {
    await driver.read { engine, _ in
      let decrees = engine.decrees
      return engine.certifiedNodes.map { node in
        let certificate = engine.certificate(of: node).map { MemberCertificate($0) }
        let isRevoked = decrees.contains { $0.subject == .revokedNode(node) }
        return Member(
          id: node, standing: certificate != nil ? .member : isRevoked ? .revoked : .invalid,
          certificate: certificate)
      }
    }
  }

  /// The invites that this node issued and remembers, in the order of their issue.
  public func invites() async -> [IssuedInvite] {
    let tickets = keeper.tickets
    return await driver.read { engine, _ in
      let certificates = engine.certifiedNodes.compactMap { engine.certificate(of: $0) }
      let revoked = Set(engine.decrees.map(\.subject))
      return tickets.map { ticket in
        IssuedInvite(
          ticket, used: certificates.count { $0.ticket.key == ticket.key },
          isRevoked: revoked.contains(.revokedTicket(ticket.key)))
      }
    }
  }

  /// The users that were revoked.
  public func revokedUsers() async -> [String] {
    await driver.read { engine, _ in
      engine.decrees.compactMap {
        if case .revokedUser(let user) = $0.subject { user } else { nil }
      }
    }
  }

  // MARK: Taking back

  /// Takes something back for the whole mesh: all nodes hear of it, and go by it at once. It cannot be
  /// undone. Unless it is a user, the mesh goes on with a new key.
  ///
  /// - Throws: ``PresenceError/mayNotAdminister(reason:)`` on nodes that may not.
  public func revoke(_ revocation: Revocation) async throws(PresenceError) {
    let issuer = try administering()
    let tickets = keeper.tickets
    let certificates = await driver.read { engine, _ in
      engine.certifiedNodes.compactMap { engine.certificate(of: $0) }
    }
    let subject: Decree.Subject
    var ticket: Ticket?
    switch revocation {
    case .node(let node):
      subject = .revokedNode(node)
      ticket = certificates.first { $0.node == node }?.ticket
    case .ticket(let id):
      subject = .revokedTicket(id)
      ticket = tickets.first { $0.key == id } ?? certificates.first { $0.ticket.key == id }?.ticket
    case .user(let user): subject = .revokedUser(user)
    }
    if issuer.link != nil, ticket?.rights.role == .admin {
      throw .mayNotAdminister(reason: "only the authority of the mesh revokes admins")
    }
    // As long as anybody may be a member by the ticket.
    let decree = try issuer.decree(
      subject, until: ticket.map { $0.expires + $0.lifetime }, at: WallClock.now)
    await driver.update { $0.publish(decree, now: $1) }
    // Whoever is out has the mesh key still.
    if case .user = revocation { return }
    _ = try await rotate()
  }
}

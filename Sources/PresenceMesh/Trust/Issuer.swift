package import MeshCRDT
package import MeshCrypto
package import MeshEngine
package import MeshTrust
package import MeshWire

/// Who may let others into a closed mesh and take that back: an authority, or a node that one has made an
/// admin.
package struct Issuer: Sendable {
  package let key: NodeKey
  /// What certifies the admin; `nil`: it is an authority.
  package let link: CertificateLink?
  package let mesh: MeshID

  /// How long a node that made a mesh is a member of it, and what is revoked stays so, at the most.
  package static let longest = Duration.seconds(3650 * 86_400)

  package init(key: NodeKey, link: CertificateLink?, mesh: MeshID) {
    self.key = key
    self.link = link
    self.mesh = mesh
  }

  /// The issuer of a node: the authority whose key it keeps, else itself as an admin; `nil`: it is neither.
  package init?(_ credentials: MeshCredentials, node: NodeKey, authority: NodeKey?) {
    guard let membership = credentials.membership else { return nil }
    if let authority, authority.origin == membership.authority {
      self.init(key: authority, link: nil, mesh: credentials.mesh)
    } else if membership.certificate.rights.role == .admin, membership.certificate.issuer == nil {
      self.init(key: node, link: membership.certificate.link, mesh: credentials.mesh)
    } else {
      return nil
    }
  }

  /// Signs a ticket.
  package func ticket(
    _ terms: InviteTerms, key ticketKey: OriginID, at moment: WallTime
  ) throws(PresenceError) -> Ticket {
    guard link == nil || terms.role != .admin else {
      throw .mayNotAdminister(reason: "only the authority of the mesh makes admins")
    }
    let rights = try terms.rights()
    guard let uses = UInt64(exactly: terms.uses), uses < Ticket.usesBound else {
      throw .invalidSetting("uses", problem: "is \(terms.uses): choose 0…\(Ticket.usesBound - 1)")
    }
    func milliseconds(_ name: String, _ span: Duration) throws(PresenceError) -> UInt64 {
      guard span >= .milliseconds(1), span <= Self.longest else {
        throw .invalidSetting(name, problem: "is \(span): choose 1 ms…3,650 days")
      }
      return Span(span).milliseconds
    }
    let now = moment.milliseconds
    guard
      let ticket = Ticket(
        issuer: key.origin, key: ticketKey, rights: rights, uses: uses, issuedAt: now,
        expires: now + (try milliseconds("expires", terms.expiresIn)),
        lifetime: try milliseconds("lifetime", terms.lifetime), mesh: mesh.bytes, sign: key.sign)
    else { throw .invalidSetting("invite", problem: "breaks a bound") }
    return ticket
  }

  /// Makes an invite by a new ticket key.
  package func invite(
    _ terms: InviteTerms, to credentials: MeshCredentials, by addresses: [PeerAddress],
    at moment: WallTime
  ) throws(PresenceError) -> (invite: Invite, ticket: Ticket) {
    guard let membership = credentials.membership, let epoch = credentials.keyring.keys.last?.epoch,
      let admissionKey = credentials.keyring.admissionKey(epoch: epoch)
    else { throw .mayNotAdminister(reason: "this node has not got the key of the mesh yet") }
    let secret = NodeKey.random()
    let ticket = try ticket(terms, key: secret.origin, at: moment)
    let held = HeldTicket(
      ticket: ticket, issuer: link, authority: membership.authority, admissionKey: admissionKey,
      key: secret)
    let invite = Invite(
      mesh: mesh, epoch: epoch, content: .ticket(held), addresses: addresses)
    return (invite, ticket)
  }

  /// Signs a decree.
  package func decree(
    _ subject: Decree.Subject, until: UInt64?, at moment: WallTime
  ) throws(PresenceError) -> Decree {
    let now = moment.milliseconds
    guard
      let decree = Decree(
        subject, signer: key.origin, link: link, issuedAt: now,
        until: max(now, until ?? now + Span(Self.longest).milliseconds), mesh: mesh.bytes,
        sign: key.sign)
    else { throw .invalidSetting("user", problem: "has 1 to \(Limits.userIDBytes) bytes") }
    return decree
  }
}

extension StateDirectory {
  /// Makes a mesh. Of a closed one the node of the directory is the first member, and keeps the key of the
  /// authority.
  package func makeMesh(open isOpen: Bool, at moment: WallTime) throws(StateError) {
    let node = try identity()
    guard !isOpen else { return try store(MeshCredentials.random()) }
    // One that an earlier try left is used.
    let authority = try authority() ?? .random()
    try store(authority: authority)
    let (credentials, decree) = MeshCredentials.closed(by: authority, node: node.origin, at: moment)
    try store([decree])
    try store(credentials)
  }

  /// Keeps the key of the authority, and makes the node of the directory an admin by it. False: the directory
  /// does not belong to its mesh, and nothing changed.
  package func take(_ line: AuthorityLine, at moment: WallTime) throws(StateError) -> Bool {
    guard var credentials = try mesh(), credentials.mesh == line.mesh,
      credentials.membership?.authority == line.key.origin
    else { return false }
    try store(authority: line.key)
    let issuer = Issuer(key: line.key, link: nil, mesh: line.mesh)
    credentials.certify(try identity().origin, by: issuer, at: moment)
    try store(credentials)
    return true
  }

  /// A new invite to the mesh of the directory, while no node is running on it. A ticket is noted.
  package func invite(
    _ terms: InviteTerms?, by addresses: [PeerAddress], at moment: WallTime
  ) throws -> Invite {
    guard let credentials = try mesh() else { throw PresenceError.noMesh(stateDirectory: path) }
    guard credentials.membership != nil else {
      guard terms == nil, let invite = credentials.invite(by: addresses) else {
        throw PresenceError.mayNotAdminister(reason: Issuer.openMesh)
      }
      return invite
    }
    guard let issuer = Issuer(credentials, node: try identity(), authority: try authority()) else {
      throw PresenceError.mayNotAdminister(reason: Issuer.notAnAdmin)
    }
    let (invite, ticket) = try issuer.invite(
      terms ?? InviteTerms(), to: credentials, by: addresses, at: moment)
    try note(ticket)
    return invite
  }
}

extension Issuer {
  static let openMesh =
    "this mesh is open: whoever has its key is a member, and nobody can be put out; "
    + "`presence mesh create` in another state directory makes a closed one"
  static let notAnAdmin =
    "this node is no admin of the mesh: ask one, or bring the key of the authority here with "
    + "`presence authority import`"
}

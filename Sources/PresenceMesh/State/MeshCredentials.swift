package import MeshCrypto
package import MeshEngine
package import MeshTrust
package import MeshWire

/// What makes a node a member of a mesh: the id of the mesh, the keys of its epochs, and in a closed mesh a
/// certificate.
package struct MeshCredentials: Sendable {
  package let mesh: MeshID
  package var keyring: MeshKeyring
  /// `nil`: the mesh is open, and whoever has its key is a member.
  package var membership: ClosedMembership?

  package init(mesh: MeshID, keyring: MeshKeyring, membership: ClosedMembership? = nil) {
    self.mesh = mesh
    self.keyring = keyring
    self.membership = membership
  }

  /// The epochs whose keys are known, rising; the last one is used.
  package var epochs: [UInt32] { keyring.keys.map(\.epoch) }

  /// A new open mesh from the system's random source.
  package static func random() -> MeshCredentials {
    guard let mesh = MeshID(bytes: Sodium.random(count: MeshID.byteCount)) else {
      preconditionFailure("the id of a mesh has \(MeshID.byteCount) bytes")
    }
    let key = SecretBytes.random(count: MeshKeyring.keyBytes)
    return MeshCredentials(mesh: mesh, keyring: MeshKeyring(key: key))
  }

  /// A new closed mesh, of which a node is the first member, certified as an admin of all users, and the decree
  /// by which its first epoch begins.
  package static func closed(
    by authority: NodeKey, node: OriginID, at moment: WallTime
  ) -> (credentials: MeshCredentials, decree: Decree) {
    var result = random()
    let issuer = Issuer(key: authority, link: nil, mesh: result.mesh)
    guard let (epoch, key) = result.keyring.sealing,
      let decree = try? issuer.decree(
        .epoch(epoch, check: MeshKeyring.check(of: key, epoch: epoch)),
        until: nil, at: moment)
    else { preconditionFailure("a new mesh has a key") }
    result.certify(node, by: issuer, at: moment)
    return (result, decree)
  }

  /// Makes a node an admin of all users, by the authority of the mesh.
  package mutating func certify(_ node: OriginID, by authority: Issuer, at moment: WallTime) {
    let secret = NodeKey.random()
    let terms = InviteTerms(uses: 1, lifetime: Issuer.longest, role: .admin)
    guard let ticket = try? authority.ticket(terms, key: secret.origin, at: moment),
      let certificate = try? HeldTicket(
        ticket: ticket, issuer: nil, authority: authority.key.origin, admissionKey: [], key: secret
      ).certificate(of: node, mesh: mesh, at: moment)
    else { preconditionFailure("an authority certifies whom it wants to") }
    membership = ClosedMembership(
      authority: authority.key.origin, certificate: certificate, admission: membership?.admission)
  }

  /// The membership that an invite gives a node.
  /// - Throws: ``InviteError`` when its ticket admits nobody now.
  package init(
    _ invite: Invite, node: OriginID, at moment: WallTime
  ) throws(InviteError) {
    mesh = invite.mesh
    switch invite.content {
    case .key(let key): keyring = MeshKeyring(epoch: invite.epoch, key: key)
    case .ticket(let held):
      keyring = MeshKeyring()
      membership = ClosedMembership(
        authority: held.authority,
        certificate: try held.certificate(of: node, mesh: mesh, at: moment),
        admission: AdmissionTarget(epoch: invite.epoch, key: held.admissionKey))
    }
  }

  /// What an invite brings to who knows its mesh already.
  package enum News: Hashable, Sendable {
    /// The key of an epoch above all that were known. It was added, and is the one to use.
    case newerKey(epoch: UInt32)
    /// A certificate by a newer ticket took the place of the one that was known.
    case newerCertificate
    /// Its key or its ticket was known.
    case nothing
    /// The key of an epoch below the newest, `known`, that is not known or known no longer. It was
    /// not added.
    case olderKey(epoch: UInt32, known: UInt32)
    /// Its ticket is older than that of the certificate that is known, or has ended. Nothing changed.
    case olderTicket
  }

  /// Takes what an invite to this same mesh has that is newer than what is known.
  /// - Throws: ``InviteError`` when it contradicts what is known, or admits nobody; nothing changed then.
  package mutating func learn(
    from invite: Invite, node: OriginID, at moment: WallTime
  ) throws(InviteError) -> News {
    precondition(invite.mesh == mesh)
    switch (invite.content, membership) {
    case (.key(let key), nil): return try learn(key, of: invite.epoch)
    case (.ticket(let held), let known?):
      guard held.authority == known.authority else { throw .otherMesh }
      if held.ticket.key == known.certificate.ticket.key {
        if keyring.keys.isEmpty, invite.epoch > known.admission?.epoch ?? 0 {
          membership?.admission = AdmissionTarget(epoch: invite.epoch, key: held.admissionKey)
        }
        return .nothing
      }
      let holds = known.certificate.notAfter > moment.milliseconds
      let isOlder =
        held.ticket.issuedAt < known.certificate.ticket.issuedAt
        || held.ticket.expires < moment.milliseconds
      if holds, isOlder { return .olderTicket }
      membership = try MeshCredentials(invite, node: node, at: moment).membership
      return .newerCertificate
    default: throw .otherMesh
    }
  }

  /// What the invite of an open mesh brings to who knows another invite to it.
  package static func news(of invite: Invite, to known: Invite) throws(InviteError) -> News {
    guard let key = invite.key, let knownKey = known.key else { throw .otherMesh }
    var credentials = MeshCredentials(
      mesh: known.mesh, keyring: MeshKeyring(epoch: known.epoch, key: knownKey))
    return try credentials.learn(key, of: invite.epoch)
  }

  private mutating func learn(
    _ key: SecretBytes, of epoch: UInt32
  ) throws(InviteError) -> News {
    if let known = keyring.key(epoch: epoch) {
      guard known.isEqual(to: key) else { throw .otherKey(epoch: epoch) }
      return .nothing
    }
    let newest = keyring.keys.last?.epoch ?? 0
    guard epoch > newest else { return .olderKey(epoch: epoch, known: newest) }
    keyring.add(epoch: epoch, key: key)
    return .newerKey(epoch: epoch)
  }

  /// An invite to this open mesh under the newest key, by way of the first few of the addresses; `nil`: no
  /// key is known.
  package func invite(by addresses: [PeerAddress]) -> Invite? {
    keyring.keys.last.map {
      Invite(mesh: mesh, epoch: $0.epoch, key: $0.key, addresses: addresses)
    }
  }
}

/// What a node of a closed mesh holds beside its keys.
package struct ClosedMembership: Hashable, Sendable {
  /// The first authority of the mesh.
  package let authority: OriginID
  package var certificate: Certificate
  /// What a node that has no key yet seals its request for one to.
  package var admission: AdmissionTarget?

  package init(authority: OriginID, certificate: Certificate, admission: AdmissionTarget? = nil) {
    self.authority = authority
    self.certificate = certificate
    self.admission = admission
  }
}

/// What a node that has no key yet seals its request for one to.
package struct AdmissionTarget: Hashable, Sendable {
  package let epoch: UInt32
  /// The public half of the admission key of the epoch.
  package let key: [UInt8]
}

extension MeshCredentials: CustomStringConvertible, CustomReflectable {
  /// Nothing that a member alone may know.
  package var description: String { "<credentials of a mesh, \(keyring.keys.count) keys>" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

package import MeshCrypto
package import MeshEngine
package import MeshTrust

/// What makes a node a member of a mesh: the id of the mesh and the keys of its epochs.
package struct MeshCredentials: Sendable {
  package let mesh: MeshID
  package var keyring: MeshKeyring

  package init(mesh: MeshID, keyring: MeshKeyring) {
    self.mesh = mesh
    self.keyring = keyring
  }

  /// A new mesh from the system's random source.
  package static func random() -> MeshCredentials {
    guard let mesh = MeshID(bytes: Sodium.random(count: MeshID.byteCount)) else {
      preconditionFailure("the id of a mesh has \(MeshID.byteCount) bytes")
    }
    let key = SecretBytes.random(count: MeshKeyring.keyBytes)
    return MeshCredentials(mesh: mesh, keyring: MeshKeyring(key: key))
  }

  /// The membership that an invite gives.
  package init(_ invite: Invite) {
    self.init(mesh: invite.mesh, keyring: MeshKeyring(epoch: invite.epoch, key: invite.key))
  }

  /// What an invite brings to who knows its mesh already.
  package enum News: Hashable, Sendable {
    /// The key of an epoch above all that were known. It was added, and is the one to use.
    case newerKey(epoch: UInt32)
    /// Its key was known.
    case nothing
    /// The key of an epoch below the newest, `known`, that is not known or known no longer. It was
    /// not added.
    case olderKey(epoch: UInt32, known: UInt32)
  }

  /// Adds the key of an invite to this same mesh, if it is newer than those that are known.
  /// - Throws: ``InviteError/otherKey(epoch:)`` when it contradicts one of them; nothing changed then.
  package mutating func learn(from invite: Invite) throws(InviteError) -> News {
    precondition(invite.mesh == mesh)
    if let known = keyring.key(epoch: invite.epoch) {
      guard known.isEqual(to: invite.key) else { throw .otherKey(epoch: invite.epoch) }
      return .nothing
    }
    let newest = keyring.sealing.epoch
    guard invite.epoch > newest else { return .olderKey(epoch: invite.epoch, known: newest) }
    keyring.add(epoch: invite.epoch, key: invite.key)
    return .newerKey(epoch: invite.epoch)
  }

  /// An invite to this mesh under the newest key, by way of the first few of the addresses.
  package func invite(by addresses: [PeerAddress]) -> Invite {
    let newest = keyring.sealing
    return Invite(mesh: mesh, epoch: newest.epoch, key: newest.key, addresses: addresses)
  }
}

extension MeshCredentials: CustomStringConvertible, CustomReflectable {
  /// Nothing that a member alone may know.
  package var description: String { "<credentials of a mesh, \(keyring.keys.count) keys>" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

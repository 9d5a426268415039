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

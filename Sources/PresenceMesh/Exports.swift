// The words of the interface (ids, profiles, statuses, cursors, users, sessions, limits) are defined
// where they are derived; whoever imports this module has them.
@_exported public import MeshCRDT

@_exported public import enum MeshEngine.NodeHealth

/// The identity of a node of the mesh: its Ed25519 public key.
public typealias NodeID = OriginID

extension Status {
  /// The status of a name: `online`, `away`, `busy`, `active`, `idle` or `typing`.
  /// - Throws: ``PresenceError/unknownStatus(_:)`` for any other.
  public static func parsing(_ name: String) throws(PresenceError) -> Status {
    guard let status = Status(name) else { throw .unknownStatus(name) }
    return status
  }
}

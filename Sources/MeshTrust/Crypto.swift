package import MeshCRDT

/// The cryptography that the protocol needs. It keeps the secrets; the engine never sees one.
///
/// One instance belongs to one node: it signs with the node's key, and opens and seals with the keys
/// of one mesh's keyring.
package protocol Crypto: AnyObject, Sendable {
  /// The node's public key.
  var origin: OriginID { get }

  /// The epoch of the mesh key that ``seal(_:clear:)`` uses.
  var sealingEpoch: UInt32 { get }

  /// The Ed25519 signature (64 bytes) of some bytes by the node's key.
  func sign(_ bytes: [UInt8]) -> [UInt8]

  /// True when the signature is the origin's.
  func verify(_ bytes: [UInt8], signature: ArraySlice<UInt8>, by origin: OriginID) -> Bool

  /// Seals a datagram in place: everything behind the clear header is encrypted under the mesh key
  /// of ``sealingEpoch``, and the authenticator is appended.
  func seal(_ datagram: inout [UInt8])

  /// Opens a datagram under the mesh key of an epoch. Returns the inner bytes; `nil` when there is
  /// no such key or the authenticator is wrong.
  func open(_ datagram: [UInt8], epoch: UInt32) -> [UInt8]?

  /// Eight bytes that only this node can make for an address, the same each time in one life of the
  /// node, never 0.
  func token(forAddress bytes: [UInt8]) -> UInt64
}

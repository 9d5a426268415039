package import MeshCRDT

/// The cryptography that the protocol needs. It keeps the secrets; the engine never sees one.
///
/// One instance belongs to one node: it signs with the node's key, and opens and seals with the keys
/// of one mesh's keyring. It never changes: who learns a key goes on with another instance.
package protocol Crypto: AnyObject, Sendable {
  /// The node's public key.
  var origin: OriginID { get }

  /// The epochs whose mesh keys are held, rising; none before a node is admitted.
  var epochs: [UInt32] { get }

  /// The Ed25519 signature (64 bytes) of some bytes by the node's key.
  func sign(_ bytes: [UInt8]) -> [UInt8]

  /// True when the signature is the origin's.
  func verify(_ bytes: [UInt8], signature: ArraySlice<UInt8>, by origin: OriginID) -> Bool

  /// Seals a datagram in place: everything behind the clear header is encrypted under the mesh key
  /// of an epoch that is held, and the authenticator is appended.
  func seal(_ datagram: inout [UInt8], epoch: UInt32)

  /// Opens a datagram under the mesh key of an epoch. Returns the inner bytes; `nil` when there is
  /// no such key or the authenticator is wrong.
  func open(_ datagram: [UInt8], epoch: UInt32) -> [UInt8]?

  /// Eight bytes that only this node can make for an address, the same each time in one life of the
  /// node, never 0.
  func token(forAddress bytes: [UInt8]) -> UInt64

  // MARK: Admission

  /// The public half of the admission key of an epoch, which follows from its mesh key; `nil`: it is not known.
  func admissionKey(epoch: UInt32) -> [UInt8]?

  /// Seals bytes to an admission key; `nil`: it is none.
  func seal(_ bytes: [UInt8], toAdmissionKey key: [UInt8]) -> [UInt8]?

  /// Opens what was sealed to the admission key of an epoch, also one whose mesh key is not used any more.
  func openAdmission(_ sealed: [UInt8], epoch: UInt32) -> [UInt8]?

  /// Seals bytes, and behind them the mesh key of an epoch if one is named, to a node's key; `nil`: it is none,
  /// or the epoch's key is not held.
  func seal(_ bytes: [UInt8], keyOf epoch: UInt32?, to node: OriginID) -> [UInt8]?

  /// Opens what was sealed to this node.
  func openSealed(_ sealed: [UInt8]) -> [UInt8]?

  /// Opens bytes with a mesh key behind them. `judge` is given the bytes, and says of which epoch the key must
  /// be, and what it must hash to.
  ///
  /// - Returns: an instance that holds the key, too; `nil` when it is not the one.
  func learning(
    _ sealed: [UInt8], judge: ([UInt8]) -> (epoch: UInt32, check: Hash256)?
  ) -> (any Crypto)?

  /// What the mesh key of an epoch hashes to, by which decrees name it; `nil`: it is not held.
  func check(ofEpoch epoch: UInt32) -> Hash256?

  /// Makes the mesh key of a new epoch.
  func beginning(epoch: UInt32) -> (crypto: any Crypto, check: Hash256)

  /// An instance without the mesh keys of epochs below one. Their admission keys are kept.
  func retiring(below epoch: UInt32) -> any Crypto
}

extension Crypto {
  /// The highest epoch whose mesh key is held; 0: none is.
  package var newestEpoch: UInt32 { epochs.last ?? 0 }

  /// Seals a datagram under the mesh key of ``newestEpoch``.
  package func seal(_ datagram: inout [UInt8]) { seal(&datagram, epoch: newestEpoch) }
}

/// Of what cannot admit anybody.
extension Crypto {
  package func admissionKey(epoch: UInt32) -> [UInt8]? { nil }
  package func seal(_ bytes: [UInt8], toAdmissionKey key: [UInt8]) -> [UInt8]? { nil }
  package func openAdmission(_ sealed: [UInt8], epoch: UInt32) -> [UInt8]? { nil }
  package func seal(_ bytes: [UInt8], keyOf epoch: UInt32?, to node: OriginID) -> [UInt8]? { nil }
  package func openSealed(_ sealed: [UInt8]) -> [UInt8]? { nil }
  package func learning(
    _ sealed: [UInt8], judge: ([UInt8]) -> (epoch: UInt32, check: Hash256)?
  ) -> (any Crypto)? { nil }
  package func check(ofEpoch epoch: UInt32) -> Hash256? { nil }
  package func beginning(epoch: UInt32) -> (crypto: any Crypto, check: Hash256) { (self, .empty) }
  package func retiring(below epoch: UInt32) -> any Crypto { self }
}

/// The keys of a mesh by epoch: several are accepted, the one of the highest epoch is used.
package struct MeshKeyring: Sendable {
  package static let keyBytes = 32
  /// The most epochs that are accepted at once.
  package static let bound = 4
  /// Rising epochs, at least one.
  package private(set) var keys: [(epoch: UInt32, key: SecretBytes)]

  package init(epoch: UInt32 = 1, key: SecretBytes) {
    precondition(key.count == Self.keyBytes)
    keys = [(epoch, key)]
  }

  /// Adds the key of an epoch, or replaces it. Beyond ``bound`` the lowest epoch goes.
  package mutating func add(epoch: UInt32, key: SecretBytes) {
    precondition(key.count == Self.keyBytes)
    keys.removeAll { $0.epoch == epoch }
    keys.append((epoch, key))
    keys.sort { $0.epoch < $1.epoch }
    if keys.count > Self.bound { keys.removeFirst() }
  }

  package var sealing: (epoch: UInt32, key: SecretBytes) { keys[keys.count - 1] }

  package func key(epoch: UInt32) -> SecretBytes? { keys.first { $0.epoch == epoch }?.key }
}

import MeshCrypto

/// What a node that has no key yet seals its request for one to.
package struct AdmissionTarget: Hashable, Sendable {
  package let epoch: UInt32
  package let key: [UInt8]
}

extension MeshKeyring {
  init() { self.init(epoch: 0, key: SecretBytes([UInt8](repeating: 0, count: 32))) }
  func admissionKey(epoch: UInt32) -> [UInt8]? { [UInt8](repeating: 7, count: 32) }
}

package import MeshCRDT

/// The identity of a mesh: 16 random bytes that only its members know.
package struct MeshID: Hashable, Sendable {
  package static let byteCount = 16
  package let bytes: [UInt8]

  /// `nil` unless there are 16 bytes.
  package init?(bytes: [UInt8]) {
    guard bytes.count == Self.byteCount else { return nil }
    self.bytes = bytes
  }

  /// The key of the hashes in the state: the bytes of the id as SipHash takes a key, least
  /// significant first.
  package var hashKey: HashKey {
    func word(_ slice: ArraySlice<UInt8>) -> UInt64 {
      slice.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    return HashKey(word(bytes[0..<8]), word(bytes[8..<16]))
  }

  /// What stands in the clear part of each datagram, so that foreign ones are passed over without
  /// any cryptography: a hash of the id, from which the id cannot be found.
  package var tag: UInt64 {
    SipHash.hash(Array("PresenceMesh tag".utf8), key: hashKey)
  }
}

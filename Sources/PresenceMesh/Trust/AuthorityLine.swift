import MeshCRDT
package import MeshCrypto
package import MeshTrust

/// The key of a mesh's authority as a single line: `presence-authority:1:` and, as a ``PrintedLine``, id of the
/// mesh (16 bytes) and seed of the key (32).
package struct AuthorityLine: Sendable {
  package let mesh: MeshID
  package let key: NodeKey

  private static let beginning = "presence-authority:1:"

  package init(mesh: MeshID, key: NodeKey) {
    self.mesh = mesh
    self.key = key
  }

  /// Reads a line; `nil`: it is none, or damaged.
  package init?(_ line: String) { self.init(SecretBytes(Array(line.utf8))) }

  /// Reads a line; `nil`: it is none, or damaged.
  package init?(_ line: SecretBytes) {
    let read = line.withBytes { start -> AuthorityLine? in
      guard let word = PrintedLine.word(UnsafeBufferPointer(start: start, count: line.count)),
        word.starts(with: Self.beginning.utf8)
      else { return nil }
      return PrintedLine.read(Self.beginning, word.dropFirst(Self.beginning.utf8.count)) { bytes in
        let seed = bytes.dropFirst(MeshID.byteCount)
        guard let mesh = MeshID(bytes: Array(bytes.prefix(MeshID.byteCount))),
          seed.count == NodeKey.seedBytes
        else { return nil }
        return AuthorityLine(mesh: mesh, key: NodeKey(seed: SecretBytes(seed)))
      } ?? nil
    }
    guard let read else { return nil }
    self = read
  }

  /// The line. Whoever reads it controls the mesh.
  package var line: String {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(64)
    bytes += mesh.bytes
    key.seed.withBytes {
      bytes.append(contentsOf: UnsafeBufferPointer(start: $0, count: key.seed.count))
    }
    return PrintedLine.printed(Self.beginning, &bytes)
  }
}

import MeshCRDT
package import MeshCrypto
package import MeshEngine
package import MeshTrust

/// What one needs to join a mesh, as a single line that can be copied.
///
/// `presence-mesh:1:` and, in Base64 for URLs: id of the mesh (16 bytes), epoch (4), key of the
/// epoch (32), number of addresses (1), addresses (18 each, port last), checksum (8). Numbers are
/// big-endian. The checksum is SipHash-2-4 with a fixed key over everything before it, so that a
/// line that was mistyped or cut short is seen to be; it proves nothing about who wrote it.
package struct Invite: Sendable {
  /// The most addresses of an invite.
  package static let addressBound = 8

  package let mesh: MeshID
  package let epoch: UInt32
  package let key: SecretBytes
  /// Where nodes of the mesh may be found, at most ``addressBound``.
  package let addresses: [PeerAddress]

  /// Addresses beyond ``addressBound`` are left out, and so are those that mean nothing on another
  /// machine: link-local IPv6.
  package init(mesh: MeshID, epoch: UInt32, key: SecretBytes, addresses: [PeerAddress]) {
    precondition(key.count == MeshKeyring.keyBytes)
    self.mesh = mesh
    self.epoch = epoch
    self.key = key
    self.addresses = Array(
      addresses.filter { $0.zone == 0 && $0.port > 0 }.prefix(Self.addressBound))
  }
}

/// Why a line is not taken as an invite.
package enum InviteError: Error, Hashable, Sendable {
  case notAnInvite
  case unknownVersion(String)
  /// Characters are missing or wrong.
  case damaged
  /// It has another key for an epoch of which one is known.
  case otherKey(epoch: UInt32)
}

extension InviteError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .notAnInvite: "this is not an invite: one begins with presence-mesh:1:"
    case .unknownVersion(let version):
      """
      this invite has version '\(version)', which this version of PresenceMesh does not know: \
      update PresenceMesh, or ask for an invite of version 1
      """
    case .damaged: "this invite is damaged: copy the whole line again, with nothing left out"
    case .otherKey(let epoch):
      """
      this invite has another key for epoch \(epoch) of the mesh than the one that is known, and \
      nodes with different keys do not hear each other: print a new invite on a node that works \
      (presence mesh invite), or join with another state directory
      """
    }
  }
}

extension Invite {
  private static let scheme = "presence-mesh:"
  private static let version = "1"
  private static let checksumKey = HashKey(0x7072_6573_656E_6365, 0x2D6D_6573_6820_696E)
  private static let addressBytes = 18
  private static let checksumBytes = 8
  private static let fixedBytes = MeshID.byteCount + 4 + MeshKeyring.keyBytes + 1

  /// The line. It holds the key of the mesh: whoever reads it can join.
  package var line: String {
    var bytes: [UInt8] = []
    // Room for everything, so that no part of the key is left behind where the array moved from.
    bytes.reserveCapacity(
      Self.fixedBytes + Self.addressBytes * addresses.count + Self.checksumBytes)
    bytes += mesh.bytes
    bytes += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: epoch >> UInt32($0)) }
    key.withBytes { bytes.append(contentsOf: UnsafeBufferPointer(start: $0, count: key.count)) }
    bytes.append(UInt8(addresses.count))
    for address in addresses { bytes += address.bytes }
    bytes += Self.checksum(bytes)
    defer { Sodium.wipe(&bytes) }
    return "\(Self.scheme)\(Self.version):\(Base64URL.encoded(bytes))"
  }

  /// Reads a line. White space and quotes around it are passed over.
  package init(line: String) throws(InviteError) { try self.init(utf8: line.utf8) }

  /// Reads a line that stands in guarded memory: no copy of it is left elsewhere.
  package init(_ text: SecretBytes) throws(InviteError) {
    self = try text.withBytes { start -> Result<Invite, InviteError> in
      do throws(InviteError) {
        return .success(try Invite(utf8: UnsafeBufferPointer(start: start, count: text.count)))
      } catch {
        return .failure(error)
      }
    }.get()
  }

  private init(utf8 line: some BidirectionalCollection<UInt8>) throws(InviteError) {
    func isAround(_ byte: UInt8) -> Bool { byte <= 0x20 || byte == 0x22 || byte == 0x27 }
    let trimmed = line.drop(while: isAround)
    let text = trimmed.prefix { !isAround($0) }
    guard trimmed[text.endIndex...].allSatisfy(isAround), text.starts(with: Self.scheme.utf8)
    else { throw .notAnInvite }
    let parts = text.dropFirst(Self.scheme.utf8.count)
      .split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
    guard parts[0].elementsEqual(Self.version.utf8) else {
      throw parts[0].isEmpty
        ? .damaged : .unknownVersion(String(decoding: parts[0].prefix(16), as: UTF8.self))
    }
    guard parts.count == 2, var bytes = Base64URL.decoded(utf8: parts[1]) else { throw .damaged }
    defer { Sodium.wipe(&bytes) }
    guard let invite = Self.decoded(bytes) else { throw .damaged }
    self = invite
  }

  /// The checksum over scheme, version and these bytes, of which no copy is made.
  static func checksum(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    var hasher = SipHash(key: checksumKey)
    for byte in "\(scheme)\(version):".utf8 { hasher.combine(byte) }
    for byte in bytes { hasher.combine(byte) }
    return hasher.finalize().bigEndianBytes
  }

  /// Reads what stands behind the version; `nil` when the length or the checksum is wrong.
  private static func decoded(_ bytes: [UInt8]) -> Invite? {
    bytes.withUnsafeBufferPointer { all -> Invite? in
      let end = all.count - checksumBytes
      guard end >= fixedBytes else { return nil }
      let count = Int(all[fixedBytes - 1])
      guard count <= addressBound, end == fixedBytes + count * addressBytes else { return nil }
      guard checksum(all[..<end]).elementsEqual(all[end...]),
        let mesh = MeshID(bytes: Array(all[..<MeshID.byteCount]))
      else { return nil }
      func word(_ start: Int, _ length: Int) -> UInt64 {
        all[start..<(start + length)].reduce(0) { $0 << 8 | UInt64($1) }
      }
      let keyStart = MeshID.byteCount + 4
      let key = SecretBytes(count: MeshKeyring.keyBytes) { memory in
        memory.copyBytes(from: all[keyStart..<(keyStart + MeshKeyring.keyBytes)])
      }
      let addresses = (0..<count).map { index in
        let start = fixedBytes + index * addressBytes
        return PeerAddress(
          high: word(start, 8), low: word(start + 8, 8),
          port: UInt16(truncatingIfNeeded: word(start + 16, 2)))
      }
      return Invite(
        mesh: mesh, epoch: UInt32(truncatingIfNeeded: word(MeshID.byteCount, 4)), key: key,
        addresses: addresses)
    }
  }
}

extension Invite: CustomStringConvertible, CustomReflectable {
  /// Nothing that a member alone may know: an invite that is logged lets nobody in.
  package var description: String {
    "<invite to a mesh, epoch \(epoch), \(addresses.count) addresses>"
  }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

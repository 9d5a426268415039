import MeshCRDT
package import MeshCrypto
package import MeshEngine
package import MeshTrust
import MeshWire

/// What one needs to join a mesh, as a single line that can be copied.
///
/// `presence-mesh:`, the version, `:` and, as a ``PrintedLine``: id of the mesh (16 bytes), epoch (4), by the
/// version what lets in, number of addresses (1), addresses (18 each, port last).
/// - Version 1, of open meshes: key of the epoch (32).
/// - Version 2, of closed ones: public admission key of the epoch (32), authority (32), seed of the ticket key
///   (32), flag of an issuer that is itself certified (1) and its link, ticket.
///
/// Numbers are big-endian.
package struct Invite: Sendable {
  /// The most addresses of an invite.
  package static let addressBound = 8

  /// What lets somebody in.
  package enum Content: Sendable {
    /// The key of the epoch of an open mesh.
    case key(SecretBytes)
    case ticket(HeldTicket)
  }

  package let mesh: MeshID
  package let epoch: UInt32
  package let content: Content
  /// Where nodes of the mesh may be found, at most ``addressBound``.
  package let addresses: [PeerAddress]

  /// Addresses beyond ``addressBound`` are left out, and so are those that mean nothing on another
  /// machine: link-local IPv6.
  package init(mesh: MeshID, epoch: UInt32, content: Content, addresses: [PeerAddress]) {
    self.mesh = mesh
    self.epoch = epoch
    self.content = content
    self.addresses = Array(
      addresses.filter { $0.zone == 0 && $0.port > 0 }.prefix(Self.addressBound))
  }

  /// An invite to an open mesh.
  package init(mesh: MeshID, epoch: UInt32, key: SecretBytes, addresses: [PeerAddress]) {
    precondition(key.count == MeshKeyring.keyBytes)
    self.init(mesh: mesh, epoch: epoch, content: .key(key), addresses: addresses)
  }

  /// The id of the mesh, which members alone may know, in 32 hexadecimal digits.
  package var meshText: String { hexadecimal(mesh.bytes) }
  /// The key of the epoch; `nil`: the mesh is closed.
  package var key: SecretBytes? { if case .key(let key) = content { key } else { nil } }
  /// The ticket; `nil`: the mesh is open.
  package var ticket: HeldTicket? { if case .ticket(let ticket) = content { ticket } else { nil } }
}

/// Why a line is not taken as an invite.
package enum InviteError: Error, Hashable, Sendable {
  case notAnInvite
  case unknownVersion(String)
  /// Characters are missing or wrong.
  case damaged
  /// It has another key for an epoch of which one is known.
  case otherKey(epoch: UInt32)
  /// Its ticket admits nobody any more.
  case expired(WallTime)
  /// Its ticket was issued later than now: a clock is off.
  case notYetValid(WallTime)
  /// No authority of the mesh stands behind its ticket.
  case notGenuine
  /// It is to a mesh of the same id that goes by other rules.
  case otherMesh
}

extension InviteError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .notAnInvite: "this is not an invite: one begins with presence-mesh:1: or presence-mesh:2:"
    case .unknownVersion(let version):
      """
      this invite has version '\(version)', which this version of PresenceMesh does not know: \
      update PresenceMesh, or ask for an invite of version 1 or 2
      """
    case .damaged: "this invite is damaged: copy the whole line again, with nothing left out"
    case .otherKey(let epoch):
      """
      this invite has another key for epoch \(epoch) of the mesh than the one that is known, and \
      nodes with different keys do not hear each other: print a new invite on a node that works \
      (presence mesh invite), or join with another state directory
      """
    case .expired(let end):
      """
      this invite ended at \(end.text): ask for a new one (`presence invite` on a node of an admin), \
      or set the clock of this machine if it is wrong
      """
    case .notYetValid(let begin):
      """
      this invite was made at \(begin.text), which is later than the clock of this machine says \
      (\(WallClock.now.text)): set the clock
      """
    case .notGenuine:
      "no authority of the mesh stands behind this invite: ask whoever runs the mesh for another"
    case .otherMesh:
      """
      this invite is to a mesh of other authorities, or to an open one where a closed one is known: \
      ask for an invite of the mesh that is known, or join with another state directory
      """
    }
  }
}

extension Invite {
  private static let scheme = "presence-mesh:"
  /// More bytes than an invite has.
  private static let byteBound = 2048

  private var version: String { key == nil ? "2" : "1" }

  /// The line. Whoever reads it can join.
  package var line: String {
    // Room for everything, so that no part of a secret is left behind where the array moved from.
    var writer = ByteWriter(reserving: Self.byteBound)
    func write(_ secret: SecretBytes) {
      secret.withBytes { for index in 0..<secret.count { writer.byte($0[index]) } }
    }
    writer.raw(mesh.bytes)
    writer.uint32(epoch)
    switch content {
    case .key(let key): write(key)
    case .ticket(let held):
      writer.raw(held.admissionKey)
      writer.origin(held.authority)
      write(held.key.seed)
      writer.flag(held.issuer != nil)
      held.issuer?.write(to: &writer)
      held.ticket.write(to: &writer)
    }
    writer.byte(UInt8(addresses.count))
    for address in addresses { writer.raw(address.bytes) }
    var bytes = writer.take()
    return PrintedLine.printed("\(Self.scheme)\(version):", &bytes)
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
    guard let text = PrintedLine.word(line), text.starts(with: Self.scheme.utf8) else {
      throw .notAnInvite
    }
    let parts = text.dropFirst(Self.scheme.utf8.count)
      .split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
    let version = String(decoding: parts[0].prefix(16), as: UTF8.self)
    guard version == "1" || version == "2" else {
      throw parts[0].isEmpty ? .damaged : .unknownVersion(version)
    }
    guard parts.count == 2,
      let invite = PrintedLine.read(
        "\(Self.scheme)\(version):", parts[1], { try Self.decoded($0, version: version) })
    else { throw .damaged }
    self = invite
  }

  /// Reads what stands behind the version. Secrets go straight to guarded memory.
  private static func decoded(
    _ bytes: ArraySlice<UInt8>, version: String
  ) throws(WireError) -> Invite {
    guard bytes.count < byteBound else { throw .outOfBounds }
    var reader = ByteReader(bytes)
    func secret() throws(WireError) -> SecretBytes {
      SecretBytes(bytes[try reader.range(MeshKeyring.keyBytes)])
    }
    guard let mesh = MeshID(bytes: Array(bytes[try reader.range(MeshID.byteCount)])) else {
      throw .outOfBounds
    }
    let epoch = try reader.uint32()
    let content: Content
    if version == "1" {
      content = .key(try secret())
    } else {
      let admissionKey = Array(bytes[try reader.range(MeshKeyring.keyBytes)])
      let authority = try reader.origin()
      let key = NodeKey(seed: try secret())
      let issuer = try reader.flag() ? try CertificateLink(from: &reader) : nil
      let ticket = try Ticket(from: &reader)
      guard ticket.key == key.origin else { throw .outOfBounds }
      content = .ticket(
        HeldTicket(
          ticket: ticket, issuer: issuer, authority: authority, admissionKey: admissionKey, key: key
        ))
    }
    let count = try reader.byte()
    guard count <= addressBound else { throw .outOfBounds }
    var addresses: [PeerAddress] = []
    for _ in 0..<count {
      addresses.append(
        PeerAddress(
          high: try reader.uint64(), low: try reader.uint64(), port: try reader.uint16()))
    }
    try reader.finish()
    return Invite(mesh: mesh, epoch: epoch, content: content, addresses: addresses)
  }
}

extension Invite: CustomStringConvertible, CustomReflectable {
  /// Nothing that a member alone may know: an invite that is logged lets nobody in.
  package var description: String {
    "<invite to a mesh, epoch \(epoch), \(addresses.count) addresses>"
  }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

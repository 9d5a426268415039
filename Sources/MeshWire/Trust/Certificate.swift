package import MeshCRDT

/// What a signature of the trust layer is about. The names keep a signature of one kind from being one of
/// another.
enum TrustDomain: String {
  case ticket = "PresenceMesh/2 ticket"
  case binding = "PresenceMesh/2 binding"
  case decree = "PresenceMesh/2 decree"

  /// The bytes that a signature covers: domain, a zero byte, mesh id (16), signer (32), content.
  func signedBytes(mesh: [UInt8], signer: OriginID, _ content: ArraySlice<UInt8>) -> [UInt8] {
    var writer = ByteWriter(reserving: 80 + content.count)
    writer.raw(rawValue.utf8)
    writer.byte(0)
    writer.raw(mesh)
    writer.origin(signer)
    writer.raw(content)
    return writer.take()
  }
}

/// Verifies the Ed25519 signature of some bytes by a key.
package typealias SignatureCheck = (
  _ bytes: [UInt8], _ signature: ArraySlice<UInt8>, _ key: OriginID
) -> Bool

/// Makes an Ed25519 signature of some bytes.
package typealias Signing = (_ bytes: [UInt8]) -> [UInt8]

/// What an issuer says of a *ticket key*: who signs a node's key with it makes that node a member.
///
/// Layout: issuer (32), signature (64), ticket key (32), ``Rights``, uses, issued at, expires, lifetime
/// (varints). Times are milliseconds since 1970.
package struct Ticket: Hashable, Sendable {
  package let issuer: OriginID
  package let signature: [UInt8]
  /// The public half of the ticket key: the ticket's id.
  package let key: OriginID
  package let rights: Rights
  /// How many nodes it admits; 0: any number.
  package let uses: UInt64
  package let issuedAt: UInt64
  /// Nodes may be bound up to this moment.
  package let expires: UInt64
  /// How long a certificate by it holds, from the moment of binding on.
  package let lifetime: UInt64

  package static let usesBound: UInt64 = 1 << 16

  /// Signs a ticket by an issuer's key; `nil` when a value breaks its bound.
  package init?(
    issuer: OriginID, key: OriginID, rights: Rights, uses: UInt64, issuedAt: UInt64,
    expires: UInt64, lifetime: UInt64, mesh: [UInt8], sign: Signing
  ) {
    guard uses < Self.usesBound, issuedAt <= expires, expires < Limits.counterBound,
      1..<Limits.counterBound ~= lifetime
    else { return nil }
    self.issuer = issuer
    self.key = key
    self.rights = rights
    self.uses = uses
    self.issuedAt = issuedAt
    self.expires = expires
    self.lifetime = lifetime
    var writer = ByteWriter()
    Self.write(key, rights, uses, issuedAt, expires, lifetime, to: &writer)
    signature = sign(
      TrustDomain.ticket.signedBytes(mesh: mesh, signer: issuer, writer.bytes[...]))
    guard signature.count == SignedMessage.signatureBytes else { return nil }
  }

  private static func write(
    _ key: OriginID, _ rights: Rights, _ uses: UInt64, _ issuedAt: UInt64, _ expires: UInt64,
    _ lifetime: UInt64, to writer: inout ByteWriter
  ) {
    writer.origin(key)
    rights.write(to: &writer)
    for number in [uses, issuedAt, expires, lifetime] { writer.varint(number) }
  }

  private var content: [UInt8] {
    var writer = ByteWriter()
    Self.write(key, rights, uses, issuedAt, expires, lifetime, to: &writer)
    return writer.take()
  }

  /// True when the issuer has signed it.
  package func isSigned(mesh: [UInt8], check: SignatureCheck) -> Bool {
    check(
      TrustDomain.ticket.signedBytes(mesh: mesh, signer: issuer, content[...]), signature[...],
      issuer)
  }

  package func write(to writer: inout ByteWriter) {
    writer.origin(issuer)
    writer.raw(signature)
    writer.raw(content)
  }

  package init(from reader: inout ByteReader) throws(WireError) {
    issuer = try reader.origin()
    signature = Array(reader.bytes[try reader.range(SignedMessage.signatureBytes)])
    key = try reader.origin()
    rights = try Rights(from: &reader)
    uses = try reader.varint(below: Self.usesBound)
    issuedAt = try reader.counter()
    expires = try reader.counter(from: issuedAt)
    lifetime = try reader.counter(from: 1)
  }
}

/// A key that was signed with a ticket key.
///
/// Layout: ``Ticket``, bound at (varint), signature by the ticket key (64).
package struct CertificateLink: Hashable, Sendable {
  package let ticket: Ticket
  package let boundAt: UInt64
  package let signature: [UInt8]

  /// Binds a node's key to a ticket; `nil` when the moment is not one of the ticket's.
  package init?(
    binding node: OriginID, to ticket: Ticket, at moment: UInt64, mesh: [UInt8], sign: Signing
  ) {
    guard ticket.issuedAt...ticket.expires ~= moment else { return nil }
    self.ticket = ticket
    boundAt = moment
    signature = sign(Self.signedBytes(of: node, ticket, at: moment, mesh: mesh))
    guard signature.count == SignedMessage.signatureBytes else { return nil }
  }

  /// When it ends.
  package var notAfter: UInt64 { min(boundAt + ticket.lifetime, Limits.counterBound - 1) }

  private static func signedBytes(
    of node: OriginID, _ ticket: Ticket, at moment: UInt64, mesh: [UInt8]
  ) -> [UInt8] {
    var writer = ByteWriter()
    writer.origin(node)
    writer.varint(moment)
    ticket.write(to: &writer)
    return TrustDomain.binding.signedBytes(mesh: mesh, signer: ticket.key, writer.bytes[...])
  }

  /// True when issuer and ticket key have signed it for a node.
  func isSigned(for node: OriginID, mesh: [UInt8], check: SignatureCheck) -> Bool {
    ticket.isSigned(mesh: mesh, check: check)
      && check(
        Self.signedBytes(of: node, ticket, at: boundAt, mesh: mesh), signature[...], ticket.key)
  }

  package func write(to writer: inout ByteWriter) {
    ticket.write(to: &writer)
    writer.varint(boundAt)
    writer.raw(signature)
  }

  package init(from reader: inout ByteReader) throws(WireError) {
    ticket = try Ticket(from: &reader)
    boundAt = try reader.counter(from: ticket.issuedAt)
    guard boundAt <= ticket.expires else { throw .outOfBounds }
    signature = Array(reader.bytes[try reader.range(SignedMessage.signatureBytes)])
  }
}

/// What makes a node a member of a closed mesh.
///
/// Layout: node (32), flag of an issuer that is itself certified (1), the link of the node, and with the flag
/// that of the issuer.
package struct Certificate: Hashable, Sendable {
  package let node: OriginID
  package let link: CertificateLink
  /// What certifies who issued the ticket; `nil`: an authority.
  package let issuer: CertificateLink?

  /// The most bytes of a certificate.
  package static let byteBound = 768

  package init(node: OriginID, link: CertificateLink, issuer: CertificateLink? = nil) {
    self.node = node
    self.link = link
    self.issuer = issuer
  }

  package var ticket: Ticket { link.ticket }
  package var rights: Rights { link.ticket.rights }
  /// When it ends: with the first of its links.
  package var notAfter: UInt64 { min(link.notAfter, issuer?.notAfter ?? .max) }

  /// Why a certificate is none.
  package enum Failure: Error, Hashable, Sendable {
    /// Its chain does not begin at an authority of the mesh.
    case unknownIssuer(OriginID)
    /// Who issued it may not give these rights.
    case excessiveRights
    case wrongSignature
  }

  /// Verifies the chain up to an authority; what depends on time is not looked at. Cost: two signatures a
  /// link, and none when the chain cannot be right.
  package func verify(
    mesh: [UInt8], isAuthority: (OriginID) -> Bool, check: SignatureCheck
  ) throws(Failure) {
    try verifyChain(
      of: ticket.issuer, issuer, role: ticket.rights.role, mesh: mesh, isAuthority: isAuthority,
      check: check)
    guard link.isSigned(for: node, mesh: mesh, check: check) else { throw .wrongSignature }
  }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(reserving: 512)
    writer.origin(node)
    writer.flag(issuer != nil)
    link.write(to: &writer)
    issuer?.write(to: &writer)
    return writer.take()
  }

  /// Reads a certificate that is all of a reader's bytes.
  package init(from reader: inout ByteReader) throws(WireError) {
    guard reader.remaining <= Self.byteBound else {
      throw .doesNotFit(needed: reader.remaining, available: Self.byteBound)
    }
    node = try reader.origin()
    let isChained = try reader.flag()
    link = try CertificateLink(from: &reader)
    issuer = isChained ? try CertificateLink(from: &reader) : nil
    try reader.finish()
  }
}

/// Verifies that an issuer is an authority, or an admin that one has certified and that may give a role.
private func verifyChain(
  of signer: OriginID, _ link: CertificateLink?, role: Role, mesh: [UInt8],
  isAuthority: (OriginID) -> Bool, check: SignatureCheck
) throws(Certificate.Failure) {
  guard let link else {
    guard isAuthority(signer) else { throw .unknownIssuer(signer) }
    return
  }
  guard isAuthority(link.ticket.issuer) else { throw .unknownIssuer(link.ticket.issuer) }
  guard link.ticket.rights.role == .admin, role < .admin else { throw .excessiveRights }
  guard link.isSigned(for: signer, mesh: mesh, check: check) else { throw .wrongSignature }
}

/// A signed word about the membership of a mesh: it takes something back, begins an epoch, or names an
/// authority.
///
/// Layout: signer (32), signature (64), kind (1), issued at, until (varints), subject; flag of a signer that is
/// itself certified (1), and with it the signer's link. The signature covers kind…subject.
package struct Decree: Hashable, Sendable {
  package enum Subject: Hashable, Sendable {
    /// The certificates of a node end.
    case revokedNode(OriginID)
    /// The certificates of a ticket end, and it admits nobody.
    case revokedTicket(OriginID)
    /// What anybody says about a user does not count.
    case revokedUser(String)
    /// An epoch begins, with the key that hashes to the check.
    case epoch(UInt32, check: Hash256)
    /// A key is an authority, too.
    case authority(OriginID)
  }

  package let signer: OriginID
  package let signature: [UInt8]
  package let subject: Subject
  package let issuedAt: UInt64
  /// When it drops out.
  package let until: UInt64
  /// What certifies the signer; `nil`: an authority.
  package let link: CertificateLink?

  /// The most bytes of a decree.
  package static let byteBound = 768

  /// Signs a decree; `nil` when a value breaks its bound.
  package init?(
    _ subject: Subject, signer: OriginID, link: CertificateLink?, issuedAt: UInt64, until: UInt64,
    mesh: [UInt8], sign: Signing
  ) {
    guard issuedAt <= until, until < Limits.counterBound else { return nil }
    if case .revokedUser(let user) = subject {
      guard UserPattern(user) != nil else { return nil }
    }
    self.signer = signer
    self.subject = subject
    self.issuedAt = issuedAt
    self.until = until
    self.link = link
    let content = Self.content(subject, issuedAt, until)
    signature = sign(TrustDomain.decree.signedBytes(mesh: mesh, signer: signer, content[...]))
    guard signature.count == SignedMessage.signatureBytes else { return nil }
  }

  /// Verifies the chain up to an authority; what depends on time is not looked at. Cost: at most three
  /// signatures.
  package func verify(
    mesh: [UInt8], isAuthority: (OriginID) -> Bool, check: SignatureCheck
  ) throws(Certificate.Failure) {
    if case .authority = subject, link != nil { throw .excessiveRights }
    // Nobody signs as an admin who is none any more.
    if let link, issuedAt > link.notAfter { throw .excessiveRights }
    try verifyChain(
      of: signer, link, role: .member, mesh: mesh, isAuthority: isAuthority, check: check)
    let content = Self.content(subject, issuedAt, until)
    let signed = TrustDomain.decree.signedBytes(mesh: mesh, signer: signer, content[...])
    guard check(signed, signature[...], signer) else { throw .wrongSignature }
  }

  private static func content(_ subject: Subject, _ issuedAt: UInt64, _ until: UInt64) -> [UInt8] {
    var writer = ByteWriter()
    writer.byte(subject.kind)
    writer.varint(issuedAt)
    writer.varint(until)
    switch subject {
    case .revokedNode(let key), .revokedTicket(let key), .authority(let key): writer.origin(key)
    case .revokedUser(let user): writer.text(user)
    case .epoch(let epoch, let check):
      writer.uint32(epoch)
      writer.hash256(check)
    }
    return writer.take()
  }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(reserving: 512)
    writer.origin(signer)
    writer.raw(signature)
    writer.raw(Self.content(subject, issuedAt, until))
    writer.flag(link != nil)
    link?.write(to: &writer)
    return writer.take()
  }

  /// Reads a decree that is all of a reader's bytes.
  package init(from reader: inout ByteReader) throws(WireError) {
    guard reader.remaining <= Self.byteBound else {
      throw .doesNotFit(needed: reader.remaining, available: Self.byteBound)
    }
    signer = try reader.origin()
    signature = Array(reader.bytes[try reader.range(SignedMessage.signatureBytes)])
    let kind = try reader.byte()
    issuedAt = try reader.counter()
    until = try reader.counter(from: issuedAt)
    switch kind {
    case 1: subject = .revokedNode(try reader.origin())
    case 2: subject = .revokedTicket(try reader.origin())
    case 3: subject = .revokedUser(try reader.text(atLeast: 1, atMost: Limits.userIDBytes))
    case 4:
      let epoch = try reader.uint32()
      guard epoch > 0 else { throw .outOfBounds }
      subject = .epoch(epoch, check: try reader.hash256())
    case 5: subject = .authority(try reader.origin())
    default: throw .unknownKind(kind)
    }
    link = try reader.flag() ? try CertificateLink(from: &reader) : nil
    try reader.finish()
  }
}

extension Decree.Subject {
  fileprivate var kind: UInt8 {
    switch self {
    case .revokedNode: 1
    case .revokedTicket: 2
    case .revokedUser: 3
    case .epoch: 4
    case .authority: 5
    }
  }

  /// The kind and what it is about, which tell one subject from another.
  package var key: [UInt8] {
    var writer = ByteWriter(reserving: 72)
    writer.byte(kind)
    switch self {
    case .revokedNode(let key), .revokedTicket(let key), .authority(let key): writer.origin(key)
    case .epoch(let epoch, _): writer.uint32(epoch)
    case .revokedUser(let user): writer.raw(user.utf8)
    }
    return writer.take()
  }
}

extension Decree {
  /// What the decree stands under in the tree of the replica: 2, its subject and its signer.
  package var key: [UInt8] { [2] + subject.key + signer.bytes }
}

extension Certificate {
  /// What the certificate of a node stands under in the tree of the replica: 1 and the node.
  package static func key(of node: OriginID) -> [UInt8] { [1] + node.bytes }
}

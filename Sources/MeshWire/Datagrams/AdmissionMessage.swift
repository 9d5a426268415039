import MeshCRDT

/// A datagram by which a node that lacks the mesh key asks for it.
///
/// Layout: version 2 (1), mesh tag (8), epoch 0 (4), kind (1), and by kind
/// - hello: nonce (8);
/// - cookie: token (8), the nonce of the hello (8; 0: there was none);
/// - request: token (8), epoch (4), and sealed to the admission key of that epoch: ``Request``;
/// - grant: sealed to the node's key: the decree of the epoch, then its mesh key (32);
/// - refusal: sealed to the node's key: ``Refusal``.
package enum AdmissionMessage: Hashable, Sendable {
  /// Asks for a cookie.
  case hello(nonce: UInt64)
  /// To be sent back with a request: so its address is proven before there is any work. The nonce shows that
  /// it was asked for.
  case cookie(UInt64, nonce: UInt64)
  case request(cookie: UInt64, epoch: UInt32, sealed: [UInt8])
  case grant(sealed: [UInt8])
  case refusal(sealed: [UInt8])

  private static let headerBytes = DatagramHeader.additionalBytes + 1
  /// What sealing to a key adds: an ephemeral key and an authenticator.
  package static let sealBytes = 48

  /// What a request says.
  ///
  /// Layout: milliseconds since 1970 (8), certificate.
  package struct Request: Hashable, Sendable {
    package let wall: UInt64
    package let certificate: Certificate

    package init(wall: UInt64, certificate: Certificate) {
      self.wall = wall
      self.certificate = certificate
    }

    package func encoded() -> [UInt8] {
      wall.bigEndianBytes + certificate.encoded()
    }

    package init(_ bytes: [UInt8]) throws(WireError) {
      var reader = ByteReader(bytes)
      wall = try reader.uint64()
      certificate = try Certificate(from: &reader)
    }
  }

  /// Why no key is given.
  ///
  /// Layout: reason (1), milliseconds since 1970 at whoever refuses (8), and, if there is one, the decree that
  /// says so.
  package struct Refusal: Hashable, Sendable {
    package let reason: RefusalReason
    package let wall: UInt64
    package let decree: Decree?

    package init(_ reason: RefusalReason, wall: UInt64, decree: Decree? = nil) {
      self.reason = reason
      self.wall = wall
      self.decree = decree
    }

    package func encoded() -> [UInt8] {
      [reason.rawValue] + wall.bigEndianBytes + (decree?.encoded() ?? [])
    }

    package init(_ bytes: [UInt8]) throws(WireError) {
      var reader = ByteReader(bytes)
      guard let reason = RefusalReason(rawValue: try reader.byte()) else { throw .outOfBounds }
      self.reason = reason
      wall = try reader.uint64()
      decree = reader.isAtEnd ? nil : try Decree(from: &reader)
    }
  }

  /// The datagram, for a mesh.
  package func encoded(tag: UInt64) -> [UInt8] {
    var writer = ByteWriter(reserving: 64)
    writer.byte(DatagramHeader.version)
    writer.uint64(tag)
    writer.uint32(0)
    switch self {
    case .hello(let nonce):
      writer.byte(1)
      writer.uint64(nonce)
    case .cookie(let token, let nonce):
      writer.byte(2)
      writer.uint64(token)
      writer.uint64(nonce)
    case .request(let token, let epoch, let sealed):
      writer.byte(3)
      writer.uint64(token)
      writer.uint32(epoch)
      writer.raw(sealed)
    case .grant(let sealed):
      writer.byte(4)
      writer.raw(sealed)
    case .refusal(let sealed):
      writer.byte(5)
      writer.raw(sealed)
    }
    return writer.take()
  }

  /// True for datagrams about admission to a mesh.
  package static func isOne(_ datagram: [UInt8], tag: UInt64) -> Bool {
    guard datagram.count >= headerBytes, datagram[0] == DatagramHeader.version else { return false }
    return datagram[1...8].elementsEqual(tag.bigEndianBytes)
      && datagram[9...12].allSatisfy { $0 == 0 }
  }

  /// Reads a datagram for which ``isOne(_:tag:)`` holds.
  package init(_ datagram: [UInt8]) throws(WireError) {
    guard datagram.count <= Limits.datagramBytes else {
      throw .doesNotFit(needed: datagram.count, available: Limits.datagramBytes)
    }
    var reader = ByteReader(datagram)
    _ = try reader.range(DatagramHeader.additionalBytes)
    let kind = try reader.byte()
    switch kind {
    case 1: self = .hello(nonce: try reader.uint64())
    case 2: self = .cookie(try reader.uint64(), nonce: try reader.uint64())
    case 3:
      self = .request(
        cookie: try reader.uint64(), epoch: try reader.uint32(), sealed: Array(reader.rest()))
    case 4: self = .grant(sealed: Array(reader.rest()))
    case 5: self = .refusal(sealed: Array(reader.rest()))
    default: throw .unknownKind(kind)
    }
    try reader.finish()
  }
}

/// Why a node is not, or no longer, a member of a closed mesh.
package enum RefusalReason: UInt8, Hashable, CaseIterable, Sendable {
  /// The node was revoked, or whoever issued its ticket was.
  case revokedNode = 1
  case revokedTicket = 2
  /// Its ticket was used by as many others before.
  case usesExceeded = 3
  case expired = 4
  /// Its certificate begins later than now: a clock is off.
  case notYetValid = 5
  /// No authority of the mesh stands behind the certificate.
  case unknownIssuer = 6
  /// As many members as there may be are known.
  case full = 7
}

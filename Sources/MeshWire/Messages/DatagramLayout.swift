package import MeshCRDT

/// The outer and the inner header of a datagram.
///
/// Outer, in the clear: version (1), mesh tag (8), epoch of the mesh key (4), nonce (24). Then the
/// sealed part, and behind it the authenticator (16). Version, tag and epoch are additional data.
/// Inner, sealed: sender (32), its generation (4), datagram counter (8), echo (8), messages.
package enum DatagramLayout {
  package static let version: UInt8 = 1
  package static let tagBytes = 8
  package static let nonceBytes = 24
  package static let authenticatorBytes = 16
  /// Version, tag and epoch.
  package static let additionalBytes = 1 + tagBytes + 4
  package static let outerBytes = additionalBytes + nonceBytes
  package static let innerBytes = OriginID.byteCount + 4 + 8 + 8
  package static let overheadBytes = outerBytes + innerBytes + authenticatorBytes
  /// What is left for messages.
  package static let messageBytes = Limits.datagramBytes - overheadBytes
  /// True when the next message is a proof. Proofs stand at the beginning of a datagram.
  package static func beginsWithProof(_ reader: ByteReader) -> Bool {
    var reader = reader
    return (try? reader.byte()) == SignedKind.proof.rawValue
  }

  /// What is left for a signed body in a message of its own, an age of 5 bytes included.
  package static let bodyBytes =
    messageBytes - Message.headerBytes - Envelope.overheadBytes - 5
}

/// The clear part of a datagram.
package struct OuterHeader: Hashable, Sendable {
  package let tag: UInt64
  package let epoch: UInt32

  package init(tag: UInt64, epoch: UInt32) {
    self.tag = tag
    self.epoch = epoch
  }

  /// Reads the header of a datagram that has room for the inner one and the authenticator.
  package static func read(_ datagram: [UInt8]) throws(WireError) -> OuterHeader {
    guard datagram.count <= Limits.datagramBytes else {
      throw .doesNotFit(needed: datagram.count, available: Limits.datagramBytes)
    }
    guard datagram.count >= DatagramLayout.overheadBytes else { throw .truncated }
    var reader = ByteReader(datagram)
    let version = try reader.byte()
    guard version == DatagramLayout.version else { throw .unknownKind(version) }
    return OuterHeader(tag: try reader.uint64(), epoch: try reader.uint32())
  }

  package func write(to writer: inout ByteWriter) {
    writer.byte(DatagramLayout.version)
    writer.uint64(tag)
    writer.uint32(epoch)
  }
}

/// The sealed header of a datagram.
package struct InnerHeader: Hashable, Sendable {
  package let sender: OriginID
  package let generation: UInt64
  /// Rises with each datagram of a sender's generation.
  package let counter: UInt64
  /// The token that the receiver gave to the sender's address; 0 when there is none yet.
  package let echo: UInt64

  package init(sender: OriginID, generation: UInt64, counter: UInt64, echo: UInt64) {
    self.sender = sender
    self.generation = generation
    self.counter = counter
    self.echo = echo
  }

  package static func read(_ reader: inout ByteReader) throws(WireError) -> InnerHeader {
    let header = InnerHeader(
      sender: try reader.origin(), generation: UInt64(try reader.uint32()),
      counter: try reader.uint64(), echo: try reader.uint64())
    guard header.generation > 0 else { throw .outOfBounds }
    return header
  }

  package func write(to writer: inout ByteWriter) {
    writer.origin(sender)
    writer.uint32(UInt32(truncatingIfNeeded: generation))
    writer.uint64(counter)
    writer.uint64(echo)
  }
}

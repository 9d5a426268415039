package import MeshCRDT

/// The headers of a datagram, and what is left for messages.
///
/// Clear: version 2 (1), mesh tag (8), epoch of the mesh key (4), nonce (24). Then the sealed part,
/// and behind it the authenticator (16). Sealed: sender (32), its incarnation (12), datagram
/// counter (8), echo (8), messages.
package enum DatagramHeader {
  package static let version: UInt8 = 2
  package static let nonceBytes = 24
  package static let authenticatorBytes = 16
  /// The bytes of version, tag and epoch: the additional data of the seal.
  package static let additionalBytes = 1 + 8 + 4
  /// The bytes of the clear part.
  package static let clearBytes = additionalBytes + nonceBytes
  /// The bytes of the sealed part before its messages.
  package static let innerBytes = OriginID.byteCount + Incarnation.byteCount + 8 + 8
  package static let overheadBytes = clearBytes + innerBytes + authenticatorBytes
  /// The most bytes of the messages of a datagram.
  package static let messageBytes = Limits.datagramBytes - overheadBytes

  /// True when a datagram says that it is one of a mesh in version 1 of the protocol.
  package static func isProtocol1(_ datagram: [UInt8], tag: UInt64) -> Bool {
    guard datagram.count > clearBytes, datagram[0] == 1 else { return false }
    return datagram[1...8].elementsEqual(tag.bigEndianBytes)
  }

  /// The part that is not sealed.
  package struct Clear: Hashable, Sendable {
    package let tag: UInt64
    package let epoch: UInt32

    package init(tag: UInt64, epoch: UInt32) {
      self.tag = tag
      self.epoch = epoch
    }

    /// Reads the header of a datagram that has room for the inner one and the authenticator.
    package static func read(_ datagram: [UInt8]) throws(WireError) -> Clear {
      guard datagram.count <= Limits.datagramBytes else {
        throw .doesNotFit(needed: datagram.count, available: Limits.datagramBytes)
      }
      guard datagram.count >= overheadBytes else { throw .truncated }
      var reader = ByteReader(datagram)
      let version = try reader.byte()
      guard version == DatagramHeader.version else { throw .unknownKind(version) }
      return Clear(tag: try reader.uint64(), epoch: try reader.uint32())
    }
  }

  /// The sealed header.
  package struct Inner: Hashable, Sendable {
    package let sender: OriginID
    package let incarnation: Incarnation
    /// Rises with each datagram of the incarnation, from 1.
    package let counter: UInt64
    /// The token that the receiver gave to the sender's address; 0: none is known.
    package let echo: UInt64

    package init(sender: OriginID, incarnation: Incarnation, counter: UInt64, echo: UInt64) {
      self.sender = sender
      self.incarnation = incarnation
      self.counter = counter
      self.echo = echo
    }

    /// Reads the header of an opened datagram, and gives a reader of its messages.
    package static func read(
      opened bytes: [UInt8]
    ) throws(WireError) -> (header: Inner, messages: MessageReader) {
      var reader = ByteReader(bytes)
      let header = Inner(
        sender: try reader.origin(), incarnation: try reader.incarnation(),
        counter: try reader.uint64(), echo: try reader.uint64())
      guard header.counter > 0 else { throw .outOfBounds }
      return (header, MessageReader(reader))
    }
  }

  /// A datagram that waits to be sealed: both headers, and the messages.
  ///
  /// - Parameter processNonce: 16 random bytes that are new in each process. With the datagram
  ///   counter behind them they are the nonce, which never repeats under one key.
  package static func assembled(
    _ clear: Clear, processNonce: (UInt64, UInt64), _ inner: Inner, messages: [UInt8]
  ) -> [UInt8] {
    var writer = ByteWriter(reserving: overheadBytes + messages.count)
    writer.byte(version)
    writer.uint64(clear.tag)
    writer.uint32(clear.epoch)
    writer.uint64(processNonce.0)
    writer.uint64(processNonce.1)
    writer.uint64(inner.counter)
    writer.origin(inner.sender)
    writer.incarnation(inner.incarnation)
    writer.uint64(inner.counter)
    writer.uint64(inner.echo)
    writer.raw(messages)
    return writer.take()
  }
}

package import MeshCRDT

/// A sign of life: a value of an origin's heartbeat chain.
///
/// Layout: the first 8 bytes of the origin id, index (varint), value (16).
package struct Beat: Hashable, Sendable {
  /// The first 8 bytes of the origin id.
  package let originPrefix: UInt64
  /// 0…4,095.
  package let index: UInt64
  package let value: Hash128

  /// The most beats of a message.
  package static let bound = 40
  /// Indices are below this: the length of a chain.
  package static let indexBound: UInt64 = 4096
  static let byteBound = 8 + 2 + Hash128.byteCount

  package init(originPrefix: UInt64, index: UInt64, value: Hash128) {
    self.originPrefix = originPrefix
    self.index = index
    self.value = value
  }

  package init(of origin: OriginID, index: UInt64, value: Hash128) {
    self.init(originPrefix: origin.word0, index: index, value: value)
  }

  func write(to writer: inout ByteWriter) {
    writer.uint64(originPrefix)
    writer.varint(index)
    writer.hash128(value)
  }

  /// Reads beats up to the end of the message.
  static func readList(from reader: inout ByteReader) throws(WireError) -> [Beat] {
    var beats: [Beat] = []
    repeat {
      guard beats.count < bound else { throw .outOfBounds }
      beats.append(
        Beat(
          originPrefix: try reader.uint64(), index: try reader.varint(below: indexBound),
          value: try reader.hash128()))
    } while !reader.isAtEnd
    return beats
  }
}

/// Reads the messages of a datagram one after the other, so that work on it can stop at any of
/// them.
///
/// Messages of unknown kinds are passed over. The first malformed one ends the datagram: it and
/// those behind it are dropped. A signed body is not read here; when that alone is malformed, the
/// next message counts.
package struct MessageReader: Sendable {
  private var bytes: ArraySlice<UInt8>

  /// Reads the rest of a reader's bytes.
  init(_ reader: ByteReader) { bytes = reader.bytes[reader.offset...] }

  /// Reads the messages of the bytes.
  package init(_ bytes: [UInt8]) { self.init(ByteReader(bytes)) }

  package var isAtEnd: Bool { bytes.isEmpty }

  /// The bytes that were not read yet.
  package var remaining: Int { bytes.count }

  /// The kind of the next message, whether or not the rest of it is there; `nil` at the end.
  package var nextKind: UInt8? { bytes.first }

  /// The next message of a known kind; `nil` at the end, and after a malformed one.
  package mutating func next() throws(WireError) -> MeshMessage? {
    while !isAtEnd {
      var reader = ByteReader(bytes)
      // What throws ends the datagram.
      bytes = []
      let message = try MeshMessage.read(&reader)
      bytes = reader.rest()
      if let message { return message }
    }
    return nil
  }
}

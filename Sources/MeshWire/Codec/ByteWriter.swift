package import MeshCRDT

/// Writes the fields that a ``ByteReader`` reads.
package struct ByteWriter {
  package private(set) var bytes: [UInt8] = []

  package init(reserving capacity: Int = 256) { bytes.reserveCapacity(capacity) }

  package var count: Int { bytes.count }

  /// Gives the bytes away, without a copy; the writer is empty then.
  package mutating func take() -> [UInt8] {
    var taken: [UInt8] = []
    swap(&taken, &bytes)
    return taken
  }

  /// Writes two bytes over those at an offset, most significant first.
  package mutating func replace(at offset: Int, by value: UInt16) {
    bytes[offset] = UInt8(value >> 8)
    bytes[offset + 1] = UInt8(value & 0xFF)
  }

  package mutating func byte(_ value: UInt8) { bytes.append(value) }

  // Not one generic function for all: from other modules that would be called without
  // specialization, which costs more than all the rest of a message.
  package mutating func raw(_ values: [UInt8]) { bytes.append(contentsOf: values) }
  package mutating func raw(_ values: ArraySlice<UInt8>) { bytes.append(contentsOf: values) }
  package mutating func raw(_ values: String.UTF8View) { bytes.append(contentsOf: values) }

  private mutating func fixed(_ bigEndian: some FixedWidthInteger & BitwiseCopyable) {
    withUnsafeBytes(of: bigEndian) { bytes.append(contentsOf: $0) }
  }

  package mutating func uint16(_ value: UInt16) { fixed(value.bigEndian) }
  package mutating func uint32(_ value: UInt32) { fixed(value.bigEndian) }
  package mutating func uint64(_ value: UInt64) { fixed(value.bigEndian) }

  package mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  package mutating func varint(_ value: Int) { varint(UInt64(value)) }

  package mutating func origin(_ origin: OriginID) {
    uint64(origin.word0)
    uint64(origin.word1)
    uint64(origin.word2)
    uint64(origin.word3)
  }

  package mutating func session(_ session: SessionID) {
    uint64(session.high)
    uint64(session.low)
  }

  package mutating func blob(_ values: [UInt8]) { blob(values[...]) }
  package mutating func blob(_ values: ArraySlice<UInt8>) {
    varint(values.count)
    raw(values)
  }

  package mutating func text(_ text: String) {
    varint(text.utf8.count)
    raw(text.utf8)
  }

  package mutating func flag(_ value: Bool) { byte(value ? 1 : 0) }

  /// The number of bytes that ``varint(_:)-(UInt64)`` writes.
  package static func varintByteCount(_ value: UInt64) -> Int {
    max(1, (64 - value.leadingZeroBitCount + 6) / 7)
  }
}

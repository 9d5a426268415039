package import MeshCRDT

/// Reads fields from a range of bytes, never outside of it.
///
/// Every read checks its bounds once. No length that was read is used to reserve memory before the
/// bytes themselves were seen to be there.
package struct ByteReader {
  package let bytes: [UInt8]
  package private(set) var offset: Int
  private let end: Int

  /// Reads `range` of `bytes`, without a copy.
  package init(_ bytes: [UInt8], range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count)
    self.bytes = bytes
    offset = range.lowerBound
    end = range.upperBound
  }

  package init(_ bytes: [UInt8]) { self.init(bytes, range: 0..<bytes.count) }

  package var remaining: Int { end - offset }
  package var isAtEnd: Bool { offset == end }

  /// The next `count` bytes, as a range of ``bytes``.
  package mutating func range(_ count: Int) throws(WireError) -> Range<Int> {
    guard count >= 0, count <= remaining else { throw .truncated }
    offset += count
    return (offset - count)..<offset
  }

  package mutating func rest() -> Range<Int> {
    defer { offset = end }
    return offset..<end
  }

  package mutating func byte() throws(WireError) -> UInt8 {
    guard offset < end else { throw .truncated }
    offset += 1
    return bytes[offset - 1]
  }

  private mutating func fixed<Word: FixedWidthInteger & BitwiseCopyable>(
    _ type: Word.Type
  ) throws(WireError) -> Word {
    let start = try range(MemoryLayout<Word>.size).lowerBound
    return bytes.withUnsafeBytes {
      Word(bigEndian: $0.loadUnaligned(fromByteOffset: start, as: Word.self))
    }
  }

  /// Two bytes, most significant first.
  package mutating func uint16() throws(WireError) -> UInt16 { try fixed(UInt16.self) }

  /// Four bytes, most significant first.
  package mutating func uint32() throws(WireError) -> UInt32 { try fixed(UInt32.self) }

  /// Eight bytes, most significant first.
  package mutating func uint64() throws(WireError) -> UInt64 { try fixed(UInt64.self) }

  /// A number in groups of 7 bits, least significant first, in the fewest bytes; below `bound`,
  /// which is at most 2^56.
  package mutating func varint(below bound: UInt64) throws(WireError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let byte = try byte()
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 {
        guard byte != 0 || shift == 0 else { throw .notCanonical }
        guard value < bound else { throw .outOfBounds }
        return value
      }
      shift += 7
      guard shift < 56 else { throw .outOfBounds }
    }
  }

  package mutating func origin() throws(WireError) -> OriginID {
    let start = try range(OriginID.byteCount).lowerBound
    return bytes.withUnsafeBytes { bytes in
      func word(_ index: Int) -> UInt64 {
        UInt64(
          bigEndian: bytes.loadUnaligned(fromByteOffset: start + 8 * index, as: UInt64.self))
      }
      return OriginID(word(0), word(1), word(2), word(3))
    }
  }

  package mutating func session() throws(WireError) -> SessionID {
    let start = try range(SessionID.byteCount).lowerBound
    return bytes.withUnsafeBytes { bytes in
      SessionID(
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)),
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self)))
    }
  }

  /// A length, then that many bytes, at most `bound`.
  package mutating func blob(atMost bound: Int) throws(WireError) -> [UInt8] {
    let count = Int(try varint(below: UInt64(bound) + 1))
    return count == 0 ? [] : Array(bytes[try range(count)])
  }

  /// A length, then that many bytes of UTF-8 without control characters, at most `bound`.
  package mutating func text(atMost bound: Int) throws(WireError) -> String {
    let count = Int(try varint(below: UInt64(bound) + 1))
    let range = try range(count)
    // Nearly all text is printable ASCII: it needs no check as UTF-8, and no look at its scalars.
    let ascii = bytes.withUnsafeBytes { buffer -> String? in
      let text = UnsafeRawBufferPointer(rebasing: buffer[range])
      for byte in text where byte < 0x20 || byte > 0x7E { return nil }
      return String(decoding: text, as: UTF8.self)
    }
    if let ascii { return ascii }
    guard let text = String(validating: bytes[range], as: UTF8.self), isPlain(text) else {
      throw .malformedText
    }
    return text
  }

  package mutating func room() throws(WireError) -> RoomName {
    RoomName(unchecked: try text(atMost: Limits.roomNameBytes))
  }

  /// Eight bytes, of which the three lowest bits are 0.
  package mutating func roomID() throws(WireError) -> RoomID {
    let bits = try uint64()
    let room = RoomID(bits: bits)
    guard room.bits == bits else { throw .notCanonical }
    return room
  }

  /// A byte that is 0 or 1.
  package mutating func flag() throws(WireError) -> Bool {
    switch try byte() {
    case 0: false
    case 1: true
    default: throw .notCanonical
    }
  }

  /// Throws when bytes are left over.
  package func finish() throws(WireError) {
    if offset != end { throw .trailingBytes(end - offset) }
  }
}

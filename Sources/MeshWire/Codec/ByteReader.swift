package import MeshCRDT

/// Reads fields from a range of bytes, never outside of it.
///
/// Every read checks its bounds once. No length that was read is used to reserve memory before the
/// bytes themselves were seen to be there.
package struct ByteReader {
  package let bytes: ArraySlice<UInt8>
  /// True: texts and bytes are checked, and come out empty.
  private let isChecking: Bool
  /// The index of the next byte.
  package private(set) var offset: Int

  /// Reads bytes, without a copy.
  package init(_ bytes: ArraySlice<UInt8>, isChecking: Bool = false) {
    self.bytes = bytes
    self.isChecking = isChecking
    offset = bytes.startIndex
  }

  package init(_ bytes: [UInt8]) { self.init(bytes[...]) }

  private var end: Int { bytes.endIndex }
  package var remaining: Int { end - offset }
  package var isAtEnd: Bool { offset == end }

  /// The next `count` bytes, as a range of ``bytes``.
  package mutating func range(_ count: Int) throws(WireError) -> Range<Int> {
    guard count >= 0, count <= remaining else { throw .truncated }
    offset += count
    return (offset - count)..<offset
  }

  package mutating func rest() -> ArraySlice<UInt8> {
    defer { offset = end }
    return bytes[offset...]
  }

  /// Calls `body` with the next `count` bytes, without a copy.
  private mutating func take<Result>(
    _ count: Int, _ body: (UnsafeRawBufferPointer) -> Result
  ) throws(WireError) -> Result {
    let range = try range(count)
    return bytes.withUnsafeBytes {
      let start = range.lowerBound - bytes.startIndex
      return body(UnsafeRawBufferPointer(rebasing: $0[start..<start + count]))
    }
  }

  package mutating func byte() throws(WireError) -> UInt8 {
    guard offset < end else { throw .truncated }
    offset += 1
    return bytes[offset - 1]
  }

  private mutating func fixed<Word: FixedWidthInteger & BitwiseCopyable>(
    _ type: Word.Type
  ) throws(WireError) -> Word {
    try take(MemoryLayout<Word>.size) { Word(bigEndian: $0.loadUnaligned(as: Word.self)) }
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
    try take(OriginID.byteCount) { bytes in
      func word(_ index: Int) -> UInt64 {
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self))
      }
      return OriginID(word(0), word(1), word(2), word(3))
    }
  }

  package mutating func session() throws(WireError) -> SessionID {
    try take(SessionID.byteCount) { bytes in
      SessionID(
        UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
  }

  /// A length, then that many bytes, at most `bound`.
  package mutating func slice(atMost bound: Int) throws(WireError) -> ArraySlice<UInt8> {
    bytes[try range(Int(try varint(below: UInt64(bound) + 1)))]
  }

  /// The same bytes, copied.
  package mutating func blob(atMost bound: Int) throws(WireError) -> [UInt8] {
    let slice = try slice(atMost: bound)
    return isChecking ? [] : Array(slice)
  }

  /// A length, then that many bytes of UTF-8 without control characters, at most `bound`.
  package mutating func text(
    atLeast least: Int = 0, atMost bound: Int
  ) throws(WireError) -> String {
    let count = Int(try varint(below: UInt64(bound) + 1))
    guard count >= least else { throw .outOfBounds }
    let isChecking = isChecking
    let text = try take(count) { bytes -> String? in
      // Nearly all text is printable ASCII: it needs no check as UTF-8, and no look at its scalars.
      if bytes.allSatisfy({ 0x20...0x7E ~= $0 }) {
        return isChecking ? "" : String(decoding: bytes, as: UTF8.self)
      }
      return String(validating: bytes, as: UTF8.self).flatMap { isPlain($0) ? $0 : nil }
    }
    guard let text else { throw .malformedText }
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

import MeshCRDT
import MeshCrypto

/// Bytes as a single line that can be copied: a beginning that says what it is and, in Base64 for URLs, the
/// bytes and a checksum (8) over the beginning and them.
///
/// The checksum is SipHash-2-4 with a fixed key, so that a line that was mistyped or cut short is seen to be; it
/// proves nothing about who wrote it.
enum PrintedLine {
  private static let checksumKey = HashKey(0x7072_6573_656E_6365, 0x2D6D_6573_6820_696E)
  private static let checksumBytes = 8

  /// The line of some secret bytes, which are wiped. There is to be room for the checksum, so that no part of
  /// them is left behind where the array moves from.
  static func printed(_ beginning: String, _ bytes: inout [UInt8]) -> String {
    bytes += checksum(beginning, bytes)
    defer { Sodium.wipe(&bytes) }
    return beginning + Base64URL.encoded(bytes)
  }

  /// What stands on a line but white space and quotes around it; `nil`: several words.
  static func word<Text: BidirectionalCollection<UInt8>>(_ line: Text) -> Text.SubSequence? {
    func isAround(_ byte: UInt8) -> Bool { byte <= 0x20 || byte == 0x22 || byte == 0x27 }
    let trimmed = line.drop(while: isAround)
    let text = trimmed.prefix { !isAround($0) }
    return trimmed[text.endIndex...].allSatisfy(isAround) ? text : nil
  }

  /// Reads what stands behind the beginning. The bytes are wiped when `body` has what it wants of them; `nil`:
  /// the line is damaged, or `body` throws.
  static func read<Value>(
    _ beginning: String, _ text: some Collection<UInt8>, _ body: (ArraySlice<UInt8>) throws -> Value
  ) -> Value? {
    guard var bytes = Base64URL.decoded(utf8: text) else { return nil }
    defer { Sodium.wipe(&bytes) }
    let end = bytes.count - checksumBytes
    guard end >= 0, checksum(beginning, bytes[..<end]).elementsEqual(bytes[end...]) else {
      return nil
    }
    return try? body(bytes[..<end])
  }

  private static func checksum(_ beginning: String, _ bytes: some Sequence<UInt8>) -> [UInt8] {
    var hasher = SipHash(key: checksumKey)
    for byte in beginning.utf8 { hasher.combine(byte) }
    for byte in bytes { hasher.combine(byte) }
    return hasher.finalize().bigEndianBytes
  }
}

import MeshCRDT
import MeshCrypto

/// The layout of the files in a state directory.
///
/// ```
/// presence-mesh <kind> 1
/// <name> <value> …
/// checksum <16 hexadecimal digits>
/// ```
/// Each line ends with a line feed. The checksum is SipHash-2-4 over all bytes before its line,
/// with a fixed key: it finds damage, not forgery, against which the permissions stand. Secrets are
/// hexadecimal digits. The whole text lives in ``SecretBytes`` from the file to the value and back,
/// so that no copy of a secret is left in ordinary memory.
struct StateText {
  static let version = "1"
  /// A file that is longer is not read.
  static let byteBound = 65_536

  /// One value of a line to write.
  enum Value {
    case text(String)
    case secret(SecretBytes)
  }

  private static let checksumKey = HashKey(0x7072_6573_656E_6365, 0x2D6D_6573_6820_6669)
  private static let checksumName = "checksum"
  /// Name, space, digits, line feed.
  private static let checksumLineBytes = 8 + 1 + 16 + 1

  /// The whole text.
  let content: SecretBytes
  /// The fields of each line between the first and the last, as ranges of bytes.
  private let lines: [[Range<Int>]]
}

// MARK: - Writing

extension StateText {
  /// The content of a file of a kind.
  static func encoded(kind: String, lines: [[Value]]) -> SecretBytes {
    let all = [[Value.text("presence-mesh"), .text(kind), .text(version)]] + lines
    // Each value is followed by a space or a line feed.
    let length = all.joined().reduce(0) { $0 + $1.byteCount + 1 }
    return SecretBytes(count: length + checksumLineBytes) { memory in
      var end = 0
      func append(_ byte: UInt8) {
        memory[end] = byte
        end += 1
      }
      for line in all {
        for (index, value) in line.enumerated() {
          if index > 0 { append(UInt8(ascii: " ")) }
          value.write(append)
        }
        append(UInt8(ascii: "\n"))
      }
      let sum = checksum(UnsafeRawBufferPointer(memory)[..<end])
      for byte in "\(checksumName) \(sum)\n".utf8 { append(byte) }
    }
  }

  private static func checksum(_ bytes: Slice<UnsafeRawBufferPointer>) -> String {
    var hasher = SipHash(key: checksumKey)
    for byte in bytes { hasher.combine(byte) }
    return hexadecimal(hasher.finalize().bigEndianBytes)
  }
}

extension StateText.Value {
  fileprivate var byteCount: Int {
    switch self {
    case .text(let text): text.utf8.count
    case .secret(let secret): 2 * secret.count
    }
  }

  fileprivate func write(_ append: (UInt8) -> Void) {
    switch self {
    case .text(let text): for byte in text.utf8 { append(byte) }
    case .secret(let secret):
      secret.withBytes { bytes in
        for index in 0..<secret.count {
          append(Self.digit(bytes[index] >> 4))
          append(Self.digit(bytes[index] & 15))
        }
      }
    }
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }
}

// MARK: - Reading

extension StateText {
  /// Checks the first line, the version and the checksum, in this order, and splits the rest.
  init(content: SecretBytes, kind: String, path: String) throws(StateError) {
    let split = content.withBytes { start in
      Self.split(
        UnsafeRawBufferPointer(start: start, count: content.count), kind: kind, path: path)
    }
    lines = try split.get()
    self.content = content
  }

  private static func split(
    _ bytes: UnsafeRawBufferPointer, kind: String, path: String
  ) -> Result<[[Range<Int>]], StateError> {
    var lines: [Range<Int>] = []
    var start = 0
    for index in bytes.indices where bytes[index] == UInt8(ascii: "\n") {
      lines.append(start..<index)
      start = index + 1
    }
    let title = "presence-mesh \(kind) "
    guard let first = lines.first, bytes[first].starts(with: title.utf8) else {
      // A beginning of the title is what is left of a file that was cut short.
      let isCut = lines.isEmpty && title.utf8.starts(with: bytes)
      return .failure(.damaged(path: path, isCut ? .truncated : .foreign))
    }
    let found = bytes[(first.lowerBound + title.utf8.count)..<first.upperBound]
    guard found.elementsEqual(version.utf8) else {
      let text = String(decoding: found.prefix(16), as: UTF8.self)
      return .failure(.unknownVersion(path: path, version: text))
    }
    guard start == bytes.count, lines.count > 1, let last = lines.last,
      bytes[last].starts(with: "\(checksumName) ".utf8), last.count == checksumLineBytes - 1
    else { return .failure(.damaged(path: path, .truncated)) }
    let sum = checksum(bytes[..<last.lowerBound])
    guard bytes[last].dropFirst(checksumName.utf8.count + 1).elementsEqual(sum.utf8) else {
      return .failure(.damaged(path: path, .checksumWrong))
    }
    return .success(lines.dropFirst().dropLast().map { fields(bytes, in: $0) })
  }

  private static func fields(_ bytes: UnsafeRawBufferPointer, in line: Range<Int>) -> [Range<Int>] {
    var fields: [Range<Int>] = []
    var start = line.lowerBound
    for index in line where bytes[index] == UInt8(ascii: " ") {
      fields.append(start..<index)
      start = index + 1
    }
    return fields + [start..<line.upperBound]
  }

  /// The number of lines between the first and the last.
  var lineCount: Int { lines.count }

  /// The number of the line in the file that has an index here.
  static func number(ofLine index: Int) -> Int { index + 2 }

  /// The values of a line, if it has this name and so many values.
  func values(ofLine index: Int, name: String, count: Int) -> [Range<Int>]? {
    guard lines.indices.contains(index), lines[index].count == count + 1,
      text(lines[index][0]) == name
    else { return nil }
    return Array(lines[index].dropFirst())
  }

  /// A value that is not secret.
  func text(_ value: Range<Int>) -> String {
    content.withBytes { start in
      String(
        decoding: UnsafeBufferPointer(start: start + value.lowerBound, count: value.count),
        as: UTF8.self)
    }
  }

  /// A number without sign or leading zeros.
  func number(_ value: Range<Int>) -> UInt64? {
    let text = text(value)
    guard let number = UInt64(text), "\(number)" == text else { return nil }
    return number
  }

  /// A secret of so many bytes.
  func secret(_ value: Range<Int>, count: Int) -> SecretBytes? {
    guard value.count == 2 * count else { return nil }
    var isValid = true
    let secret = SecretBytes(count: count) { memory in
      content.withBytes { start in
        for index in 0..<count {
          let digits = start + value.lowerBound + 2 * index
          guard let high = Self.value(digits[0]), let low = Self.value(digits[1]) else {
            isValid = false
            return
          }
          memory[index] = high << 4 | low
        }
      }
    }
    return isValid ? secret : nil
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    default: nil
    }
  }
}

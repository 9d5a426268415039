/// Reads JSON (RFC 8259) and refuses what different readers understand differently: keys that come
/// twice, numbers that no `Double` holds, text that is not Unicode, deep nesting.
struct JSONReader {
  /// Why bytes are not taken for JSON.
  struct Failure: Error, Equatable {
    var offset: Int
    var reason: String
  }

  /// The deepest nesting of arrays and objects.
  static let depthBound = 16
  /// The most members of one object.
  static let memberBound = 256

  private let bytes: [UInt8]
  private var offset = 0
  private var depth = 0

  private init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Reads one value that takes up all of the bytes. Cost: linear in the bytes.
  static func value(of bytes: [UInt8]) throws(Failure) -> JSONValue {
    var reader = JSONReader(bytes)
    reader.skipSpace()
    let value = try reader.value()
    reader.skipSpace()
    guard reader.offset == bytes.count else { throw reader.failure("something follows the value") }
    return value
  }

  private func failure(_ reason: String) -> Failure { Failure(offset: offset, reason: reason) }

  private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      offset += 1
    }
  }

  private mutating func value() throws(Failure) -> JSONValue {
    switch next {
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    case .some(0x30...0x39), UInt8(ascii: "-"): return .number(try number())
    default: throw failure("a value is missing")
    }
  }

  private mutating func literal(
    _ text: StaticString, _ value: JSONValue
  ) throws(Failure) -> JSONValue {
    for index in 0..<text.utf8CodeUnitCount {
      guard next == text.utf8Start[index] else { throw failure("a value is missing") }
      offset += 1
    }
    return value
  }

  private mutating func enter() throws(Failure) {
    depth += 1
    offset += 1
    guard depth <= Self.depthBound else {
      throw failure("nested deeper than \(Self.depthBound)")
    }
    skipSpace()
  }

  private mutating func object() throws(Failure) -> JSONValue {
    try enter()
    var members: [JSONValue.Member] = []
    var keys: Set<[UInt8]> = []
    while next != UInt8(ascii: "}") {
      guard next == UInt8(ascii: "\"") else { throw failure("a key is missing") }
      let key = try string()
      guard keys.insert(Array(key.utf8)).inserted else {
        throw failure("the key \(key.debugDescription) comes twice")
      }
      guard members.count < Self.memberBound else { throw failure("too many keys") }
      skipSpace()
      guard next == UInt8(ascii: ":") else { throw failure("a colon is missing") }
      offset += 1
      skipSpace()
      members.append(JSONValue.Member(key: key, value: try value()))
      guard try separator(before: UInt8(ascii: "}")) else { break }
    }
    depth -= 1
    offset += 1
    return .object(members)
  }

  private mutating func array() throws(Failure) -> JSONValue {
    try enter()
    var values: [JSONValue] = []
    while next != UInt8(ascii: "]") {
      values.append(try value())
      guard try separator(before: UInt8(ascii: "]")) else { break }
    }
    depth -= 1
    offset += 1
    return .array(values)
  }

  /// True: another element follows. False: the end does.
  private mutating func separator(before end: UInt8) throws(Failure) -> Bool {
    skipSpace()
    if next == end { return false }
    guard next == UInt8(ascii: ",") else { throw failure("a comma is missing") }
    offset += 1
    skipSpace()
    guard next != end else { throw failure("a value is missing") }
    return true
  }

  // MARK: Numbers

  private mutating func digits() throws(Failure) {
    guard case .some(0x30...0x39) = next else { throw failure("a digit is missing") }
    while case .some(0x30...0x39) = next { offset += 1 }
  }

  private mutating func number() throws(Failure) -> Double {
    let start = offset
    if next == UInt8(ascii: "-") { offset += 1 }
    if next == UInt8(ascii: "0") { offset += 1 } else { try digits() }
    if next == UInt8(ascii: ".") {
      offset += 1
      try digits()
    }
    if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
      offset += 1
      if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { offset += 1 }
      try digits()
    }
    guard offset - start <= 64,
      let number = Double(String(decoding: bytes[start..<offset], as: UTF8.self)), number.isFinite
    else { throw failure("a number is out of range") }
    return number
  }

  // MARK: Strings

  private mutating func string() throws(Failure) -> String {
    offset += 1
    let start = offset
    // Nearly all strings hold no escapes.
    while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
      guard byte >= 0x20 else { throw failure("a control character in a string") }
      offset += 1
    }
    guard next != nil else { throw failure("a string has no end") }
    var text = Array(bytes[start..<offset])
    while next == UInt8(ascii: "\\") {
      offset += 1
      try escape(into: &text)
      let plain = offset
      while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
        guard byte >= 0x20 else { throw failure("a control character in a string") }
        offset += 1
      }
      text += bytes[plain..<offset]
    }
    guard next != nil else { throw failure("a string has no end") }
    offset += 1
    guard let string = String(validating: text, as: UTF8.self) else {
      throw failure("a string is not UTF-8")
    }
    return string
  }

  private mutating func escape(into text: inout [UInt8]) throws(Failure) {
    guard let byte = next else { throw failure("a string has no end") }
    offset += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"):
      var scalar = try codeUnit()
      if 0xD800...0xDBFF ~= scalar {
        guard next == UInt8(ascii: "\\"), offset + 1 < bytes.count,
          bytes[offset + 1] == UInt8(ascii: "u")
        else { throw failure("half of a surrogate pair") }
        offset += 2
        let low = try codeUnit()
        guard 0xDC00...0xDFFF ~= low else { throw failure("half of a surrogate pair") }
        scalar = 0x10000 + (scalar - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(scalar) else { throw failure("half of a surrogate pair") }
      text += Array(String(Character(scalar)).utf8)
    default: throw failure("an unknown escape")
    }
  }

  private mutating func codeUnit() throws(Failure) -> UInt32 {
    var unit: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw failure("an escape is too short")
      }
      unit = unit << 4 | UInt32(digit)
      offset += 1
    }
    return unit
  }
}

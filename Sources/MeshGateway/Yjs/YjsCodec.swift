/// The bytes of y-protocols: unsigned numbers in groups of 7 bits, text with a length before it.
struct YjsReader {
  private let bytes: [UInt8]
  private(set) var offset: Int
  private let end: Int

  init(_ bytes: [UInt8], range: Range<Int>? = nil) {
    self.bytes = bytes
    offset = range?.lowerBound ?? 0
    end = range?.upperBound ?? bytes.count
  }

  var isAtEnd: Bool { offset >= end }

  /// A number below 2^53; `nil` when there is none.
  mutating func number() -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while offset < end {
      let byte = bytes[offset]
      offset += 1
      guard shift < 49 || (shift == 49 && byte < 16) else { return nil }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    return nil
  }

  /// The range of bytes with a length before them.
  mutating func range() -> Range<Int>? {
    guard let length = number(), length <= UInt64(end - offset) else { return nil }
    defer { offset += Int(length) }
    return offset..<offset + Int(length)
  }

  mutating func text() -> ArraySlice<UInt8>? { range().map { bytes[$0] } }
}

struct YjsWriter {
  private(set) var bytes: [UInt8] = []

  mutating func number(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func blob(_ blob: some Collection<UInt8>) {
    number(UInt64(blob.count))
    bytes.append(contentsOf: blob)
  }
}

/// An entry of an awareness update.
struct YjsEntry: Equatable {
  var client: UInt64
  var clock: UInt64
  /// The state as JSON; `nil`: it is gone.
  var state: [UInt8]?

  private static let null = Array("null".utf8)

  /// The entries of an update; `nil` when the bytes are none.
  static func entries(_ bytes: [UInt8], range: Range<Int>) -> [YjsEntry]? {
    var reader = YjsReader(bytes, range: range)
    guard let count = reader.number(), count <= 1024 else { return nil }
    var entries: [YjsEntry] = []
    for _ in 0..<count {
      guard let client = reader.number(), let clock = reader.number(), let text = reader.text()
      else { return nil }
      entries.append(
        YjsEntry(client: client, clock: clock, state: Array(text) == null ? nil : Array(text)))
    }
    return entries
  }

  /// A message of the type awareness.
  static func message(_ entries: [YjsEntry]) -> [UInt8] {
    var update = YjsWriter()
    update.number(UInt64(entries.count))
    for entry in entries {
      update.number(entry.client)
      update.number(entry.clock)
      update.blob(entry.state ?? null)
    }
    var message = YjsWriter()
    message.number(1)
    message.blob(update.bytes)
    return message.bytes
  }
}

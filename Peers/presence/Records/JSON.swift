import Foundation

/// The JSON of listings and of the control socket.
///
/// Names are in snake case and keep their meaning from version to version. Times are milliseconds
/// since 1970 and end in `_at_ms`; spans end in `_ms` or `_us`. What is not known is `null`.
enum JSON {
  /// The text of a value; over several lines, or in one.
  static func text(_ value: some Encodable, onOneLine: Bool) throws -> String {
    String(decoding: try data(value, onOneLine: onOneLine), as: UTF8.self)
  }

  /// The bytes of a value in one line, without a line feed.
  static func data(_ value: some Encodable, onOneLine: Bool = true) throws -> Data {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if !onOneLine { encoder.outputFormatting.insert(.prettyPrinted) }
    return try encoder.encode(value)
  }

  /// The value of some bytes.
  static func value<Value: Decodable>(_ type: Value.Type, from data: Data) throws -> Value {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(type, from: data)
  }
}

/// A value that is written as `null` when it is not known, instead of being left out.
@propertyWrapper
struct Nullable<Value: Codable & Hashable & Sendable>: Codable, Hashable, Sendable {
  var wrappedValue: Value?

  init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    wrappedValue = container.decodeNil() ? nil : try container.decode(Value.self)
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let wrappedValue { try container.encode(wrappedValue) } else { try container.encodeNil() }
  }
}

extension KeyedDecodingContainer {
  /// Takes a value that was left out for one that is not known.
  func decode<Value>(_ type: Nullable<Value>.Type, forKey key: Key) throws -> Nullable<Value> {
    try decodeIfPresent(type, forKey: key) ?? Nullable(wrappedValue: nil)
  }
}

import Foundation
import MeshCRDT

/// A JSON value: what the files of test vectors hold.
enum JSON: Equatable {
  case null
  case flag(Bool)
  case number(UInt64)
  case text(String)
  case list([JSON])
  case object([String: JSON])

  /// Bytes, as hexadecimal digits.
  static func hex(_ bytes: some Sequence<UInt8>) -> JSON { .text(hexadecimal(bytes)) }

  /// A word of 64 bits, as 16 hexadecimal digits: too large for the numbers of many JSON readers.
  static func hex(_ word: UInt64) -> JSON { .hex(word.bigEndianBytes) }
}

extension JSON {
  /// Why a file is not what a test expects of it.
  enum Problem: Error {
    case missing(String)
    case wrongType(String)
  }

  subscript(name: String) -> JSON {
    get throws {
      guard case .object(let fields) = self, let field = fields[name] else {
        throw Problem.missing(name)
      }
      return field
    }
  }

  func bytes(_ name: String) throws -> [UInt8] {
    guard let bytes = MeshCRDT.bytes(fromHexadecimal: try text(name)) else {
      throw Problem.wrongType(name)
    }
    return bytes
  }

  func text(_ name: String) throws -> String {
    guard case .text(let text) = try self[name] else { throw Problem.wrongType(name) }
    return text
  }

  func number(_ name: String) throws -> UInt64 {
    guard case .number(let number) = try self[name] else { throw Problem.wrongType(name) }
    return number
  }

  func list(_ name: String) throws -> [JSON] {
    guard case .list(let list) = try self[name] else { throw Problem.wrongType(name) }
    return list
  }
}

extension JSON: Codable {
  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let flag = try? container.decode(Bool.self) {
      self = .flag(flag)
    } else if let number = try? container.decode(UInt64.self) {
      self = .number(number)
    } else if let text = try? container.decode(String.self) {
      self = .text(text)
    } else if let list = try? container.decode([JSON].self) {
      self = .list(list)
    } else {
      self = .object(try container.decode([String: JSON].self))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .flag(let flag): try container.encode(flag)
    case .number(let number): try container.encode(number)
    case .text(let text): try container.encode(text)
    case .list(let list): try container.encode(list)
    case .object(let fields): try container.encode(fields)
    }
  }
}

import MeshCRDT
import MeshWire

/// Reads whole byte strings, signed bodies included.
enum Reading {
  static let kinds = 1...MeshMessage.highestKind

  /// The one message that the bytes are, its signed body read too; `nil` when its kind is unknown.
  static func message(_ bytes: [UInt8]) throws(WireError) -> MeshMessage? {
    var reader = MessageReader(bytes)
    let isKnown = reader.nextKind.map { $0 <= MeshMessage.highestKind } ?? false
    let message = try reader.next()
    guard isKnown else { return nil }
    guard reader.isAtEnd else { throw .trailingBytes(0) }
    if let signed = message?.signed { _ = try rewritten(signed) }
    return message
  }

  /// Why bytes are not one message; `nil` when they are, or are of an unknown kind.
  static func error(_ bytes: [UInt8]) -> WireError? {
    do throws(WireError) {
      _ = try message(bytes)
      return nil
    } catch {
      return error
    }
  }

  /// All messages in the bytes.
  static func messages(_ reader: inout MessageReader) throws(WireError) -> [MeshMessage] {
    var messages: [MeshMessage] = []
    while let message = try reader.next() { messages.append(message) }
    return messages
  }

  /// The body of a signed message, read and written again.
  static func rewritten(_ signed: SignedMessage) throws(WireError) -> [UInt8] {
    switch signed.kind {
    case .pathProof: try signed.read(PathProof.self).encoded()
    case .batch: try signed.read(Batch.self).encoded()
    case .checkpoint: try signed.read(Checkpoint.self).encoded()
    case .cursorFrame: try signed.read(CursorFrame.self).encoded()
    }
  }

  /// A message of any kind and body, with its header.
  static func framed(kind: UInt8, _ body: [UInt8]) -> [UInt8] {
    [kind, UInt8(truncatingIfNeeded: body.count >> 8), UInt8(truncatingIfNeeded: body.count)] + body
  }

  /// A message that is signed by nobody.
  static func unsigned(_ kind: StatementKind, _ body: [UInt8]) -> [UInt8] {
    let age: [UInt8] = kind == .checkpoint ? [0] : []
    let front = [UInt8](repeating: 0, count: SignedMessage.overheadBytes)
    return framed(kind: kind.rawValue, age + front + body)
  }
}

extension Hash128 {
  var bytes: [UInt8] { high.bigEndianBytes + low.bigEndianBytes }
}

extension Hash256 {
  var bytes: [UInt8] { high.bytes + low.bytes }
}

extension Incarnation {
  var bytes: [UInt8] { Array(counter.bigEndianBytes[4...]) + nonce.bigEndianBytes }
}

import MeshCRDT
import MeshWire

/// Reads whole byte strings, bodies of envelopes included.
enum Reading {
  static let kinds = 1...Message.highestKind

  /// The one message that the bytes are; `nil` when its kind is unknown.
  static func message(_ bytes: [UInt8]) throws(WireError) -> Message? {
    var reader = ByteReader(bytes)
    let message = try Message.read(&reader)
    try reader.finish()
    if let envelope = message?.envelope { _ = try rewritten(envelope) }
    return message
  }

  /// All messages in the bytes, and how many were of an unknown kind.
  static func messages(_ reader: inout ByteReader) throws(WireError) -> [Message] {
    var messages: [Message] = []
    while !reader.isAtEnd {
      if let message = try Message.read(&reader) { messages.append(message) }
    }
    return messages
  }

  /// The body of an envelope, read and written again.
  static func rewritten(_ envelope: Envelope) throws(WireError) -> [UInt8] {
    var reader = envelope.body
    var writer = ByteWriter()
    switch envelope.kind {
    case .batch:
      let body = try BatchBody.read(&reader)
      _ = BatchBody.write(
        generation: body.generation, room: body.room, first: body.first, records: body.records,
        liveCount: body.claim.count, liveHash: body.claim.hash, to: &writer)
    case .head: try HeadBody.read(&reader).write(to: &writer)
    case .frame: try FrameBody.read(&reader).write(to: &writer)
    case .proof: try ProofBody.read(&reader).write(to: &writer)
    }
    return writer.bytes
  }

  /// A message of any kind and body, with its header.
  static func framed(kind: UInt8, _ body: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    writer.byte(kind)
    writer.uint16(UInt16(body.count))
    writer.raw(body)
    return writer.bytes
  }
}

extension Message {
  /// The signed part, in the kinds that have one.
  var envelope: Envelope? {
    switch self {
    case .proof(let envelope), .batch(let envelope), .head(_, let envelope), .frame(let envelope):
      envelope
    default: nil
    }
  }
}

extension Envelope {
  var bodyBytes: [UInt8] { Array(bytes[Self.overheadBytes...]) }
}

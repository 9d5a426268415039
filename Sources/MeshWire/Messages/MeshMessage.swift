package import MeshCRDT

/// One message of a datagram.
///
/// Layout: kind (1), length of the body (2), body.
package enum MeshMessage: Hashable, Sendable {
  /// Asks to be answered with this token; 0: an announcement.
  case challenge(token: UInt64)
  /// Shows that an address is the signer's own. See ``PathProof``.
  case pathProof(SignedMessage)
  /// See ``Batch``.
  case batch(SignedMessage)
  /// See ``Checkpoint``. The age is for first contact only, and not signed.
  case checkpoint(ageMilliseconds: UInt64, SignedMessage)
  /// See ``CursorFrame``.
  case cursorFrame(SignedMessage)
  case beats([Beat])
  case compare(CompareRequest)
  case nodes(NodesAnswer)
  case repair(RepairRequest)
  case probe([Probe])
  case contradiction(Contradiction)
  case peerExchange([PeerExchange])
  /// The beats of these origins need not be sent on to the sender.
  case prune([OriginID])
  /// A member of a closed mesh.
  case certificate(Certificate)
  /// Something about the membership of a closed mesh.
  case decree(Decree)

  /// The bytes of kind and length.
  package static let headerBytes = 3
  /// The highest kind that is known.
  package static let highestKind: UInt8 = 15
  /// Ages are below this: about 194 days.
  package static let ageBound: UInt64 = 1 << 34
  /// The most bytes of an age.
  static let mostAgeBytes = 5
  /// The most origins of a prune.
  package static let pruneBound = 16

  package var kind: UInt8 {
    switch self {
    case .challenge: 1
    case .pathProof: 2
    case .batch: 3
    case .checkpoint: 4
    case .cursorFrame: 5
    case .beats: 6
    case .compare: 7
    case .nodes: 8
    case .repair: 9
    case .probe: 10
    case .contradiction: 11
    case .peerExchange: 12
    case .prune: 13
    case .certificate: 14
    case .decree: 15
    }
  }

  /// The signed part, of the kinds that have one.
  package var signed: SignedMessage? {
    switch self {
    case .pathProof(let signed), .batch(let signed), .checkpoint(_, let signed),
      .cursorFrame(let signed):
      signed
    default: nil
    }
  }

  /// The most bytes of a message of a kind, with its header; `nil` of an unknown kind.
  package static func byteBound(kind: UInt8) -> Int? {
    let body: Int
    switch kind {
    case 1: body = 8
    case 2: body = SignedMessage.overheadBytes + PathProof.byteCount
    case 3: body = SignedMessage.overheadBytes + Batch.byteBound
    case 4: body = mostAgeBytes + SignedMessage.overheadBytes + Checkpoint.byteBound
    case 5: body = SignedMessage.overheadBytes + CursorFrame.byteBound
    case 6: body = Beat.bound * Beat.byteBound
    case 7, 8: body = DatagramHeader.messageBytes - headerBytes
    case 9: body = RepairRequest.byteBound
    case 10: body = Probe.bound * Probe.byteBound
    case 11: body = Contradiction.byteBound
    case 12: body = 1 + PeerExchange.bound * PeerExchange.byteCount
    case 13: body = 1 + pruneBound * OriginID.byteCount
    case 14: body = Certificate.byteBound
    case 15: body = Decree.byteBound
    default: return nil
    }
    return headerBytes + body
  }
}

extension MeshMessage {
  /// The message with its header.
  package func encoded() -> [UInt8] {
    var writer = ByteWriter(reserving: Self.headerBytes + Self.mostAgeBytes + sizeHint)
    writer.byte(kind)
    // The length of the body, as soon as it is known.
    writer.uint16(0)
    switch self {
    case .challenge(let token): writer.uint64(token)
    case .pathProof(let signed), .batch(let signed), .cursorFrame(let signed):
      writer.raw(signed.bytes)
    case .checkpoint(let age, let signed):
      writer.varint(min(age, Self.ageBound - 1))
      writer.raw(signed.bytes)
    case .beats(let beats): for beat in beats { beat.write(to: &writer) }
    case .compare(let request): request.write(to: &writer)
    case .nodes(let answer): answer.write(to: &writer)
    case .repair(let request): request.write(to: &writer)
    case .probe(let probes): for probe in probes { probe.write(to: &writer) }
    case .contradiction(let contradiction): contradiction.write(to: &writer)
    case .peerExchange(let peers):
      writer.varint(peers.count)
      for peer in peers { peer.write(to: &writer) }
    case .prune(let origins):
      writer.varint(origins.count)
      for origin in origins { writer.origin(origin) }
    case .certificate(let certificate): writer.raw(certificate.encoded())
    case .decree(let decree): writer.raw(decree.encoded())
    }
    writer.replace(at: 1, by: UInt16(clamping: writer.count - Self.headerBytes))
    return writer.take()
  }

  /// About as many bytes as the body takes.
  private var sizeHint: Int {
    switch self {
    case .nodes: DatagramHeader.messageBytes
    case .beats(let beats): beats.count * Beat.byteBound
    default: signed?.bytes.count ?? 128
    }
  }

  /// Reads the next message of a datagram; `nil` for one of an unknown kind, which is passed over.
  static func read(_ reader: inout ByteReader) throws(WireError) -> MeshMessage? {
    let kind = try reader.byte()
    let length = Int(try reader.uint16())
    let range = try reader.range(length)
    guard kind != 0 else { throw .unknownKind(0) }
    guard kind <= highestKind else { return nil }
    var body = ByteReader(reader.bytes[range])
    let message = try read(kind: kind, &body)
    try body.finish()
    return message
  }

  private static func read(
    kind: UInt8, _ body: inout ByteReader
  ) throws(WireError) -> MeshMessage {
    switch kind {
    case 1: return .challenge(token: try body.uint64())
    case 2: return .pathProof(try signed(.pathProof, &body))
    case 3: return .batch(try signed(.batch, &body))
    case 4:
      let age = try body.varint(below: ageBound)
      return .checkpoint(ageMilliseconds: age, try signed(.checkpoint, &body))
    case 5: return .cursorFrame(try signed(.cursorFrame, &body))
    case 6: return .beats(try Beat.readList(from: &body))
    case 7: return .compare(try CompareRequest(from: &body))
    case 8: return .nodes(try NodesAnswer(from: &body))
    case 9: return .repair(try RepairRequest(from: &body))
    case 10: return .probe(try Probe.readList(from: &body))
    case 11: return .contradiction(try Contradiction(from: &body))
    case 12: return .peerExchange(try PeerExchange.readList(from: &body))
    case 13:
      let count = try body.count(1...pruneBound)
      var origins: [OriginID] = []
      for _ in 0..<count { origins.append(try body.origin()) }
      return .prune(origins)
    case 14: return .certificate(try Certificate(from: &body))
    case 15: return .decree(try Decree(from: &body))
    default: throw .unknownKind(kind)
    }
  }

  private static func signed(
    _ kind: StatementKind, _ body: inout ByteReader
  ) throws(WireError) -> SignedMessage {
    try SignedMessage(kind: kind, bytes: Array(body.rest()))
  }
}

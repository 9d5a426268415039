package import MeshCRDT

/// One message of a datagram.
///
/// Layout: kind (1), length of the body (2), body. A datagram holds one or more messages.
package enum Message: Hashable, Sendable {
  /// Asks to be answered with this token: the first step of proving a return path.
  case challenge(token: UInt64)
  /// Answers a challenge: the sender owns its origin's key, and wants to be answered with `token`.
  case proof(Envelope)
  case batch(Envelope)
  /// A head with its age: the milliseconds since it left its origin, summed over the hops.
  case head(ageMilliseconds: UInt64, Envelope)
  case frame(Envelope)
  case digest(nonce: UInt64, Digest)
  /// What the sender holds in some buckets. `nonce` is that of the digest that it answers.
  case entries(Entries)
  case pull(Pull)
  case pullEnd(PullEnd)
  case manifestRequest(ManifestRequest)
  case manifest(Manifest)
  case headQuery([HeadKnown])
  case introduction([Introduction])
  /// Heads of these origins need not be sent on to the sender: it gets them by another way.
  case prune([OriginID])
  /// Asks for everything that is held of a room: the sender follows it from now on.
  case fetch(nonce: UInt64, RoomID)

  package static let headerBytes = 3

  package var kind: UInt8 {
    switch self {
    case .challenge: 1
    case .proof: 2
    case .batch: 3
    case .head: 4
    case .frame: 5
    case .digest: 6
    case .entries: 7
    case .pull: 8
    case .pullEnd: 9
    case .manifestRequest: 10
    case .manifest: 11
    case .headQuery: 12
    case .introduction: 13
    case .prune: 14
    case .fetch: 15
    }
  }

  /// The highest kind that this version of the protocol knows.
  package static let highestKind: UInt8 = 15

  /// The most origins of one prune.
  package static let pruneBound: UInt64 = 16

  /// An age is below this: about 194 days.
  package static let ageBound: UInt64 = 1 << 34
}

extension Message {
  /// The message with its header.
  package func encoded() -> [UInt8] {
    var writer = ByteWriter(reserving: Self.headerBytes + sizeHint)
    writer.byte(kind)
    // The length of the body, as soon as it is known.
    writer.uint16(0)
    switch self {
    case .challenge(let token): writer.uint64(token)
    case .proof(let envelope), .batch(let envelope), .frame(let envelope):
      writer.raw(envelope.bytes)
    case .head(let age, let envelope):
      writer.varint(min(age, Self.ageBound - 1))
      writer.raw(envelope.bytes)
    case .digest(let nonce, let digest):
      writer.uint64(nonce)
      for bucket in digest.buckets { writer.uint64(bucket) }
    case .entries(let entries): entries.write(to: &writer)
    case .pull(let pull): pull.write(to: &writer)
    case .pullEnd(let end): end.write(to: &writer)
    case .manifestRequest(let request): request.write(to: &writer)
    case .manifest(let manifest): manifest.write(to: &writer)
    case .headQuery(let known):
      writer.varint(known.count)
      for head in known { head.write(to: &writer) }
    case .introduction(let introductions):
      writer.varint(introductions.count)
      for introduction in introductions { introduction.write(to: &writer) }
    case .prune(let origins):
      writer.varint(origins.count)
      for origin in origins { writer.origin(origin) }
    case .fetch(let nonce, let room):
      writer.uint64(nonce)
      writer.uint64(room.bits)
    }
    writer.replace(at: 1, by: UInt16(writer.count - Self.headerBytes))
    return writer.take()
  }

  /// About as many bytes as the body takes.
  private var sizeHint: Int {
    switch self {
    case .proof(let envelope), .batch(let envelope), .frame(let envelope): envelope.bytes.count
    case .head(_, let envelope): 5 + envelope.bytes.count
    case .digest: 8 + 8 * Digest.bucketCount
    default: 128
    }
  }

  /// Reads the next message of a datagram; `nil` for one of a kind that is not known, which is
  /// passed over.
  package static func read(_ reader: inout ByteReader) throws(WireError) -> Message? {
    let kind = try reader.byte()
    let length = Int(try reader.uint16())
    let range = try reader.range(length)
    guard kind != 0 else { throw .unknownKind(0) }
    guard kind <= highestKind else { return nil }
    var body = ByteReader(reader.bytes, range: range)
    let message = try read(kind: kind, &body)
    try body.finish()
    return message
  }

  private static func read(
    kind: UInt8, _ body: inout ByteReader
  ) throws(WireError) -> Message {
    switch kind {
    case 1: return .challenge(token: try body.uint64())
    case 2: return .proof(try envelope(.proof, &body))
    case 3: return .batch(try envelope(.batch, &body))
    case 4:
      let age = try body.varint(below: ageBound)
      return .head(ageMilliseconds: age, try envelope(.head, &body))
    case 5: return .frame(try envelope(.frame, &body))
    case 6:
      let nonce = try body.uint64()
      var buckets: [UInt64] = []
      for _ in 0..<Digest.bucketCount { buckets.append(try body.uint64()) }
      guard let digest = Digest(buckets: buckets) else { throw .outOfBounds }
      return .digest(nonce: nonce, digest)
    case 7: return .entries(try Entries(from: &body))
    case 8: return .pull(try Pull(from: &body))
    case 9: return .pullEnd(try PullEnd(from: &body))
    case 10: return .manifestRequest(try ManifestRequest(from: &body))
    case 11: return .manifest(try Manifest(from: &body))
    case 12: return .headQuery(try HeadKnown.readList(from: &body))
    case 13: return .introduction(try Introduction.readList(from: &body))
    case 14:
      let count = try body.varint(below: pruneBound + 1)
      guard count > 0 else { throw .outOfBounds }
      var origins: [OriginID] = []
      for _ in 0..<count { origins.append(try body.origin()) }
      return .prune(origins)
    case 15:
      let nonce = try body.uint64()
      let room = try body.roomID()
      guard !room.isLobby else { throw .notCanonical }
      return .fetch(nonce: nonce, room)
    default: throw .unknownKind(kind)
    }
  }

  private static func envelope(
    _ kind: SignedKind, _ body: inout ByteReader
  ) throws(WireError) -> Envelope {
    try Envelope(kind: kind, bytes: Array(body.bytes[body.rest()]))
  }
}

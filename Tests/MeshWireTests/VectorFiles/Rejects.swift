import MeshCRDT
import MeshCrypto
import MeshTrust
import MeshWire

/// Byte strings that must be refused, and why.
struct Reject {
  /// What the bytes come as.
  enum Form: String, CaseIterable {
    /// A message with its header; the body of a signed one is read, its signature is not verified.
    case message
    /// A datagram, of which the clear header is read.
    case datagram
    /// The opened part of a datagram, of which the header is read.
    case opened
    /// A datagram that is opened with the keys of keys.json.
    case sealed
    /// A message whose signature is verified for the mesh of keys.json.
    case signed
  }

  let name: String
  let form: Form
  let bytes: [UInt8]
  let reason: String

  init(_ name: String, _ form: Form, _ bytes: [UInt8], _ reason: String) {
    self.name = name
    self.form = form
    self.bytes = bytes
    self.reason = reason
  }

  init(_ name: String, _ form: Form, _ bytes: [UInt8], _ error: WireError) {
    self.init(name, form, bytes, "\(error)")
  }

  /// Why some bytes are refused; `nil` when they are not.
  static func reason(form: Form, bytes: [UInt8], fixture: Fixture) -> String? {
    do throws(WireError) {
      switch form {
      case .message: _ = try Reading.message(bytes)
      case .datagram: _ = try OuterHeader.read(bytes)
      case .opened:
        var reader = ByteReader(bytes)
        _ = try InnerHeader.read(&reader)
        _ = try Reading.messages(&reader)
      case .sealed:
        let header = try OuterHeader.read(bytes)
        if header.tag != fixture.mesh.tag { return "otherMesh" }
        return fixture.alice.open(bytes, epoch: header.epoch) == nil ? "notAuthentic" : nil
      case .signed:
        guard let envelope = try Reading.message(bytes)?.envelope else { return "notSigned" }
        let verifier = Verifier(mesh: fixture.mesh, crypto: fixture.bob)
        return VerifiedTests.isBelieved(envelope, by: verifier) ? nil : "wrongSignature"
      }
      return nil
    } catch {
      return "\(error)"
    }
  }
}

extension VectorFile {
  static func rejects(_ fixture: Fixture) throws -> JSON {
    let all =
      try signedBodies(fixture) + plainMessages(fixture) + datagramRejects(fixture)
      + forgeries(fixture)
    return .list(
      all.map {
        .object([
          "name": .text($0.name), "form": .text($0.form.rawValue), "bytes": .hex($0.bytes),
          "reason": .text($0.reason),
        ])
      })
  }

  /// A message with some body behind an origin and a signature of zeros.
  private static func unsigned(_ kind: SignedKind, _ write: (inout ByteWriter) -> Void) -> [UInt8] {
    var writer = ByteWriter()
    writer.raw([UInt8](repeating: 0, count: Envelope.overheadBytes))
    write(&writer)
    // The age of a head comes first.
    return Reading.framed(
      kind: kind.rawValue, (kind == .head ? [0] : []) + writer.bytes)
  }

  /// A batch of one record, given by its bytes; of the lobby, or of a room.
  private static func batch(_ record: [UInt8], in room: [UInt8] = [0]) -> [UInt8] {
    unsigned(.batch) { writer in
      writer.raw([1] + room + [1, 1, 0])
      writer.uint64(0)
      writer.raw(record)
    }
  }

  private static func signedBodies(_ fixture: Fixture) throws -> [Reject] {
    let session = [UInt8](repeating: 5, count: SessionID.byteCount)
    let bound: [UInt8] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40]
    func cursor(_ flags: UInt8, _ more: [UInt8] = []) -> [UInt8] {
      [2] + session + [1, 0, 0, 0, 0, flags] + more
    }
    func presence(_ more: [UInt8]) -> [UInt8] { [1] + session + [1] + more }
    func head(_ fields: [UInt8], _ rest: [UInt8]) -> [UInt8] {
      unsigned(.head) { $0.raw(fields + [UInt8](repeating: 0, count: 8) + rest) }
    }
    func frame(_ fields: [UInt8]) -> [UInt8] { unsigned(.frame) { $0.raw(fields) } }
    func proof(_ generation: UInt8, _ flag: UInt8) -> [UInt8] {
      unsigned(.proof) { $0.raw([generation] + [UInt8](repeating: 0, count: 24) + [flag]) }
    }
    func header(_ fields: [UInt8]) -> [UInt8] {
      unsigned(.batch) { $0.raw(fields + [UInt8](repeating: 0, count: 9)) }
    }
    return [
      Reject("a lane that does not exist", .message, batch([6] + session + [1]), .notCanonical),
      Reject(
        "an interest of a session", .message,
        batch([4] + [UInt8](repeating: 1, count: SessionID.byteCount) + [1, 0]), .notCanonical),
      Reject("a visit to the lobby", .message, batch([5] + session + [0, 1]), .notCanonical),
      Reject(
        "a session in a batch of a room", .message, batch([0x80] + session + [1], in: [1, 0x72]),
        .notCanonical),
      Reject(
        "a visit in a batch of a room", .message,
        batch([5] + session + [1, 0x72, 1], in: [1, 0x72]), .notCanonical),
      Reject(
        "a batch of a room with too long a name", .message, batch([], in: [65]), .outOfBounds),
      Reject("an unknown bit in a record", .message, batch([0x40] + session + [1]), .notCanonical),
      Reject(
        "a tombstone with a value", .message, batch([0x80] + session + [1, 0]), .trailingBytes(1)),
      Reject(
        "a counter at the bound", .message, batch([0x80] + session + bound), .outOfBounds),
      Reject(
        "a number in more bytes than it needs", .message, batch([0x80] + session + [0x81, 0]),
        .notCanonical),
      Reject(
        "a number of nine bytes", .message,
        batch([0x80] + session + [UInt8](repeating: 0xFF, count: 8) + [1]), .outOfBounds),
      Reject("an unknown flag of a cursor", .message, batch(cursor(4)), .notCanonical),
      Reject("an anchor that is not there", .message, batch(cursor(3)), .truncated),
      Reject("an anchor above the bound", .message, batch(cursor(3, [65])), .outOfBounds),
      Reject("a long anchor without bytes", .message, batch(cursor(3, [64])), .truncated),
      Reject("a status that does not exist", .message, batch(presence([0, 7])), .outOfBounds),
      Reject(
        "a flag that is neither 0 nor 1", .message, batch(presence([0, 0, 0, 2, 0])),
        .notCanonical),
      Reject(
        "text that is not UTF-8", .message, batch(presence([0, 0, 1, 0xFF, 0, 0])),
        .malformedText),
      Reject(
        "an overlong form of UTF-8", .message, batch(presence([0, 0, 2, 0xC1, 0x81, 0, 0])),
        .malformedText),
      Reject(
        "a surrogate in UTF-8", .message, batch(presence([0, 0, 3, 0xED, 0xA0, 0x80, 0, 0])),
        .malformedText),
      Reject(
        "a line feed in text", .message, batch(presence([0, 0, 1, 0x0A, 0, 0])), .malformedText),
      Reject("a user without an id", .message, batch([0] + session + [1, 0]), .outOfBounds),
      Reject("a batch of generation 0", .message, header([0, 0, 1, 1]), .outOfBounds),
      Reject("a batch that begins at version 0", .message, header([1, 0, 0, 1]), .outOfBounds),
      Reject("a batch without records", .message, header([1, 0, 1, 0]), .outOfBounds),
      Reject("a batch of 65 records", .message, header([1, 0, 1, 65]), .outOfBounds),
      Reject("64 records without a byte", .message, header([1, 0, 1, 64]), .truncated),
      Reject(
        "versions that reach the bound", .message,
        header([1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 2]), .outOfBounds),
      Reject("a head of generation 0", .message, head([0, 1, 0, 0], [1, 1, 0]), .outOfBounds),
      Reject("a head with a period of 0", .message, head([1, 1, 0, 0], [1, 0, 0]), .outOfBounds),
      Reject(
        "a head with a period at the bound", .message,
        head([1, 1, 0, 0], [1, 0x80, 0x80, 0x80, 8, 0]), .outOfBounds),
      Reject("an unknown flag of a head", .message, head([1, 1, 0, 0], [1, 1, 4]), .notCanonical),
      Reject("an empty certificate", .message, head([1, 1, 0, 0], [1, 1, 2, 0]), .notCanonical),
      Reject(
        "a certificate above the bound", .message, head([1, 1, 0, 0], [1, 1, 2, 0x81, 2]),
        .outOfBounds),
      Reject("a frame without cursors", .message, frame([1, 1, 0, 0]), .outOfBounds),
      Reject("a frame of 65 cursors", .message, frame([1, 1, 0, 65]), .outOfBounds),
      Reject("64 cursors without a byte", .message, frame([1, 1, 0, 64]), .truncated),
      Reject("a frame of generation 0", .message, frame([0, 1, 0, 1]), .outOfBounds),
      Reject("a room's name above the bound", .message, frame([1, 1, 65]), .outOfBounds),
      Reject("a proof of generation 0", .message, proof(0, 0), .outOfBounds),
      Reject("a proof with a flag of 2", .message, proof(1, 2), .notCanonical),
      Reject(
        "an envelope without a body", .message,
        Reading.framed(kind: 3, [UInt8](repeating: 0, count: Envelope.overheadBytes)), .truncated),
    ]
  }

  private static func plainMessages(_ fixture: Fixture) throws -> [Reject] {
    // The shelf of the lobby.
    let origin = fixture.alice.origin.bytes + [UInt8](repeating: 0, count: 8)
    let word = [UInt8](repeating: 1, count: 8)
    let zero = [UInt8](repeating: 0, count: OriginID.byteCount + 8)
    func entries(_ flags: UInt8, _ count: UInt8, after: [UInt8], _ list: [UInt8]) -> [UInt8] {
      Reading.framed(kind: 7, word + [flags, 0, 0, 0, 1] + after + [count] + list)
    }
    let entry = origin + [1, 0, 0] + word
    func manifest(_ fields: [UInt8]) -> [UInt8] { Reading.framed(kind: 11, origin + [1] + fields) }
    return [
      Reject("no byte", .message, [], .truncated),
      Reject("kind 0", .message, [0, 0, 0], .unknownKind(0)),
      Reject("a body that is not there", .message, [1, 0, 8], .truncated),
      Reject("the longest body without a byte", .message, [3, 0xFF, 0xFF], .truncated),
      Reject(
        "a challenge of 9 bytes", .message, Reading.framed(kind: 1, word + [0]), .trailingBytes(1)),
      Reject(
        "a challenge of 7 bytes", .message, Reading.framed(kind: 1, Array(word.dropLast())),
        .truncated),
      Reject(
        "an age at the bound", .message, Reading.framed(kind: 4, [0x80, 0x80, 0x80, 0x80, 0x40]),
        .outOfBounds),
      Reject(
        "a digest of 31 buckets", .message,
        Reading.framed(kind: 6, [UInt8](repeating: 0, count: 8 * 32)), .truncated),
      Reject("an unknown flag of entries", .message, entries(4, 0, after: zero, []), .notCanonical),
      Reject(
        "too many entries", .message, entries(0, UInt8(Entries.bound + 1), after: zero, []),
        .outOfBounds),
      Reject(
        "entries without a byte", .message, entries(0, UInt8(Entries.bound), after: zero, []),
        .truncated),
      Reject(
        "one shelf twice", .message, entries(0, 2, after: zero, entry + entry), .notCanonical),
      Reject(
        "origins in falling order", .message,
        entries(
          0, 2, after: zero,
          [UInt8](repeating: 0xFF, count: OriginID.byteCount) + [UInt8](repeating: 0, count: 8)
            + [1, 0, 0] + word + entry),
        .notCanonical),
      Reject(
        "rooms in falling order", .message,
        entries(
          0, 2, after: zero,
          fixture.alice.origin.bytes + [0, 0, 0, 0, 0, 0, 0, 8] + [1, 0, 0] + word + entry),
        .notCanonical),
      Reject(
        "a room with bits of a lane", .message,
        entries(
          0, 1, after: zero,
          fixture.alice.origin.bytes + [0, 0, 0, 0, 0, 0, 0, 9] + [1, 0, 0] + word),
        .notCanonical),
      Reject(
        "a shelf that is not above the one before it", .message,
        entries(0, 1, after: origin, entry), .notCanonical),
      Reject(
        "an entry of generation 0", .message,
        entries(0, 1, after: zero, origin + [0, 0, 0] + word),
        .outOfBounds),
      Reject(
        "a generation at the bound", .message,
        Reading.framed(kind: 8, origin + [0x80, 0x80, 0x80, 0x80, 0x10, 0]), .outOfBounds),
      Reject(
        "an answer that ends before it begins", .message,
        Reading.framed(kind: 9, origin + [1, 5, 4, 0]), .outOfBounds),
      Reject(
        "a manifest that steps by 0", .message, manifest([0, 9, 1, 1, 0] + word), .outOfBounds),
      Reject(
        "a manifest that steps beyond its end", .message, manifest([5, 9, 1, 1, 5] + word),
        .outOfBounds),
      Reject(
        "a manifest that ends before it begins", .message, manifest([5, 4, 1, 0]), .outOfBounds),
      Reject(
        "too long a manifest", .message, manifest([0, 9, 1, UInt8(Manifest.bound + 1)]),
        .outOfBounds),
      Reject(
        "a long manifest without a byte", .message, manifest([0, 9, 1, UInt8(Manifest.bound)]),
        .truncated),
      Reject("an empty query of heads", .message, Reading.framed(kind: 12, [0]), .outOfBounds),
      Reject("17 queries of heads", .message, Reading.framed(kind: 12, [17]), .outOfBounds),
      Reject("16 queries without a byte", .message, Reading.framed(kind: 12, [16]), .truncated),
      Reject("an empty introduction", .message, Reading.framed(kind: 13, [0]), .outOfBounds),
      Reject("17 introductions", .message, Reading.framed(kind: 13, [17]), .outOfBounds),
      Reject("an empty prune", .message, Reading.framed(kind: 14, [0]), .outOfBounds),
      Reject(
        "a fetch of the lobby", .message,
        Reading.framed(kind: 15, word + [UInt8](repeating: 0, count: 8)), .notCanonical),
      Reject("17 origins to prune", .message, Reading.framed(kind: 14, [17]), .outOfBounds),
    ]
  }

  private static func datagramRejects(_ fixture: Fixture) throws -> [Reject] {
    let zeros = { [UInt8](repeating: 0, count: $0) }
    let inner = fixture.alice.origin.bytes + [0, 0, 0, 1] + zeros(16)
    let nonce = zeros(DatagramLayout.nonceBytes)
    let sealed = sealed(inner, nonce: nonce, by: fixture.alice, mesh: fixture.mesh)
    func changed(_ index: Int) -> [UInt8] {
      var bytes = sealed
      bytes[index] ^= 1
      return bytes
    }
    return [
      Reject(
        "a short datagram", .datagram, [1] + zeros(DatagramLayout.overheadBytes - 2), .truncated),
      Reject(
        "a long datagram", .datagram, [1] + zeros(Limits.datagramBytes),
        .doesNotFit(needed: Limits.datagramBytes + 1, available: Limits.datagramBytes)),
      Reject(
        "another version", .datagram, [2] + zeros(DatagramLayout.overheadBytes), .unknownKind(2)),
      Reject(
        "a sender of generation 0", .opened, fixture.alice.origin.bytes + zeros(20), .outOfBounds),
      Reject("half an inner header", .opened, fixture.alice.origin.bytes, .truncated),
      Reject("half a message", .opened, inner + [1, 0], .truncated),
      Reject("another mesh", .sealed, changed(1), "otherMesh"),
      Reject("a changed epoch", .sealed, changed(12), "notAuthentic"),
      Reject("a changed nonce", .sealed, changed(DatagramLayout.additionalBytes), "notAuthentic"),
      Reject("a changed word", .sealed, changed(DatagramLayout.outerBytes), "notAuthentic"),
      Reject("a changed authenticator", .sealed, changed(sealed.count - 1), "notAuthentic"),
      Reject("one byte more", .sealed, sealed + [0], "notAuthentic"),
    ]
  }

  private static func forgeries(_ fixture: Fixture) throws -> [Reject] {
    let head = try fixture.head()
    guard let other = MeshID(bytes: Array(fixture.mesh.bytes.reversed())) else { return [] }
    let foreign = fixture.alice.sign(
      Envelope.signedBytes(
        kind: .head, mesh: other.bytes, origin: fixture.alice.origin, body: head.bodyBytes))
    let asFrame = fixture.alice.sign(
      Envelope.signedBytes(
        kind: .frame, mesh: fixture.mesh.bytes, origin: fixture.alice.origin,
        body: head.bodyBytes))
    func message(_ origin: OriginID, _ signature: some Collection<UInt8>) throws -> [UInt8] {
      let bytes = origin.bytes + Array(signature) + head.bodyBytes
      return Message.head(ageMilliseconds: 0, try Envelope(kind: .head, bytes: bytes)).encoded()
    }
    return [
      Reject(
        "a head of another mesh", .signed, try message(fixture.alice.origin, foreign),
        "wrongSignature"),
      Reject(
        "a head signed as a frame", .signed, try message(fixture.alice.origin, asFrame),
        "wrongSignature"),
      Reject(
        "a head of another origin", .signed, try message(fixture.bob.origin, head.signature),
        "wrongSignature"),
    ]
  }
}

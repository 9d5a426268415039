import MeshCRDT
import MeshCrypto
import MeshWire

extension VectorFile {
  private static let session = [UInt8](repeating: 5, count: SessionID.byteCount)
  private static let nobody = [UInt8](repeating: 0, count: SessionID.byteCount)
  private static let life: [UInt8] = [0, 0, 0, 1] + [UInt8](repeating: 6, count: 8)
  /// 2^48 as a varint.
  private static let bound: [UInt8] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40]

  /// A batch of one record of the lobby, or of a room.
  private static func batch(_ record: [UInt8], in room: [UInt8] = [0]) -> [UInt8] {
    Reading.unsigned(.batch, life + room + [0, 1, 1] + record)
  }

  /// A presence with a value of some bytes.
  private static func presence(_ value: [UInt8]) -> [UInt8] {
    batch([1] + session + [1, UInt8(value.count)] + value)
  }

  private static func cursor(_ value: [UInt8]) -> [UInt8] {
    batch([2] + session + [1, UInt8(value.count)] + value)
  }

  static func recordRejects() -> [Reject] {
    let room: [UInt8] = [1, 0x72]
    return [
      Reject("an unknown bit in a record", batch([0x40] + session + [1, 0]), .notCanonical),
      Reject(
        "a session in a batch of a room", batch([0x80] + session + [1], in: room), .notCanonical),
      Reject(
        "a removal in a batch of a room", batch([0x83] + session + [0, 1], in: room),
        .notCanonical),
      Reject(
        "a subscription in a batch of a room", batch([0x84] + nobody + [0], in: room),
        .notCanonical),
      Reject(
        "an occupancy in a batch of a room", batch([0x85] + session + room + [1], in: room),
        .notCanonical),
      Reject("a subscription of a session", batch([0x84] + session + [0]), .notCanonical),
      Reject("a subscription with a counter", batch([0x84] + nobody + [1]), .notCanonical),
      Reject("an occupancy of the lobby", batch([0x85] + session + [0, 1]), .notCanonical),
      Reject(
        "an occupancy with a value", batch([5] + session + room + [1, 1, 0]), .trailingBytes(1)),
      Reject("a tombstone with a value", batch([0x80] + session + [1, 0]), .trailingBytes(1)),
      Reject("a counter at the bound", batch([0x80] + session + bound), .outOfBounds),
      Reject(
        "a number in more bytes than it needs", batch([0x80] + session + [0x81, 0]), .notCanonical),
      Reject(
        "a number of nine bytes",
        batch([0x80] + session + [UInt8](repeating: 0xFF, count: 8) + [1]), .outOfBounds),
      Reject("a value above the bound", batch([9] + session + [1, 0xA1, 6]), .outOfBounds),
      Reject("a long value without a byte", batch([9] + session + [1, 0xA0, 6]), .truncated),
      Reject("a room of a record above the bound", batch([3] + session + [65]), .outOfBounds),
      Reject("a value that goes on", cursor([0, 0, 0, 0, 0, 0]), .trailingBytes(1)),
      Reject("a value that ends before its end", cursor([0, 0, 0, 0]), .truncated),
      Reject("an unknown flag of a cursor", cursor([0, 0, 0, 0, 4]), .notCanonical),
      Reject("an anchor above the bound", cursor([0, 0, 0, 0, 3, 65]), .outOfBounds),
      Reject("a status that does not exist", presence([1, 7]), .outOfBounds),
      Reject("a flag that is neither 0 nor 1", presence([1, 0, 0, 2, 0]), .notCanonical),
      Reject("text that is not UTF-8", presence([1, 0, 1, 0xFF, 0, 0]), .malformedText),
      Reject("an overlong form of UTF-8", presence([1, 0, 2, 0xC1, 0x81, 0, 0]), .malformedText),
      Reject("a surrogate in UTF-8", presence([1, 0, 3, 0xED, 0xA0, 0x80, 0, 0]), .malformedText),
      Reject("a line feed in text", presence([1, 0, 1, 0x0A, 0, 0]), .malformedText),
      Reject("a user without an id", batch([0] + session + [1, 1, 0]), .outOfBounds),
      Reject(
        "rooms of a subscription in falling order",
        batch([4] + nobody + [0, 17, 2] + [0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 8]),
        .notCanonical),
      Reject(
        "a room id with low bits",
        batch([4] + nobody + [0, 9, 1] + [0, 0, 0, 0, 0, 0, 0, 9]), .notCanonical),
    ]
  }

  static func signedRejects() -> [Reject] {
    func heading(_ fields: [UInt8], _ life: [UInt8] = life) -> [UInt8] {
      Reading.unsigned(.batch, life + fields)
    }
    let hash = [UInt8](repeating: 7, count: 48)
    /// A checkpoint with some fields before root and value, and some, from the chain on, behind
    /// them.
    func checkpoint(_ front: [UInt8], _ rest: [UInt8], _ life: [UInt8] = life) -> [UInt8] {
      Reading.unsigned(.checkpoint, life + front + hash + rest)
    }
    /// The first chain, and so the first of its schedule.
    let chain: [UInt8] = [1, 1, 0]
    func frame(_ fields: [UInt8], _ life: [UInt8] = life) -> [UInt8] {
      Reading.unsigned(.cursorFrame, life + fields)
    }
    let none = [UInt8](repeating: 0, count: 12)
    let highest: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F]
    let cursor = session + [1, 0, 0, 0, 0, 0]
    return [
      Reject("a signed message without a body", Reading.unsigned(.batch, []), .truncated),
      Reject("a batch without an incarnation", heading([0, 0, 1, 1], none), .outOfBounds),
      Reject("a batch that begins at version 0", heading([0, 0, 0, 1]), .outOfBounds),
      Reject("a batch that begins at its previous version", heading([0, 1, 1, 1]), .outOfBounds),
      Reject("a batch without records", heading([0, 0, 1, 0]), .outOfBounds),
      Reject("a batch of 65 records", heading([0, 0, 1, 65]), .outOfBounds),
      Reject("64 records without a byte", heading([0, 0, 1, 64]), .truncated),
      Reject("versions that reach the bound", heading([0, 0] + highest + [2]), .outOfBounds),
      Reject("a room's name above the bound", heading([65]), .outOfBounds),
      Reject(
        "a checkpoint without an incarnation",
        checkpoint([1, 1], chain + [0, 100, 0, 0, 0], none), .outOfBounds),
      Reject("a checkpoint of sequence 0", checkpoint([0, 1], []), .outOfBounds),
      Reject(
        "a chain of number 0", checkpoint([1, 1], [0, 0, 0, 0, 100, 0, 0, 0]), .outOfBounds),
      Reject(
        "a chain at the bound", checkpoint([1, 1], [0x80, 0x80, 0x80, 0x80, 0x10]), .outOfBounds),
      Reject(
        "a schedule of number 0", checkpoint([1, 1], [1, 0, 0, 0, 100, 0, 0, 0]), .outOfBounds),
      Reject(
        "a schedule that begins behind its chain",
        checkpoint([1, 1], [1, 2, 0, 0, 100, 0, 0, 0]), .outOfBounds),
      Reject(
        "an offset from the chain itself", checkpoint([1, 1], [2, 2, 1, 0, 100, 0, 0, 0]),
        .notCanonical),
      Reject(
        "an offset at the bound",
        checkpoint([1, 1], [2, 1] + [UInt8](repeating: 0x80, count: 6) + [1, 0, 100, 0, 0, 0]),
        .outOfBounds),
      Reject("a beat beyond the chain", checkpoint([1, 1], chain + [0x80, 0x20]), .outOfBounds),
      Reject("a period of 99 ms", checkpoint([1, 1], chain + [0, 99, 0, 0, 0]), .outOfBounds),
      Reject(
        "a period above an hour", checkpoint([1, 1], chain + [0, 0x81, 0xDD, 0xDB, 1]),
        .outOfBounds),
      Reject("an unknown flag", checkpoint([1, 1], chain + [0, 100, 4, 0, 0]), .notCanonical),
      Reject(
        "features at the bound",
        checkpoint([1, 1], chain + [0, 100, 0] + [UInt8](repeating: 0x80, count: 8) + [1]),
        .outOfBounds),
      Reject(
        "a byte behind the changed rooms", checkpoint([1, 1], chain + [0, 100, 0, 0, 0, 1]),
        .trailingBytes(1)),
      Reject("65 changed rooms", checkpoint([1, 1], chain + [0, 100, 0, 0, 65]), .outOfBounds),
      Reject(
        "64 changed rooms without a byte", checkpoint([1, 1], chain + [0, 100, 0, 0, 64]),
        .truncated),
      Reject(
        "changed rooms in falling order",
        checkpoint([1, 9], chain + [0, 100, 0, 0, 2, 1, 0x72, 9, 1, 0x71, 8]), .notCanonical),
      Reject(
        "a changed room twice",
        checkpoint([1, 9], chain + [0, 100, 0, 0, 2, 1, 0x72, 9, 1, 0x72, 9]), .notCanonical),
      Reject(
        "a changed room above the version", checkpoint([1, 9], chain + [0, 100, 0, 0, 1, 0, 10]),
        .outOfBounds),
      Reject(
        "a checkpoint that does not fit with every age",
        Reading.unsigned(.checkpoint, [UInt8](repeating: 1, count: Checkpoint.byteBound + 1)),
        .doesNotFit(needed: 984, available: 983)),
      Reject("a frame without an incarnation", frame([0, 1] + cursor, none), .outOfBounds),
      Reject("a frame without cursors", frame([0, 0]), .outOfBounds),
      Reject("a frame of 65 cursors", frame([0, 65]), .outOfBounds),
      Reject("64 cursors without a byte", frame([0, 64]), .truncated),
      Reject(
        "a cursor update with counter 0", frame([0, 1] + session + [0, 0, 0, 0, 0, 0]),
        .outOfBounds),
      Reject("more bytes than cursors", frame([0, 1] + cursor + [0]), .trailingBytes(1)),
      Reject(
        "a proof without an incarnation",
        Reading.unsigned(.pathProof, none + none + [0, 0, 0, 0, 0]),
        .outOfBounds),
      Reject(
        "a proof with a flag of 2",
        Reading.unsigned(.pathProof, life + [UInt8](repeating: 0, count: 16) + [2]), .notCanonical),
    ]
  }

  static func messageRejects(_ fixture: Fixture) -> [Reject] {
    let origin = fixture.alice.origin.bytes
    let word = [UInt8](repeating: 1, count: 8)
    let hash = word + word
    func framed(_ kind: UInt8, _ body: [UInt8]) -> [UInt8] { Reading.framed(kind: kind, body) }
    let beat = word + [1] + hash
    let probe = origin + life + [1, 1]
    let none = [UInt8](repeating: 0, count: 12)
    /// A request number and a budget, or a request number and the only page of its answer.
    func compare(_ rest: [UInt8]) -> [UInt8] { framed(7, [0, 0, 1] + rest) }
    func nodes(_ rest: [UInt8]) -> [UInt8] { framed(8, [0, 0, 1, 0x80, 0] + rest) }
    return [
      Reject("kind 0", [0, 0, 0], .unknownKind(0)),
      Reject("a body that is not there", [1, 0, 8], .truncated),
      Reject("the longest body without a byte", [3, 0xFF, 0xFF], .truncated),
      Reject("a challenge of 9 bytes", framed(1, word + [0]), .trailingBytes(1)),
      Reject("a challenge of 7 bytes", framed(1, Array(word.dropLast())), .truncated),
      Reject("an age at the bound", framed(4, [0x80, 0x80, 0x80, 0x80, 0x40]), .outOfBounds),
      Reject("no beat", framed(6, []), .truncated),
      Reject("41 beats", framed(6, (0..<41).flatMap { _ in beat }), .outOfBounds),
      Reject("a beat beyond the chain", framed(6, word + [0x80, 0x20] + hash), .outOfBounds),
      Reject("half a beat", framed(6, beat + word), .truncated),
      Reject("a scope that does not exist", framed(7, [2]), .outOfBounds),
      Reject("a place of sequence 0", framed(7, [1] + origin + life + [0]), .outOfBounds),
      Reject("a place without an incarnation", framed(7, [1] + origin + none), .outOfBounds),
      Reject("a budget above the bound", compare([0x81, 0x80, 4]), .outOfBounds),
      Reject("a compare about no node", compare([1, 0]), .outOfBounds),
      Reject("a compare about 65 nodes", compare([1, 65]), .outOfBounds),
      Reject("64 nodes without a byte", compare([1, 64]), .truncated),
      Reject("a request without a number", framed(7, [0, 0]), .truncated),
      Reject("a path of depth 17", compare([1, 1, 17]), .outOfBounds),
      Reject("a path with an unused half that is not 0", compare([1, 1, 1, 0x11]), .notCanonical),
      Reject("256 nodes", nodes([0x80, 2]), .outOfBounds),
      Reject("255 nodes without a byte", nodes([0xFF, 1]), .truncated),
      Reject("a node above the bound", nodes([1, 0, 0x86, 7]), .outOfBounds),
      Reject("a large node without a byte", nodes([1, 0, 0x85, 7]), .truncated),
      Reject("a repair without an incarnation", framed(9, origin + none), .outOfBounds),
      Reject("a repair of nothing", framed(9, origin + life + [0, 4, 4]), .outOfBounds),
      Reject("a repair with a flag of 2", framed(9, origin + life + [2, 1, 4]), .notCanonical),
      Reject("no probe", framed(10, []), .truncated),
      Reject("17 probes", framed(10, (0..<17).flatMap { _ in probe }), .outOfBounds),
      Reject(
        "random bits without an incarnation", framed(10, origin + none.dropLast() + [1, 0, 0]),
        .notCanonical),
      Reject(
        "a sequence without an incarnation", framed(10, origin + none + [1, 0]), .notCanonical),
      Reject("a beat without a sequence", framed(10, origin + life + [0, 1]), .notCanonical),
      Reject("an empty peer exchange", framed(12, [0]), .outOfBounds),
      Reject("17 peers", framed(12, [17]), .outOfBounds),
      Reject("an empty prune", framed(13, [0]), .outOfBounds),
      Reject("17 origins to prune", framed(13, [17]), .outOfBounds),
    ] + nodeRejects(origin) + contradictionRejects(origin)
  }

  /// Nodes of a tree that they do not say in its one form, of requests and of answers.
  private static func nodeRejects(_ origin: [UInt8]) -> [Reject] {
    let hash = [UInt8](repeating: 1, count: 16)
    let none: [UInt8] = [0]
    let place = [1] + origin + life + [1]
    /// Two nodes at the top, of which the second is refused.
    func both(
      _ name: String, _ place: [UInt8], _ one: [UInt8], _ other: [UInt8], _ error: WireError
    ) -> [Reject] {
      [
        Reject(
          name + ", in a request",
          Reading.framed(kind: 7, place + [0, 1, 1, 2] + one + hash + other + hash), error),
        Reject(
          name + ", in an answer",
          Reading.framed(kind: 8, place + [0, 1, 0, 0, 2] + one + none + other + none), error),
      ]
    }
    let room: [UInt8] = [0x80, 1, 0x72]
    return both("a room that is named twice", place, room, room, .notCanonical)
      + both("the lobby named twice", place, [0x80, 0], [0x80, 0], .notCanonical)
      + both("the same room as none", place, [0], [0xC0], .notCanonical)
      + both("the same room without records", place, room, [0x40], .notCanonical)
      + both("a tree of records in a replica", [0], [0], room, .notCanonical)
      + both("bit 5 of a depth", place, room, [0xE0], .outOfBounds)
      + both("a depth of 17 in a tree of records", place, room, [0xD1], .outOfBounds)
      + both("a room's name above the bound", place, [0], [0x80, 65], .outOfBounds)
  }

  private static func contradictionRejects(_ origin: [UInt8]) -> [Reject] {
    let hash = [UInt8](repeating: 7, count: 32)
    let signature = [UInt8](repeating: 8, count: 64)
    func batch(_ first: UInt8, _ count: UInt8, _ life: [UInt8] = life) -> [UInt8] {
      life + [0, 0, first, count] + hash
    }
    func message(_ kind: UInt8, _ one: [UInt8], _ other: [UInt8]) -> [UInt8] {
      Reading.framed(
        kind: 11,
        origin + [kind] + [UInt8(one.count)] + one + signature + [UInt8(other.count)] + other
          + signature)
    }
    let later = Array(life.dropLast()) + [7]
    return [
      Reject("a contradiction of frames", message(5, batch(1, 2), batch(2, 2)), .outOfBounds),
      Reject("a contradiction of kind 6", message(6, batch(1, 2), batch(2, 2)), .outOfBounds),
      Reject("one statement twice", message(3, batch(1, 2), batch(1, 2)), .notCanonical),
      Reject("statements in falling order", message(3, batch(2, 2), batch(1, 2)), .notCanonical),
      Reject(
        "batches without a version in common", message(3, batch(1, 2), batch(3, 2)), .outOfBounds),
      Reject(
        "batches of two incarnations", message(3, batch(1, 2), batch(1, 2, later)), .outOfBounds),
      Reject(
        "a statement of 138 bytes", Reading.framed(kind: 11, origin + [3, 0x8A, 1]), .outOfBounds),
      Reject(
        "a statement with a byte more", message(3, batch(1, 2), batch(2, 2) + [0]),
        .trailingBytes(1)),
      Reject(
        "a statement with a byte less", message(3, batch(1, 2), Array(batch(2, 2).dropLast())),
        .truncated),
    ]
  }
}

package import MeshCRDT

/// What a node holds of the shelves in some buckets.
///
/// Layout: nonce (8), flags (1: bit 0 an answer is wanted, bit 1 more entries follow in another
/// datagram), mask of buckets (4), the shelf that the entries begin after (40, zero for the first
/// datagram), number of entries (varint), and for each the shelf (40: origin and room), generation,
/// version and live count (varints) and live hash (8), in rising order of shelves. The lobby's shelf
/// has the room 0.
package struct Entries: Hashable, Sendable {
  package let nonce: UInt64
  /// True when the sender wants to know in turn what the receiver has beyond this.
  package let wantsAnswer: Bool
  /// True when the entries go on in another datagram; it begins above the last shelf of this one.
  package let hasMore: Bool
  /// The buckets that the entries are about.
  package let mask: UInt32
  /// All entries are above this shelf; what the sender does not list above it, up to the last of
  /// the entries, it has nothing on, or does not share with the receiver. Without ``hasMore`` that goes
  /// for everything above.
  package let after: ShelfID
  package let entries: [DigestEntry]

  /// The most entries of a message: one has up to 67 bytes.
  package static let bound: UInt64 = 15

  package init(
    nonce: UInt64, wantsAnswer: Bool, hasMore: Bool, mask: UInt32, after: ShelfID,
    entries: [DigestEntry]
  ) {
    self.after = after
    self.nonce = nonce
    self.wantsAnswer = wantsAnswer
    self.hasMore = hasMore
    self.mask = mask
    self.entries = entries
  }

  func write(to writer: inout ByteWriter) {
    writer.uint64(nonce)
    writer.byte((wantsAnswer ? 1 : 0) | (hasMore ? 2 : 0))
    writer.uint32(mask)
    after.write(to: &writer)
    writer.varint(entries.count)
    for entry in entries {
      entry.shelf.write(to: &writer)
      writer.varint(entry.generation)
      writer.varint(entry.held.version)
      writer.varint(entry.held.count)
      writer.uint64(entry.held.hash)
    }
  }

  init(from reader: inout ByteReader) throws(WireError) {
    nonce = try reader.uint64()
    let flags = try reader.byte()
    guard flags < 4 else { throw .notCanonical }
    wantsAnswer = flags & 1 != 0
    hasMore = flags & 2 != 0
    mask = try reader.uint32()
    after = try ShelfID(from: &reader)
    let count = try reader.varint(below: Self.bound + 1)
    var entries: [DigestEntry] = []
    for _ in 0..<count {
      let shelf = try ShelfID(from: &reader)
      guard shelf > entries.last?.shelf ?? after else { throw .notCanonical }
      let generation = try reader.varint(below: Limits.generationBound)
      guard generation > 0 else { throw .outOfBounds }
      let version = try reader.varint(below: Limits.counterBound)
      let live = try reader.varint(below: Limits.counterBound)
      let held = Cut(version: version, count: live, hash: try reader.uint64())
      entries.append(DigestEntry(shelf: shelf, generation: generation, held: held))
    }
    self.entries = entries
  }
}

extension ShelfID {
  /// Layout: origin (32), room (8; 0: the lobby).
  fileprivate func write(to writer: inout ByteWriter) {
    writer.origin(origin)
    writer.uint64(room.bits)
  }

  fileprivate init(from reader: inout ByteReader) throws(WireError) {
    let origin = try reader.origin()
    self.init(origin, try reader.roomID())
  }
}

/// Asks for the batches of a shelf that have records above a version.
///
/// Layout: shelf (40), generation and version (varints).
package struct Pull: Hashable, Sendable {
  package let shelf: ShelfID
  package let generation: UInt64
  package let after: UInt64

  package init(shelf: ShelfID, generation: UInt64, after: UInt64) {
    self.shelf = shelf
    self.generation = generation
    self.after = after
  }

  func write(to writer: inout ByteWriter) {
    shelf.write(to: &writer)
    writer.varint(generation)
    writer.varint(after)
  }

  init(from reader: inout ByteReader) throws(WireError) {
    shelf = try ShelfID(from: &reader)
    generation = try reader.varint(below: Limits.generationBound)
    after = try reader.varint(below: Limits.counterBound)
  }
}

/// Ends an answer to a pull: what was sent reaches through a version.
///
/// Layout: shelf (40), generation, the version that was asked from and the version that was reached
/// (varints), and whether there is more (1: 0 or 1).
package struct PullEnd: Hashable, Sendable {
  package let shelf: ShelfID
  package let generation: UInt64
  package let after: UInt64
  package let through: UInt64
  package let hasMore: Bool

  package init(
    shelf: ShelfID, generation: UInt64, after: UInt64, through: UInt64, hasMore: Bool
  ) {
    self.shelf = shelf
    self.generation = generation
    self.after = after
    self.through = through
    self.hasMore = hasMore
  }

  func write(to writer: inout ByteWriter) {
    shelf.write(to: &writer)
    writer.varint(generation)
    writer.varint(after)
    writer.varint(through)
    writer.flag(hasMore)
  }

  init(from reader: inout ByteReader) throws(WireError) {
    shelf = try ShelfID(from: &reader)
    generation = try reader.varint(below: Limits.generationBound)
    after = try reader.varint(below: Limits.counterBound)
    through = try reader.varint(below: Limits.counterBound)
    guard through >= after else { throw .outOfBounds }
    hasMore = try reader.flag()
  }
}

/// Asks which records of a shelf are live above a version. Layout: as a ``Pull``.
package struct ManifestRequest: Hashable, Sendable {
  package let shelf: ShelfID
  package let generation: UInt64
  package let after: UInt64

  package init(shelf: ShelfID, generation: UInt64, after: UInt64) {
    self.shelf = shelf
    self.generation = generation
    self.after = after
  }

  func write(to writer: inout ByteWriter) {
    Pull(shelf: shelf, generation: generation, after: after).write(to: &writer)
  }

  init(from reader: inout ByteReader) throws(WireError) {
    let pull = try Pull(from: &reader)
    self.init(shelf: pull.shelf, generation: pull.generation, after: pull.after)
  }
}

/// A part of the list of a shelf's live records, in rising order of versions.
///
/// Nobody signs it: whoever applies it checks that what is left hashes to the signed live hash.
/// Layout: shelf (40), generation, the version it begins after and the version it reaches through
/// (varints), whether it is the last part (1: 0 or 1), the number of records (varint), and for each
/// the distance to the version before (varint, from 1) and the record's hash (8).
package struct Manifest: Hashable, Sendable {
  package struct Item: Hashable, Sendable {
    package let version: UInt64
    package let hash: UInt64

    package init(version: UInt64, hash: UInt64) {
      self.version = version
      self.hash = hash
    }
  }

  package let shelf: ShelfID
  package let generation: UInt64
  package let after: UInt64
  package let through: UInt64
  package let isLast: Bool
  package let items: [Item]

  /// The most records of a part: each has at least 9 bytes.
  package static let bound = 114
  /// What is left for records in a message of its own, after the longest header.
  package static let itemBytes =
    DatagramLayout.messageBytes - Message.headerBytes - OriginID.byteCount - 8 - 5 - 7 - 7 - 1 - 1

  package init(
    shelf: ShelfID, generation: UInt64, after: UInt64, through: UInt64, isLast: Bool,
    items: [Item]
  ) {
    self.shelf = shelf
    self.generation = generation
    self.after = after
    self.through = through
    self.isLast = isLast
    self.items = items
  }

  func write(to writer: inout ByteWriter) {
    shelf.write(to: &writer)
    writer.varint(generation)
    writer.varint(after)
    writer.varint(through)
    writer.flag(isLast)
    writer.varint(items.count)
    var last = after
    for item in items {
      writer.varint(item.version - last)
      writer.uint64(item.hash)
      last = item.version
    }
  }

  init(from reader: inout ByteReader) throws(WireError) {
    shelf = try ShelfID(from: &reader)
    generation = try reader.varint(below: Limits.generationBound)
    after = try reader.varint(below: Limits.counterBound)
    through = try reader.varint(below: Limits.counterBound)
    isLast = try reader.flag()
    let count = try reader.varint(below: UInt64(Self.bound) + 1)
    var items: [Item] = []
    var last = after
    for _ in 0..<count {
      let step = try reader.varint(below: Limits.counterBound)
      guard step > 0, last + step <= through else { throw .outOfBounds }
      last += step
      items.append(Item(version: last, hash: try reader.uint64()))
    }
    guard through >= last else { throw .outOfBounds }
    self.items = items
  }
}

/// Asks for a newer head of an origin than this.
///
/// Layout: origin (32), generation and heartbeat (varints); a query is a number (varint, 1…16) and
/// that many of them.
package struct HeadKnown: Hashable, Sendable {
  package let origin: OriginID
  package let generation: UInt64
  package let heartbeat: UInt64

  package static let bound: UInt64 = 16

  package init(origin: OriginID, generation: UInt64, heartbeat: UInt64) {
    self.origin = origin
    self.generation = generation
    self.heartbeat = heartbeat
  }

  func write(to writer: inout ByteWriter) {
    writer.origin(origin)
    writer.varint(generation)
    writer.varint(heartbeat)
  }

  static func readList(from reader: inout ByteReader) throws(WireError) -> [HeadKnown] {
    let count = try reader.varint(below: bound + 1)
    guard count > 0 else { throw .outOfBounds }
    var list: [HeadKnown] = []
    for _ in 0..<count {
      list.append(
        HeadKnown(
          origin: try reader.origin(),
          generation: try reader.varint(below: Limits.generationBound),
          heartbeat: try reader.varint(below: Limits.counterBound)))
    }
    return list
  }
}

/// An address at which the sender hears an origin: a hint, to be proven by a challenge.
///
/// Layout: origin (32), address (16: IPv6, or IPv4 mapped into it), port (2); an introduction is a
/// number (varint, 1…16) and that many of them.
package struct Introduction: Hashable, Sendable {
  package let origin: OriginID
  package let addressHigh: UInt64
  package let addressLow: UInt64
  package let port: UInt16

  package static let bound: UInt64 = 16

  package init(origin: OriginID, addressHigh: UInt64, addressLow: UInt64, port: UInt16) {
    self.origin = origin
    self.addressHigh = addressHigh
    self.addressLow = addressLow
    self.port = port
  }

  func write(to writer: inout ByteWriter) {
    writer.origin(origin)
    writer.uint64(addressHigh)
    writer.uint64(addressLow)
    writer.uint16(port)
  }

  static func readList(from reader: inout ByteReader) throws(WireError) -> [Introduction] {
    let count = try reader.varint(below: bound + 1)
    guard count > 0 else { throw .outOfBounds }
    var list: [Introduction] = []
    for _ in 0..<count {
      list.append(
        Introduction(
          origin: try reader.origin(), addressHigh: try reader.uint64(),
          addressLow: try reader.uint64(), port: try reader.uint16()))
    }
    return list
  }
}

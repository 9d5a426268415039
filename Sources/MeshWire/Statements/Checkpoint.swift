package import MeshCRDT

/// The one signed statement about everything of an origin.
///
/// Layout of the body: incarnation (12), sequence, version (varints), root (32), value (16),
/// chain, schedule, offset, beat, period (varints), flags (1), features (varint); then the
/// number of changed rooms (varint), and for each the room and its version (varint). The statement is what
/// stands before that number, and `hash256` of the rest.
package struct Checkpoint: StatementBody {
  package static var kind: StatementKind { .checkpoint }

  /// A room that changed, with the version of its log; 0: it is empty now.
  package struct ChangedRoom: Hashable, Sendable {
    package let room: RoomName
    package let version: UInt64

    package init(room: RoomName, version: UInt64) {
      self.room = room
      self.version = version
    }

    var byteCount: Int { FieldSize.room(room) + FieldSize.varint(version) }
  }

  package let incarnation: Incarnation
  /// Rises by 1 with each checkpoint of the incarnation, from 1.
  package let sequence: UInt64
  /// The version of the last record of the incarnation; 0: none yet.
  package let version: UInt64
  /// The root of the tree of rooms.
  package let root: Hash256
  /// The value of the present heartbeat chain at ``beat``: later beats are verified by it. That of
  /// beat 0 is the chain's anchor.
  package let value: Hash128
  /// The number of the chain, from 1.
  package let chain: UInt64
  /// The number of the chain with which the origin's schedule began, 1…``chain``: what is known of
  /// the origin's age holds for all chains of a schedule.
  package let schedule: UInt64
  /// The start of the chain after the start of the chain ``schedule``; 0 if that is this one.
  package let offsetMilliseconds: UInt64
  /// The index of the chain at the moment of signing.
  package let beat: UInt64
  /// The time between two beats.
  package let periodMilliseconds: UInt64
  package let isLeaving: Bool
  /// Bits of what the origin can do beyond the protocol.
  package let features: UInt64
  /// True when ``changed`` names all rooms that changed since the checkpoint before.
  package private(set) var namesAllChanged: Bool
  /// In the order of the rooms.
  package private(set) var changed: [ChangedRoom]

  /// Chain numbers are below this.
  package static let chainBound: UInt64 = 1 << 32
  /// Offsets are below this: about 139 years.
  package static let offsetBound: UInt64 = 1 << 42
  package static let periodMilliseconds: ClosedRange<UInt64> = 100...3_600_000
  package static let featuresBound: UInt64 = 1 << 56
  /// The most rooms that a checkpoint names.
  package static let changedBound = 64
  /// The most bytes of a body: a checkpoint fits into a datagram with any age.
  package static let byteBound =
    DatagramHeader.messageBytes - MeshMessage.headerBytes - MeshMessage.mostAgeBytes
    - SignedMessage.overheadBytes
  /// The most bytes before the changed rooms.
  static let frontBytes =
    Incarnation.byteCount + 2 * FieldSize.mostCounter + Hash256.byteCount + Hash128.byteCount
    + 2 * FieldSize.varint(chainBound - 1) + FieldSize.varint(offsetBound - 1)
    + FieldSize.varint(Beat.indexBound - 1) + FieldSize.varint(periodMilliseconds.upperBound) + 1
    + FieldSize.varint(featuresBound - 1)
  /// The most bytes of a statement.
  static let statementBytes = frontBytes + Hash256.byteCount

  package init(
    incarnation: Incarnation, sequence: UInt64, version: UInt64, root: Hash256, value: Hash128,
    chain: UInt64, schedule: UInt64, offsetMilliseconds: UInt64, beat: UInt64,
    periodMilliseconds: UInt64, isLeaving: Bool = false, features: UInt64 = 0,
    namesAllChanged: Bool = false, changed: [ChangedRoom] = []
  ) {
    self.incarnation = incarnation
    self.sequence = sequence
    self.version = version
    self.root = root
    self.value = value
    self.chain = chain
    self.schedule = schedule
    self.offsetMilliseconds = offsetMilliseconds
    self.beat = beat
    self.periodMilliseconds = periodMilliseconds
    self.isLeaving = isLeaving
    self.features = features
    self.namesAllChanged = namesAllChanged
    self.changed = changed
  }

  package var position: Position { Position(incarnation: incarnation, sequence: sequence) }

  /// The checkpoint with the names of changed rooms, in their order, as many as fit. Each room is
  /// given once; all rooms that changed are.
  package func naming(_ rooms: some Sequence<ChangedRoom>) -> Checkpoint {
    var named = self
    let sorted = rooms.sorted { $0.room < $1.room }
    named.changed = []
    let rest = Self.byteBound - named.byteCount
    let count = FieldSize.prefix(of: sorted, bytes: rest, atMost: Self.changedBound) {
      $0.byteCount
    }
    named.changed = Array(sorted.prefix(count))
    named.namesAllChanged = count == sorted.count
    return named
  }

  /// The number of bytes of the body.
  package var byteCount: Int {
    let numbers = [
      sequence, version, chain, schedule, offsetMilliseconds, beat, periodMilliseconds, features,
    ]
    let front =
      Incarnation.byteCount + Hash256.byteCount + Hash128.byteCount + 1
      + numbers.reduce(0) { $0 + FieldSize.varint($1) }
    return front + 1 + changed.reduce(0) { $0 + $1.byteCount }
  }
}

extension Checkpoint {
  /// Which of two checkpoints of an origin is newer.
  package struct Position: Hashable, Comparable, Sendable {
    package let incarnation: Incarnation
    package let sequence: UInt64

    package init(incarnation: Incarnation, sequence: UInt64) {
      self.incarnation = incarnation
      self.sequence = sequence
    }

    /// Reads the front of the body of a checkpoint.
    package init(of message: SignedMessage) throws(WireError) {
      guard message.kind == .checkpoint else { throw .unknownKind(message.kind.rawValue) }
      var reader = message.bodyReader
      self.init(incarnation: try reader.incarnation(), sequence: try reader.counter(from: 1))
    }

    package static func < (left: Self, right: Self) -> Bool {
      left.incarnation == right.incarnation
        ? left.sequence < right.sequence : left.incarnation < right.incarnation
    }
  }

  private enum Flag {
    static let leaving: UInt8 = 1
    static let allChanged: UInt8 = 2
    static let known = leaving | allChanged
  }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(reserving: byteCount)
    writer.incarnation(incarnation)
    writer.varint(sequence)
    writer.varint(version)
    writer.hash256(root)
    writer.hash128(value)
    writer.varint(chain)
    writer.varint(schedule)
    writer.varint(offsetMilliseconds)
    writer.varint(beat)
    writer.varint(periodMilliseconds)
    writer.byte(
      (isLeaving ? Flag.leaving : 0) | (namesAllChanged ? Flag.allChanged : 0))
    writer.varint(features)
    writer.varint(changed.count)
    for room in changed {
      writer.text(room.room.text)
      writer.varint(room.version)
    }
    return writer.take()
  }

  package static func read(_ reader: inout ByteReader) throws(WireError) -> Checkpoint {
    guard reader.remaining <= byteBound else {
      throw .doesNotFit(needed: reader.remaining, available: byteBound)
    }
    var checkpoint = try readFront(&reader)
    for _ in 0..<(try reader.count(0...changedBound)) {
      let changed = ChangedRoom(room: try reader.room(), version: try reader.counter())
      guard changed.version <= checkpoint.version else { throw .outOfBounds }
      if let last = checkpoint.changed.last {
        guard last.room < changed.room else { throw .notCanonical }
      }
      checkpoint.changed.append(changed)
    }
    try reader.finish()
    return checkpoint
  }

  /// Reads what stands before the changed rooms.
  static func readFront(
    _ reader: inout ByteReader
  ) throws(WireError) -> Checkpoint {
    let incarnation = try reader.incarnation()
    let sequence = try reader.counter(from: 1)
    let version = try reader.counter()
    let root = try reader.hash256()
    let value = try reader.hash128()
    let chain = try reader.varint(below: chainBound)
    let schedule = try reader.varint(below: chain + 1)
    let offset = try reader.varint(below: offsetBound)
    guard schedule > 0 else { throw .outOfBounds }
    guard schedule < chain || offset == 0 else { throw .notCanonical }
    let beat = try reader.varint(below: Beat.indexBound)
    let period = try reader.varint(below: periodMilliseconds.upperBound + 1)
    guard periodMilliseconds.contains(period) else { throw .outOfBounds }
    let flags = try reader.byte()
    guard flags & ~Flag.known == 0 else { throw .notCanonical }
    return Checkpoint(
      incarnation: incarnation, sequence: sequence, version: version, root: root, value: value,
      chain: chain, schedule: schedule, offsetMilliseconds: offset, beat: beat,
      periodMilliseconds: period,
      isLeaving: flags & Flag.leaving != 0,
      features: try reader.varint(below: featuresBound),
      namesAllChanged: flags & Flag.allChanged != 0)
  }
}

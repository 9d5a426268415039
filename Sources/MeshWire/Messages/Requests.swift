package import MeshCRDT

/// Asks for the batches of an origin with some versions, of one room log or of all.
///
/// Layout: origin (32), incarnation (12), room flag (1), with it the room, after and through
/// (varints).
package struct RepairRequest: Hashable, Sendable {
  package let origin: OriginID
  package let incarnation: Incarnation
  /// `nil`: all rooms.
  package let room: RoomName?
  /// Versions above this one are asked for,
  package let after: UInt64
  /// up to this one, which is above it.
  package let through: UInt64

  static let byteBound =
    OriginID.byteCount + Incarnation.byteCount + 1 + FieldSize.mostRoom + 2 * FieldSize.mostCounter

  package init(
    origin: OriginID, incarnation: Incarnation, room: RoomName?, after: UInt64, through: UInt64
  ) {
    self.origin = origin
    self.incarnation = incarnation
    self.room = room
    self.after = after
    self.through = through
  }

  func write(to writer: inout ByteWriter) {
    writer.origin(origin)
    writer.incarnation(incarnation)
    writer.flag(room != nil)
    if let room { writer.text(room.text) }
    writer.varint(after)
    writer.varint(through)
  }

  init(from reader: inout ByteReader) throws(WireError) {
    origin = try reader.origin()
    incarnation = try reader.incarnation()
    room = try reader.flag() ? try reader.room() : nil
    after = try reader.counter()
    through = try reader.counter()
    guard after < through else { throw .outOfBounds }
  }
}

/// Asks for newer signs of life of an origin than the sender has.
///
/// Layout: origin (32), incarnation (12; all 0: none known), sequence and beat (varints).
package struct Probe: Hashable, Sendable {
  package let origin: OriginID
  /// `nil`: none is known; then sequence and beat are 0.
  package let incarnation: Incarnation?
  /// Of the newest checkpoint that is known; 0: none; then the beat is 0.
  package let sequence: UInt64
  /// The highest beat known of that checkpoint's chain.
  package let beat: UInt64

  /// The most probes of a message.
  package static let bound = 16
  static let byteBound = OriginID.byteCount + Incarnation.byteCount + FieldSize.mostCounter + 2

  package init(origin: OriginID, incarnation: Incarnation?, sequence: UInt64, beat: UInt64) {
    self.origin = origin
    self.incarnation = incarnation
    self.sequence = sequence
    self.beat = beat
  }

  func write(to writer: inout ByteWriter) {
    writer.origin(origin)
    writer.incarnation(incarnation)
    writer.varint(sequence)
    writer.varint(beat)
  }

  /// Reads probes up to the end of the message.
  static func readList(from reader: inout ByteReader) throws(WireError) -> [Probe] {
    var probes: [Probe] = []
    repeat {
      guard probes.count < bound else { throw .outOfBounds }
      let probe = Probe(
        origin: try reader.origin(), incarnation: try reader.optionalIncarnation(),
        sequence: try reader.counter(), beat: try reader.varint(below: Beat.indexBound))
      guard probe.incarnation != nil || probe.sequence == 0, probe.sequence > 0 || probe.beat == 0
      else { throw .notCanonical }
      probes.append(probe)
    } while !reader.isAtEnd
    return probes
  }
}

/// A hint: an origin may be reached at an address.
///
/// Layout: origin (32), address (18: IPv6, or IPv4 mapped into it, and the port).
package struct PeerExchange: Hashable, Sendable {
  package let origin: OriginID
  package let addressHigh: UInt64
  package let addressLow: UInt64
  package let port: UInt16

  /// The most peers of a message.
  package static let bound = 16
  static let byteCount = OriginID.byteCount + 18

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

  /// Reads a number of peers, and the peers.
  static func readList(from reader: inout ByteReader) throws(WireError) -> [PeerExchange] {
    let count = try reader.count(1...bound)
    var peers: [PeerExchange] = []
    for _ in 0..<count {
      peers.append(
        PeerExchange(
          origin: try reader.origin(), addressHigh: try reader.uint64(),
          addressLow: try reader.uint64(), port: try reader.uint16()))
    }
    return peers
  }
}

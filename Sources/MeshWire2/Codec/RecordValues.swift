package import MeshCRDT
package import MeshCRDT2
import MeshWire

/// The values of records, from and to bytes. They are those of protocol 1.
package enum RecordValues {
  /// The most bytes of a value, so that a record of any kind fits into a batch and into a bucket.
  package static let byteBound = 800

  // MARK: Reading. `nil` when the bytes are not the one form of a value.

  package static func session(from bytes: ArraySlice<UInt8>) -> SessionValue? {
    if case .session(let value) = read(.session, bytes) { value } else { nil }
  }

  package static func presence(from bytes: ArraySlice<UInt8>) -> PresenceValue? {
    if case .presence(let value) = read(.presence, bytes) { value } else { nil }
  }

  package static func cursor(from bytes: ArraySlice<UInt8>) -> Cursor? {
    if case .cursor(let value) = read(.cursor, bytes) { value } else { nil }
  }

  package static func removal(from bytes: ArraySlice<UInt8>) -> RemovalValue? {
    if case .removal(let value) = read(.removal, bytes) { value } else { nil }
  }

  /// The rooms of a subscription record.
  package static func subscription(from bytes: ArraySlice<UInt8>) -> [RoomID]? {
    if case .interest(let value) = read(.interest, bytes) { value.rooms } else { nil }
  }

  /// The counter at which a session entered the room, of the bytes of a presence.
  package static func enteredCounter(ofPresence bytes: ArraySlice<UInt8>) -> UInt64? {
    var reader = ByteReader(Array(bytes.prefix(FieldSize.mostCounter)))
    return try? reader.counter()
  }

  /// The counter of the status, of the bytes of a presence; `nil`: it has none of its own.
  package static func statusCounter(ofPresence bytes: ArraySlice<UInt8>) -> UInt64? {
    var reader = ByteReader(Array(bytes.prefix(2 * FieldSize.mostCounter + 1)))
    guard (try? reader.counter()) != nil, (try? reader.byte()) ?? 0 != 0 else { return nil }
    return try? reader.counter()
  }

  /// The user's id, of the bytes of a session.
  package static func userID(ofSession bytes: ArraySlice<UInt8>) -> String? {
    var reader = ByteReader(Array(bytes.prefix(1 + Limits.userIDBytes)))
    return try? reader.text(atMost: Limits.userIDBytes)
  }

  /// True when the bytes are the one form of a value of the kind. Of a kind that is not known they
  /// are, when they are not too many.
  package static func areWellFormed(_ bytes: ArraySlice<UInt8>, kind: RecordKind) -> Bool {
    do throws(WireError) {
      try check(Array(bytes), kind: kind)
      return true
    } catch {
      return false
    }
  }

  static func check(_ bytes: [UInt8], kind: RecordKind) throws(WireError) {
    guard bytes.count <= byteBound else {
      throw .doesNotFit(needed: bytes.count, available: byteBound)
    }
    guard let lane = Lane(rawValue: kind.rawValue) else { return }
    var reader = ByteReader(bytes)
    _ = try RecordValue.read(lane, from: &reader)
    try reader.finish()
  }

  private static func read(_ lane: Lane, _ bytes: ArraySlice<UInt8>) -> RecordValue? {
    var reader = ByteReader(Array(bytes))
    guard let value = try? RecordValue.read(lane, from: &reader), reader.isAtEnd else { return nil }
    return value
  }

  // MARK: Writing

  package static func bytes(_ value: SessionValue) -> [UInt8] { bytes(.session(value)) }
  package static func bytes(_ value: PresenceValue) -> [UInt8] { bytes(.presence(value)) }
  package static func bytes(_ value: Cursor) -> [UInt8] { bytes(.cursor(value)) }
  package static func bytes(_ value: RemovalValue) -> [UInt8] { bytes(.removal(value)) }

  /// The value of a subscription record: the ids in rising order, each once.
  package static func bytes(subscription rooms: some Sequence<RoomID>) -> [UInt8] {
    bytes(.interest(InterestValue(rooms: rooms)))
  }

  /// The value of an occupancy record says nothing but that it is there.
  package static let occupancyBytes: [UInt8] = []

  private static func bytes(_ value: RecordValue) -> [UInt8] {
    var writer = ByteWriter()
    value.write(to: &writer)
    return writer.take()
  }
}

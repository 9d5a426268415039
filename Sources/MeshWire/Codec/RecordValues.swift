package import MeshCRDT

/// The values of records, from and to bytes.
package enum RecordValues {
  /// The most bytes of a value, so that a record of any kind fits into a batch and into a bucket.
  package static let byteBound = 800

  // MARK: Reading. `nil` when the bytes are not the one form of a value.

  package static func session(from bytes: ArraySlice<UInt8>) -> SessionValue? {
    read(bytes, ValueCodec.readSession)
  }

  package static func presence(from bytes: ArraySlice<UInt8>) -> PresenceValue? {
    read(bytes, ValueCodec.readPresence)
  }

  package static func cursor(from bytes: ArraySlice<UInt8>) -> Cursor? {
    read(bytes, ValueCodec.readCursor)
  }

  package static func removal(from bytes: ArraySlice<UInt8>) -> RemovalValue? {
    read(bytes, ValueCodec.readRemoval)
  }

  /// The rooms of a subscription record.
  package static func subscription(from bytes: ArraySlice<UInt8>) -> [RoomID]? {
    read(bytes, ValueCodec.readSubscription)
  }

  /// The counter at which a session entered the room, of the bytes of a presence.
  package static func enteredCounter(ofPresence bytes: ArraySlice<UInt8>) -> UInt64? {
    var reader = ByteReader(bytes)
    return try? reader.counter()
  }

  /// The counter of the status, of the bytes of a presence; `nil`: it has none of its own.
  package static func statusCounter(ofPresence bytes: ArraySlice<UInt8>) -> UInt64? {
    var reader = ByteReader(bytes)
    guard (try? reader.counter()) != nil, (try? reader.byte()) ?? 0 != 0 else { return nil }
    return try? reader.counter()
  }

  /// The user's id, of the bytes of a session.
  package static func userID(ofSession bytes: ArraySlice<UInt8>) -> String? {
    var reader = ByteReader(bytes)
    return try? reader.text(atMost: Limits.userIDBytes)
  }

  /// True when the bytes are the one form of a value of the kind. Of a kind that is not known they
  /// are, when they are not too many.
  package static func areWellFormed(_ bytes: ArraySlice<UInt8>, kind: RecordKind) -> Bool {
    do throws(WireError) {
      try check(bytes, kind: kind)
      return true
    } catch {
      return false
    }
  }

  static func check(_ bytes: ArraySlice<UInt8>, kind: RecordKind) throws(WireError) {
    guard bytes.count <= byteBound else {
      throw .doesNotFit(needed: bytes.count, available: byteBound)
    }
    var reader = ByteReader(bytes, isChecking: true)
    switch kind {
    case .session: _ = try ValueCodec.readSession(from: &reader)
    case .presence: _ = try ValueCodec.readPresence(from: &reader)
    case .cursor: _ = try ValueCodec.readCursor(from: &reader)
    case .removal: _ = try ValueCodec.readRemoval(from: &reader)
    case .subscription: _ = try ValueCodec.readSubscription(from: &reader)
    case .occupancy: break
    default: return
    }
    try reader.finish()
  }

  private static func read<Value>(
    _ bytes: ArraySlice<UInt8>, _ body: (inout ByteReader) throws(WireError) -> Value
  ) -> Value? {
    var reader = ByteReader(bytes)
    guard let value = try? body(&reader), reader.isAtEnd else { return nil }
    return value
  }

  // MARK: Writing

  package static func bytes(_ value: SessionValue) -> [UInt8] {
    written { ValueCodec.write(value, to: &$0) }
  }
  package static func bytes(_ value: PresenceValue) -> [UInt8] {
    written { ValueCodec.write(value, to: &$0) }
  }
  package static func bytes(_ value: Cursor) -> [UInt8] {
    written { ValueCodec.write(value, to: &$0) }
  }
  package static func bytes(_ value: RemovalValue) -> [UInt8] {
    written { ValueCodec.write(value, to: &$0) }
  }

  /// The value of a subscription record: the ids in rising order, each once.
  package static func bytes(subscription rooms: some Sequence<RoomID>) -> [UInt8] {
    written { ValueCodec.write(subscription: rooms, to: &$0) }
  }

  /// The value of an occupancy record says nothing but that it is there.
  package static let occupancyBytes: [UInt8] = []

  private static func written(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
    var writer = ByteWriter()
    body(&writer)
    return writer.take()
  }
}

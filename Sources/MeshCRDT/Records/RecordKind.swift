/// What a record speaks about. A kind that a node does not know is kept and compared like any other,
/// so that a later version may add kinds.
package struct RecordKind: RawRepresentable, Hashable, Comparable, Sendable {
  package let rawValue: UInt8

  /// `nil` above 63.
  package init?(rawValue: UInt8) {
    guard rawValue < 64 else { return nil }
    self.rawValue = rawValue
  }

  private init(known: UInt8) { rawValue = known }

  /// A session: its user, profile, device and start. In the lobby's log.
  package static let session = RecordKind(known: 0)
  /// A session in a room: status, message, typing, data. In the room's log.
  package static let presence = RecordKind(known: 1)
  /// The cursor of a session in a room, at rest. In the room's log.
  package static let cursor = RecordKind(known: 2)
  /// The order that a session, of whatever host, leaves a room; for the lobby, that it ends. In the
  /// lobby's log.
  package static let removal = RecordKind(known: 3)
  /// The rooms whose logs and cursors the origin wants to be sent. In the lobby's log.
  package static let subscription = RecordKind(known: 4)
  /// That a session is in a room, for those who do not subscribe to it. In the lobby's log.
  package static let occupancy = RecordKind(known: 5)

  /// True for kinds whose records name a room that is not the room of their log.
  package var namesRoom: Bool { self == .removal || self == .occupancy }

  /// True for kinds that stand in the logs of rooms other than the lobby.
  package var standsInRooms: Bool {
    self == .presence || self == .cursor || self > .occupancy
  }

  package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// The key of a record in a room log: kind, session, and, where the kind names one, a room.
///
/// Layout of ``bytes``: kind (1), session (16), the name of the room (its UTF-8, nothing else).
package struct EntryKey: Hashable, Comparable, Sendable {
  package let kind: RecordKind
  package let session: SessionID
  /// The lobby unless ``RecordKind/namesRoom``.
  package let room: RoomName

  /// The most bytes of a key.
  package static let byteBound = 1 + SessionID.byteCount + Limits.roomNameBytes

  package init(_ kind: RecordKind, _ session: SessionID, room: RoomName = .lobby) {
    self.kind = kind
    self.session = session
    self.room = kind.namesRoom ? room : .lobby
  }

  /// The key of the origin's subscriptions, which concern no session.
  package static let subscription = EntryKey(.subscription, .nobody)

  package var bytes: [UInt8] { withBytes { Array($0) } }

  /// Calls `body` with ``bytes``, without memory of their own.
  func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    let count = 17 + room.text.utf8.count
    return withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { bytes in
      bytes[0] = kind.rawValue
      bytes.storeBytes(of: session.high.bigEndian, toByteOffset: 1, as: UInt64.self)
      bytes.storeBytes(of: session.low.bigEndian, toByteOffset: 9, as: UInt64.self)
      if !room.isLobby {
        for (index, byte) in room.text.utf8.enumerated() { bytes[17 + index] = byte }
      }
      return body(UnsafeRawBufferPointer(bytes).assumingMemoryBound(to: UInt8.self))
    }
  }

  /// Reads ``bytes``; `nil` when they are not those of a key.
  package init?(bytes: ArraySlice<UInt8>) {
    guard bytes.count >= 17, bytes.count <= Self.byteBound,
      let kind = RecordKind(rawValue: bytes[bytes.startIndex])
    else { return nil }
    func word(_ start: Int) -> UInt64 {
      bytes[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }
    let session = SessionID(word(bytes.startIndex + 1), word(bytes.startIndex + 9))
    let rest = bytes.dropFirst(17)
    guard rest.isEmpty || kind.namesRoom, let text = String(validating: rest, as: UTF8.self),
      let room = RoomName(text)
    else { return nil }
    self.init(kind, session, room: room)
  }

  /// Orders by the bytes.
  package static func < (left: Self, right: Self) -> Bool {
    if left.kind != right.kind { return left.kind < right.kind }
    return left.session == right.session ? left.room < right.room : left.session < right.session
  }
}

import MeshCRDT
import MeshWire

/// Draws valid messages, with fields at their bounds now and then.
struct RandomMessages {
  var generator: SplitMix64

  init(seed: UInt64) { generator = SplitMix64(seed: seed) }

  // MARK: Fields

  /// A number below a bound: small, large, or the highest.
  mutating func number(below bound: UInt64, from lowest: UInt64 = 0) -> UInt64 {
    switch Int.random(in: 0..<6, using: &generator) {
    case 0: lowest
    case 1: bound - 1
    case 2: UInt64.random(in: lowest..<bound, using: &generator)
    default: UInt64.random(in: lowest..<min(bound, lowest + 300), using: &generator)
    }
  }

  mutating func counter(from lowest: UInt64 = 0) -> UInt64 {
    number(below: Limits.counterBound, from: lowest)
  }

  mutating func count(_ range: ClosedRange<Int>) -> Int {
    Int(number(below: UInt64(range.upperBound) + 1, from: UInt64(range.lowerBound)))
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
  }

  mutating func blob(_ range: ClosedRange<Int>) -> [UInt8] { bytes(count(range)) }

  /// Text of one-byte to four-byte characters, sometimes as long as it may be.
  mutating func text(atMost bound: Int, atLeast least: Int = 0) -> String {
    let aim = generator.chance(10) ? bound : Int.random(in: 0...min(12, bound), using: &generator)
    var text = least > 0 ? "u" : ""
    while true {
      let next = ["a", "Z", " ", "~", "é", "e\u{301}", "\u{A0}", "語", "👩‍🚀"].randomElement(
        using: &generator)
      guard let next, text.utf8.count + next.utf8.count <= aim else { return text }
      text += next
    }
  }

  mutating func origin() -> OriginID {
    OriginID(generator.next(), generator.next(), generator.next(), generator.next())
  }

  mutating func session() -> SessionID { SessionID(generator.next(), generator.next()) }

  mutating func incarnation() -> Incarnation {
    Incarnation(
      counter: number(below: Limits.incarnationBound, from: 1), nonce: generator.next())
      ?? Fields.incarnation
  }

  mutating func hash128() -> Hash128 { Hash128(generator.next(), generator.next()) }
  mutating func hash256() -> Hash256 { Hash256(hash128(), hash128()) }

  /// A room that is not the lobby.
  mutating func otherRoom() -> RoomName {
    RoomName(text(atMost: Limits.roomNameBytes, atLeast: 1)) ?? RoomName(unchecked: "r")
  }

  mutating func room() -> RoomName { generator.chance(40) ? .lobby : otherRoom() }

  mutating func path() -> TreePath {
    var path = TreePath.top
    for _ in 0..<Int.random(in: 0...TreePath.depthBound, using: &generator) {
      path = path.child(Int.random(in: 0..<16, using: &generator))
    }
    return path
  }

  mutating func cursor() -> Cursor {
    Cursor(
      column: UInt16(truncatingIfNeeded: generator.next()),
      row: UInt16(truncatingIfNeeded: generator.next()), isVisible: generator.chance(80),
      anchor: generator.chance(70) ? nil : text(atMost: Limits.anchorBytes))
  }

  // MARK: Records

  mutating func value(_ kind: RecordKind) -> [UInt8] {
    switch kind {
    case .session:
      let profile = Profile(
        userID: text(atMost: Limits.userIDBytes, atLeast: 1),
        name: text(atMost: Limits.nameBytes),
        colour: Colour(rgb: UInt32(truncatingIfNeeded: generator.next())),
        avatar: text(atMost: Limits.avatarBytes), data: blob(0...40))
      return RecordValues.bytes(
        SessionValue(
          profile: profile, device: text(atMost: Limits.deviceBytes),
          joinedAt: WallTime(milliseconds: counter())))
    case .presence:
      let status = Status.allCases.randomElement(using: &generator).map {
        StatusValue(status: $0, counter: counter(), changedAt: WallTime(milliseconds: counter()))
      }
      return RecordValues.bytes(
        PresenceValue(
          enteredCounter: counter(), status: generator.chance(60) ? status : nil,
          message: text(atMost: Limits.messageBytes), isTyping: generator.chance(30),
          data: blob(0...40)))
    case .cursor: return RecordValues.bytes(cursor())
    case .removal: return RecordValues.bytes(RemovalValue(isFinal: generator.chance(50)))
    case .subscription:
      return RecordValues.bytes(
        subscription: (0..<count(0...10)).map { _ in RoomID(bits: generator.next()) })
    case .occupancy: return RecordValues.occupancyBytes
    default: return blob(0...60)
    }
  }

  /// A record of a batch of a room. A quarter of them are of kinds without a meaning.
  mutating func change(in room: RoomName) -> RecordChange {
    let known: [UInt8] = room.isLobby ? [0, 1, 2, 3, 4, 5] : [1, 2]
    let raw =
      generator.chance(25)
      ? UInt8.random(in: 6...63, using: &generator) : known.randomElement(using: &generator) ?? 1
    let kind = RecordKind(rawValue: raw) ?? .presence
    let named = kind == .occupancy ? otherRoom() : self.room()
    return RecordChange(
      EntryKey(kind, kind == .subscription ? .nobody : session(), room: named),
      counter: kind == .subscription ? 0 : counter(),
      value: generator.chance(25) ? nil : value(kind))
  }

  // MARK: Signed bodies

  mutating func batch() -> Batch {
    let room = room()
    let drawn = (0..<count(1...Batch.bound)).map { _ in change(in: room) }
    let first = number(below: Limits.counterBound - UInt64(drawn.count), from: 1)
    let previous = number(below: first)
    let fitting = Batch.prefix(of: drawn, room: room, previous: previous, first: first)
    return Batch(
      incarnation: incarnation(), room: room, previous: previous, first: first,
      changes: Array(drawn.prefix(fitting)))
  }

  mutating func checkpoint() -> Checkpoint {
    let version = counter()
    let chain = number(below: Checkpoint.chainBound, from: 1)
    let schedule = number(below: chain + 1, from: 1)
    let checkpoint = Checkpoint(
      incarnation: incarnation(), sequence: counter(from: 1), version: version, root: hash256(),
      value: hash128(), chain: chain, schedule: schedule,
      offsetMilliseconds: schedule == chain ? 0 : number(below: Checkpoint.offsetBound),
      beat: number(below: Beat.indexBound),
      periodMilliseconds: number(
        below: Checkpoint.periodMilliseconds.upperBound + 1,
        from: Checkpoint.periodMilliseconds.lowerBound),
      isLeaving: generator.chance(30), features: number(below: Checkpoint.featuresBound))
    let rooms = Set((0..<count(0...80)).map { _ in otherRoom() })
    return checkpoint.naming(
      rooms.map { room in
        Checkpoint.ChangedRoom(room: room, version: number(below: version + 1))
      })
  }

  mutating func cursorFrame() -> CursorFrame {
    let room = room()
    let updates = (0..<count(1...CursorFrame.bound)).map { _ in
      CursorUpdate(session: session(), counter: counter(from: 1), cursor: cursor())
    }
    return CursorFrame(
      incarnation: incarnation(), room: room,
      updates: Array(updates.prefix(CursorFrame.prefix(of: updates[...], room: room))))
  }

  mutating func pathProof() -> PathProof {
    PathProof(
      incarnation: incarnation(), echo: generator.next(), token: generator.next(),
      wantsProof: generator.chance(50))
  }

  /// A message with a signature of random bytes.
  mutating func signed(_ kind: StatementKind) throws(WireError) -> SignedMessage {
    let body =
      switch kind {
      case .pathProof: pathProof().encoded()
      case .batch: batch().encoded()
      case .checkpoint: checkpoint().encoded()
      case .cursorFrame: cursorFrame().encoded()
      }
    return try SignedMessage(
      kind: kind, bytes: origin().bytes + bytes(SignedMessage.signatureBytes) + body)
  }
}

/// Fields with fixed values.
enum Fields {
  static let incarnation = incarnation(3, 0x0102_0304_0506_0708)

  static func incarnation(_ counter: UInt64, _ nonce: UInt64) -> Incarnation {
    Incarnation(counter: max(1, counter), nonce: nonce) ?? incarnation
  }
}

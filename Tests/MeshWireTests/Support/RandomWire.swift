import MeshCRDT
import MeshTrust
import MeshWire

/// Draws valid messages, with fields at their bounds now and then.
struct RandomWire {
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

  mutating func counter() -> UInt64 { number(below: Limits.counterBound) }
  mutating func generation() -> UInt64 { number(below: Limits.generationBound, from: 1) }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
  }

  mutating func blob(atMost bound: Int) -> [UInt8] {
    switch Int.random(in: 0..<8, using: &generator) {
    case 0: bytes(bound)
    case 1...3: []
    default: bytes(Int.random(in: 0...min(20, bound), using: &generator))
    }
  }

  /// Text of one-byte to four-byte characters, sometimes as long as it may be.
  mutating func text(atMost bound: Int, isEmptyAllowed: Bool = true) -> String {
    let aim = generator.chance(10) ? bound : Int.random(in: 0...min(12, bound), using: &generator)
    var text = ""
    while true {
      let next = ["a", "Z", " ", "~", "é", "e\u{301}", "\u{A0}", "語", "👩‍🚀"].randomElement(
        using: &generator)
      guard let next, text.utf8.count + next.utf8.count <= aim else { break }
      text += next
    }
    return text.isEmpty && !isEmptyAllowed ? "u" : text
  }

  mutating func origin() -> OriginID {
    OriginID(generator.next(), generator.next(), generator.next(), generator.next())
  }

  mutating func session() -> SessionID { SessionID(generator.next(), generator.next()) }

  /// A room that is not the lobby.
  mutating func otherRoom() -> RoomName {
    RoomName("r" + text(atMost: Limits.roomNameBytes - 1)) ?? RoomName(unchecked: "r")
  }

  mutating func shelf() -> ShelfID {
    ShelfID(origin(), generator.chance(30) ? .lobby : RoomID(bits: generator.next()))
  }

  mutating func room() -> RoomName { RoomName(text(atMost: Limits.roomNameBytes)) ?? .lobby }

  mutating func cut() -> Cut { Cut(version: counter(), count: counter(), hash: generator.next()) }

  mutating func cursor() -> Cursor {
    Cursor(
      column: UInt16.random(in: 0...UInt16.max, using: &generator),
      row: UInt16.random(in: 0...UInt16.max, using: &generator), isVisible: generator.chance(80),
      anchor: generator.chance(70) ? nil : text(atMost: Limits.anchorBytes))
  }

  // MARK: Records

  mutating func value(_ lane: Lane) -> RecordValue {
    switch lane {
    case .session:
      let profile = Profile(
        userID: text(atMost: Limits.userIDBytes, isEmptyAllowed: false),
        name: text(atMost: Limits.nameBytes),
        colour: Colour(rgb: UInt32(truncatingIfNeeded: generator.next())),
        avatar: text(atMost: Limits.avatarBytes), data: blob(atMost: Limits.profileDataBytes))
      return .session(
        SessionValue(
          profile: profile, device: text(atMost: Limits.deviceBytes),
          joinedAt: WallTime(milliseconds: counter())))
    case .presence:
      let status = Status.allCases.randomElement(using: &generator).map {
        StatusValue(status: $0, counter: counter(), changedAt: WallTime(milliseconds: counter()))
      }
      return .presence(
        PresenceValue(
          enteredCounter: counter(), status: generator.chance(60) ? status : nil,
          message: text(atMost: Limits.messageBytes), isTyping: generator.chance(30),
          data: blob(atMost: Limits.presenceDataBytes)))
    case .cursor: return .cursor(cursor())
    case .removal: return .removal(RemovalValue(isFinal: generator.chance(50)))
    case .interest:
      let count = Int.random(in: 0...Limits.roomsFollowed, using: &generator)
      return .interest(
        InterestValue(rooms: (0..<count).map { _ in RoomID(bits: generator.next()) }))
    case .visit: return .visit
    }
  }

  /// A record of a batch of a room.
  mutating func record(in batchRoom: RoomName) -> Record {
    let lanes = batchRoom.isLobby ? Lane.allCases : [.presence, .cursor]
    let lane = lanes.randomElement(using: &generator) ?? .session
    let room =
      switch lane {
      case .presence, .cursor: batchRoom
      case .session, .interest: RoomName.lobby
      case .removal: room()
      case .visit: otherRoom()
      }
    return Record(
      session: lane == .interest ? .nobody : session(), lane: lane, room: room,
      counter: counter(),
      value: generator.chance(25) ? nil : value(lane))
  }

  // MARK: Bodies

  /// A body of a kind, as bytes.
  mutating func body(_ kind: SignedKind) -> [UInt8] {
    var writer = ByteWriter()
    switch kind {
    case .batch:
      let room = generator.chance(50) ? RoomName.lobby : otherRoom()
      // A presence may take half of a batch.
      let records = (0..<Int.random(in: 1...4, using: &generator)).map { _ in record(in: room) }
      let first = number(below: Limits.counterBound - UInt64(records.count), from: 1)
      _ = BatchBody.write(
        generation: generation(), room: room, first: first, records: records, liveCount: counter(),
        liveHash: generator.next(), to: &writer)
    case .head:
      HeadBody(
        generation: generation(), heartbeat: counter(), claim: cut(), counter: counter(),
        periodMilliseconds: number(below: HeadBody.periodBound, from: 1),
        isLeaving: generator.chance(30), certificate: blob(atMost: Limits.certificateBytes)
      ).write(to: &writer)
    case .frame:
      let moves = (0..<Int.random(in: 1...5, using: &generator)).map { _ in
        FrameBody.Move(session: session(), cursor: cursor())
      }
      FrameBody(generation: generation(), counter: counter(), room: room(), moves: moves)
        .write(to: &writer)
    case .proof:
      ProofBody(
        generation: generation(), life: generator.next(), echo: generator.next(),
        token: generator.next(),
        wantsProof: generator.chance(50)
      ).write(to: &writer)
    }
    return writer.bytes
  }

  mutating func envelope(_ kind: SignedKind) throws -> Envelope {
    try Envelope(kind: kind, bytes: origin().bytes + bytes(Envelope.signatureBytes) + body(kind))
  }

  // MARK: Messages

  /// A message of a kind, 1…15.
  mutating func message(kind: UInt8) throws -> Message {
    switch kind {
    case 1: return .challenge(token: generator.next())
    case 2: return .proof(try envelope(.proof))
    case 3: return .batch(try envelope(.batch))
    case 4:
      return .head(ageMilliseconds: number(below: Message.ageBound), try envelope(.head))
    case 5: return .frame(try envelope(.frame))
    case 6:
      let buckets = (0..<Digest.bucketCount).map { _ in generator.next() }
      return .digest(nonce: generator.next(), Digest(buckets: buckets) ?? Digest())
    case 7: return .entries(entries())
    case 8: return .pull(Pull(shelf: shelf(), generation: generation(), after: counter()))
    case 9:
      let through = counter()
      return .pullEnd(
        PullEnd(
          shelf: shelf(), generation: generation(), after: number(below: through + 1),
          through: through, hasMore: generator.chance(50)))
    case 10:
      return .manifestRequest(
        ManifestRequest(shelf: shelf(), generation: generation(), after: counter()))
    case 11: return .manifest(manifest())
    case 12:
      return .headQuery(
        (0..<number(below: HeadKnown.bound + 1, from: 1)).map { _ in
          HeadKnown(origin: origin(), generation: generation(), heartbeat: counter())
        })
    case 13:
      return .introduction(
        (0..<number(below: Introduction.bound + 1, from: 1)).map { _ in
          Introduction(
            origin: origin(), addressHigh: generator.next(), addressLow: generator.next(),
            port: UInt16.random(in: 0...UInt16.max, using: &generator))
        })
    case 15: return .fetch(nonce: generator.next(), RoomID(bits: generator.next() | 8))
    default:
      return .prune(
        (0..<number(below: Message.pruneBound + 1, from: 1)).map { _ in origin() })
    }
  }

  private mutating func entries() -> Entries {
    // The lowest of the shelves is the one that the others follow. Some are of one origin.
    let one = origin()
    let shelves = (0...number(below: Entries.bound + 1)).map { _ in
      generator.chance(50) ? shelf() : ShelfID(one, RoomID(bits: generator.next()))
    }.sorted()
    let start = generator.chance(50) ? ShelfID.first : shelves[0]
    return Entries(
      nonce: generator.next(), wantsAnswer: generator.chance(50), hasMore: generator.chance(50),
      mask: UInt32(truncatingIfNeeded: generator.next()), after: start,
      entries: shelves.dropFirst().map {
        DigestEntry(shelf: $0, generation: generation(), held: cut())
      })
  }

  private mutating func manifest() -> Manifest {
    let after = number(below: Limits.counterBound - 1_000_000)
    var version = after
    let items = (0..<number(below: UInt64(Manifest.bound) + 1)).map { _ in
      version += UInt64.random(in: 1...200, using: &generator)
      return Manifest.Item(version: version, hash: generator.next())
    }
    return Manifest(
      shelf: shelf(), generation: generation(), after: after,
      through: version + UInt64.random(in: 0...9, using: &generator),
      isLast: generator.chance(50), items: items)
  }
}

import MeshCRDT
import MeshWire
import Testing

/// What the bounds of the fields add up to.
@Suite("The largest messages")
struct LargestSizesTests {
  static let counter = Limits.counterBound - 1
  static let incarnation = Fields.incarnation(Limits.incarnationBound - 1, .max)
  static let origin = OriginID(.max, .max, .max, .max)
  static let hash = Hash128(.max, .max)
  static let room = RoomName(unchecked: String(repeating: "r", count: Limits.roomNameBytes))
  static let place = ComparisonPlace.origin(origin, incarnation, sequence: counter)

  static func path(_ depth: Int) -> TreePath {
    (0..<depth).reduce(TreePath.top) { path, _ in path.child(15) }
  }

  static func signed(_ body: some StatementBody) throws -> SignedMessage {
    let front = [UInt8](repeating: 0xFF, count: SignedMessage.overheadBytes)
    return try SignedMessage(kind: type(of: body).kind, bytes: front + body.encoded())
  }

  static func checkpoint(changed: [Checkpoint.ChangedRoom] = []) -> Checkpoint {
    Checkpoint(
      incarnation: incarnation, sequence: counter, version: counter, root: Hash256(hash, hash),
      value: hash, chain: Checkpoint.chainBound - 1, schedule: Checkpoint.chainBound - 2,
      offsetMilliseconds: Checkpoint.offsetBound - 1, beat: Beat.indexBound - 1,
      periodMilliseconds: Checkpoint.periodMilliseconds.upperBound, isLeaving: true,
      features: Checkpoint.featuresBound - 1
    ).naming(changed)
  }

  static func rooms(_ count: Int) -> [Checkpoint.ChangedRoom] {
    (0..<count).map { number in
      let digits = String(1000 + number)
      return Checkpoint.ChangedRoom(
        room: RoomName(unchecked: digits + String(repeating: "r", count: 60)), version: counter)
    }
  }

  @Test("The largest message of each kind has as many bytes as its constant says")
  func constantsAreTheLargest() throws {
    let origins = [OriginID](repeating: Self.origin, count: 16)
    let proof = PathProof(
      incarnation: Self.incarnation, echo: .max, token: .max, wantsProof: true)
    let messages: [MeshMessage] = [
      .challenge(token: .max),
      .pathProof(try Self.signed(proof)),
      .beats(
        (0..<Beat.bound).map { _ in
          Beat(of: Self.origin, index: Beat.indexBound - 1, value: Self.hash)
        }),
      .repair(
        RepairRequest(
          origin: Self.origin, incarnation: Self.incarnation, room: Self.room,
          after: Self.counter - 1, through: Self.counter)),
      .probe(
        origins.map {
          Probe(
            origin: $0, incarnation: Self.incarnation, sequence: Self.counter,
            beat: Beat.indexBound - 1)
        }),
      .contradiction(try Self.contradiction(of: Self.checkpoint())),
      .peerExchange(
        origins.map { PeerExchange(origin: $0, addressHigh: .max, addressLow: .max, port: .max) }),
      .prune(origins),
    ]
    for message in messages {
      #expect(
        message.encoded().count == MeshMessage.byteBound(kind: message.kind),
        "kind \(message.kind)")
      #expect(try Reading.message(message.encoded()) == message)
    }
    #expect(
      (1...13).compactMap { MeshMessage.byteBound(kind: $0) }
        == [11, 128, 1087, 1087, 1087, 1043, 1087, 1087, 127, 851, 442, 804, 516])
    #expect(MeshMessage.byteBound(kind: 0) == nil && MeshMessage.byteBound(kind: 16) == nil)
  }

  static func contradiction(of checkpoint: Checkpoint) throws -> Contradiction {
    let one = try signed(checkpoint)
    var bytes = one.bytes
    // One byte of the root.
    bytes[SignedMessage.overheadBytes + 12 + 14] ^= 1
    let other = try SignedMessage(kind: .checkpoint, bytes: bytes)
    return try #require(Contradiction(one, other, hash: StandInHash()))
  }

  @Test("The contradiction of any two statements fits, however large their bodies are")
  func contradictionsFit() throws {
    let checkpoint = Self.checkpoint(changed: Self.rooms(64))
    let one = MeshMessage.contradiction(try Self.contradiction(of: checkpoint))
    #expect(one.encoded().count == MeshMessage.byteBound(kind: 11))
    let change = RecordChange(EntryKey(.presence, .nobody), counter: 1, value: nil)
    let batches = [Self.counter - 64, Self.counter - 63].map { first in
      Batch(
        incarnation: Self.incarnation, room: Self.room, previous: Self.counter - 65, first: first,
        changes: [RecordChange](repeating: change, count: 64))
    }
    let messages = try batches.map { batch in
      // Bodies of 64 records may be larger than a datagram; statements are not.
      let front = [UInt8](repeating: 0xFF, count: SignedMessage.overheadBytes)
      return try SignedMessage(kind: .batch, bytes: front + batch.encoded())
    }
    let contradiction = try #require(
      Contradiction(messages[0], messages[1], hash: StandInHash()))
    #expect(contradiction.lower.statement.count == 124)
    let encoded = MeshMessage.contradiction(contradiction).encoded()
    #expect(encoded.count == 414)
    #expect(try Reading.message(encoded) == .contradiction(contradiction))
  }

  @Test("A checkpoint names as many changed rooms as fit, the lowest first, and says if not all do")
  func checkpointsFit() throws {
    for (given, named) in [(64, 12), (5, 5), (0, 0)] {
      let rooms = Self.rooms(given)
      let checkpoint = Self.checkpoint(changed: rooms.reversed())
      #expect(checkpoint.changed == Array(rooms.prefix(named)))
      #expect(checkpoint.namesAllChanged == (given == named))
      let message = MeshMessage.checkpoint(
        ageMilliseconds: MeshMessage.ageBound - 1, try Self.signed(checkpoint))
      #expect(message.encoded().count <= DatagramHeader.messageBytes)
      #expect(try Reading.message(message.encoded()) == message)
      // One room more would have been too much.
      if named < given {
        #expect(checkpoint.byteCount + 1 + 64 + 7 > Checkpoint.byteBound)
      }
    }
    let short = (0..<100).map { number in
      Checkpoint.ChangedRoom(room: RoomName(unchecked: String(100 + number)), version: 1)
    }
    #expect(Self.checkpoint(changed: short).changed.count == Checkpoint.changedBound)
  }

  @Test("An age above its bound is written as the highest")
  func agesAreBounded() throws {
    let signed = try Self.signed(Self.checkpoint())
    let message = MeshMessage.checkpoint(ageMilliseconds: .max, signed)
    #expect(
      try Reading.message(message.encoded())
        == .checkpoint(ageMilliseconds: MeshMessage.ageBound - 1, signed))
  }

  @Test("The largest value of each kind fits into a record, a batch of its own and a bucket")
  func largestRecordsFit() throws {
    let text = { String(repeating: "x", count: $0) }
    let time = WallTime(milliseconds: Self.counter)
    let profile = Profile(
      userID: text(Limits.userIDBytes), name: text(Limits.nameBytes), colour: nil,
      avatar: text(Limits.avatarBytes), data: [UInt8](repeating: 1, count: Limits.profileDataBytes))
    let presence = PresenceValue(
      enteredCounter: Self.counter,
      status: StatusValue(status: .typing, counter: Self.counter, changedAt: time),
      message: text(Limits.messageBytes), isTyping: true,
      data: [UInt8](repeating: 1, count: Limits.presenceDataBytes))
    let ids = (0..<Limits.roomsSubscribed).map { RoomID(bits: UInt64($0 + 1) << 56) }
    let cursor = Cursor(column: 0, row: 0, isVisible: true, anchor: text(Limits.anchorBytes))
    let unknown = try #require(RecordKind(rawValue: 63))
    let values: [(kind: RecordKind, bytes: [UInt8], count: Int)] = [
      (
        .session,
        RecordValues.bytes(
          SessionValue(profile: profile, device: text(Limits.deviceBytes), joinedAt: time)), 633
      ),
      (.presence, RecordValues.bytes(presence), 551),
      (.cursor, RecordValues.bytes(cursor), 70),
      (.removal, RecordValues.bytes(RemovalValue(isFinal: true)), 1),
      (.subscription, RecordValues.bytes(subscription: ids), 513),
      (.occupancy, RecordValues.occupancyBytes, 0),
      (unknown, [UInt8](repeating: 1, count: RecordValues.byteBound), 800),
    ]
    for (kind, value, count) in values {
      #expect(value.count == count, "kind \(kind.rawValue)")
      let isInRoom = kind == .presence || kind == .cursor || kind == unknown
      let key = EntryKey(kind, kind == .subscription ? .nobody : SessionID(1, 1), room: Self.room)
      let change = RecordChange(
        key, counter: kind == .subscription ? 0 : Self.counter, value: value)
      #expect(change.encoded.count == change.byteCount)
      #expect(change.byteCount <= RecordChange.byteBound)
      let batch = Batch(
        incarnation: Self.incarnation, room: isInRoom ? Self.room : .lobby,
        previous: Self.counter - 1, first: Self.counter, changes: [change])
      let message = MeshMessage.batch(try Self.signed(batch))
      #expect(message.encoded().count <= DatagramHeader.messageBytes)
      #expect(try Reading.message(message.encoded()) == message)
      let entry =
        3 + key.bytes.count
        + StoredRecord(version: Self.counter, counter: Self.counter, value: value[...]).bytes.count
      #expect(entry <= HashTree.bucketBytes, "kind \(kind.rawValue)")
    }
    #expect(Batch.headingBytes + RecordChange.byteBound <= Batch.byteBound)
  }

  @Test("As many records, cursors and nodes as are said to fit do fit, and one more does not")
  func prefixesAreExact() throws {
    for seed in seeds(40) {
      var random = RandomMessages(seed: seed)
      let room = random.room()
      let changes = (0..<90).map { _ in random.change(in: room) }
      let count = Batch.prefix(of: changes, room: room, previous: 5, first: 300)
      func batch(_ count: Int) -> Int {
        Batch(
          incarnation: Self.incarnation, room: room, previous: 5, first: 300,
          changes: Array(changes.prefix(count))
        ).encoded().count
      }
      #expect(count > 0 && batch(count) <= Batch.byteBound)
      #expect(count == Batch.bound || batch(count + 1) > Batch.byteBound, "seed \(seed)")

      let updates = (0..<90).map { _ in
        CursorUpdate(
          session: random.session(), counter: random.counter(from: 1), cursor: random.cursor())
      }
      let moved = CursorFrame.prefix(of: updates[...], room: room)
      func frame(_ count: Int) -> Int {
        CursorFrame(
          incarnation: Self.incarnation, room: room, updates: Array(updates.prefix(count))
        ).encoded().count
      }
      #expect(moved > 0 && frame(moved) <= CursorFrame.byteBound)
      #expect(moved == CursorFrame.bound || frame(moved + 1) > CursorFrame.byteBound)

      let place = random.place()
      let asked = (0..<90).map { _ in random.compared(at: place) }
      let fitting = CompareRequest.prefix(of: asked, at: place)
      func request(_ count: Int) -> Int {
        MeshMessage.compare(
          CompareRequest(
            place: place, request: 1, budget: 65_536, nodes: Array(asked.prefix(count)))
        ).encoded().count
      }
      #expect(fitting > 0 && request(fitting) <= DatagramHeader.messageBytes)
      #expect(
        fitting == CompareRequest.bound || request(fitting + 1) > DatagramHeader.messageBytes)

      let nodes = (0..<300).map { _ in random.answered(at: place, 0...200) }
      let answered = NodesAnswer.prefix(of: nodes, at: place)
      func answer(_ count: Int) -> Int {
        MeshMessage.nodes(
          NodesAnswer(
            place: place, request: 1, page: 7, isLast: true, nodes: Array(nodes.prefix(count)))
        ).encoded().count
      }
      #expect(answered > 0 && answer(answered) <= DatagramHeader.messageBytes)
      // The number of nodes may take one byte less than was kept for it.
      #expect(
        answered == NodesAnswer.bound || answer(answered + 1) >= DatagramHeader.messageBytes)
    }
  }

  @Test("One node of the greatest size fits into an answer about any place, tree and path")
  func largestNodeFits() throws {
    let node = NodesAnswer.Node(
      tree: .records(Self.room), path: Self.path(16),
      bytes: [UInt8](repeating: 1, count: NodesAnswer.nodeBytes))
    #expect(NodesAnswer.prefix(of: [node, node], at: Self.place) == 1)
    let message = MeshMessage.nodes(
      NodesAnswer(place: Self.place, request: .max, page: 7, isLast: true, nodes: [node]))
    #expect(message.encoded().count == 1037)
    #expect(try Reading.message(message.encoded()) == message)
  }

  @Test("A request asks about more nodes where they stand in one room than in many")
  func requestsAreFilled() {
    func count(_ depth: Int, _ place: ComparisonPlace, _ tree: (Int) -> OriginFetch.Tree) -> Int {
      let nodes = (0..<64).map {
        CompareRequest.Node(tree: tree($0), path: Self.path(depth), hash: Self.hash)
      }
      return CompareRequest.prefix(of: nodes, at: place)
    }
    #expect(count(2, .replica) { _ in .rooms } == 59)
    #expect(count(2, Self.place) { _ in .rooms } == 57)
    #expect(count(2, Self.place) { _ in .records(Self.room) } == 53)
    #expect(count(16, Self.place) { _ in .records(Self.room) } == 38)
    #expect(count(16, Self.place) { .records(Self.rooms(64)[$0].room) } == 11)
  }
}

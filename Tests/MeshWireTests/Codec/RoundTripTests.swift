import MeshCRDT
import MeshTrust
import MeshWire
import Testing

/// Messages of all kinds, drawn from seeds.
@Suite("Messages as bytes")
struct RoundTripTests {
  @Test("Every message reads back from its bytes", arguments: Reading.kinds)
  func messagesReadBack(kind: UInt8) throws {
    for seed in seeds(150) {
      var wire = RandomWire(seed: seed)
      let message = try wire.message(kind: kind)
      #expect(message.kind == kind)
      let bytes = message.encoded()
      #expect(try Reading.message(bytes) == message, "seed \(seed)")
      if let envelope = message.envelope {
        #expect(try Reading.rewritten(envelope) == envelope.bodyBytes, "seed \(seed)")
      }
    }
  }

  @Test("Records keep each field, and cells the bytes of the value")
  func recordsReadBack() throws {
    for seed in seeds(500) {
      var wire = RandomWire(seed: seed)
      let room = wire.generator.chance(50) ? RoomName.lobby : wire.otherRoom()
      let record = wire.record(in: room)
      let prefix = wire.bytes(3)
      var reader = ByteReader(prefix + record.encoded)
      _ = try reader.range(3)
      let read = try Record.read(from: &reader, in: room)
      try reader.finish()
      #expect(read.record == record, "seed \(seed)")
      let key = RecordKey(
        session: record.session, lane: record.lane, room: RoomID(record.room, key: HashKey(1, 2)))
      let cell = Cell(
        key: key, version: 1, counter: record.counter, isTombstone: record.value == nil,
        storage: reader.bytes, range: read.valueRange, hashKey: HashKey(1, 2))
      #expect(cell.decoded(record.lane) == record.value, "seed \(seed)")
      #expect(
        cell.isTombstone == read.valueRange.isEmpty || record.lane == .visit, "seed \(seed)")
    }
  }

  @Test("What tells whether a body is news is read alone as it is read with the rest")
  func peeksAgreeWithBodies() throws {
    for seed in seeds(100) {
      var wire = RandomWire(seed: seed)
      var batch = try wire.envelope(.batch).body
      let batchPeek = try BatchBody.peek(batch)
      let batchBody = try BatchBody.read(&batch)
      #expect(batchPeek.generation == batchBody.generation && batchPeek.room == batchBody.room)
      #expect(batchPeek.first == batchBody.first && batchPeek.last == batchBody.last)
      #expect(batchBody.last == batchBody.first + UInt64(batchBody.records.count) - 1)
      var head = try wire.envelope(.head).body
      let headPeek = try HeadBody.peek(head)
      let headBody = try HeadBody.read(&head)
      #expect(headPeek == (headBody.generation, headBody.heartbeat, headBody.claim))
    }
  }

  @Test("Several messages in one datagram are read in turn, and unknown kinds are passed over")
  func messagesFollowEachOther() throws {
    for seed in seeds(50) {
      var wire = RandomWire(seed: seed)
      let messages = try Reading.kinds.shuffled(using: &wire.generator)
        .map { try wire.message(kind: $0) }
      var bytes: [UInt8] = []
      for message in messages {
        bytes += message.encoded()
        let kind = UInt8.random(in: (Message.highestKind + 1)...255, using: &wire.generator)
        bytes += Reading.framed(kind: kind, wire.blob(atMost: 100))
      }
      var reader = ByteReader(bytes)
      #expect(try Reading.messages(&reader) == messages, "seed \(seed)")
    }
  }

  @Test("Headers of datagrams read back")
  func headersReadBack() throws {
    for seed in seeds(100) {
      var wire = RandomWire(seed: seed)
      let outer = OuterHeader(
        tag: wire.generator.next(), epoch: UInt32(truncatingIfNeeded: wire.generator.next()))
      let inner = InnerHeader(
        sender: wire.origin(), generation: wire.generation(), counter: wire.generator.next(),
        echo: wire.generator.next())
      var writer = ByteWriter()
      outer.write(to: &writer)
      #expect(writer.count == DatagramLayout.additionalBytes)
      writer.raw(wire.bytes(DatagramLayout.nonceBytes))
      #expect(writer.count == DatagramLayout.outerBytes)
      inner.write(to: &writer)
      #expect(writer.count == DatagramLayout.outerBytes + DatagramLayout.innerBytes)
      var reader = ByteReader(writer.bytes)
      _ = try reader.range(DatagramLayout.outerBytes)
      #expect(try InnerHeader.read(&reader) == inner)
      writer.raw(wire.bytes(DatagramLayout.authenticatorBytes))
      #expect(try OuterHeader.read(writer.bytes) == outer)
    }
  }

  @Test("A varint of each length reads back, in the bytes that were foretold")
  func varintsReadBack() throws {
    for bits in 0..<UInt64(56) {
      for value: UInt64 in [1 << bits, (1 << bits) - 1, (1 << bits) + 1] where value < 1 << 56 {
        var writer = ByteWriter()
        writer.varint(value)
        #expect(writer.count == ByteWriter.varintByteCount(value))
        var reader = ByteReader(writer.bytes)
        #expect(try reader.varint(below: 1 << 56) == value)
        #expect(reader.isAtEnd)
        var strict = ByteReader(writer.bytes)
        #expect(throws: WireError.outOfBounds) { try strict.varint(below: value) }
      }
    }
  }

  @Test("A message as large as its bounds allow fits into one datagram")
  func largestMessagesFit() {
    let origins = (0..<max(Entries.bound, HeadKnown.bound, Introduction.bound)).map {
      OriginID($0, .max, .max, .max)
    }
    let highest = Limits.counterBound - 1
    let generation = Limits.generationBound - 1
    let entries = origins.prefix(Int(Entries.bound)).map {
      DigestEntry(
        shelf: ShelfID($0, RoomID(bits: .max)), generation: generation,
        held: Cut(version: highest, count: highest, hash: .max))
    }
    let messages: [Message] = [
      .digest(nonce: .max, Digest()),
      .entries(
        Entries(
          nonce: 0, wantsAnswer: true, hasMore: true, mask: .max, after: .first,
          entries: Array(entries))),
      .headQuery(
        origins.prefix(Int(HeadKnown.bound)).map {
          HeadKnown(origin: $0, generation: generation, heartbeat: highest)
        }),
      .introduction(
        origins.prefix(Int(Introduction.bound)).map {
          Introduction(origin: $0, addressHigh: .max, addressLow: .max, port: .max)
        }),
      // Distances of one byte; the version after which it begins is a long one.
      .manifest(
        Manifest(
          shelf: ShelfID(origins[0], RoomID(bits: .max)), generation: generation,
          after: highest - 1000, through: highest,
          isLast: true,
          items: (1...UInt64(Manifest.bound)).map {
            Manifest.Item(version: highest - 1000 + $0, hash: .max)
          })),
    ]
    for message in messages {
      #expect(message.encoded().count <= DatagramLayout.messageBytes, "kind \(message.kind)")
    }
  }

  @Test("The largest value of each lane fits into a batch of its own")
  func largestRecordsFit() {
    let text = { String(repeating: "x", count: $0) }
    let highest = Limits.counterBound - 1
    let time = WallTime(milliseconds: highest)
    let values: [RecordValue] = [
      .session(
        SessionValue(
          profile: Profile(
            userID: text(Limits.userIDBytes), name: text(Limits.nameBytes), colour: nil,
            avatar: text(Limits.avatarBytes),
            data: Array(repeating: 0, count: Limits.profileDataBytes)),
          device: text(Limits.deviceBytes), joinedAt: time)),
      .presence(
        PresenceValue(
          enteredCounter: highest,
          status: StatusValue(status: .typing, counter: highest, changedAt: time),
          message: text(Limits.messageBytes), isTyping: true,
          data: Array(repeating: 0, count: Limits.presenceDataBytes))),
      .cursor(Cursor(column: 0, row: 0, isVisible: true, anchor: text(Limits.anchorBytes))),
    ]
    for value in values {
      let record = Record(
        session: SessionID(0, 0), lane: value.lane,
        room: RoomName(text(Limits.roomNameBytes)) ?? .lobby, counter: highest, value: value)
      #expect(BatchBody.headerBytes + record.encoded.count <= DatagramLayout.bodyBytes)
    }
    let head = HeadBody(
      generation: Limits.generationBound - 1, heartbeat: highest,
      claim: Cut(version: highest, count: highest, hash: .max), counter: highest,
      periodMilliseconds: HeadBody.periodBound - 1, isLeaving: true,
      certificate: Array(repeating: 0, count: Limits.certificateBytes))
    var writer = ByteWriter()
    head.write(to: &writer)
    #expect(writer.count <= DatagramLayout.bodyBytes)
  }
}

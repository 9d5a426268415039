import MeshCRDT
import MeshWire
import Testing

/// Messages of all kinds, drawn from seeds.
@Suite("Messages as bytes")
struct RoundTripTests {
  @Test(
    "Every message reads back from its bytes, and fits into a datagram", arguments: Reading.kinds)
  func messagesReadBack(kind: UInt8) throws {
    let bound = try #require(MeshMessage.byteBound(kind: kind))
    #expect(bound <= DatagramHeader.messageBytes)
    for seed in seeds(150) {
      var random = RandomMessages(seed: seed)
      let message = try random.message(kind: kind)
      #expect(message.kind == kind)
      let bytes = message.encoded()
      #expect(bytes.count <= bound, "seed \(seed)")
      #expect(try Reading.message(bytes) == message, "seed \(seed)")
      if let signed = message.signed {
        #expect(try Reading.rewritten(signed) == Array(signed.body), "seed \(seed)")
      }
    }
  }

  @Test("Signed bodies keep each field, and their sizes are known before")
  func bodiesReadBack() throws {
    for seed in seeds(200) {
      var random = RandomMessages(seed: seed)
      func message(_ body: some StatementBody) throws -> SignedMessage {
        let front = [UInt8](repeating: 7, count: SignedMessage.overheadBytes)
        return try SignedMessage(kind: type(of: body).kind, bytes: front + body.encoded())
      }
      let batch = random.batch()
      #expect(try message(batch).read(Batch.self) == batch, "seed \(seed)")
      #expect(try Batch.Heading(of: message(batch)) == batch.heading, "seed \(seed)")
      #expect(batch.last == batch.first + UInt64(batch.changes.count) - 1)
      let checkpoint = random.checkpoint()
      #expect(try message(checkpoint).read(Checkpoint.self) == checkpoint, "seed \(seed)")
      #expect(checkpoint.byteCount == checkpoint.encoded().count, "seed \(seed)")
      #expect(
        try Checkpoint.Position(of: message(checkpoint)) == checkpoint.position, "seed \(seed)")
      let frame = random.cursorFrame()
      #expect(try message(frame).read(CursorFrame.self) == frame, "seed \(seed)")
      let proof = random.pathProof()
      #expect(try message(proof).read(PathProof.self) == proof, "seed \(seed)")
      #expect(throws: WireError.unknownKind(StatementKind.pathProof.rawValue)) {
        try message(proof).read(Batch.self)
      }
      #expect(throws: WireError.self) { try Batch.Heading(of: message(checkpoint)) }
      #expect(throws: WireError.self) { try Checkpoint.Position(of: message(batch)) }
    }
  }

  @Test("Headers of datagrams read back, and messages follow them")
  func headersReadBack() throws {
    for seed in seeds(100) {
      var random = RandomMessages(seed: seed)
      let clear = DatagramHeader.Clear(
        tag: random.generator.next(), epoch: UInt32(truncatingIfNeeded: random.generator.next()))
      let inner = DatagramHeader.Inner(
        sender: random.origin(), incarnation: random.incarnation(),
        counter: max(1, random.generator.next()), echo: random.generator.next())
      let message = try random.message(kind: 6)
      let datagram = DatagramHeader.assembled(
        clear, processNonce: (1, 2), inner, messages: message.encoded())
      #expect(
        Array(datagram[13..<37]) == UInt64(1).bigEndianBytes + UInt64(2).bigEndianBytes
          + inner.counter.bigEndianBytes)
      let (header, messages) = try DatagramHeader.Inner.read(
        opened: Array(datagram[DatagramHeader.clearBytes...]))
      #expect(header == inner)
      var reader = messages
      #expect(try Reading.messages(&reader) == [message])
      let sealed = datagram + [UInt8](repeating: 0, count: 16)
      #expect(sealed.count == DatagramHeader.overheadBytes + message.encoded().count)
      #expect(try DatagramHeader.Clear.read(sealed) == clear)
      #expect(!DatagramHeader.isProtocol1(sealed, tag: clear.tag))
      let older = [1] + sealed.dropFirst()
      #expect(DatagramHeader.isProtocol1(older, tag: clear.tag))
      #expect(!DatagramHeader.isProtocol1(older, tag: clear.tag ^ 1))
    }
    #expect(!DatagramHeader.isProtocol1([1, 0, 0], tag: 0))
    #expect(!DatagramHeader.isProtocol1([], tag: 0))
    #expect(DatagramHeader.overheadBytes == 113 && DatagramHeader.messageBytes == 1087)
  }

  @Test("The values of each kind read back from their bytes, and from no others")
  func valuesReadBack() {
    for seed in seeds(200) {
      var random = RandomMessages(seed: seed)
      let session = random.value(.session)
      #expect(RecordValues.session(from: session[...]).map { RecordValues.bytes($0) } == session)
      #expect(RecordValues.session(from: session.dropLast()) == nil)
      let presence = random.value(.presence)
      let read = RecordValues.presence(from: presence[...])
      #expect(read.map { RecordValues.bytes($0) } == presence)
      #expect(RecordValues.enteredCounter(ofPresence: presence[...]) == read?.enteredCounter)
      #expect(RecordValues.presence(from: (presence + [0])[...]) == nil)
      let cursor = random.value(.cursor)
      #expect(RecordValues.cursor(from: cursor[...]).map { RecordValues.bytes($0) } == cursor)
      #expect(RecordValues.cursor(from: [0, 0, 0, 0, 4]) == nil)
      let removal = random.value(.removal)
      #expect(RecordValues.removal(from: removal[...])?.isFinal == (removal == [1]))
      #expect(RecordValues.removal(from: [2]) == nil)
      let rooms = random.value(.subscription)
      let ids = RecordValues.subscription(from: rooms[...])
      #expect(ids.map { RecordValues.bytes(subscription: $0) } == rooms)
      #expect(RecordValues.subscription(from: [1, 0]) == nil)
      for kind: RecordKind in [.session, .presence, .cursor, .removal, .subscription] {
        let value = random.value(kind)
        #expect(RecordValues.areWellFormed(value[...], kind: kind))
        #expect(!RecordValues.areWellFormed((value + [0])[...], kind: kind))
      }
      #expect(RecordValues.areWellFormed([], kind: .occupancy))
      #expect(!RecordValues.areWellFormed([0], kind: .occupancy))
    }
    #expect(RecordValues.enteredCounter(ofPresence: []) == nil)
  }
}

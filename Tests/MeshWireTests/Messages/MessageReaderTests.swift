import MeshCRDT
import MeshWire
import Testing

/// Reading the messages of a datagram in turn, and packing messages into datagrams.
@Suite("The messages of a datagram")
struct MessageReaderTests {
  @Test("Several messages are read in turn, and unknown kinds are passed over by their length")
  func messagesFollowEachOther() throws {
    for seed in seeds(50) {
      var random = RandomMessages(seed: seed)
      var messages: [MeshMessage] = []
      var bytes: [UInt8] = []
      for kind in Reading.kinds.shuffled(using: &random.generator) {
        let message = try random.message(kind: kind)
        messages.append(message)
        bytes += message.encoded()
        let unknown = UInt8.random(in: 14...255, using: &random.generator)
        bytes += Reading.framed(kind: unknown, random.blob(0...100))
      }
      var reader = MessageReader(bytes)
      #expect(try Reading.messages(&reader) == messages, "seed \(seed)")
      #expect(reader.isAtEnd && reader.nextKind == nil)
    }
  }

  @Test("A malformed message drops those behind it, and keeps those before it")
  func malformedMessageEndsTheDatagram() throws {
    let good = MeshMessage.challenge(token: 5)
    let malformed = Reading.framed(kind: 13, [0])
    var reader = MessageReader(good.encoded() + malformed + good.encoded())
    #expect(try reader.next() == good)
    #expect(reader.nextKind == 13)
    #expect(throws: WireError.outOfBounds) { try reader.next() }
    #expect(reader.isAtEnd)
    #expect(try reader.next() == nil)
  }

  @Test("A malformed signed body drops its message alone")
  func malformedBodyDropsItsMessage() throws {
    let good = MeshMessage.challenge(token: 5)
    for kind in StatementKind.allCases {
      var reader = MessageReader(Reading.unsigned(kind, [0]) + good.encoded())
      let signed = try #require(try reader.next()?.signed)
      #expect(throws: WireError.truncated) { try Reading.rewritten(signed) }
      #expect(try reader.next() == good)
    }
  }

  @Test("A message is read only when it is asked for")
  func readingIsLazy() throws {
    let good = MeshMessage.challenge(token: 5).encoded()
    var reader = MessageReader(good + [0, 0, 0])
    #expect(try reader.next() == .challenge(token: 5))
    #expect(!reader.isAtEnd && reader.nextKind == 0)
  }

  @Test("Packed messages keep their order, and no datagram is above the bound")
  func packedMessagesKeepTheirOrder() throws {
    for seed in seeds(60) {
      var random = RandomMessages(seed: seed)
      var messages: [MeshMessage] = []
      var packer = MessagePacker()
      for _ in 0..<random.count(1...40) {
        // No path proof: it has a rule of its own.
        let kind = random.generator.chance(10) ? 1 : UInt8(random.count(3...13))
        let message = try random.message(kind: kind)
        messages.append(message)
        let isAdded = packer.add(message)
        #expect(isAdded)
      }
      let datagrams = packer.finish()
      let again = packer.finish()
      #expect(packer.isEmpty && again.isEmpty)
      #expect(datagrams.allSatisfy { (1...DatagramHeader.messageBytes).contains($0.count) })
      var read: [MeshMessage] = []
      for datagram in datagrams {
        var reader = MessageReader(datagram)
        read += try Reading.messages(&reader)
      }
      #expect(read == messages, "seed \(seed)")
      // No two that follow each other would have fitted into one.
      for (one, next) in zip(datagrams, datagrams.dropFirst()) {
        var reader = MessageReader(next)
        let first = try #require(try reader.next()).encoded().count
        #expect(one.count + first > DatagramHeader.messageBytes, "seed \(seed)")
      }
    }
  }

  @Test("A path proof begins a datagram, and others follow it there")
  func pathProofBeginsADatagram() throws {
    var random = RandomMessages(seed: 1)
    let proof = try random.message(kind: 2)
    var packer = MessagePacker()
    packer.add(.challenge(token: 1))
    packer.add(proof)
    packer.add(.challenge(token: 2))
    let datagrams = packer.finish()
    #expect(datagrams.count == 2)
    #expect(datagrams.last == proof.encoded() + MeshMessage.challenge(token: 2).encoded())
  }

  @Test("What does not fit into a datagram is not packed, and changes nothing")
  func tooLargeIsNotPacked() {
    var packer = MessagePacker()
    let bytes = [UInt8](repeating: 9, count: DatagramHeader.messageBytes)
    let isAdded = [bytes + [9], []].map { packer.add(encoded: $0) }
    #expect(isAdded == [false, false] && packer.isEmpty)
    packer.add(encoded: bytes)
    let sizes = packer.finish().map(\.count)
    #expect(sizes == [DatagramHeader.messageBytes])
  }

  @Test("More items than a message takes are packed into several messages")
  func listsAreDivided() throws {
    var random = RandomMessages(seed: 2)
    let beats = (0..<UInt64(100)).map { Beat(of: random.origin(), index: $0, value: .empty) }
    var packer = MessagePacker()
    packer.add(beats, atMost: Beat.bound) { .beats($0) }
    var read: [Beat] = []
    for datagram in packer.finish() {
      var reader = MessageReader(datagram)
      while case .beats(let some)? = try reader.next() { read += some }
    }
    #expect(read == beats)
  }
}

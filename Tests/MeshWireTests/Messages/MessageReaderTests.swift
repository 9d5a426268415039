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
        let unknown = UInt8.random(in: 16...255, using: &random.generator)
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
}

import MeshCRDT
import MeshTrust
import MeshWire
import Testing

/// Bytes that are not messages.
@Suite("Malformed bytes")
struct MalformedTests {
  @Test("No beginning of a message is a message", arguments: Reading.kinds)
  func beginningsAreRefused(kind: UInt8) throws {
    for seed in seeds(8) {
      var wire = RandomWire(seed: seed)
      let message = try wire.message(kind: kind)
      let bytes = message.encoded()
      for count in bytes.indices {
        #expect(throws: WireError.truncated) { try Reading.message(Array(bytes[..<count])) }
      }
      // Also when the header tells the shorter length.
      let body = bytes.dropFirst(Message.headerBytes)
      for count in 0..<body.count {
        let shortened = Reading.framed(kind: kind, Array(body.prefix(count)))
        #expect(throws: WireError.self, "seed \(seed), \(count) bytes") {
          try Reading.message(shortened)
        }
      }
    }
  }

  @Test("No message has bytes behind its last field", arguments: Reading.kinds)
  func trailingBytesAreRefused(kind: UInt8) throws {
    for seed in seeds(20) {
      var wire = RandomWire(seed: seed)
      let bytes = try wire.message(kind: kind).encoded()
      let more = [UInt8](repeating: 0, count: Int.random(in: 1...9, using: &wire.generator))
      let lengthened = Reading.framed(
        kind: kind, Array(bytes.dropFirst(Message.headerBytes)) + more)
      #expect(throws: WireError.trailingBytes(more.count), "seed \(seed)") {
        try Reading.message(lengthened)
      }
    }
  }

  @Test("Random bytes are refused or are exactly one message's bytes, and never trap")
  func randomBytesNeverTrap() {
    var generator = SplitMix64(seed: seeds(1)[0])
    var read = 0
    for number in 0..<100_000 {
      var bytes = (0..<Int.random(in: 0...160, using: &generator)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      // Mostly with a plausible header, so that the bodies are reached.
      if bytes.count >= Message.headerBytes && number % 8 != 0 {
        bytes = Reading.framed(
          kind: UInt8(1 + number % Int(Message.highestKind)),
          Array(bytes[Message.headerBytes...]))
      }
      if Self.isSound(bytes) { read += 1 }
    }
    print("read \(read) of 100,000 random byte strings")
    #expect(read > 0)
  }

  @Test("Messages with changed bytes are refused or are exactly another message's bytes")
  func mutationsNeverTrap() throws {
    var read = 0
    var inputs = 0
    for seed in seeds(60) {
      var wire = RandomWire(seed: seed)
      for kind in Reading.kinds {
        let bytes = try wire.message(kind: kind).encoded()
        for _ in 0..<50 {
          var changed = bytes
          for _ in 0..<Int.random(in: 1...3, using: &wire.generator) {
            let index = Int.random(in: 0..<changed.count, using: &wire.generator)
            switch Int.random(in: 0..<4, using: &wire.generator) {
            case 0: changed[index] ^= 1 << UInt8.random(in: 0..<8, using: &wire.generator)
            case 1: changed[index] = [0, 1, 0x7F, 0x80, 0xFF][index % 5]
            case 2: changed.remove(at: index)
            default: changed.insert(changed[index], at: index)
            }
            if changed.isEmpty { break }
          }
          // The length of the body is made right again in half of them.
          if changed.count > Message.headerBytes, wire.generator.chance(50) {
            changed = Reading.framed(kind: changed[0], Array(changed[Message.headerBytes...]))
          }
          inputs += 1
          if Self.isSound(changed) { read += 1 }
        }
      }
    }
    print("read \(read) of \(inputs) changed messages")
    #expect(read > inputs / 100 && read < inputs)
  }

  @Test("Random bytes are no datagram's inner header, record or outer header that traps")
  func randomHeadersNeverTrap() {
    var generator = SplitMix64(seed: seeds(1)[0])
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0...130, using: &generator)).map { _ in
        UInt8.random(in: 0...3, using: &generator)
      }
      if let header = try? OuterHeader.read(bytes) {
        #expect(bytes.count >= DatagramLayout.overheadBytes && bytes[0] == DatagramLayout.version)
        var writer = ByteWriter()
        header.write(to: &writer)
        #expect(writer.bytes == Array(bytes.prefix(DatagramLayout.additionalBytes)))
      }
      for room in [RoomName.lobby, RoomName(unchecked: "r")] {
        var reader = ByteReader(bytes)
        if let record = try? Record.read(from: &reader, in: room).record {
          #expect(record.encoded == Array(bytes[..<reader.offset]) && record.shelf == room)
        }
      }
    }
  }

  /// True when the bytes are a message; then they must be its only form.
  static func isSound(_ bytes: [UInt8]) -> Bool {
    guard let message = try? Reading.message(bytes) else { return false }
    #expect(message.encoded() == bytes)
    if let envelope = message.envelope {
      #expect((try? Reading.rewritten(envelope)) == envelope.bodyBytes)
    }
    return true
  }
}

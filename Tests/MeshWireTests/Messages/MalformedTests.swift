import MeshCRDT
import MeshWire
import Testing

/// Bytes that are not messages.
@Suite("Malformed bytes")
struct MalformedTests {
  @Test("No beginning of a message is a message", arguments: Reading.kinds)
  func beginningsAreRefused(kind: UInt8) throws {
    for seed in seeds(6) {
      var random = RandomMessages(seed: seed)
      let message = try random.message(kind: kind)
      let bytes = message.encoded()
      let beginnings = (1..<bytes.count).map { Reading.error(Array(bytes[..<$0])) }
      #expect(beginnings.allSatisfy { $0 == .truncated }, "seed \(seed)")
      // Also when the header tells the shorter length.
      let body = bytes.dropFirst(MeshMessage.headerBytes)
      let shortened = (0..<body.count).map { Reading.framed(kind: kind, Array(body.prefix($0))) }
      for message in shortened where Reading.error(message) == nil {
        // Beats and probes end with the message: a whole number of them is one.
        #expect(kind == 6 || kind == 10, "seed \(seed), \(message.count) bytes")
        #expect(Self.isSound(message))
      }
    }
  }

  @Test("No message has bytes behind its last field", arguments: Reading.kinds)
  func trailingBytesAreRefused(kind: UInt8) throws {
    for seed in seeds(20) {
      var random = RandomMessages(seed: seed)
      let bytes = try random.message(kind: kind).encoded()
      let lengthened = Reading.framed(
        kind: kind, Array(bytes.dropFirst(MeshMessage.headerBytes)) + [0])
      #expect(throws: WireError.self, "seed \(seed)") { try Reading.message(lengthened) }
    }
  }

  @Test("With any one byte changed a message is refused, or is exactly another message's bytes")
  func changedBytesNeverTrap() throws {
    var (inputs, read) = (0, 0)
    for seed in seeds(2) {
      var random = RandomMessages(seed: seed)
      for kind in Reading.kinds {
        let bytes = try random.message(kind: kind).encoded()
        for index in bytes.indices {
          for mask: UInt8 in [1, 0x80, 0xFF] {
            var changed = bytes
            changed[index] ^= mask
            inputs += 1
            if Self.isSound(changed) { read += 1 }
          }
        }
      }
    }
    #expect(read > inputs / 10 && read < inputs)
  }

  @Test("Messages with bytes removed, doubled and changed are refused or sound")
  func mutationsNeverTrap() throws {
    var (inputs, read) = (0, 0)
    for seed in seeds(40) {
      var random = RandomMessages(seed: seed)
      for kind in Reading.kinds {
        let bytes = try random.message(kind: kind).encoded()
        for _ in 0..<40 {
          var changed = bytes
          for _ in 0..<random.count(1...3) where !changed.isEmpty {
            let index = Int.random(in: 0..<changed.count, using: &random.generator)
            switch Int.random(in: 0..<4, using: &random.generator) {
            case 0: changed[index] ^= 1 << UInt8.random(in: 0..<8, using: &random.generator)
            case 1: changed[index] = [0, 1, 0x7F, 0x80, 0xFF][index % 5]
            case 2: changed.remove(at: index)
            default: changed.insert(changed[index], at: index)
            }
          }
          // The length of the body is made right again in half of them.
          if changed.count > MeshMessage.headerBytes, random.generator.chance(50) {
            changed = Reading.framed(
              kind: changed[0], Array(changed[MeshMessage.headerBytes...]))
          }
          inputs += 1
          if Self.isSound(changed) { read += 1 }
        }
      }
    }
    #expect(read > inputs / 100 && read < inputs)
  }

  @Test("Random bytes are refused or are exactly one message's bytes, and never trap")
  func randomBytesNeverTrap() {
    var random = RandomMessages(seed: seeds(1)[0])
    var read = 0
    for number in 0..<60_000 {
      let body = random.bytes(Int.random(in: 0...160, using: &random.generator))
      let kind = UInt8(1 + number % Int(MeshMessage.highestKind))
      if Self.isSound(number % 8 == 0 ? body : Reading.framed(kind: kind, body)) { read += 1 }
    }
    #expect(read > 0)
  }

  @Test("Random bytes are no header of a datagram that traps")
  func randomHeadersNeverTrap() {
    var random = RandomMessages(seed: seeds(1)[0])
    var read = 0
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0...130, using: &random.generator)).map { _ in
        UInt8.random(in: 0...3, using: &random.generator)
      }
      if (try? DatagramHeader.Clear.read(bytes)) != nil {
        #expect(bytes.count >= DatagramHeader.overheadBytes && bytes[0] == 2)
        read += 1
      }
      if let opened = try? DatagramHeader.Inner.read(opened: bytes) {
        #expect(bytes.count >= DatagramHeader.innerBytes && opened.header.counter > 0)
        read += 1
        var messages = opened.messages
        _ = try? Reading.messages(&messages)
      }
    }
    #expect(read > 100)
  }

  /// True when the bytes are a message; then they must be its only form.
  static func isSound(_ bytes: [UInt8]) -> Bool {
    guard let message = try? Reading.message(bytes) else { return false }
    var isSound = message.encoded() == bytes
    if let signed = message.signed {
      isSound = isSound && (try? Reading.rewritten(signed)) == Array(signed.body)
    }
    if !isSound { Issue.record("another form: \(hexadecimal(bytes))") }
    return true
  }
}

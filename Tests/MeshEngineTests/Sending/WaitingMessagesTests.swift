import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

/// Messages of one origin, for queues.
struct Writer {
  static let room = RoomName("room") ?? .lobby
  private let verifier: SignatureVerifier
  private let incarnation: Incarnation

  init() throws {
    verifier = SignatureVerifier(
      mesh: try #require(MeshID(bytes: [UInt8](repeating: 7, count: 16))),
      crypto: TestCrypto(secret: 1), hash: TestTreeHash())
    incarnation = try #require(Incarnation(counter: 1, nonce: 1))
  }

  static func session(_ number: Int) -> SessionID { SessionID(1, UInt64(number)) }

  /// A frame of these sessions, whose cursors have this counter.
  func frame(_ counter: UInt64, _ sessions: Range<Int>) throws -> OutgoingMessage {
    let updates = sessions.map {
      CursorUpdate(session: Self.session($0), counter: counter, cursor: Cursor(x: 0.5, y: 0.5))
    }
    let signed = try #require(
      verifier.sign(CursorFrame(incarnation: incarnation, room: Self.room, updates: updates)))
    return .cursorFrame(signed)
  }

  /// A batch whose first version is this one.
  func batch(_ version: UInt64, bytes: Int = 300) throws -> SignedMessage {
    let change = RecordChange(
      EntryKey(.presence, Self.session(0)), counter: version,
      value: RecordValues.bytes(
        PresenceValue(enteredCounter: 1, data: [UInt8](repeating: 1, count: bytes))))
    return try #require(
      verifier.sign(
        Batch(
          incarnation: incarnation, room: Self.room, previous: version - 1, first: version,
          changes: [change]))
    ).message
  }

  func checkpoint(_ sequence: UInt64) throws -> SignedMessage {
    try #require(
      verifier.sign(
        Checkpoint(
          incarnation: incarnation, sequence: sequence, version: 0, root: .empty,
          value: Hash128(1, 2), chain: 1, schedule: 1, offsetMilliseconds: 0, beat: 0,
          periodMilliseconds: 2000))
    ).message
  }

  static func beats(_ origins: Range<UInt64>, index: UInt64) -> OutgoingMessage {
    .beats(origins.map { Beat(originPrefix: $0, index: index, value: Hash128(index, $0)) })
  }

  static func control(_ number: UInt64) -> MeshMessage {
    .prune([OriginID(number, 0, 0, 0)])
  }
}

extension OutgoingMessage {
  fileprivate var now: [UInt8] { encoded(waited: Span(nanoseconds: 0)) }
}

@Suite("Messages that wait for their share of the bytes")
struct WaitingMessagesTests {
  private static let start = MonotonicTime(milliseconds: 1000)
  private let writer: Writer
  private var waiting = WaitingMessages(rate: 256 << 10)

  init() throws { writer = try Writer() }

  private mutating func append(_ messages: OutgoingMessage...) {
    for message in messages { waiting.append(message, now: Self.start) }
  }

  /// All that waits, in datagrams of the usual size.
  private mutating func drained() -> [[UInt8]] {
    var all: [[UInt8]] = []
    while !waiting.isEmpty {
      all += waiting.take(upTo: DatagramHeader.messageBytes, now: Self.start)
    }
    return all
  }

  @Test("Of the frames of one room the newest goes, in the place of the oldest")
  mutating func newestFrameWins() throws {
    let frames = [
      try writer.frame(1, 0..<5), try writer.frame(2, 5..<9), try writer.frame(3, 0..<5),
    ]
    for frame in frames { append(frame) }
    #expect(waiting.takeSuperseded() == 1)
    #expect(drained() == [frames[2].now, frames[1].now])
  }

  @Test("A frame goes when each of its cursors is superseded, by whichever frames")
  mutating func framesAreSupersededTogether() throws {
    let (second, third) = (try writer.frame(2, 0..<3), try writer.frame(3, 3..<8))
    append(try writer.frame(1, 0..<6), second)
    #expect(waiting.takeSuperseded() == 0)
    append(third)
    #expect(waiting.takeSuperseded() == 1)
    #expect(drained() == [third.now, second.now])
  }

  @Test("A frame that comes late does not take the place of a newer one")
  mutating func lateFrameLoses() throws {
    let (newer, other) = (try writer.frame(5, 0..<3), try writer.frame(3, 0..<4))
    append(newer, try writer.frame(4, 0..<3))
    #expect(waiting.takeSuperseded() == 1)
    append(other)
    #expect(drained() == [newer.now, other.now])
  }

  @Test("Beats are superseded by later beats of the same origins, checkpoints by later ones")
  mutating func lifeSigns() throws {
    let beats = [
      Writer.beats(0..<30, index: 7), Writer.beats(30..<40, index: 7),
      Writer.beats(0..<30, index: 1),
    ]
    for message in beats { append(message) }
    for sequence in 1...3 {
      append(.checkpoint(try writer.checkpoint(UInt64(sequence)), ageMilliseconds: 0))
    }
    #expect(waiting.takeSuperseded() == 3)
    #expect(
      drained() == [
        beats[2].now, beats[1].now,
        MeshMessage.checkpoint(ageMilliseconds: 0, try writer.checkpoint(3)).encoded(),
      ])
  }

  @Test("Requests with one key are superseded, others are not")
  mutating func requests() {
    let request = Writer.control(1)
    append(
      .control(request, key: .comparison), .control(request), .control(request),
      .control(request, key: .fetch(OriginID(1, 0, 0, 0))), .control(request, key: .comparison))
    #expect(drained().count == 4)
    #expect(waiting.takeSuperseded() == 1)
  }

  @Test("What went is forgotten: the next message with its key waits like the first")
  mutating func sentIsForgotten() throws {
    for counter: UInt64 in [4, 5, 3] {
      append(try writer.frame(counter, 0..<5))
      #expect(drained().count == 1)
    }
    #expect(waiting.takeSuperseded() == 0)
  }

  @Test("While cursors and batches wait, both go, by their shares of the bytes")
  mutating func bothProgress() throws {
    for number in 0..<40 {
      // Sessions of their own: none takes the place of another.
      append(
        try writer.frame(UInt64(number + 1), number * 20..<number * 20 + 20),
        .batch(try writer.batch(UInt64(number + 1), bytes: 380)))
    }
    var bytes = [UInt8: Int]()
    for _ in 0..<12 {
      for message in waiting.take(upTo: DatagramHeader.messageBytes, now: Self.start) {
        bytes[message[0], default: 0] += message.count
      }
    }
    let (batches, cursors) = (try #require(bytes[3]), try #require(bytes[5]))
    // Up to a message each.
    #expect(abs(batches - cursors) < 1200, "\(batches) and \(cursors) bytes")
  }

  @Test("What is beyond the bound of a class goes, the oldest first, and is counted")
  mutating func boundDropsOldest() throws {
    let batches = try (1...200).map { try writer.batch(UInt64($0)) }
    for batch in batches { append(.batch(batch)) }
    let dropped = waiting.takeDropped()
    let left = drained()
    #expect(dropped > 0 && left.count == 200 - Int(dropped))
    #expect(left.last == MeshMessage.batch(batches[199]).encoded())
    #expect(left.first == MeshMessage.batch(batches[200 - left.count]).encoded())
    #expect(left.reduce(0) { $0 + $1.count } <= 32 << 10)
  }

  @Test("A checkpoint that waited says how old it is when it goes")
  mutating func checkpointAges() throws {
    let signed = try writer.checkpoint(1)
    append(.checkpoint(signed, ageMilliseconds: 5))
    let taken = waiting.take(
      upTo: DatagramHeader.messageBytes, now: Self.start + .milliseconds(70))
    #expect(taken == [MeshMessage.checkpoint(ageMilliseconds: 75, signed).encoded()])
    // An age at its bound stays there.
    append(.checkpoint(signed, ageMilliseconds: .max))
    #expect(
      waiting.take(upTo: DatagramHeader.messageBytes, now: Self.start + .seconds(9))
        == [
          MeshMessage.checkpoint(ageMilliseconds: MeshMessage.ageBound - 1, signed).encoded()
        ])
  }

  @Test("An answer keeps its order beside messages of other classes")
  mutating func answersKeepTheirOrder() throws {
    let answer = try (1...6).map { MeshMessage.batch(try writer.batch(UInt64($0))) }
    for message in answer { append(.answer(message)) }
    append(.batch(try writer.batch(7)))
    #expect(waiting.answerBytes == answer.reduce(0) { $0 + $1.encoded().count })
    let taken = drained()
    let encoded = answer.map { $0.encoded() }
    #expect(taken.filter { encoded.contains($0) } == encoded)
    #expect(taken.count == 7)
  }
}

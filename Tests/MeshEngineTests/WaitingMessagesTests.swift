import MeshCRDT
import MeshSimulator
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Messages that wait for their share of the bytes")
struct WaitingMessagesTests {
  private static let mesh = MeshID(bytes: [UInt8](repeating: 7, count: 16))
  private static let start = MonotonicTime(milliseconds: 1000)
  private static let rate: UInt64 = 256 << 10
  private static let room = RoomName("room") ?? .lobby

  private let verifier: Verifier

  init() throws {
    verifier = Verifier(
      mesh: try #require(Self.mesh), crypto: StandInCrypto(secret: 1, meshSecret: 2, life: 3))
  }

  private static func session(_ number: Int) -> SessionID { SessionID(1, UInt64(number)) }

  /// A frame of these sessions with this counter.
  private func frame(_ counter: UInt64, _ sessions: Range<Int>) -> [UInt8] {
    let body = FrameBody(
      generation: 1, counter: counter, room: Self.room,
      moves: sessions.map {
        CursorMove(session: Self.session($0), cursor: Cursor(x: 0.5, y: 0.5))
      })
    var writer = ByteWriter()
    body.write(to: &writer)
    return Message.frame(verifier.sign(body, bytes: writer.bytes).envelope).encoded()
  }

  /// A batch whose first version is this one.
  private func batch(_ version: UInt64, bytes: Int = 300) throws -> [UInt8] {
    let record = Record(
      session: Self.session(0), lane: .presence, room: Self.room, counter: version,
      value: .presence(
        PresenceValue(enteredCounter: 1, data: [UInt8](repeating: 1, count: bytes))))
    var writer = ByteWriter()
    _ = BatchBody.write(
      generation: 1, room: Self.room, first: version, records: [record], liveCount: 1, liveHash: 0,
      to: &writer)
    var reader = ByteReader(writer.bytes)
    let body = try BatchBody.read(&reader)
    return Message.batch(verifier.sign(body, bytes: writer.bytes).envelope).encoded()
  }

  /// All that waits, in datagrams of the usual size.
  private func drain(_ waiting: inout WaitingMessages) -> [[UInt8]] {
    var all: [[UInt8]] = []
    while !waiting.isEmpty {
      all += waiting.take(upTo: DatagramLayout.messageBytes, now: Self.start)
    }
    return all
  }

  @Test("Of the frames of one room the newest goes, in the place of the oldest")
  func newestFrameWins() {
    var waiting = WaitingMessages(rate: Self.rate)
    waiting.append(frame(1, 0..<5), isAnswer: false, now: Self.start)
    waiting.append(frame(2, 5..<9), isAnswer: false, now: Self.start)
    waiting.append(frame(3, 0..<5), isAnswer: false, now: Self.start)
    #expect(waiting.takeSuperseded() == 1)
    #expect(drain(&waiting) == [frame(3, 0..<5), frame(2, 5..<9)])
  }

  @Test("A frame goes when each of its moves is superseded, by whichever frames")
  func framesAreSupersededTogether() {
    var waiting = WaitingMessages(rate: Self.rate)
    waiting.append(frame(1, 0..<6), isAnswer: false, now: Self.start)
    waiting.append(frame(2, 0..<3), isAnswer: false, now: Self.start)
    #expect(waiting.takeSuperseded() == 0)
    waiting.append(frame(3, 3..<8), isAnswer: false, now: Self.start)
    #expect(waiting.takeSuperseded() == 1)
    #expect(drain(&waiting) == [frame(3, 3..<8), frame(2, 0..<3)])
  }

  @Test("A frame that comes late does not take the place of a newer one")
  func lateFrameLoses() {
    var waiting = WaitingMessages(rate: Self.rate)
    waiting.append(frame(5, 0..<3), isAnswer: false, now: Self.start)
    waiting.append(frame(4, 0..<3), isAnswer: false, now: Self.start)
    #expect(waiting.takeSuperseded() == 1)
    waiting.append(frame(3, 0..<4), isAnswer: false, now: Self.start)
    #expect(drain(&waiting) == [frame(5, 0..<3), frame(3, 0..<4)])
  }

  @Test("While cursors and records wait, both go, by their shares of the bytes")
  func bothProgress() throws {
    var waiting = WaitingMessages(rate: Self.rate)
    for number in 0..<40 {
      // Rooms of their own: none takes the place of another.
      waiting.append(
        frame(UInt64(number + 1), number * 20..<number * 20 + 20), isAnswer: false,
        now: Self.start)
      waiting.append(
        try batch(UInt64(number + 1), bytes: 380), isAnswer: false, now: Self.start)
    }
    var bytes = [UInt8: Int]()
    for _ in 0..<12 {
      for message in waiting.take(upTo: DatagramLayout.messageBytes, now: Self.start) {
        bytes[message[0], default: 0] += message.count
      }
    }
    let (records, cursors) = (try #require(bytes[3]), try #require(bytes[5]))
    // Up to a message each.
    #expect(abs(records - cursors) < 1200, "\(records) and \(cursors) bytes")
  }

  @Test("What is beyond the bound goes, the oldest first, and is counted")
  func boundDropsOldest() throws {
    var waiting = WaitingMessages(rate: Self.rate)
    for version in 1...200 {
      waiting.append(try batch(UInt64(version)), isAnswer: false, now: Self.start)
    }
    let dropped = waiting.takeDropped()
    let left = drain(&waiting)
    #expect(Int(dropped) + left.count == 200)
    #expect(left.reduce(0) { $0 + $1.count } <= Int(Self.rate) / 8)
    #expect(left.first == (try batch(dropped + 1)))
    #expect(left.last == (try batch(200)))
  }

  @Test("A head that waited goes with the age that it has then")
  func headAges() throws {
    let body = HeadBody(
      generation: 1, heartbeat: 1, claim: .empty, counter: 0, periodMilliseconds: 2000,
      isLeaving: false)
    var writer = ByteWriter()
    body.write(to: &writer)
    let envelope = verifier.sign(body, bytes: writer.bytes).envelope
    var waiting = WaitingMessages(rate: Self.rate)
    waiting.append(
      Message.head(ageMilliseconds: 5, envelope).encoded(), isAnswer: false, now: Self.start)
    let taken = waiting.take(
      upTo: DatagramLayout.messageBytes, now: Self.start + .milliseconds(70))
    #expect(taken == [Message.head(ageMilliseconds: 75, envelope).encoded()])
  }

  @Test("An answer keeps its order: its end does not go before its batches")
  func answersKeepTheirOrder() throws {
    var waiting = WaitingMessages(rate: Self.rate)
    let end = Message.pullEnd(
      PullEnd(
        shelf: ShelfID(OriginID(0, 0, 0, 1), .lobby), generation: 1, after: 0, through: 9,
        hasMore: false)
    ).encoded()
    let answer = try (1...6).map { try batch(UInt64($0)) } + [end]
    for message in answer { waiting.append(message, isAnswer: true, now: Self.start) }
    waiting.append(try batch(7), isAnswer: false, now: Self.start)
    let taken = drain(&waiting)
    #expect(taken.filter { answer.contains($0) } == answer)
    #expect(taken.count == 8)
  }

  @Test(
    "Under a load that does not end, the list of turns stays short, and all addresses have theirs")
  func turnsAreBounded() {
    var outbox = Outbox(rate: Self.rate)
    let addresses = (1...3).map { PeerAddress(ipv4: 0x7F00_0001, port: $0) }
    var taken: [PeerAddress: Int] = [:]
    var now = Self.start
    for counter in 1...5000 {
      for address in addresses {
        for room in 0..<2 {
          outbox.append(frame(UInt64(counter), room * 40..<room * 40 + 40), to: address, now: now)
        }
      }
      outbox.pause(until: now + .milliseconds(1), now: now)
      now = now + .milliseconds(1)
      outbox.wake(now: now)
      guard let address = outbox.next() else { continue }
      _ = outbox.take(now: now)
      taken[address, default: 0] += 1
    }
    #expect(outbox.turns < 2200, "\(outbox.turns)")
    #expect(addresses.allSatisfy { taken[$0, default: 0] > 1500 }, "\(taken)")
  }
}

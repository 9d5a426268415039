import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

@Suite("The outbox and its datagrams")
struct OutboxTests {
  private static let addresses = (1...UInt32(4)).map { PathNetwork.address(1, $0) }
  private let writer: Writer

  init() throws { writer = try Writer() }

  private func context(
    _ configure: (inout EngineConfiguration) -> Void = { _ in }
  ) throws -> EngineContext {
    try PathSide(
      1, at: PathNetwork.address(9, 9), now: PathNetwork.start, configure: configure
    ).context
  }

  /// All departures that can go now.
  private static func departures(_ context: inout EngineContext) -> [Outbox.Departure] {
    var all: [Outbox.Departure] = []
    while let departure = context.nextDeparture() { all.append(departure) }
    return all
  }

  private static func bytes(_ departure: Outbox.Departure) -> Int {
    departure.messages.reduce(DatagramHeader.overheadBytes) { $0 + $1.count }
  }

  @Test("Messages for one address share datagrams, in their order")
  func packing() throws {
    var context = try context()
    let messages = (1...UInt64(60)).map { Writer.control($0) }
    for message in messages { context.send(.control(message), to: Self.addresses[0]) }
    let departures = Self.departures(&context)
    #expect(departures.flatMap(\.messages) == messages.map { $0.encoded() })
    #expect(departures.allSatisfy { Self.bytes($0) <= Limits.datagramBytes })
    #expect(departures.count == 2)
    #expect(context.outbox.isEmpty)
  }

  @Test(
    "A proof begins a datagram with its own echo, and what waits for its address goes behind it")
  func openings() throws {
    var context = try context()
    let proof = [UInt8](repeating: 1, count: 128)
    context.send(.control(Writer.control(1)), to: Self.addresses[0])
    context.outbox.append(opening: proof, echo: 5, to: Self.addresses[0])
    context.outbox.append(opening: proof, echo: 0, to: Self.addresses[1])
    let departures = Self.departures(&context)
    #expect(departures.map(\.echo) == [5, 0])
    #expect(departures.map(\.messages) == [[proof, Writer.control(1).encoded()], [proof]])
  }

  @Test("A node sends one address no more than its rate, and what waits sets a timer")
  func peerRate() throws {
    var context = try context { $0.peerRate = 20_000 }
    var bytes = 0
    for step in 0..<3000 {
      context.advance(to: PathNetwork.start + .milliseconds(UInt64(step)))
      context.send(.batch(try writer.batch(UInt64(step + 1))), to: Self.addresses[0])
      bytes += Self.departures(&context).reduce(0) { $0 + Self.bytes($1) }
      if step > 100 { #expect(context.timers.due(.outbox) != nil) }
    }
    #expect((57_000...66_000).contains(bytes), "\(bytes) bytes")
    #expect(context.counters[.outboxDropped] > 0)
  }

  @Test("All addresses together get no more than the node's rate, and equal parts of it")
  func sendRate() throws {
    var context = try context { $0.sendRate = 40_000 }
    var bytes: [PeerAddress: Int] = [:]
    for step in 0..<3000 {
      context.advance(to: PathNetwork.start + .milliseconds(UInt64(step)))
      for (index, address) in Self.addresses.enumerated() {
        // The first asks for ten times as much.
        for part in 0..<(index == 0 ? 10 : 1) {
          context.send(.batch(try writer.batch(UInt64(step * 10 + part + 1))), to: address)
        }
      }
      for departure in Self.departures(&context) {
        bytes[try #require(departure.address), default: 0] += Self.bytes(departure)
      }
    }
    let all = bytes.values.reduce(0, +)
    #expect((116_000...126_000).contains(all), "\(all) bytes")
    for address in Self.addresses {
      #expect(abs(bytes[address, default: 0] * 4 - all) < all / 6, "\(bytes)")
    }
  }

  @Test("While an address rests, others go on")
  func restingDelaysNobody() throws {
    var context = try context { $0.peerRate = 10_000 }
    for version in 1...UInt64(40) {
      context.send(.batch(try writer.batch(version)), to: Self.addresses[0])
    }
    _ = Self.departures(&context)
    context.send(.control(Writer.control(1)), to: Self.addresses[1])
    context.send(.control(Writer.control(2)), to: Self.addresses[0])
    #expect(Self.departures(&context).map(\.address) == [Self.addresses[1]])
    // What is new goes before the batches that wait, by its class.
    context.advance(to: context.now + .milliseconds(400))
    let next = Self.departures(&context).flatMap(\.messages)
    #expect(next.contains(Writer.control(2).encoded()))
  }

  @Test("What waits for a path that was lost is forgotten")
  func forgotten() throws {
    var context = try context { $0.peerRate = 10_000 }
    for version in 1...UInt64(40) {
      context.send(.batch(try writer.batch(version)), to: Self.addresses[0])
    }
    #expect(!Self.departures(&context).isEmpty)
    context.outbox.forget(Self.addresses[0])
    context.advance(to: context.now + .seconds(1))
    #expect(Self.departures(&context) == [])
    context.send(.control(Writer.control(1)), to: Self.addresses[0])
    #expect(Self.departures(&context).count == 1)
  }

  @Test("A message that fits into no datagram is dropped, and so are those beyond the bound")
  func bounds() throws {
    var context = try context()
    let long = MeshMessage.prune((0..<40).map { OriginID($0, 0, 0, 0) })
    context.send(.answer(long), to: Self.addresses[0])
    #expect(Self.departures(&context) == [])
    for number in 0..<UInt64(EngineLimits.messagesPerAddress + 5) {
      context.send(.control(Writer.control(number)), to: Self.addresses[0])
      context.outbox.append(opening: [1], echo: 0, to: Self.addresses[1])
    }
    _ = Self.departures(&context)
    #expect(context.counters[.outboxDropped] == 1 + 5 + 5)
  }

  @Test("Under a load that does not end, the list of turns stays short, and all have theirs")
  func turnsAreBounded() throws {
    var context = try context { $0.sendRate = 100_000 }
    var taken: [PeerAddress: Int] = [:]
    let message = OutgoingMessage.answer(Writer.control(1))
    for step in 1...UInt64(60_000) {
      for address in Self.addresses { context.send(message, to: address) }
      if step.isMultiple(of: 20) {
        context.advance(to: context.now + .milliseconds(12))
        for departure in Self.departures(&context) {
          taken[try #require(departure.address), default: 0] += 1
        }
      }
    }
    #expect(context.outbox.turns < 2 * EngineLimits.messagesPerAddress + 100)
    let counts = Self.addresses.map { taken[$0, default: 0] }
    let (least, most) = (try #require(counts.min()), try #require(counts.max()))
    #expect(least > 500 && most - least < 5, "\(counts)")
  }

  @Test("An announcement goes to everybody, without a token, once")
  func announcement() throws {
    var context = try context()
    context.outbox.announce()
    context.outbox.announce()
    #expect(
      Self.departures(&context) == [
        Outbox.Departure(
          address: nil, echo: 0, messages: [MeshMessage.challenge(token: 0).encoded()])
      ])
  }

  // MARK: Sealing

  @Test("Sealed datagrams have rising counters and nonces that never repeat, in any process")
  func sealing() throws {
    var nonces: Set<[UInt8]> = []
    for process in 1...UInt64(3) {
      var context = try PathSide(
        1, at: PathNetwork.address(9, 9), nonce: process, now: PathNetwork.start
      ).context
      var other = try PathSide(2, at: PathNetwork.address(9, 8), now: PathNetwork.start).context
      var sealer = DatagramSealer(configuration: context.configuration)
      let opener = DatagramSealer(configuration: other.configuration)
      var unknown: UInt32?
      for number in 1...UInt64(5) {
        let datagram = sealer.seal([Writer.control(number).encoded()], echo: 77, &context)
        nonces.insert(Array(datagram[13..<37]))
        let found = opener.open(datagram, unknownEpoch: &unknown, &other)
        var opened = try #require(found)
        #expect(opened.header.counter == number)
        #expect(opened.header.echo == 77)
        #expect(opened.header.sender == context.origin)
        #expect(try opened.messages.next() == Writer.control(number))
        #expect(opened.messages.isAtEnd)
        // What a node sealed itself is no news to it.
        let own = sealer.open(datagram, unknownEpoch: &unknown, &context)
        #expect(own == nil)
        #expect(unknown == nil)
      }
    }
    #expect(nonces.count == 15)
  }
}

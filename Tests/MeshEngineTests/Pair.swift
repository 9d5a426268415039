import MeshCRDT
import MeshSimulator
import MeshTrust
import Testing

@testable import MeshEngine

/// Two engines with a path to each other, under one clock.
struct Pair {
  static let start = MonotonicTime(milliseconds: 1_000_000)
  static let room = RoomName("room") ?? .lobby

  var writer: Engine
  var reader: Engine
  var now = Pair.start
  private static let addresses = (
    PeerAddress(ipv4: 0x7F00_0001, port: 1), PeerAddress(ipv4: 0x7F00_0001, port: 2)
  )

  init(configure: (inout EngineConfiguration) -> Void = { _ in }) throws {
    func engine(_ number: UInt64, _ now: MonotonicTime) throws -> Engine {
      var configuration = EngineConfiguration(
        mesh: try #require(MeshID(bytes: [UInt8](repeating: 7, count: 16))), generation: 1,
        lamport: 0, seed: (number, 1, 2, 3))
      configure(&configuration)
      return Engine(
        configuration: configuration,
        crypto: StandInCrypto(secret: number, meshSecret: 2, life: 3), now: now)
    }
    writer = try engine(1, now)
    reader = try engine(2, now)
    writer.addPeers([Self.addresses.1], now: now)
    pass(milliseconds: 500)
    try #require(reader.holds(writer.origin))
  }

  /// Carries everything that waits, until nothing does. Returns the bytes that the writer sent and
  /// what the reader was told.
  @discardableResult
  mutating func exchange() -> (bytes: Int, events: [MeshEvent]) {
    var bytes = 0
    var events: [MeshEvent] = []
    var isQuiet = false
    while !isQuiet {
      isQuiet = true
      while let output = writer.nextOutput() {
        guard case .send(let datagram, _) = output else { continue }
        bytes += datagram.count
        reader.receive(datagram, from: Self.addresses.0, now: now)
        isQuiet = false
      }
      while let output = reader.nextOutput() {
        switch output {
        case .send(let datagram, _):
          writer.receive(datagram, from: Self.addresses.1, now: now)
          isQuiet = false
        case .event(let event): events.append(event)
        default: break
        }
      }
    }
    return (bytes, events)
  }

  /// Lets time pass, in steps of a millisecond.
  @discardableResult
  mutating func pass(milliseconds: Int) -> (bytes: Int, events: [MeshEvent]) {
    var sum: (bytes: Int, events: [MeshEvent]) = (0, [])
    for _ in 0..<milliseconds {
      now = now + .milliseconds(1)
      writer.tick(now: now)
      reader.tick(now: now)
      let (bytes, events) = exchange()
      sum.bytes += bytes
      sum.events += events
    }
    return sum
  }

  mutating func enter(_ session: SessionID) throws {
    try writer.perform(
      .open(
        session, Profile(userID: "u\(session)"), device: "", .attached,
        at: WallTime(milliseconds: 0)), now: now)
    try writer.perform(.enter(session, Self.room), now: now)
  }

  mutating func move(_ session: SessionID, to x: Double) throws {
    try writer.perform(
      .moveCursor(session, Self.room, Cursor(x: x, y: 0)), now: now)
  }
}

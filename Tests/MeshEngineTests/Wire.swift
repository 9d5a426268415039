import MeshCRDT
import MeshSimulator
import MeshTrust
import Testing

@testable import MeshEngine

/// Several engines under one clock, on a wire that takes a millisecond.
struct Wire {
  static let start = MonotonicTime(milliseconds: 1_000_000)
  static let mesh = MeshID(bytes: [UInt8](repeating: 7, count: 16))

  private(set) var engines: [Engine] = []
  private(set) var now = Wire.start
  /// Datagrams by the millisecond at which they arrive, in the order of sending.
  private var underWay: [MonotonicTime: [(to: Int, from: Int, bytes: [UInt8])]] = [:]
  /// Nodes that were killed: they neither hear nor speak.
  var dead: Set<Int> = []
  /// The side of the wire on which each node is; those on different sides do not hear each other.
  var sides: [Int: Int] = [:]
  /// Nodes that run every so many milliseconds only.
  var slowness: [Int: UInt64] = [:]
  /// What each node was told, when it was told.
  private(set) var events: [Int: [(at: MonotonicTime, event: MeshEvent)]] = [:]
  /// Datagrams that were sent.
  private(set) var datagrams = 0
  let configure: (inout EngineConfiguration) -> Void

  static func address(_ index: Int) -> PeerAddress {
    PeerAddress(ipv4: 0x7F00_0001, port: UInt16(1000 + index))
  }

  static func crypto(_ index: Int) -> StandInCrypto {
    StandInCrypto(secret: UInt64(index + 1), meshSecret: 2, life: 3)
  }

  static func room(_ number: Int) -> RoomName { RoomName("room \(number)") ?? .lobby }

  init(_ count: Int, configure: @escaping (inout EngineConfiguration) -> Void = { _ in }) throws {
    self.configure = configure
    for _ in 0..<count { try join() }
  }

  /// Starts one more node, which knows the address of the first.
  @discardableResult
  mutating func join() throws -> Int {
    let index = engines.count
    var configuration = EngineConfiguration(
      mesh: try #require(Self.mesh), generation: 1, lamport: 0, seed: (UInt64(index + 1), 1, 2, 3))
    configure(&configuration)
    engines.append(Engine(configuration: configuration, crypto: Self.crypto(index), now: now))
    if index > 0 { engines[index].addPeers([Self.address(0)], now: now) }
    return index
  }

  /// Gives an engine an input, and puts what it sends on the wire.
  mutating func drive<Result>(
    _ index: Int, _ body: (inout Engine, MonotonicTime) throws -> Result
  ) rethrows -> Result {
    defer { drain(index) }
    return try body(&engines[index], now)
  }

  private mutating func drain(_ index: Int) {
    while let output = engines[index].nextOutput() {
      switch output {
      case .send(let bytes, let address):
        datagrams += 1
        let target = Int(address.port) - 1000
        guard engines.indices.contains(target), sides[index] == sides[target] else { continue }
        underWay[now + .milliseconds(1), default: []].append((target, index, bytes))
      case .event(let event): events[index, default: []].append((now, event))
      default: break
      }
    }
  }

  private func isAwake(_ index: Int) -> Bool {
    slowness[index].map { now.milliseconds % $0 == 0 } ?? true
  }

  /// Lets time pass, until something is so. Returns the milliseconds that it took; `nil`: it was
  /// never so.
  @discardableResult
  mutating func pass(
    milliseconds: UInt64, until isDone: (inout [Engine]) -> Bool = { _ in false }
  ) -> UInt64? {
    for passed in 0..<milliseconds {
      if isDone(&engines) { return passed }
      now = now + .milliseconds(1)
      for (to, from, bytes) in underWay.removeValue(forKey: now) ?? []
      where !dead.contains(to) && sides[to] == sides[from] {
        guard isAwake(to) else {
          underWay[now + .milliseconds(1), default: []].append((to, from, bytes))
          continue
        }
        drive(to) { engine, now in engine.receive(bytes, from: Self.address(from), now: now) }
      }
      for index in engines.indices where !dead.contains(index) {
        guard isAwake(index), let due = engines[index].deadline, due <= now else { continue }
        drive(index) { engine, now in engine.tick(now: now) }
      }
    }
    return isDone(&engines) ? milliseconds : nil
  }

  /// Has a node's user of its own enter some rooms.
  mutating func enter(_ rooms: Range<Int>, at index: Int) throws {
    let now = now
    for number in rooms {
      let session = SessionID(UInt64(index + 1), UInt64(number + 1))
      try engines[index].perform(
        .all([
          .open(
            session, Profile(userID: "u\(session)"), device: "", .attached,
            at: WallTime(milliseconds: 0)), .enter(session, Self.room(number)),
        ]), now: now)
      drain(index)
    }
  }

  /// Has the user in a room say something else.
  mutating func say(_ text: String, in number: Int, at index: Int) throws {
    let session = SessionID(UInt64(index + 1), UInt64(number + 1))
    let now = now
    try engines[index].perform(
      .setStatus(
        session, Self.room(number), .busy, message: text, at: WallTime(milliseconds: 0)), now: now)
    drain(index)
  }

  /// True when all of some nodes hold the same.
  static func areEqual(_ engines: [Engine]) -> Bool { Set(engines.map(\.stateHash)).count == 1 }
}

extension MonotonicTime {
  var milliseconds: UInt64 { nanoseconds / 1_000_000 }
}

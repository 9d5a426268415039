import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

/// The paths of one node, with what it received.
struct PathSide {
  var context: EngineContext
  var paths: Paths
  var address: PeerAddress
  var demand = PathDemand.all
  var lost: [LostPath] = []
  var ownKeys: [Incarnation] = []
  var newPaths: [PeerAddress] = []
  var messages: [MeshMessage] = []
  /// How many bytes it sent, and where.
  var sent: [PeerAddress: Int] = [:]
  var sentCount = 0

  init(
    _ number: UInt64, at address: PeerAddress, counter: UInt64 = 1, nonce: UInt64? = nil,
    mesh: UInt8 = 7, now: MonotonicTime, configure: (inout EngineConfiguration) -> Void = { _ in }
  ) throws {
    var configuration = EngineConfiguration(
      mesh: try #require(MeshID(bytes: [UInt8](repeating: mesh, count: 16))),
      incarnation: try #require(Incarnation(counter: counter, nonce: nonce ?? number)),
      seed: (number, 1, 2, nonce ?? 3))
    configure(&configuration)
    context = EngineContext(
      configuration: configuration, crypto: TestCrypto(secret: number, process: nonce ?? number),
      treeHash: TestTreeHash(), now: now)
    paths = Paths(&context)
    self.address = address
  }

  var origin: OriginID { context.origin }

  mutating func receive(_ datagram: [UInt8], from source: PeerAddress, now: MonotonicTime) {
    context.advance(to: now)
    let received = paths.receive(datagram, from: source, &context)
    lost += received.lost
    ownKeys += [received.ownKey].compactMap(\.self)
    guard var arrival = received.arrival else { return }
    if arrival.isNewPath { newPaths.append(arrival.address) }
    while let message = try? arrival.messages.next() {
      messages.append(message)
      if case .peerExchange(let peers) = message {
        paths.receive(peers, from: source, demand, &context)
      }
    }
  }

  mutating func tick(now: MonotonicTime) {
    context.advance(to: now)
    while let timer = context.timers.next(due: now) {
      guard case .paths(let timer) = timer else { continue }
      lost += [paths.handle(timer, demand, period: { _ in nil }, &context)].compactMap(\.self)
    }
  }

  mutating func nextDatagram(now: MonotonicTime) -> (bytes: [UInt8], address: PeerAddress?)? {
    context.advance(to: now)
    guard let datagram = paths.nextDatagram(&context) else { return nil }
    sentCount += 1
    if let address = datagram.address { sent[address, default: 0] += datagram.bytes.count }
    return datagram
  }

  mutating func addConfigured(_ address: PeerAddress, now: MonotonicTime) {
    context.advance(to: now)
    paths.addConfigured(address, &context)
  }

  /// Makes a path to a node that is not in the network.
  mutating func meet(_ number: UInt64, at address: PeerAddress, now: MonotonicTime) throws {
    let other = try PathSide(number, at: address, now: now)
    let echo = token(for: address)
    receive(other.forged([try other.proof(echo: echo)], echo: echo), from: address, now: now)
    try #require(paths.table.path(at: address) != nil)
  }

  mutating func raiseIncarnation(to counter: UInt64) {
    context.raiseIncarnation(to: counter)
    paths.proveAll(&context)
  }

  /// Takes all datagrams and drops them.
  mutating func discardDatagrams(now: MonotonicTime) {
    while nextDatagram(now: now) != nil {}
  }

  /// A datagram of this node as it likes it.
  func forged(_ messages: [MeshMessage], echo: UInt64, counter: UInt64? = nil) -> [UInt8] {
    var datagram = DatagramHeader.assembled(
      DatagramHeader.Clear(tag: context.configuration.mesh.tag, epoch: 1),
      processNonce: (1, 2),
      DatagramHeader.Inner(
        sender: origin, incarnation: context.incarnation, counter: counter ?? 1_000_000,
        echo: echo), messages: messages.flatMap { $0.encoded() })
    context.crypto.seal(&datagram)
    return datagram
  }

  /// A proof of this node.
  func proof(echo: UInt64, wantsProof: Bool = false) throws -> MeshMessage {
    .pathProof(
      try #require(
        context.verifier.sign(
          PathProof(
            incarnation: context.incarnation, echo: echo, token: 9, wantsProof: wantsProof))
      ).message)
  }

  /// The token that this node makes for an address.
  func token(for address: PeerAddress) -> UInt64 { PathValidation.token(for: address, context) }

  subscript(name: Counters.Name) -> UInt64 { context.counters[name] }
}

/// Nodes and a network that loses nothing.
struct PathNetwork {
  static let start = MonotonicTime(milliseconds: 1_000_000)

  var sides: [PathSide] = []
  var now = PathNetwork.start
  /// All datagrams, in the order in which they were carried.
  var carried: [(bytes: [UInt8], from: PeerAddress, to: PeerAddress)] = []

  /// `10.0.a.b:7900`.
  static func address(_ a: UInt32, _ b: UInt32, port: UInt16 = 7900) -> PeerAddress {
    PeerAddress(ipv4: 10 << 24 | a << 8 | b, port: port)
  }

  /// Two nodes in two prefixes that have met.
  static func pair(configure: (inout EngineConfiguration) -> Void = { _ in }) throws -> PathNetwork
  {
    var network = PathNetwork()
    for number in 1...2 {
      network.sides.append(
        try PathSide(
          UInt64(number), at: address(UInt32(number), 1), now: network.now, configure: configure))
    }
    network.introduce(0, to: 1)
    network.pass(milliseconds: 20)
    try #require(network.pathCount(0, 1) == 2)
    return network
  }

  mutating func introduce(_ from: Int, to: Int) {
    sides[from].addConfigured(sides[to].address, now: now)
  }

  /// How many of the two nodes have a path to the other.
  func pathCount(_ first: Int, _ second: Int) -> Int {
    [(first, second), (second, first)].count { from, to in
      sides[from].paths.table.bestAddress(of: sides[to].origin) == sides[to].address
    }
  }

  /// Carries all that waits.
  mutating func exchange() {
    var isQuiet = false
    while !isQuiet {
      isQuiet = true
      for index in sides.indices {
        while let (bytes, target) = sides[index].nextDatagram(now: now) {
          isQuiet = false
          guard let target else { continue }
          carried.append((bytes, sides[index].address, target))
          guard let other = sides.firstIndex(where: { $0.address == target }) else { continue }
          sides[other].receive(bytes, from: sides[index].address, now: now)
        }
      }
    }
  }

  /// Lets time pass, in steps of a millisecond.
  mutating func pass(milliseconds: Int, each step: (inout PathNetwork) -> Void = { _ in }) {
    for _ in 0..<milliseconds {
      now = now + .milliseconds(1)
      step(&self)
      for index in sides.indices { sides[index].tick(now: now) }
      exchange()
    }
  }
}

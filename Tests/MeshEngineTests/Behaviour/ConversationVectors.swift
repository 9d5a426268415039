import MeshCRDT
import MeshCrypto
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

/// A node with a session, and a peer that joins it, reads, publishes, moves a cursor, stays alive, and
/// leaves: every datagram of both, with real cryptography.
struct ConversationVectors {
  private enum Party: Int, CaseIterable {
    case node, leaf

    var other: Party { self == .node ? .leaf : .node }
    var name: String { self == .node ? "node" : "leaf" }
    var address: PeerAddress { PeerAddress(ipv4: 0x0A00_0001 + UInt32(rawValue), port: 7000) }
    var seed: [UInt8] { (0..<32).map { UInt8($0) + UInt8(rawValue + 1) * 32 } }
  }

  private static let meshKey = [UInt8](repeating: 7, count: 32)
  private static let room = RoomName("design") ?? .lobby
  private static let delay = Span.milliseconds(1)

  private var engines: [Engine] = []
  private var now = MonotonicTime(nanoseconds: 0)
  private var onTheWay: [(at: MonotonicTime, to: Party, bytes: [UInt8])] = []
  private var lines: [[String: Any]] = []

  private init() throws {
    let mesh = try #require(MeshID(bytes: (0..<16).map { UInt8($0) }))
    for party in Party.allCases {
      let incarnation = try #require(
        Incarnation(counter: UInt64(party.rawValue) + 3, nonce: 0x0123_4567_89ab_cd00))
      let crypto = SodiumCrypto(
        node: NodeKey(seed: SecretBytes(party.seed)),
        keyring: MeshKeyring(epoch: 1, key: SecretBytes(Self.meshKey)),
        tokenKey: SecretBytes(party.seed))
      engines.append(
        Engine(
          configuration: EngineConfiguration(
            mesh: mesh, incarnation: incarnation, seed: (1, 2, 3, UInt64(party.rawValue))),
          crypto: crypto, treeHash: SodiumTreeHash(), now: now))
      lines.append([
        "party": party.name, "seed": hex(party.seed), "origin": hex(crypto.origin),
        "address": hex(party.address.bytes), "incarnation": hex(incarnation),
        "mesh_key": hex(Self.meshKey), "epoch": 1,
      ])
    }
  }

  static func cases() throws -> [Any] {
    var world = try Self()
    let (ann, bob) = (SessionID(1, 1), SessionID(2, 2))
    try world.perform(.node, "opens a session and enters a room", world.opening(ann, "ann"))
    try world.perform(
      .node, "sets a status",
      .setStatus(ann, room, .busy, message: "in a call", at: WallTime(milliseconds: 1000)))
    world.run(milliseconds: 50)
    world.say(.leaf, "starts with the address of the node")
    world.engines[Party.leaf.rawValue].addPeers([Party.node.address], now: world.now)
    world.drain(.leaf)
    world.run(milliseconds: 2500)
    try world.perform(.leaf, "opens a session and enters the room", world.opening(bob, "bob"))
    world.run(milliseconds: 200)
    try world.perform(.leaf, "moves a cursor", .moveCursor(bob, room, Cursor(x: 0.25, y: 0.5)))
    world.run(milliseconds: 100)
    try world.perform(.leaf, "moves it again", .moveCursor(bob, room, Cursor(x: 0.75, y: 0.5)))
    world.run(milliseconds: 2500)
    try world.perform(.node, "ends its session", .leave(ann))
    world.run(milliseconds: 4500)
    try world.perform(.leaf, "leaves", .leaveMesh)
    world.run(milliseconds: 500)
    return world.lines
  }

  private func opening(_ session: SessionID, _ user: String) -> LocalOperation {
    .all([
      .open(
        session, Profile(userID: user), device: "laptop", .attached,
        at: WallTime(milliseconds: 1000)), .enter(session, Self.room),
    ])
  }

  private mutating func perform(
    _ party: Party, _ words: String, _ operation: LocalOperation
  ) throws {
    say(party, words)
    try engines[party.rawValue].perform(operation, now: now)
    drain(party)
  }

  private mutating func say(_ party: Party, _ words: String) {
    lines.append(["at_us": now.nanoseconds / 1000, "party": party.name, "does": words])
  }

  private mutating func drain(_ party: Party) {
    while let output = engines[party.rawValue].nextOutput() {
      switch output {
      case .send(let bytes, let address) where address == party.other.address:
        lines.append([
          "at_us": now.nanoseconds / 1000, "from": party.name, "datagram": hex(bytes),
        ])
        onTheWay.append((now + Self.delay, party.other, bytes))
      case .event(.appeared(let session)):
        say(party, "shows session \(session.id) of \(session.value.profile.userID)")
      case .event(.disappeared(let session)):
        say(party, "does not show session \(session) any more")
      case .event(.node(let origin, let health)):
        say(party, "sees \(origin == engines[0].origin ? "node" : "leaf") as \(health)")
      default: break
      }
    }
  }

  private mutating func run(milliseconds: UInt64) {
    let end = now + .milliseconds(milliseconds)
    while true {
      var next = onTheWay.map(\.at).min() ?? end
      for engine in engines { next = min(next, engine.deadline ?? end) }
      guard next <= end else { break }
      now = max(now, next)
      if let index = onTheWay.firstIndex(where: { $0.at <= now }) {
        let (_, party, bytes) = onTheWay.remove(at: index)
        engines[party.rawValue].receive(bytes, from: party.other.address, now: now)
        drain(party)
        continue
      }
      for party in Party.allCases {
        guard let due = engines[party.rawValue].deadline, due <= now else { continue }
        engines[party.rawValue].tick(now: now)
        drain(party)
      }
      if now >= end { break }
    }
    now = end
  }
}

import MeshCRDT
import MeshEngine
import MeshTransport
import Synchronization

/// What a member of a measured mesh begins with.
struct MemberSetup: Codable, Sendable {
  let mesh: MeshSetup
  /// Tells its session from those of other members.
  let number: Int
  /// Ports on loopback of members that began earlier.
  let peers: [UInt16]
}

/// What the parent asks of a member. Each is answered with one packet.
enum MemberCommand: Codable, Sendable {
  /// How many nodes it sees, and how many of the sessions.
  case count
  /// Change the status of its session to one with this number.
  case say(UInt64)
  /// When it saw which number.
  case report
}

struct MemberCount: Codable, Sendable {
  let nodes: Int
  let sessions: Int
}

/// A node of a measured mesh, as users run it, in a process of its own.
enum Member {
  private struct Seen {
    var sessions: Set<SessionID> = []
    /// When each number was seen, in nanoseconds.
    var arrivals: [UInt64: UInt64] = [:]
  }

  static func run(_ link: PacketLink) async throws(BenchError) {
    let setup = try link.receive(json: MemberSetup.self, "the keys")
    let seen = Mutex(Seen())
    let peers = setup.peers.map { PeerAddress(ipv4: 0x7F00_0001, port: $0) }
    let driver = try await setup.mesh.start(peers: peers) { event in
      let time = Clock.monotonic
      seen.withLock { seen in
        switch event {
        case .appeared(let session), .changed(let session):
          seen.sessions.insert(session.id)
          if let number = session.place(in: .lobby).flatMap({ UInt64($0.presence.message) }) {
            seen.arrivals[number] = seen.arrivals[number] ?? time
          }
        case .disappeared(let session): seen.sessions.remove(session)
        default: break
        }
      }
    }
    guard let address = driver.boundAddresses.first else { throw .notConnected }
    let session = Crowd.session(setup.number)
    try await perform(Crowd.open(setup.number), on: driver)
    try link.send(json: address.port, expecting: "an order")
    // Ends when the parent closes the link.
    while let command = try? link.receive(json: MemberCommand.self, "an order") {
      switch command {
      case .count:
        let nodes = await driver.read { engine, _ in engine.visibleCount }
        let count = MemberCount(nodes: nodes, sessions: seen.withLock { $0.sessions.count })
        try link.send(json: count, expecting: "an order")
      case .say(let number):
        let time = Clock.monotonic
        let wallTime = WallTime(milliseconds: 1_700_000_000_000 + number)
        try await perform(
          .setStatus(session, .lobby, .busy, message: String(number), at: wallTime), on: driver)
        try link.send(json: time, expecting: "an order")
      case .report:
        try link.send(json: seen.withLock { $0.arrivals }, expecting: "an order")
      }
    }
    await driver.shutdown()
  }

  static func perform(
    _ operation: LocalOperation, on driver: MeshDriver
  ) async throws(BenchError) {
    do throws(OperationError) { try await driver.perform(operation) } catch {
      throw .refused("\(error)")
    }
  }
}

/// Members in processes of their own that have all found each other.
final class MemberMesh {
  private(set) var members: [ChildProcess] = []
  private(set) var ports: [UInt16] = []

  /// Starts members, and waits until each sees all nodes: the members and `others` more.
  init(
    _ count: Int, setup: MeshSetup, peers: [UInt16] = [], launcher: ChildLauncher
  ) throws(BenchError) {
    for number in 1...count {
      let member = try ChildProcess(.member, launcher: launcher)
      members.append(member)
      let known = peers + ports.prefix(1)
      try member.link.send(
        json: MemberSetup(mesh: setup, number: 500_000 + number, peers: known),
        expecting: "its port")
      ports.append(try member.link.receive(json: UInt16.self, "its port"))
    }
  }

  deinit { end() }

  func end() { for member in members { member.end() } }

  /// Waits until each member sees so many nodes and so many sessions.
  func await(nodes: Int, sessions: Int) async throws(BenchError) {
    for _ in 0..<600 {
      var isReady = true
      for member in members {
        let count: MemberCount = try ask(member, .count)
        if count.nodes < nodes || count.sessions < sessions { isReady = false }
      }
      if isReady { return }
      try? await Task.sleep(for: .milliseconds(100))
    }
    throw .notConnected
  }

  func ask<Answer: Decodable>(
    _ member: ChildProcess, _ command: MemberCommand
  ) throws(BenchError) -> Answer {
    try member.link.send(json: command, expecting: "its answer")
    return try member.link.receive(json: Answer.self, "its answer")
  }
}

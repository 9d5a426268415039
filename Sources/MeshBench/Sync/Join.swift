import MeshCRDT
import MeshCrypto
import MeshEngine
import MeshTransport
import Synchronization

/// The time in which a new node gets everything from a peer on loopback.
///
/// The peer is another process with a node as users run it that hosts all sessions. Timed is from
/// the start of a node that knows nothing until the last session has appeared to its user.
enum Join {
  private struct Appeared {
    var count = 0
    /// When the first one was told, in nanoseconds.
    var first: UInt64 = 0
  }

  static func measure(
    _ scale: BenchScale, launcher: ChildLauncher
  ) async throws(BenchError) -> [Figure] {
    let child = try ChildProcess(.keeper, launcher: launcher)
    defer { child.end() }
    let setup = MeshSetup.random()
    try child.link.send(
      json: KeeperSetup(mesh: setup, sessions: scale.sessions), expecting: "its port")
    let port = try child.link.receive(json: UInt16.self, "its port")

    let appeared = Mutex(Appeared())
    let (whole, isWhole) = AsyncStream.makeStream(of: UInt64.self)
    let wanted = scale.sessions
    let start = Clock.monotonic
    let driver = try await setup.start(peers: [PeerAddress(ipv4: 0x7F00_0001, port: port)]) {
      event in
      guard case .appeared = event else { return }
      let count = appeared.withLock { appeared in
        if appeared.count == 0 { appeared.first = Clock.monotonic }
        appeared.count += 1
        return appeared.count
      }
      if count == wanted {
        isWhole.yield(Clock.monotonic)
        isWhole.finish()
      }
    }
    let deadline = Task {
      try? await Task.sleep(for: .seconds(90))
      isWhole.finish()
    }
    var end: UInt64?
    for await time in whole { end = time }
    deadline.cancel()
    let counters = await driver.read { engine, _ in engine.counters }
    await driver.shutdown()
    guard let end else {
      throw .samplesMissing(arrived: appeared.withLock { $0.count }, of: wanted)
    }
    let first = Double(appeared.withLock { $0.first } - start) / 1e6
    return [
      Figure(
        "join-seconds-100k", Double(end - start) / 1e9, "s", aim: 0.4, better: .lower,
        detail: "a new node gets \(wanted) sessions from a process on loopback, with "
          + "\(counters[.signaturesVerified]) signatures verified and "
          + "\(counters[.nodesReceived]) tree nodes; the first appears after "
          + "\(brief(first)) ms")
    ]
  }
}

/// What the peer begins with.
struct KeeperSetup: Codable, Sendable {
  let mesh: MeshSetup
  let sessions: Int
}

/// The peer that hosts all sessions.
enum Keeper {
  /// So many sessions speak, and are waited for, at a time: fewer than may move at once.
  private static let chunk = 2000

  static func run(_ link: PacketLink) async throws(BenchError) {
    let setup = try link.receive(json: KeeperSetup.self, "the keys")
    let driver = try await setup.mesh.start(
      configure: { $0.cursorRest = .milliseconds(20) }, onEvent: { _ in })
    guard let address = driver.boundAddresses.first else { throw .notConnected }
    var first = 0
    while first < setup.sessions {
      let next = min(first + chunk, setup.sessions)
      for index in first..<next {
        let session = Crowd.session(index)
        let room = try Crowd.room(index)
        try await Member.perform(
          .all([
            Crowd.open(index), .enter(session, room),
            .setStatus(
              session, room, .away, message: nil, at: WallTime(milliseconds: 1_700_000_000_000)),
            .moveCursor(session, room, Crowd.cursor(index, turn: 1)),
          ]), on: driver)
      }
      // Until the cursors are at rest.
      for _ in 0..<200 {
        try? await Task.sleep(for: .milliseconds(10))
        let version = await driver.read { engine, _ in engine.ownVersion }
        if version >= UInt64(3 * next) { break }
      }
      first = next
    }
    try link.send(json: address.port, expecting: "the end")
    _ = try? link.receive("the end")
    await driver.shutdown()
  }
}

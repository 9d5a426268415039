import MeshCRDT
import MeshCrypto
import MeshEngine
import Synchronization
import Testing

@testable import MeshTransport

@Suite("Drivers that form a mesh")
struct MeshTests {
  private static func profile(_ user: String) -> Profile {
    Profile(userID: user, name: user)
  }

  /// Opens a session on one driver and waits until the other sees it.
  private func expectExchange(from one: MeshDriver, to other: MeshDriver) async throws {
    var generator = SystemRandomNumberGenerator()
    let session = SessionID.random(using: &generator)
    try await one.perform(
      .open(session, Self.profile("ada"), device: "test", .attached, at: WallTime(milliseconds: 1)))
    #expect(await eventually { await other.read { engine, _ in engine.session(session) != nil } })
    try await one.perform(.leave(session))
    #expect(await eventually { await other.read { engine, _ in engine.session(session) == nil } })
  }

  @Test("Two drivers exchange sessions both ways")
  func twoDriversExchange() async throws {
    let mesh = try TestMesh()
    let one = try await mesh.driver()
    let two = try await mesh.driver(peers: one.localAddresses)
    try await expectExchange(from: one, to: two)
    try await expectExchange(from: two, to: one)
    let counters = await one.transportCounters()
    #expect(counters.sendErrors == 0 && counters.receiveErrors == 0)
    await one.shutdown()
    await two.shutdown()
  }

  @Test("Two drivers exchange over IPv6", .enabled(if: hasIPv6Loopback))
  func twoDriversExchangeOverIPv6() async throws {
    let mesh = try TestMesh()
    let listen = [MeshDriver.Listen(Endpoint(host: "::1", port: 0))]
    let one = try await mesh.driver(listen: listen)
    let two = try await mesh.driver(listen: listen, peers: one.localAddresses)
    #expect(one.localAddresses.allSatisfy { $0.ipv4 == nil })
    try await expectExchange(from: one, to: two)
    await one.shutdown()
    await two.shutdown()
  }

  @Test("A node with both families joins a mesh of nodes with one", .enabled(if: hasIPv6Loopback))
  func familiesMeet() async throws {
    let mesh = try TestMesh()
    let ipv4 = try await mesh.driver()
    let ipv6 = try await mesh.driver(listen: [MeshDriver.Listen(Endpoint(host: "::1", port: 0))])
    let both = try await mesh.driver(
      listen: MeshDriver.Options.loopback(port: 0),
      peers: ipv4.localAddresses + ipv6.localAddresses)
    try await expectExchange(from: both, to: ipv4)
    try await expectExchange(from: both, to: ipv6)
    for driver in [ipv4, ipv6, both] { await driver.shutdown() }
  }

  @Test("A cut is noticed, and healing it brings the mesh together")
  func cutIsHealed() async throws {
    let mesh = try TestMesh()
    let one = try await mesh.driver()
    let two = try await mesh.driver(peers: one.localAddresses)
    try await expectExchange(from: one, to: two)
    await two.setLinkFilter(.everyone)
    let session = SessionID(7, 7)
    try await one.perform(
      .open(session, Self.profile("bob"), device: "", .attached, at: WallTime(milliseconds: 1)))
    let blocked = await two.transportCounters().datagramsBlocked
    #expect(await eventually { await two.transportCounters().datagramsBlocked > blocked })
    #expect(await two.read { engine, _ in engine.session(session) == nil })
    await two.setLinkFilter(.open)
    #expect(await eventually { await two.read { engine, _ in engine.session(session) != nil } })
    await one.shutdown()
    await two.shutdown()
  }

  @Test("A node that shuts down says farewell")
  func shutdownSaysFarewell() async throws {
    let mesh = try TestMesh()
    let one = try await mesh.driver()
    let two = try await mesh.driver(peers: one.localAddresses)
    try await expectExchange(from: two, to: one)
    let origin = await two.read { engine, _ in engine.origin }
    await two.shutdown()
    let hasLeft = await eventually {
      await one.read { engine, now in
        engine.peers(now: now).contains { $0.origin == origin && $0.health == .left }
      }
    }
    #expect(hasLeft)
    await one.shutdown()
  }

  @Test("Nodes on one machine find each other by announcements alone")
  func announcementsAreHeard() async throws {
    let mesh = try TestMesh()
    let port = try RawSocket().socket.address.port
    let multicast = MeshDriver.Multicast(port: port)
    let one = try await mesh.driver(multicast: multicast)
    let two = try await mesh.driver(multicast: multicast)
    try await expectExchange(from: one, to: two)
    #expect(await one.transportCounters().announcementsSent > 0)
    let heard = await one.transportCounters().announcementsReceived
    let heardToo = await two.transportCounters().announcementsReceived
    #expect(heard + heardToo > 0)
    await one.shutdown()
    await two.shutdown()
  }

  @Test("Events come in order and replay to what is seen")
  func eventsComeInOrder() async throws {
    let mesh = try TestMesh()
    let events = EventLog()
    let one = try await mesh.driver()
    let two = try await mesh.driver(peers: one.localAddresses) { events.append($0) }
    let session = SessionID(1, 9)
    try await one.perform(
      .open(session, Self.profile("eve"), device: "", .attached, at: WallTime(milliseconds: 1)))
    #expect(await eventually { events.hasAppeared(session) })
    try await one.perform(.leave(session))
    #expect(await eventually { !events.hasAppeared(session) })
    await one.shutdown()
    await two.shutdown()
  }
}

/// The events of a driver, as they came.
private final class EventLog: Sendable {
  private let seen = Mutex<Set<SessionID>>([])

  func append(_ event: MeshEvent) {
    seen.withLock { seen in
      switch event {
      case .appeared(let session): seen.insert(session.id)
      case .disappeared(let session): seen.remove(session)
      default: break
      }
    }
  }

  func hasAppeared(_ session: SessionID) -> Bool { seen.withLock { $0.contains(session) } }
}

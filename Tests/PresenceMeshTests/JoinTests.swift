import Foundation
import Metrics
import MetricsTestKit
import PresenceMesh
import ServiceLifecycle
import Testing

@Suite("Joining and leaving", .timeLimit(.minutes(10)))
struct JoinTests {
  /// A place for a state directory that is there as long as the body runs.
  private func withPath(_ body: (String) async throws -> Void) async throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "presence-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try await body(path)
  }

  @Test("A node keeps its id and its mesh, and begins a new life each time")
  func restarts() async throws {
    try await withPath { path in
      let identity = PresenceMesh.Configuration.Identity.stateDirectory(path)
      let first = try await PresenceMesh.join(
        .loopback(identity: identity, membership: .storedOrNew(open: true)))
      #expect(first.isNewMesh)
      let incarnation = await first.incarnation()
      let invite = try first.invite()
      await first.leave()
      let second = try await PresenceMesh.join(.loopback(identity: identity, membership: .stored))
      #expect(!second.isNewMesh)
      #expect(second.nodeID == first.nodeID)
      #expect(await second.incarnation() > incarnation)
      #expect(invite.hasPrefix("presence-mesh:1:"))
      await #expect {
        try await PresenceMesh.join(.loopback(identity: identity, membership: .stored))
      } throws: { error in
        "\(error)".contains("in use by process")
      }
      await second.leave()
      await #expect {
        try await PresenceMesh.join(.loopback(identity: identity, membership: .new))
      } throws: { error in
        "\(error)".contains("holds another mesh")
      }
      let third = try await PresenceMesh.join(
        .loopback(identity: identity, membership: .invite(invite)))
      #expect(third.nodeID == first.nodeID)
      await third.leave()
    }
  }

  @Test("What cannot be joined is told, with what to do about it")
  func refusals() async throws {
    func refused(
      _ configuration: PresenceMesh.Configuration, sourceLocation: SourceLocation = #_sourceLocation
    ) async -> String {
      do {
        let mesh = try await PresenceMesh.join(configuration)
        await mesh.leave()
        Issue.record("it joined", sourceLocation: sourceLocation)
        return ""
      } catch {
        return "\(error)"
      }
    }
    try await withPath { path in
      let none = await refused(.loopback(identity: .stateDirectory(path), membership: .stored))
      #expect(none.contains("knows no mesh"))
      let garbage = await refused(.loopback(membership: .invite("secret-but-no-invite")))
      #expect(garbage.contains("the invite cannot be used"))
      #expect(!garbage.contains("secret-but"))
      #expect(await refused(.loopback(peers: ["[::1"])).contains("'[::1' is no address"))
      #expect(await refused(.loopback(beatPeriod: .milliseconds(1))).contains("beatPeriod"))
      var narrow = PresenceMesh.Configuration.loopback()
      narrow.peerRate = 9999
      #expect(await refused(narrow).contains("peerRate"))
      let first = try await PresenceMesh.join(.loopback())
      var second = PresenceMesh.Configuration.loopback()
      second.listen = .addresses(first.boundAddresses.filter { $0.hasPrefix("127.") })
      #expect(await refused(second).contains("in use"))
      await first.leave()
    }
  }

  @Test("An invite in a configuration does not print")
  func membershipDoesNotPrint() {
    let membership = PresenceMesh.Membership.invite("presence-mesh:1:SECRET")
    var dumped = ""
    dump(PresenceMesh.Configuration(identity: .inMemory, membership: membership), to: &dumped)
    #expect(!"\(membership)\(dumped)".contains("SECRET"))
  }

  @Test("A mesh that is let go says farewell by itself")
  func letGo() async throws {
    let first = try await PresenceMesh.join(.loopback(beatPeriod: .seconds(60)))
    do {
      let second = try await PresenceMesh.join(
        .loopback(membership: .invite(first.invite()), beatPeriod: .seconds(60)))
      _ = try await second.openSession(Profile(userID: "bob"))
      try await eventually("seen") { first.isOnline("bob") }
    }
    try await eventually("gone") { !first.isOnline("bob") }
    await first.leave()
  }

  @Test("As a service it joins, and leaves on a graceful shutdown")
  func service() async throws {
    let service = PresenceMeshService(.loopback())
    let group = ServiceGroup(
      services: [service], logger: PresenceMesh.Configuration.loopback().logger)
    async let running: Void = group.run()
    let mesh = try await service.mesh()
    let session = try await mesh.openSession(Profile(userID: "ann"))
    await group.triggerGracefulShutdown()
    try await running
    await #expect(throws: PresenceError.meshLeft) { try await session.heartbeat() }
    await #expect(throws: PresenceError.meshLeft) { try await service.mesh() }
  }

  @Test("A service that cannot join fails with the reason, for the group and for who waits")
  func failingService() async throws {
    let service = PresenceMeshService(.loopback(membership: .invite("nonsense")))
    let waiting = Task { try await service.mesh() }
    await #expect(throws: PresenceError.self) { try await service.run() }
    await #expect(throws: PresenceError.self) { try await waiting.value }
    let cancelled = Task { try await PresenceMeshService(.loopback()).mesh() }
    cancelled.cancel()
    await #expect(throws: PresenceError.meshLeft) { try await cancelled.value }
  }

  @Test("Counters and gauges reach the metrics under documented names")
  func metrics() async throws {
    let metrics = TestMetrics()
    try await withMesh(of: 2) { nodes in
      _ = try await nodes[0].openSession(Profile(userID: "ann"))
      try await eventually("seen") { nodes[0].isOnline("ann") }
      let reporter = MetricsReporter(mesh: nodes[0])
      await withMetricsFactory(metrics) {
        await reporter.report()
        await reporter.report()
      }
      let dimensions = [("node", nodes[0].nodeID.short)]
      let received = try metrics.expectCounter("presence_mesh_datagrams_received", dimensions)
      let count = await nodes[0].counters().first { $0.name == "datagramsReceived" }?.value ?? 0
      #expect(received.totalValue > 0)
      #expect(received.totalValue <= Int64(count))
      #expect(try metrics.expectGauge("presence_mesh_users", dimensions).lastValue == 1)
      #expect(try metrics.expectGauge("presence_mesh_nodes", dimensions).lastValue == 1)
      #expect(try metrics.expectGauge("presence_mesh_stale", dimensions).lastValue == 0)
    }
  }
}

import Logging
import MeshCRDT
import MeshCrypto
import MeshEngine
import MeshTransport
import MeshTrust
import Testing

@Suite("Recordings of real nodes")
struct RecordingTests {
  private static func configuration(_ mesh: MeshID, recording: Bool) -> EngineConfiguration {
    var random = SystemRandomNumberGenerator()
    let seed = (random.next(), random.next(), random.next(), random.next())
    guard let incarnation = Incarnation(counter: 1, nonce: random.next()) else {
      preconditionFailure("counters of incarnations begin at 1")
    }
    var configuration = EngineConfiguration(mesh: mesh, incarnation: incarnation, seed: seed)
    configuration.isRecording = recording
    configuration.beatPeriod = .milliseconds(200)
    configuration.comparisonPeriod = .milliseconds(100)
    return configuration
  }

  @Test("What a node on loopback lived through replays to the same outputs")
  func recordingReplays() async throws {
    let mesh = try #require(MeshID(bytes: Sodium.random(count: MeshID.byteCount)))
    let keyring = MeshKeyring(key: .random(count: MeshKeyring.keyBytes))
    var drivers: [MeshDriver] = []
    var cryptos: [SodiumCrypto] = []
    for index in 0..<2 {
      let crypto = SodiumCrypto(node: .random(), keyring: keyring)
      let options = MeshDriver.Options(
        listen: MeshDriver.Options.loopback(port: 0), peers: drivers.flatMap(\.boundAddresses),
        multicast: nil)
      drivers.append(
        try await MeshDriver.start(
          configuration: Self.configuration(mesh, recording: index == 0), crypto: crypto,
          options: options, logger: Logger(label: "recording"), onEvent: { _ in },
          onPersist: { _ in }))
      cryptos.append(crypto)
    }
    for (index, driver) in drivers.enumerated() {
      let id = SessionID(UInt64(index), 1)
      try await driver.perform(
        .open(
          id, Profile(userID: "user-\(index)"), device: "test", .attached,
          at: WallTime(milliseconds: 1)))
      for step in 0..<10 {
        try await driver.perform(
          .moveCursor(id, .lobby, Cursor(x: Double(step) / 10, y: 0.5)))
        try await Task.sleep(for: .milliseconds(20))
      }
    }
    // Both have heard of both sessions.
    for driver in drivers {
      for _ in 0..<500 {
        if await driver.read({ engine, _ in engine.snapshot().sessions.count }) == 2 { break }
        try await Task.sleep(for: .milliseconds(20))
      }
    }
    let recorded = try #require(await drivers[0].read { engine, _ in engine.recording })
    for driver in drivers { await driver.shutdown() }
    #expect(recorded.inputs.count > 20 && recorded.outputs > 20)
    let replayed = try #require(recorded.replayed(with: cryptos[0], treeHash: SodiumTreeHash()))
    #expect(replayed.outputs == recorded.outputs)
    #expect(replayed.outputHash == recorded.outputHash)
    // Without the last third of the inputs other things come out.
    let shorter = recorded.replayed(
      with: cryptos[0], treeHash: SodiumTreeHash(), inputs: recorded.inputs.count * 2 / 3)
    #expect(try #require(shorter).outputHash != recorded.outputHash)
  }
}

import Foundation
import Logging
import MeshCRDT
import MeshCrypto
import MeshEngine
import MeshTransport
import MeshTrust
import Synchronization

/// The keys of a mesh that lives as long as the measurement.
struct MeshSetup: Codable, Sendable {
  let mesh: [UInt8]
  let key: [UInt8]

  static func random() -> MeshSetup {
    MeshSetup(
      mesh: Sodium.random(count: MeshID.byteCount),
      key: Sodium.random(count: MeshKeyring.keyBytes))
  }

  /// A new node of this mesh on a free port of loopback, with the settings that users get.
  func start(
    peers: [PeerAddress] = [], configure: (inout EngineConfiguration) -> Void = { _ in },
    onEvent: @escaping @Sendable (MeshEvent) -> Void
  ) async throws(BenchError) -> MeshDriver {
    guard let mesh = MeshID(bytes: mesh) else { throw .refused("the id of the mesh") }
    var generator = SystemRandomNumberGenerator()
    guard let incarnation = Incarnation(counter: 1, nonce: generator.next()) else {
      throw .refused("the incarnation")
    }
    var configuration = EngineConfiguration(
      mesh: mesh, incarnation: incarnation,
      seed: (generator.next(), generator.next(), generator.next(), generator.next()))
    configure(&configuration)
    let crypto = SodiumCrypto(node: .random(), keyring: MeshKeyring(key: SecretBytes(key)))
    let listen = [MeshDriver.Listen(Endpoint(host: "127.0.0.1", port: 0))]
    do {
      return try await MeshDriver.start(
        configuration: configuration, crypto: crypto,
        options: MeshDriver.Options(listen: listen, peers: peers, multicast: nil),
        logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }, onEvent: onEvent,
        onPersist: { _ in })
    } catch { throw .socketFailed("\(error)") }
  }
}

/// Where the listener can be reached.
struct ListenerPorts: Codable, Sendable {
  let mesh: UInt16
  let plain: UInt16
}

/// What the listener heard: the number of each sample and the time, in nanoseconds.
struct Arrivals: Codable, Sendable {
  var updates: [UInt64: UInt64] = [:]
  var plain: [UInt64: UInt64] = [:]
}

/// The second process of the latency measurement.
enum Listener {
  /// A plain datagram begins with the number of its sample; this one ends the listening.
  static let endOfPlain = UInt64.max

  static func run(_ link: PacketLink) async throws(BenchError) {
    let setup = try link.receive(json: MeshSetup.self, "the keys")
    let arrivals = Mutex(Arrivals())
    let (greeted, greeting) = AsyncStream.makeStream(of: Void.self)
    let driver = try await setup.start { event in
      let time = Clock.monotonic
      switch event {
      case .cursor(_, _, let cursor):
        arrivals.withLock { $0.updates[UInt64(cursor.column)] = time }
      case .appeared(let session), .changed(let session):
        if session.places.contains(where: { !$0.room.isLobby }) { greeting.yield() }
      default: break
      }
    }
    guard let address = driver.boundAddresses.first else { throw .notConnected }
    let socket = try PlainSocket()
    let thread = Thread {
      var buffer = [UInt8](repeating: 0, count: 2048)
      while true {
        let count = socket.receive(into: &buffer)
        let time = Clock.monotonic
        guard count >= 8 else { return }
        let number = buffer[0..<8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard number != endOfPlain else { return }
        arrivals.withLock { $0.plain[number] = time }
      }
    }
    thread.start()
    try link.send(
      json: ListenerPorts(mesh: address.port, plain: socket.port), expecting: "the first session")
    for await _ in greeted { break }
    try link.send([], expecting: "the end")
    _ = try link.receive("the end")
    try link.send(json: arrivals.withLock { $0 }, expecting: "the end")
    await driver.shutdown()
  }
}

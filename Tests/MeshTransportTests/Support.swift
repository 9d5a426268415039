import Logging
import MeshCRDT
import MeshCrypto
import MeshEngine
import MeshTrust
import Testing

@testable import MeshTransport

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The keys of a mesh for one test.
struct TestMesh {
  let id: MeshID
  let keyring = MeshKeyring(key: .random(count: MeshKeyring.keyBytes))

  init() throws {
    id = try #require(MeshID(bytes: Sodium.random(count: MeshID.byteCount)))
  }

  /// A driver of a new node of this mesh, on loopback and a free port unless told otherwise.
  func driver(
    listen: [MeshDriver.Listen] = [MeshDriver.Listen(Endpoint(host: "127.0.0.1", port: 0))],
    peers: [PeerAddress] = [], multicast: MeshDriver.Multicast? = nil,
    onEvent: @escaping @Sendable (MeshEvent) -> Void = { _ in }
  ) async throws(TransportError) -> MeshDriver {
    var generator = SystemRandomNumberGenerator()
    let seed = (generator.next(), generator.next(), generator.next(), generator.next())
    guard let incarnation = Incarnation(counter: 1, nonce: generator.next()) else {
      preconditionFailure("counters of incarnations begin at 1")
    }
    var configuration = EngineConfiguration(mesh: id, incarnation: incarnation, seed: seed)
    configuration.beatPeriod = .milliseconds(200)
    configuration.comparisonPeriod = .milliseconds(200)
    configuration.retryPeriod = .milliseconds(200)
    configuration.announcePeriod = multicast == nil ? nil : .milliseconds(100)
    return try await MeshDriver.start(
      configuration: configuration, crypto: SodiumCrypto(node: .random(), keyring: keyring),
      options: MeshDriver.Options(listen: listen, peers: peers, multicast: multicast),
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, onEvent: onEvent,
      onPersist: { _ in })
  }
}

/// True as soon as the condition holds; false when it never did in a time that is far more than
/// enough.
func eventually(
  isolation: isolated (any Actor)? = #isolation, _ condition: () async -> Bool
) async -> Bool {
  let clock = ContinuousClock()
  let end = clock.now + .seconds(60)
  while await !condition() {
    // Looked at before the time: on a busy machine a short sleep may be a long one.
    guard clock.now < end else { return false }
    try? await Task.sleep(for: .milliseconds(5))
  }
  return true
}

/// A plain socket of the test's own, to send what no node would.
final class RawSocket {
  let socket: UDPSocket

  init(_ host: String = "127.0.0.1", batchedCall: BatchedCall? = .ofProcess) throws {
    let address = try PeerAddress(parsing: Endpoint(host: host, port: 0).description)
    socket = try UDPSocket(bindingTo: address, host: host, batchedCall: batchedCall)
  }

  deinit { socket.close() }

  /// Sends bytes, whatever the system says to it.
  func send(_ bytes: [UInt8], to address: PeerAddress) {
    _ = SendBatch.sendOne(bytes, to: address, over: socket.descriptor)
  }

  /// The next datagram that is there; `nil` when there is none.
  func receive() -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 2048)
    let count = recv(socket.descriptor, &bytes, bytes.count, Platform.withoutWaiting)
    return count >= 0 ? Array(bytes[..<count]) : nil
  }
}

/// True when this machine has IPv6 on loopback.
let hasIPv6Loopback: Bool = (try? RawSocket("::1")) != nil

/// A datagram of some address, for the line of a socket.
func outgoing(_ bytes: [UInt8], _ address: PeerAddress) -> OutgoingDatagram {
  OutgoingDatagram(bytes: bytes, address: address)
}

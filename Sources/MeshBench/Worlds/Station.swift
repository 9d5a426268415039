import MeshCRDT
import MeshEngine
import MeshTransport
import MeshTrust

/// An engine under a clock that only the measurement moves. Nothing that it does by itself happens
/// while it is measured: its periods are hours.
struct Station {
  var engine: Engine
  let address: PeerAddress

  /// The mesh of all stations.
  static let mesh: MeshID = {
    guard let mesh = MeshID(bytes: (0..<16).map { UInt8($0) }) else {
      preconditionFailure("a mesh id has 16 bytes")
    }
    return mesh
  }()

  /// The longest that there is.
  static let beatPeriod = Span.seconds(3600)

  /// The hour at which every station starts.
  static let start = MonotonicTime(milliseconds: 1_000_000)

  init(
    crypto: any Crypto, port: UInt16, now: MonotonicTime = Station.start,
    configure: (inout EngineConfiguration) -> Void = { _ in }
  ) {
    address = PeerAddress(ipv4: 0x7F00_0001, port: port)
    guard let incarnation = Incarnation(counter: 1, nonce: UInt64(port)) else {
      preconditionFailure("counters of incarnations begin at 1")
    }
    var configuration = EngineConfiguration(
      mesh: Self.mesh, incarnation: incarnation, seed: (UInt64(port), 0x5EED, 0x5EED_5EED, 1))
    configuration.beatPeriod = Self.beatPeriod
    configuration.comparisonPeriod = .seconds(48 * 3600)
    configuration.forgetAfter = .seconds(48 * 3600)
    configuration.pathTimeout = .seconds(48 * 3600)
    configuration.pauseThreshold = .seconds(48 * 3600)
    configuration.cursorRest = .seconds(48 * 3600)
    configure(&configuration)
    engine = MeshDriver.engine(configuration, crypto, now: now)
    // The first checkpoint.
    engine.tick(now: now)
  }

  /// Everything that waits to be sent. Events are taken and dropped.
  mutating func takeDatagrams() -> [(bytes: [UInt8], address: PeerAddress)] {
    var datagrams: [(bytes: [UInt8], address: PeerAddress)] = []
    while let output = engine.nextOutput() {
      if case .send(let bytes, let address) = output { datagrams.append((bytes, address)) }
    }
    return datagrams
  }

  /// Hears a datagram and takes what follows from it, as a driver does.
  mutating func hear(_ datagram: [UInt8], from address: PeerAddress, now: MonotonicTime) {
    engine.receive(datagram, from: address, now: now)
    while engine.nextOutput() != nil {}
  }

  mutating func perform(_ operation: LocalOperation, now: MonotonicTime) throws(BenchError) {
    do throws(OperationError) {
      try engine.perform(operation, now: now)
    } catch { throw .refused("\(error)") }
  }
}

/// Two stations with proven paths to each other: one writes, the other hears it.
struct StationPair {
  var writer: Station
  var reader: Station
  var now = Station.start

  init(writer: Station, reader: Station) throws(BenchError) {
    self.writer = writer
    self.reader = reader
    _ = self.reader.takeDatagrams()
    self.writer.engine.addPeers([reader.address], now: now)
    self.writer.engine.tick(now: now)
    exchange()
    guard self.reader.engine.holds(self.writer.engine.origin) else { throw .notConnected }
  }

  /// Carries everything that waits to the other station, until nothing does.
  mutating func exchange() {
    while true {
      let there = writer.takeDatagrams()
      for datagram in there {
        reader.engine.receive(datagram.bytes, from: writer.address, now: now)
      }
      let back = reader.takeDatagrams()
      for datagram in back {
        writer.engine.receive(datagram.bytes, from: reader.address, now: now)
      }
      if there.isEmpty && back.isEmpty { return }
    }
  }

  /// What the writer sends now, not delivered yet.
  mutating func takeWritten() -> [[UInt8]] { writer.takeDatagrams().map(\.bytes) }

  mutating func perform(_ operation: LocalOperation) throws(BenchError) {
    try writer.perform(operation, now: now)
  }

  /// Moves the clock, and lets the writer do what is due.
  mutating func advance(milliseconds: UInt64) {
    now = now + .milliseconds(milliseconds)
    writer.engine.tick(now: now)
  }
}

package import MeshCRDT
package import MeshTrust
package import MeshWire

/// Everything that went into an engine, and a hash of everything that came out: what is needed to
/// live through it again.
package struct EngineRecording: Sendable {
  /// One call of an engine.
  package enum Input: Sendable {
    case receive([UInt8], from: PeerAddress, now: MonotonicTime)
    case perform(LocalOperation, now: MonotonicTime)
    case tick(now: MonotonicTime)
    case addPeers([PeerAddress], now: MonotonicTime)
    case setWall(UInt64, now: MonotonicTime)
    case decree(Decree, now: MonotonicTime)
    case rotate(now: MonotonicTime)
  }

  package let configuration: EngineConfiguration
  package let start: MonotonicTime
  package private(set) var inputs: [Input] = []
  private var hasher = SipHash(key: HashKey(0, 0))
  package private(set) var outputs: UInt64 = 0
  /// How many inputs are kept; a recording ends there.
  package static let bound = 200_000

  init(configuration: EngineConfiguration, start: MonotonicTime) {
    self.configuration = configuration
    self.start = start
  }

  /// A hash of all outputs in their order.
  package var outputHash: UInt64 {
    let copy = hasher
    return copy.finalize()
  }

  mutating func note(_ input: Input) {
    if inputs.count < Self.bound { inputs.append(input) }
  }

  mutating func note(_ output: Output) {
    guard inputs.count < Self.bound else { return }
    outputs += 1
    switch output {
    case .send(let bytes, let address):
      for byte in bytes + address.bytes { hasher.combine(byte) }
    case .announce(let bytes): for byte in bytes { hasher.combine(byte) }
    case .event(let event): for byte in "\(event)".utf8 { hasher.combine(byte) }
    case .persist(let state): hasher.combine(state.incarnationCounter)
    case .keepKeys: hasher.combine(UInt64(1))
    case .keep(let decrees): for byte in decrees.flatMap({ $0.encoded() }) { hasher.combine(byte) }
    }
  }

  /// Gives the first inputs to a new engine. Returns what that one recorded.
  ///
  /// - Parameter count: how many inputs; `nil`: all.
  package func replayed(
    with crypto: any Crypto, treeHash: any TreeHash, inputs count: Int? = nil
  ) -> EngineRecording? {
    var engine = Engine(
      configuration: configuration, crypto: crypto, treeHash: treeHash, now: start)
    for input in inputs.prefix(count ?? inputs.count) {
      switch input {
      case .receive(let bytes, let from, let now): engine.receive(bytes, from: from, now: now)
      case .perform(let operation, let now): try? engine.perform(operation, now: now)
      case .tick(let now): engine.tick(now: now)
      case .addPeers(let addresses, let now): engine.addPeers(addresses, now: now)
      case .setWall(let wall, let now): engine.setWall(wall, now: now)
      case .rotate(let now): try? engine.rotate(now: now)
      case .decree(let decree, let now): engine.publish(decree, now: now)
      }
      while engine.nextOutput() != nil {}
    }
    return engine.recording
  }
}

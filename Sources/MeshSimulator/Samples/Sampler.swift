import MeshCRDT
import MeshEngine
import MeshTrust
import MeshWire

/// Looks at a world as it runs. It draws nothing from the world's random source and puts nothing
/// into its queue, so that a world that is sampled has the trace of one that is not.
///
/// Cost: a state hash of each node every ``period``, and each datagram is opened once more.
struct Sampler {
  /// Nanoseconds from one sample of the agreement to the next.
  let period: UInt64
  /// Nanoseconds that are added up in one sample of the traffic.
  let span: UInt64
  /// When the next sample is due.
  var due: UInt64 = 0
  /// Opens what is sealed under the key of the mesh.
  private let reader: any Crypto
  private var agreement: [Samples.Agreement] = []
  private var traffic: [Samples.Traffic] = []
  private var sentBytes: [UInt64]

  /// - Parameter end: about when the world ends. No more than 2,000 samples are taken until then.
  init(for world: World, until end: UInt64) {
    period = max(50 * World.millisecond, end / 2000)
    span = max(World.second, end / 500)
    reader = world.scenario.makeCrypto(
      NodeSecrets(node: 0, mesh: world.meshSecret, process: 0))
    sentBytes = Array(repeating: 0, count: world.nodes.count)
  }

  /// Counts what a node sends. Cost: opening the datagram.
  mutating func count(_ datagram: [UInt8], from index: Int, at time: UInt64) {
    while sentBytes.count <= index { sentBytes.append(0) }
    sentBytes[index] += UInt64(datagram.count)
    let slot = slot(at: time)
    traffic[slot].bytes[0] += UInt64(datagram.count)
    guard let clear = try? DatagramHeader.Clear.read(datagram),
      let opened = reader.open(datagram, epoch: clear.epoch),
      var messages = try? DatagramHeader.Inner.read(opened: opened).messages
    else { return }
    var left = messages.remaining
    while let message = try? messages.next(), Int(message.kind) < Samples.kindNames.count {
      let count = UInt64(left - messages.remaining)
      left = messages.remaining
      traffic[slot].bytes[Int(message.kind)] += count
      traffic[slot].bytes[0] -= count
    }
  }

  /// Notes the state hashes of honest nodes, and how many nodes are running, for all moments that are due.
  mutating func note(_ hashes: [Hash128], running: Int, at time: UInt64) {
    let share = Self.largestShare(hashes)
    while due <= time {
      agreement.append(.init(milliseconds: Self.milliseconds(due), share: share))
      let slot = slot(at: due)
      traffic[slot].nodeSeconds += Double(running) * Double(period) / Double(World.second)
      due += period
    }
  }

  /// Notes how it ended.
  mutating func noteEnd(_ hashes: [Hash128], at time: UInt64) {
    let share = Self.largestShare(hashes)
    agreement.append(.init(milliseconds: Self.milliseconds(time), share: share))
  }

  /// What was sampled.
  func samples(focus: UInt64) -> Samples {
    Samples(
      agreement: agreement, traffic: traffic.filter { $0.nodeSeconds > 0 },
      focusMilliseconds: Self.milliseconds(focus), busiestNodeBytes: sentBytes.max() ?? 0)
  }

  private mutating func slot(at time: UInt64) -> Int {
    let slot = Int(time / span)
    while traffic.count <= slot {
      traffic.append(
        .init(
          milliseconds: Self.milliseconds(UInt64(traffic.count) * span),
          bytes: Array(repeating: 0, count: Samples.kindNames.count)))
    }
    return slot
  }

  /// The share of the most common hash; 1 when there is none.
  static func largestShare(_ hashes: [Hash128]) -> Double {
    guard !hashes.isEmpty else { return 1 }
    var counts: [Hash128: Int] = [:]
    for hash in hashes { counts[hash, default: 0] += 1 }
    return Double(counts.values.max() ?? 0) / Double(hashes.count)
  }

  static func milliseconds(_ time: UInt64) -> Double {
    Double(time) / Double(World.millisecond)
  }
}

extension World {
  /// The state hashes of the running nodes that do not lie.
  private var honestHashes: [Hash128] {
    honest.compactMap { $0.process?.change { $0.stateHash() } }
  }

  /// Takes the samples that are due before a moment. What is so now is what was so then.
  func takeSamples(before moment: UInt64) {
    let hashes = honestHashes
    sampler?.note(hashes, running: nodes.count { $0.isUp }, at: moment)
  }

  /// Everything that was sampled; `nil` when nothing was asked for.
  ///
  /// - Parameter focus: when the faults ended, or the first change was made.
  func finishedSamples(focus: UInt64) -> Samples? {
    guard sampler != nil else { return nil }
    let hashes = honestHashes
    sampler?.noteEnd(hashes, at: time)
    return sampler?.samples(focus: focus)
  }
}

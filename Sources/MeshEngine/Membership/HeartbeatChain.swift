import MeshCRDT

/// This node's heartbeat chain: a seed that is hashed 4,096 times, revealed from its end.
///
/// Beat *i* is H^(4096 − i)(seed): whoever knows one beat can verify every later one and make none.
/// Memory: every 64th value, 1 kB. Cost: 4,096 hashes to make, at most 63 for a beat.
struct HeartbeatChain: Sendable {
  /// Beat 0: H^4096(seed).
  let anchor: Hash128
  /// H^(64 k)(seed) for k in 0…63.
  private let pebbles: [Hash128]
  private let function: BeatHash

  /// - Parameter seed: 16 bytes that nobody can guess, new for each chain.
  init(seed: Hash128, origin: OriginID, incarnation: Incarnation, hash: some TreeHash) {
    var function = BeatHash(origin: origin, incarnation: incarnation)
    let interval = UInt64(MembershipLimits.pebbleInterval)
    var pebbles: [Hash128] = []
    pebbles.reserveCapacity(Int(MembershipLimits.chainLength / interval))
    var value = seed
    for _ in 0..<(MembershipLimits.chainLength / interval) {
      pebbles.append(value)
      value = function.apply(interval, to: value, by: hash)
    }
    anchor = value
    self.pebbles = pebbles
    self.function = function
  }

  /// The value of a beat; `nil` beyond 4,095.
  func value(ofBeat index: UInt64, hash: some TreeHash) -> Hash128? {
    guard index < MembershipLimits.chainLength else { return nil }
    let power = MembershipLimits.chainLength - index
    let interval = UInt64(MembershipLimits.pebbleInterval)
    guard power < MembershipLimits.chainLength else { return anchor }
    var function = function
    return function.apply(
      power % interval, to: pebbles[Int(power / interval)], by: hash)
  }
}

extension HeartbeatChain: CustomStringConvertible, CustomReflectable {
  /// The seed and the values that are not yet revealed do not print.
  var description: String { "HeartbeatChain(anchor: \(anchor))" }
  var customMirror: Mirror { Mirror(self, children: ["anchor": anchor]) }
}

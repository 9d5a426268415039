import Foundation

/// SplitMix64 (Steele, Lea and Flood, 2014): all its numbers follow from its seed.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
    return word ^ word >> 31
  }

  /// True in `percent` of all draws.
  mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
}

/// The seeds of the tests that draw: 1…`count`, or the one that `PRESENCEMESH_SEED` names.
func seeds(_ count: UInt64) -> [UInt64] {
  if let text = ProcessInfo.processInfo.environment["PRESENCEMESH_SEED"], let seed = UInt64(text) {
    return [seed]
  }
  return Array(1...count)
}

/// Pseudo-random numbers from a seed: xoshiro256** (Blackman and Vigna, 2018).
///
/// For jitter and choices; what must not be guessed comes from the seed itself or from the crypto.
package struct RandomSource: RandomNumberGenerator, Sendable {
  private var state: (UInt64, UInt64, UInt64, UInt64)

  package init(seed: (UInt64, UInt64, UInt64, UInt64)) {
    // A state of zeros would stay there.
    state = seed == (0, 0, 0, 0) ? (1, 2, 3, 4) : seed
  }

  /// A source from one word, spread by SplitMix64.
  package init(seed: UInt64) {
    var word = seed
    func next() -> UInt64 {
      word &+= 0x9E37_79B9_7F4A_7C15
      var mixed = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
      return mixed ^ mixed >> 31
    }
    self.init(seed: (next(), next(), next(), next()))
  }

  package mutating func next() -> UInt64 {
    func rotated(_ word: UInt64, _ count: UInt64) -> UInt64 { word << count | word >> (64 - count) }
    let result = rotated(state.1 &* 5, 7) &* 9
    let shifted = state.1 << 17
    state.2 ^= state.0
    state.3 ^= state.1
    state.1 ^= state.2
    state.0 ^= state.3
    state.2 ^= shifted
    state.3 = rotated(state.3, 45)
    return result
  }

  /// A number in 0..<bound, all of them equally likely; 0 for a bound of 0.
  package mutating func below(_ bound: Int) -> Int {
    guard bound > 0 else { return 0 }
    // Lemire's multiplication; the bias is below 2^-32 for the bounds in use.
    return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// A number in 0..<1.
  package mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// True with a probability.
  package mutating func chance(_ probability: Double) -> Bool { unit() < probability }

  /// A span between 80 % and 100 % of one, so that timers of many nodes do not beat together and
  /// nothing is later than said.
  package mutating func jittered(_ span: Span) -> Span {
    span.scaled(800 + UInt64(below(201)), over: 1000)
  }

  /// Some elements, each at most once, in random order.
  package mutating func sample<Element>(_ elements: [Element], _ count: Int) -> [Element] {
    guard elements.count > count else { return elements }
    var pool = elements
    for index in 0..<count { pool.swapAt(index, index + below(pool.count - index)) }
    return Array(pool[0..<count])
  }
}

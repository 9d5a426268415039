import MeshCRDT

/// A rate with a burst: tokens that grow with time up to a bound.
struct Budget: Sendable {
  private let perSecond: UInt64
  private let burst: UInt64
  private var nanoTokens: UInt64
  private var last: MonotonicTime

  private static let nano: UInt64 = 1_000_000_000

  /// `perSecond` and `burst` are 1…2^32-1.
  init(perSecond: UInt64, burst: UInt64, now: MonotonicTime) {
    precondition(perSecond > 0 && perSecond < 1 << 32 && burst > 0 && burst < 1 << 32)
    self.perSecond = perSecond
    self.burst = burst
    nanoTokens = burst * Self.nano
    last = now
  }

  /// Takes a token, if there is one.
  mutating func take(now: MonotonicTime) -> Bool {
    guard wait(for: 1, now: now) == nil else { return false }
    spend(1)
    return true
  }

  /// How long it is until so many tokens are there; `nil`: they are. More than the burst are there when the
  /// burst is.
  mutating func wait(for amount: UInt64, now: MonotonicTime) -> Span? {
    let amount = min(amount, burst)
    let span = min(now.since(last).nanoseconds, Self.nano)
    last = max(last, now)
    nanoTokens = min(nanoTokens + span * perSecond, burst * Self.nano)
    let lacking = amount * Self.nano
    guard nanoTokens < lacking else { return nil }
    return Span(nanoseconds: (lacking - nanoTokens) / perSecond + 1)
  }

  /// True when so many tokens are there, or, when that is more than the burst, all of them.
  mutating func canSpend(_ amount: UInt64, now: MonotonicTime) -> Bool {
    wait(for: min(amount, burst), now: now) == nil
  }

  /// The tokens that are there.
  mutating func available(now: MonotonicTime) -> UInt64 {
    _ = wait(for: 1, now: now)
    return nanoTokens / Self.nano
  }

  /// Takes tokens, those that are there.
  mutating func spend(_ amount: UInt64) {
    nanoTokens -= min(nanoTokens, amount * Self.nano)
  }
}

extension Budget {
  /// A rate of bytes, with a burst of 20 ms, and of four datagrams at the least.
  init(bytesPerSecond: UInt64, now: MonotonicTime) {
    self.init(
      perSecond: bytesPerSecond, burst: max(bytesPerSecond / 50, Self.leastBurst), now: now)
  }

  private static let leastBurst: UInt64 = 4 * UInt64(Limits.datagramBytes)
}

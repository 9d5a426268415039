import NIOCore

/// A rate with a burst: tokens that grow with time up to a bound.
struct RateLimit {
  private let perSecond: Double
  private let burst: Double
  private var tokens: Double
  private var last: NIODeadline

  init(perSecond: Int, burst: Int, now: NIODeadline = .now()) {
    self.perSecond = Double(perSecond)
    self.burst = Double(burst)
    tokens = Double(burst)
    last = now
  }

  /// Takes some tokens, if there are as many.
  mutating func take(_ count: Int = 1, now: NIODeadline = .now()) -> Bool {
    let span = Double((now - last).nanoseconds) / 1e9
    last = now
    tokens = min(burst, tokens + span * perSecond)
    guard tokens >= Double(count) else { return false }
    tokens -= Double(count)
    return true
  }
}

/// The period of this node's own beats, by the number of members and a budget in bytes.
///
/// A node that hears each of *N* origins' beats once in a period, and sends each on once, sends
/// *N · 27 / period* bytes of them in a second. In a small mesh the period is the configured one; in a
/// large one that which keeps within the budget. A new period costs a new chain and a checkpoint to
/// everybody: it is taken when it differs from the present one by more than a quarter, and whenever a
/// new chain begins anyway.
///
/// With the default budget: 2 s up to 833 members, 2.4 s for 1,000 (11.3 kB/s of beats; silence noticed
/// after 6 s), 9.83 s for 4,096.
struct BeatPeriod: Sendable {
  /// The least period.
  let configured: Span
  /// Bytes of beats in a second.
  let bytesPerSecond: UInt64
  private(set) var current: Span

  /// Bytes of beats in a second by default.
  static let defaultBytesPerSecond: UInt64 = 11_250

  init(configured: Span, bytesPerSecond: UInt64 = defaultBytesPerSecond) {
    let least = min(
      max(configured, MembershipLimits.shortestPeriod), MembershipLimits.longestPeriod)
    self.configured = .milliseconds(least.milliseconds)
    self.bytesPerSecond = max(bytesPerSecond, 1)
    current = self.configured
  }

  /// The period that fits a number of members, this node among them; whole milliseconds.
  func period(members: Int) -> Span {
    let bytes = UInt64(max(members, 0)) * MembershipLimits.beatBytes
    let milliseconds = (bytes * 1000 + bytesPerSecond - 1) / bytesPerSecond
    return min(max(configured, .milliseconds(milliseconds)), MembershipLimits.longestPeriod)
  }

  /// Takes another period if it is worth a new chain.
  /// - Parameter beginsChain: true when a new chain begins in any case.
  /// - Returns: true if the period changed.
  mutating func update(members: Int, beginsChain: Bool) -> Bool {
    let wanted = period(members: members)
    let (low, high) = (min(wanted, current), max(wanted, current))
    guard wanted != current, beginsChain || high > low.scaled(5, over: 4) else { return false }
    current = wanted
    return true
  }
}

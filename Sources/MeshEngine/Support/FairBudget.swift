import MeshCRDT

/// A rate that many addresses share, of which no host and no prefix keeps the others away.
///
/// Most of it goes to whoever comes. A part is kept for prefixes that have had little of it in the
/// present second, and a part for hosts: so whoever floods from one prefix or one host takes what is
/// for all, and the others still have theirs.
struct FairBudget: Sendable {
  private var common: Budget
  private var forQuietPrefixes: Budget
  private var forQuietHosts: Budget
  private var prefixes: UseCounts<AddressRange>
  private var hosts: UseCounts<AddressRange>

  /// - Parameter perSecond: at least 8, of all parts together; the burst is as much.
  init(perSecond: UInt64, now: MonotonicTime) {
    let kept = max(1, perSecond / 6)
    let common = max(1, perSecond - 2 * kept)
    self.common = Budget(perSecond: common, burst: common, now: now)
    forQuietPrefixes = Budget(perSecond: kept, burst: kept, now: now)
    forQuietHosts = forQuietPrefixes
    prefixes = UseCounts(bound: EngineLimits.countedUses, now: now)
    hosts = prefixes
  }

  /// Takes one use for an address, if there is one for it.
  mutating func take(for address: PeerAddress, now: MonotonicTime) -> Bool {
    let (prefix, host) = (AddressRange.prefix(of: address), AddressRange.host(of: address))
    let isQuietPrefix = prefixes.count(of: prefix, now: now) < EngineLimits.usesOfQuietSource
    let isQuietHost = hosts.count(of: host, now: now) < EngineLimits.usesOfQuietSource
    guard
      common.take(now: now) || isQuietPrefix && forQuietPrefixes.take(now: now)
        || isQuietHost && forQuietHosts.take(now: now)
    else { return false }
    prefixes.use(prefix, now: now)
    hosts.use(host, now: now)
    return true
  }
}

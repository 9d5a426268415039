/// How often each key was used in the present second.
///
/// It is bounded: once it is full, keys that are not in it count as not used. Whoever uses it bounds how
/// many uses there are in a second.
struct UseCounts<Key: Hashable & Sendable>: Sendable {
  private var counts: [Key: Int] = [:]
  private var since: MonotonicTime
  private let bound: Int

  init(bound: Int, now: MonotonicTime) {
    self.bound = bound
    since = now
  }

  /// The uses of a key in the present second.
  mutating func count(of key: Key, now: MonotonicTime) -> Int {
    if now.since(since) >= .seconds(1) {
      since = now
      counts.removeAll(keepingCapacity: true)
    }
    return counts[key] ?? 0
  }

  /// Counts a use.
  mutating func use(_ key: Key, now: MonotonicTime) {
    let count = count(of: key, now: now)
    if count > 0 || counts.count < bound { counts[key] = count + 1 }
  }
}

/// One deadline for each key. A later deadline costs nothing until the earlier one has passed.
///
/// Bounded by its keys: when more than half of what waits in the queue is of keys that went, the
/// queue is made anew.
struct Deadlines<Key: Hashable & Comparable & Sendable>: Sendable {
  private var times: [Key: MonotonicTime] = [:]
  private var queue = TimerQueue<Key>()

  var count: Int { times.count }
  /// What waits in the queue, some of it of keys that went.
  var queueCount: Int { queue.count }

  /// When something may be due; never too late, sometimes too early.
  var next: MonotonicTime? { times.isEmpty ? nil : queue.deadline }

  subscript(key: Key) -> MonotonicTime? { times[key] }

  /// Sets the deadline of a key. Cost: logarithmic for an earlier one, else one look-up.
  mutating func set(_ key: Key, at time: MonotonicTime) {
    times[key] = time
    queue.set(key, at: time)
    compact()
  }

  mutating func remove(_ key: Key) {
    times[key] = nil
    compact()
  }

  /// Takes a key whose deadline has come; the earliest first.
  mutating func take(due now: MonotonicTime) -> Key? {
    while let key = queue.next(due: now) {
      guard let time = times[key] else { continue }
      guard time <= now else {
        queue.set(key, at: time)
        continue
      }
      times[key] = nil
      return key
    }
    return nil
  }

  private mutating func compact() {
    guard queue.count > 2 * times.count + 64 else { return }
    queue = TimerQueue()
    let sorted = times.sorted {
      $0.value == $1.value ? $0.key < $1.key : $0.value < $1.value
    }
    for (key, time) in sorted { queue.set(key, at: time) }
  }
}

/// The earlier of two times; `nil` when there is none.
func earliest(_ one: MonotonicTime?, _ other: MonotonicTime?) -> MonotonicTime? {
  guard let one, let other else { return one ?? other }
  return min(one, other)
}

/// The periods of the visible origins, in order, for their median.
///
/// Bound: that of the origins, 4,096. Cost: a binary search, and moving at most 32 kB.
struct SortedPeriods: Sendable {
  private var milliseconds: [UInt64] = []

  var count: Int { milliseconds.count }

  mutating func insert(_ period: Span) {
    milliseconds.insert(period.milliseconds, at: place(of: period.milliseconds))
  }

  /// Removes a period that was inserted.
  mutating func remove(_ period: Span) {
    let place = place(of: period.milliseconds)
    guard place < milliseconds.count, milliseconds[place] == period.milliseconds else { return }
    milliseconds.remove(at: place)
  }

  /// The lower median; `nil` when there are none.
  var median: Span? {
    milliseconds.isEmpty ? nil : .milliseconds(milliseconds[(milliseconds.count - 1) / 2])
  }

  /// The first place whose period is not below one.
  private func place(of period: UInt64) -> Int {
    var (low, high) = (0, milliseconds.count)
    while low < high {
      let middle = (low + high) / 2
      if milliseconds[middle] < period { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

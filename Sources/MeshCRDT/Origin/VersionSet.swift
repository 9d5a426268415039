/// The versions of an origin's records that were applied: all up to one, and some ranges above it.
///
/// Holds at most ``rangeBound`` ranges: what would need more is not applied, and has to be fetched.
package struct VersionSet: Hashable, Sendable {
  /// The most ranges above the gap.
  package static let rangeBound = 256

  /// All versions from 1 to this one are in the set.
  package private(set) var through: UInt64
  /// Disjoint, rising, and none touches another or ``through``.
  private var later: [ClosedRange<UInt64>] = []

  package init(through: UInt64 = 0) { self.through = through }

  /// The highest version in the set; 0: there is none.
  package var highest: UInt64 { later.last?.upperBound ?? through }

  /// True when all versions from 1 to ``highest`` are in the set.
  package var isContiguous: Bool { later.isEmpty }

  /// True when all versions of a range are in the set. Cost: the ranges, halved.
  package func contains(_ range: ClosedRange<UInt64>) -> Bool {
    if PlantedBug.isActive(.batchAppliedTwice) { return false }
    if range.upperBound <= through { return true }
    let index = firstRange(endingAtOrAbove: range.lowerBound)
    guard index < later.count else { return false }
    return later[index].lowerBound <= max(range.lowerBound, through + 1)
      && later[index].upperBound >= range.upperBound
  }

  /// Puts a range in. False, and nothing changed, when there are too many ranges.
  package mutating func insert(_ range: ClosedRange<UInt64>) -> Bool {
    guard range.upperBound > through else { return true }
    var new = range
    let first = firstRange(endingAtOrAbove: range.lowerBound == 0 ? 0 : range.lowerBound - 1)
    var end = first
    while end < later.count, later[end].lowerBound <= range.upperBound + 1 {
      new = min(new.lowerBound, later[end].lowerBound)...max(new.upperBound, later[end].upperBound)
      end += 1
    }
    if new.lowerBound <= through + 1 {
      through = new.upperBound
      later.removeSubrange(0..<end)
      return true
    }
    guard end > first || later.count < Self.rangeBound else { return false }
    later.replaceSubrange(first..<end, with: CollectionOfOne(new))
    return true
  }

  /// The ranges up to a version that are not in the set, in rising order.
  package func missing(through version: UInt64) -> [ClosedRange<UInt64>] {
    var result: [ClosedRange<UInt64>] = []
    var next = through + 1
    for range in later {
      guard next <= version else { return result }
      if next < range.lowerBound { result.append(next...min(version, range.lowerBound - 1)) }
      next = range.upperBound + 1
    }
    if next <= version { result.append(next...version) }
    return result
  }

  private func firstRange(endingAtOrAbove version: UInt64) -> Int {
    var (low, high) = (0, later.count)
    while low < high {
      let middle = (low + high) / 2
      if later[middle].upperBound < version { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

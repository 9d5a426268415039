/// Where a node stands in a ``HashTree``: the first digits, of four bits each, of the placements below it.
package struct TreePath: Hashable, Comparable, Sendable {
  /// The digits from the highest bits on; bits behind them are 0.
  package let bits: UInt64
  /// The number of digits, 0…16.
  package let depth: Int

  /// The most digits.
  package static let depthBound = 16
  /// The top of the tree.
  package static let top = TreePath(digits: 0, depth: 0)

  private init(digits bits: UInt64, depth: Int) {
    self.bits = bits
    self.depth = depth
  }

  /// `nil` when the depth is above its bound, or bits behind the digits are set.
  package init?(bits: UInt64, depth: Int) {
    guard (0...Self.depthBound).contains(depth), bits & Self.tail(depth) == 0 else { return nil }
    self.init(digits: bits, depth: depth)
  }

  /// The path of a child, 0…15; a path of the greatest depth has none and returns itself.
  package func child(_ digit: Int) -> TreePath {
    guard depth < Self.depthBound else { return self }
    return TreePath(
      digits: bits | UInt64(digit & 15) << UInt64(60 - 4 * depth), depth: depth + 1)
  }

  /// The digit at a level, of a placement.
  static func digit(_ placement: UInt64, at level: Int) -> Int {
    Int(placement >> UInt64(60 - 4 * level) & 15)
  }

  /// The digit at a level above ``depth``.
  package subscript(level: Int) -> Int { Self.digit(bits, at: level) }

  /// True when a placement lies below this node.
  package func covers(_ placement: UInt64) -> Bool {
    (placement ^ bits) & ~Self.tail(depth) == 0
  }

  /// The bits behind a number of digits.
  private static func tail(_ depth: Int) -> UInt64 {
    depth == 0 ? .max : depth == depthBound ? 0 : UInt64.max >> UInt64(4 * depth)
  }

  package static func < (left: Self, right: Self) -> Bool {
    left.bits == right.bits ? left.depth < right.depth : left.bits < right.bits
  }
}

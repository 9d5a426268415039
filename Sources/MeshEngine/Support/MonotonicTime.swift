/// A reading of a monotonic clock: nanoseconds since some start that never changes in one run.
package struct MonotonicTime: Hashable, Comparable, Sendable {
  package let nanoseconds: UInt64

  package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  package init(milliseconds: UInt64) { nanoseconds = milliseconds &* 1_000_000 }

  package static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

  /// A later time; the last there is when it would be beyond that.
  package static func + (time: Self, span: Span) -> Self {
    let (sum, overflow) = time.nanoseconds.addingReportingOverflow(span.nanoseconds)
    return Self(nanoseconds: overflow ? .max : sum)
  }

  /// The span since another time; none when that is later.
  package func since(_ other: Self) -> Span {
    Span(nanoseconds: nanoseconds > other.nanoseconds ? nanoseconds - other.nanoseconds : 0)
  }

  /// The first multiple of a span that is not earlier; the last there is when there is none.
  package func roundedUp(to span: Span) -> Self {
    let rest = nanoseconds % span.nanoseconds
    return rest == 0 ? self : self + Span(nanoseconds: span.nanoseconds - rest)
  }

  /// An earlier time; the first there is when it would be before that.
  package static func - (time: Self, span: Span) -> Self {
    Self(
      nanoseconds: time.nanoseconds > span.nanoseconds
        ? time.nanoseconds - span.nanoseconds : 0)
  }
}

/// A length of time.
package struct Span: Hashable, Comparable, Sendable {
  package let nanoseconds: UInt64

  package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  package static func milliseconds(_ count: UInt64) -> Span {
    let (product, overflow) = count.multipliedReportingOverflow(by: 1_000_000)
    return Span(nanoseconds: overflow ? .max : product)
  }

  package static func seconds(_ count: UInt64) -> Span {
    milliseconds(count > .max / 1000 ? .max : count * 1000)
  }

  package var milliseconds: UInt64 { nanoseconds / 1_000_000 }

  package static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

  package static func + (left: Self, right: Self) -> Self {
    let (sum, overflow) = left.nanoseconds.addingReportingOverflow(right.nanoseconds)
    return Span(nanoseconds: overflow ? .max : sum)
  }

  /// The span times `numerator / denominator`.
  package func scaled(_ numerator: UInt64, over denominator: UInt64) -> Span {
    let product = nanoseconds.multipliedFullWidth(by: numerator)
    guard product.high < denominator else { return Span(nanoseconds: .max) }
    return Span(nanoseconds: denominator.dividingFullWidth(product).quotient)
  }
}

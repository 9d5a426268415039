/// Maps values to places along an axis.
struct Scale {
  enum Kind { case linear, logarithmic }

  struct Tick {
    let value: Double
    let label: String
  }

  let kind: Kind
  let domain: ClosedRange<Double>

  /// Where a value is: 0 at the beginning of the axis, 1 at its end, and no farther.
  func place(_ value: Double) -> Double {
    let (low, high) = (Self.turned(domain.lowerBound, kind), Self.turned(domain.upperBound, kind))
    guard high > low else { return 0 }
    return min(1, max(0, (Self.turned(value, kind) - low) / (high - low)))
  }

  /// The value at a place.
  func value(at place: Double) -> Double {
    let (low, high) = (Self.turned(domain.lowerBound, kind), Self.turned(domain.upperBound, kind))
    let turned = low + (high - low) * place
    return kind == .linear ? turned : Self.power(turned)
  }

  /// Evenly spaced values from one end to the other.
  func values(_ count: Int) -> [Double] {
    (0..<count).map { value(at: Double($0) / Double(max(1, count - 1))) }
  }

  private static func turned(_ value: Double, _ kind: Kind) -> Double {
    kind == .linear ? value : logarithm(max(value, 1e-6))
  }

  // MARK: Making

  /// A scale for spans in milliseconds: logarithmic when they differ by more than 20 times.
  static func spans(_ values: [Double], alwaysLogarithmic: Bool = false) -> Scale {
    let positive = values.filter { $0 > 0 }
    let least = max(0.1, positive.min() ?? 1)
    let most = max(least, positive.max() ?? 1)
    guard alwaysLogarithmic || most / least > 20 else {
      let step = niceStep(most - (least - least.truncatingRemainder(dividingBy: 1)), about: 6)
      let low = (least / step).rounded(.down) * step
      let high = (most / step).rounded(.up) * step
      return Scale(kind: .linear, domain: low...max(high, low + step))
    }
    // The bounds are 1, 2 or 5 of a decade.
    let bounds = decadeValues(from: least / 10, to: most * 10, [1, 2, 5])
    let low = bounds.last { $0 <= least } ?? least
    let high = bounds.first { $0 >= most && $0 > low } ?? most
    return Scale(kind: .logarithmic, domain: low...high)
  }

  /// A scale from 0 to a round number.
  static func amounts(upTo most: Double) -> Scale {
    let step = niceStep(max(most, 1e-9), about: 4)
    return Scale(kind: .linear, domain: 0...max(step, (most / step).rounded(.up) * step))
  }

  /// From 0 to 1.
  static let shares = Scale(kind: .linear, domain: 0...1)

  // MARK: Ticks

  /// Round values along the axis.
  ///
  /// - Parameters:
  ///   - count: about how many are wanted.
  ///   - label: the text of a value.
  func ticks(about count: Int, _ label: (Double) -> String) -> [Tick] {
    var values: [Double]
    switch kind {
    case .linear:
      let step = Self.niceStep(domain.upperBound - domain.lowerBound, about: count)
      let first = (domain.lowerBound / step - 1e-9).rounded(.up)
      values = (0..<64).map { (first + Double($0)) * step }
        .filter { $0 <= domain.upperBound + step * 1e-9 }
    case .logarithmic:
      let (low, high) = (domain.lowerBound * 0.999, domain.upperBound * 1.001)
      values = Self.decadeValues(from: low, to: high, [1])
      if values.count < 3 { values = Self.decadeValues(from: low, to: high, [1, 2, 5]) }
      while values.count > count + 1 {
        values = values.enumerated().filter { $0.offset.isMultiple(of: 2) }.map(\.element)
      }
    }
    return values.map { Tick(value: $0, label: label($0 == 0 ? 0 : $0)) }
  }

  /// 1, 2 or 5 of a decade, so that about so many fit.
  static func niceStep(_ span: Double, about count: Int) -> Double {
    let rough = max(span, 1e-9) / Double(max(1, count))
    let decade = power(logarithm(rough).rounded(.down))
    return [1.0, 2, 5, 10].map { $0 * decade }.first { $0 >= rough * 0.999 } ?? rough
  }

  private static func decadeValues(
    from low: Double, to high: Double, _ factors: [Double]
  ) -> [Double] {
    (-7...12).flatMap { decade in factors.map { $0 * power(Double(decade)) } }
      .filter { $0 >= low && $0 <= high }
  }
}

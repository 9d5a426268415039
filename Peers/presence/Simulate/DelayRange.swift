import ArgumentParser

/// Bounds of a one-way delay as they are written on the command line: `1-10` or `2.5`, in
/// milliseconds from 0 to 10,000.
struct DelayRange: ExpressibleByArgument {
  let microseconds: ClosedRange<UInt64>

  init(microseconds: ClosedRange<UInt64>) { self.microseconds = microseconds }

  init?(argument: String) {
    let parts = argument.split(separator: "-", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { Double($0) }
    guard (1...2).contains(parts.count), numbers.count == parts.count,
      numbers.allSatisfy({ $0 >= 0 && $0 <= 10_000 }), let least = numbers.first,
      let most = numbers.last, least <= most
    else { return nil }
    microseconds = UInt64((least * 1000).rounded())...UInt64((most * 1000).rounded())
  }

  var defaultValueDescription: String { Self.text(microseconds) }

  /// The bounds in a sentence: `0.2 to 1`.
  static func words(_ microseconds: ClosedRange<UInt64>) -> String {
    text(microseconds).split(separator: "-").joined(separator: " to ")
  }

  /// The bounds as they are written: `0.2-1`.
  static func text(_ microseconds: ClosedRange<UInt64>) -> String {
    let bounds = [microseconds.lowerBound, microseconds.upperBound].map {
      Figures.brief(Double($0) / 1000)
    }
    return bounds[0] == bounds[1] ? bounds[0] : bounds.joined(separator: "-")
  }
}

import Foundation

extension Scale {
  /// The decimal logarithm of a value.
  static func logarithm(_ value: Double) -> Double { log10(value) }

  /// Ten to the power of a number.
  static func power(_ exponent: Double) -> Double { pow(10, exponent) }
}

/// Measured values, in order.
struct Samples {
  private let sorted: [Double]

  init(_ values: [Double]) { sorted = values.sorted() }

  var count: Int { sorted.count }

  /// The value that `percent` of the samples do not exceed (nearest rank); 0 without samples.
  func percentile(_ percent: Double) -> Double {
    guard let last = sorted.last else { return 0 }
    let rank = (percent / 100 * Double(sorted.count)).rounded(.up)
    let index = Int(rank) - 1
    return index < sorted.count ? sorted[max(0, index)] : last
  }

  var median: Double { percentile(50) }
  var maximum: Double { sorted.last ?? 0 }
}

/// A number in few characters, for the words beside a figure.
func brief(_ value: Double, digits: Int = 1) -> String {
  var scale = 1.0
  for _ in 0..<digits { scale *= 10 }
  let whole = (value * scale).rounded()
  guard digits > 0, whole.isFinite, whole.magnitude < 1e15 else { return "\(Int(value.rounded()))" }
  let number = Int(whole)
  let fraction = String(number.magnitude % UInt(scale))
  let padding = String(repeating: "0", count: digits - fraction.count)
  return "\(number < 0 ? "-" : "")\(number.magnitude / UInt(scale)).\(padding)\(fraction)"
}

/// Numbers as people read them.
enum Figures {
  /// A number with up to three decimals, and without any that say nothing.
  static func brief(_ value: Double, decimals: Int = 3) -> String {
    guard value.isFinite, value.magnitude < 1e15 else { return "-" }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = Int64((value.magnitude * scale).rounded())
    let whole = scaled / Int64(scale)
    var fraction = String(scaled % Int64(scale))
    fraction = String(repeating: "0", count: max(0, decimals - fraction.count)) + fraction
    while fraction.last == "0" { fraction.removeLast() }
    let sign = value < 0 && scaled > 0 ? "-" : ""
    return decimals == 0 || fraction.isEmpty ? "\(sign)\(whole)" : "\(sign)\(whole).\(fraction)"
  }

  /// A span of virtual time: `4.1 ms`, `12 s`.
  static func span(milliseconds: Double) -> String {
    switch milliseconds {
    case ..<10: "\(brief(milliseconds, decimals: 1)) ms"
    case ..<1000: "\(brief(milliseconds, decimals: 0)) ms"
    case ..<10_000: "\(brief(milliseconds / 1000, decimals: 2)) s"
    default: "\(brief(milliseconds / 1000, decimals: 1)) s"
    }
  }

  /// A rate: `812 B/s`, `1.2 kB/s`.
  static func rate(bytesPerSecond: Double) -> String {
    switch bytesPerSecond {
    case ..<1000: "\(brief(bytesPerSecond, decimals: 0)) B/s"
    case ..<1_000_000: "\(brief(bytesPerSecond / 1000, decimals: 1)) kB/s"
    default: "\(brief(bytesPerSecond / 1_000_000, decimals: 2)) MB/s"
    }
  }

  /// The value below which a share of sorted values lies; `nil` for none.
  static func percentile(_ share: Double, of sorted: [Double]) -> Double? {
    guard let last = sorted.last else { return nil }
    return share >= 1 ? last : sorted[min(Int(Double(sorted.count) * share), sorted.count - 1)]
  }
}

/// One measured number, beside what it should be.
package struct Figure: Codable, Hashable, Sendable {
  /// Which way is good.
  package enum Better: String, Codable, Hashable, Sendable {
    case lower
    case higher
  }

  /// Stays the same from version to version.
  package let name: String
  /// Rounded to four digits.
  package let value: Double
  package let unit: String
  /// What is aimed at; `nil` for a number that others are made of.
  package let aim: Double?
  package let better: Better
  /// How it came about, in words.
  package let detail: String

  package init(
    _ name: String, _ value: Double, _ unit: String, aim: Double? = nil, better: Better,
    detail: String
  ) {
    self.name = name
    self.value = Self.rounded(value)
    self.unit = unit
    self.aim = aim
    self.better = better
    self.detail = detail
  }

  /// True when the aim is reached; `nil` without one.
  package var isReached: Bool? {
    aim.map { better == .lower ? value <= $0 : value >= $0 }
  }

  private enum CodingKeys: String, CodingKey {
    case name
    case value
    case unit
    case aim
    case better
    case detail
  }

  /// Writes all keys, `aim` as `null` where there is none.
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(value, forKey: .value)
    try container.encode(unit, forKey: .unit)
    if let aim {
      try container.encode(aim, forKey: .aim)
    } else {
      try container.encodeNil(forKey: .aim)
    }
    try container.encode(better, forKey: .better)
    try container.encode(detail, forKey: .detail)
  }

  /// Four digits that count: more would claim what no measurement holds.
  static func rounded(_ value: Double) -> Double {
    guard value.isFinite, value != 0 else { return value }
    var scale = 1.0
    var magnitude = value.magnitude
    while magnitude >= 10_000 {
      magnitude /= 10
      scale *= 10
    }
    while magnitude < 1000 {
      magnitude *= 10
      scale /= 10
    }
    return scale < 1
      ? (value / scale).rounded() / (1 / scale).rounded() : (value / scale).rounded() * scale
  }
}

import Foundation
import PresenceMesh

/// Times for people to read.
enum ClockText {
  /// Milliseconds since 1970.
  static var nowMilliseconds: UInt64 { UInt64(max(0, Date().timeIntervalSince1970 * 1000)) }

  /// The time of day in the local time zone: `12:03:41`.
  static func time(of date: Date) -> String {
    var seconds = time_t(date.timeIntervalSince1970)
    var parts = tm()
    guard localtime_r(&seconds, &parts) != nil else { return "--:--:--" }
    return [parts.tm_hour, parts.tm_min, parts.tm_sec].map { two(Int($0)) }.joined(separator: ":")
  }

  /// The time of day of a record.
  static func time(ofMilliseconds milliseconds: UInt64) -> String {
    time(of: Date(timeIntervalSince1970: Double(milliseconds) / 1000))
  }

  /// The day of a record: `2026-11-27`.
  static func date(ofMilliseconds milliseconds: UInt64) -> String {
    String(WallTime(milliseconds: milliseconds).text.prefix(10))
  }

  /// How long ago something was, roughly: `3 s`, `12 min`, `5 h`, `2 d`. What is ahead of the clock
  /// is now.
  static func age(ofMilliseconds then: UInt64, now: UInt64 = nowMilliseconds) -> String {
    span(milliseconds: now > then ? now - then : 0)
  }

  /// A span, roughly.
  static func span(milliseconds: UInt64) -> String {
    let seconds = milliseconds / 1000
    return switch seconds {
    case ..<60: "\(seconds) s"
    case ..<3600: "\(seconds / 60) min"
    case ..<86_400: "\(seconds / 3600) h"
    default: "\(seconds / 86_400) d"
    }
  }

  private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}

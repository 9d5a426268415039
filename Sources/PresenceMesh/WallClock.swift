#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The clock on the wall: for people to read, and for the ends of tickets and certificates.
enum WallClock {
  /// How far the clocks of members may be apart, in milliseconds.
  static let tolerance: UInt64 = 600_000

  /// The time now; 1970 when the clock is set to before.
  static var now: WallTime {
    var time = timespec()
    guard clock_gettime(CLOCK_REALTIME, &time) == 0 else { return WallTime(milliseconds: 0) }
    let seconds = UInt64(clamping: time.tv_sec)
    return WallTime(
      milliseconds: min(seconds, UInt64.max / 2000) * 1000
        + UInt64(clamping: time.tv_nsec) / 1_000_000)
  }
}

extension WallTime {
  /// The time in words, such as `2026-11-27 15:30 UTC`.
  package var text: String {
    var seconds = time_t(milliseconds / 1000)
    var parts = tm()
    guard gmtime_r(&seconds, &parts) != nil else { return "an unknown time" }
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) "
      + "\(two(parts.tm_hour)):\(two(parts.tm_min)) UTC"
  }
}

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The clock on the wall: for people to read, never to decide anything by.
enum WallClock {
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

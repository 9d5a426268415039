#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The clocks of the measurements, in nanoseconds.
enum Clock {
  /// The machine's monotonic clock: one for all processes.
  static var monotonic: UInt64 { read(CLOCK_MONOTONIC) }

  /// The time that this thread has spent on a processor. What others do on the machine does not
  /// count, but for the caches.
  static var thread: UInt64 { read(CLOCK_THREAD_CPUTIME_ID) }

  private static func read(_ id: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(id, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

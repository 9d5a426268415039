#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The memory of this process, in bytes.
struct Footprint: Codable, Hashable, Sendable {
  /// What the program has asked for and not given back, with the allocator's own use for it.
  let allocated: UInt64
  /// The pages that the system holds in memory for the process and for it alone.
  let resident: UInt64

  /// Now, after the allocator gave back what it could. `nil` where the system does not say.
  static func current() -> Footprint? {
    #if canImport(Darwin)
      var statistics = malloc_statistics_t()
      malloc_zone_statistics(nil, &statistics)
      var usage = rusage_info_v4()
      let status = withUnsafeMutablePointer(to: &usage) { pointer in
        pointer.withMemoryRebound(to: rusage_info_t?.self, capacity: 1) {
          proc_pid_rusage(getpid(), RUSAGE_INFO_V4, $0)
        }
      }
      guard status == 0 else { return nil }
      return Footprint(
        allocated: UInt64(statistics.size_in_use), resident: usage.ri_phys_footprint)
    #elseif canImport(Glibc)
      _ = trim?(0)
      guard let resident = residentBytes(), let allocated = allocatedBytes() else { return nil }
      return Footprint(allocated: allocated, resident: resident)
    #else
      guard let resident = residentBytes() else { return nil }
      return Footprint(allocated: resident, resident: resident)
    #endif
  }

  #if !canImport(Darwin)
    /// Resident pages that are not shared with a file, from `/proc/self/statm`.
    private static func residentBytes() -> UInt64? {
      guard let file = fopen("/proc/self/statm", "r") else { return nil }
      defer { fclose(file) }
      var bytes = [UInt8](repeating: 0, count: 256)
      let count = fread(&bytes, 1, bytes.count, file)
      let fields = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: " ")
      guard fields.count > 2, let pages = UInt64(fields[1]), let shared = UInt64(fields[2]),
        pages >= shared
      else { return nil }
      return (pages - shared) * UInt64(sysconf(CInt(_SC_PAGESIZE)))
    }
  #endif

  #if canImport(Glibc)
    // The C library's Swift module leaves these out.
    private typealias Trim = @convention(c) (Int) -> CInt
    private typealias WriteReport = @convention(c) (CInt, UnsafeMutablePointer<FILE>) -> CInt
    private static let trim = dlsym(nil, "malloc_trim").map { unsafeBitCast($0, to: Trim.self) }
    private static let writeReport = dlsym(nil, "malloc_info").map {
      unsafeBitCast($0, to: WriteReport.self)
    }

    /// What the allocator took from the system, without what lies free in it: from the last lines
    /// of its own report, which are about all of its arenas.
    private static func allocatedBytes() -> UInt64? {
      guard let writeReport, let file = tmpfile() else { return nil }
      defer { fclose(file) }
      guard writeReport(0, file) == 0 else { return nil }
      rewind(file)
      var bytes = [UInt8](repeating: 0, count: 1 << 20)
      let count = fread(&bytes, 1, bytes.count, file)
      let lines = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n")
      func size(_ start: String) -> UInt64? {
        let line = lines.last { $0.hasPrefix("<" + start) }
        return line?.split(separator: "\"").dropLast().last.flatMap { UInt64($0) }
      }
      guard let system = size("system type=\"current\""), let fast = size("total type=\"fast\""),
        let rest = size("total type=\"rest\""), let mapped = size("total type=\"mmap\""),
        system >= fast + rest
      else { return nil }
      return system - fast - rest + mapped
    }
  #endif
}

import CSodium
import Foundation

/// What the figures were measured on.
package struct Machine: Codable, Hashable, Sendable {
  /// The model of the processor.
  package let processor: String
  package let architecture: String
  /// Cores that this process may use.
  package let cores: Int
  package let memoryBytes: UInt64
  package let system: String
  package let kernel: String
  package let swift: String
  package let libsodium: String
  /// `release` or `debug`. Figures of a debug build say nothing.
  package let build: String
  /// The mean number of processes that wanted to run in the last minute, when it began; above the
  /// number of cores, something else was running.
  package let load: Double

  private enum CodingKeys: String, CodingKey {
    case processor
    case architecture
    case cores
    case memoryBytes = "memory_bytes"
    case system
    case kernel
    case swift
    case libsodium
    case build
    case load
  }

  /// This machine, now.
  package static func current() -> Machine {
    var averages = [Double](repeating: 0, count: 3)
    let count = getloadavg(&averages, 3)
    return Machine(
      processor: processorName() ?? "unknown", architecture: field(\.machine),
      cores: ProcessInfo.processInfo.activeProcessorCount,
      memoryBytes: ProcessInfo.processInfo.physicalMemory,
      system: ProcessInfo.processInfo.operatingSystemVersionString,
      kernel: "\(field(\.sysname)) \(field(\.release))", swift: compiler,
      libsodium: sodium_version_string().map { String(cString: $0) } ?? "unknown", build: build,
      load: count > 0 ? Figure.rounded(averages[0]) : 0)
  }

  private static func processorName() -> String? {
    #if canImport(Darwin)
      var size = 0
      guard sysctlbyname("machdep.cpu.brand_string", nil, &size, nil, 0) == 0 else { return nil }
      var bytes = [UInt8](repeating: 0, count: size)
      guard sysctlbyname("machdep.cpu.brand_string", &bytes, &size, nil, 0) == 0 else { return nil }
      return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    #else
      let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
      let line = text?.split(separator: "\n").first { $0.hasPrefix("model name") }
      return line?.split(separator: ":", maxSplits: 1).last
        .map { $0.trimmingCharacters(in: .whitespaces) }
    #endif
  }

  /// A field of what the kernel calls itself.
  private static func field<Tuple>(_ path: KeyPath<utsname, Tuple>) -> String {
    var names = utsname()
    guard uname(&names) == 0 else { return "unknown" }
    return withUnsafeBytes(of: names[keyPath: path]) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }

  /// The compiler that built this; no finer than its conditions can tell.
  private static var compiler: String {
    #if compiler(>=6.4)
      "6.4 or later"
    #elseif compiler(>=6.3)
      "6.3"
    #elseif compiler(>=6.2)
      "6.2"
    #else
      "6.1"
    #endif
  }

  private static var build: String {
    #if DEBUG
      "debug"
    #else
      "release"
    #endif
  }
}

import CSodium

/// Secret bytes in memory that is guarded, kept out of core dumps and swap where the system allows
/// it, and wiped when released. They do not print.
///
/// `@unchecked Sendable`: both fields are set once. The memory is written in the initializer only, before
/// anybody else has the object, and is read-only from then on: the system itself stops whoever writes
/// (`sodium_mprotect_readonly`). It is freed when nobody has the object any more, and who calls
/// ``withBytes(_:)`` has it until the body ends.
package final class SecretBytes: @unchecked Sendable {
  private let memory: UnsafeMutableRawPointer
  package let count: Int

  /// Makes room for secret bytes and lets `fill` write them.
  package init(count: Int, fill: (UnsafeMutableRawBufferPointer) -> Void) {
    Sodium.start()
    guard let memory = sodium_malloc(count) else {
      fatalError("no memory for secrets: \(count) bytes")
    }
    self.memory = memory
    self.count = count
    fill(UnsafeMutableRawBufferPointer(start: memory, count: count))
    sodium_mprotect_readonly(memory)
  }

  package convenience init(_ bytes: some Collection<UInt8>) {
    self.init(count: bytes.count) { $0.copyBytes(from: bytes) }
  }

  /// New random bytes from the system.
  package static func random(count: Int) -> SecretBytes {
    SecretBytes(count: count) { memory in
      if let start = memory.baseAddress { randombytes_buf(start, memory.count) }
    }
  }

  deinit { sodium_free(memory) }

  package func withBytes<Result>(_ body: (UnsafePointer<UInt8>) -> Result) -> Result {
    body(UnsafePointer(memory.assumingMemoryBound(to: UInt8.self)))
  }

  /// True when both hold the same bytes. Takes equally long wherever they differ.
  package func isEqual(to other: SecretBytes) -> Bool {
    count == other.count && sodium_memcmp(memory, other.memory, count) == 0
  }
}

extension SecretBytes: CustomStringConvertible, CustomReflectable {
  package var description: String { "<\(count) secret bytes>" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

/// The library's start.
package enum Sodium {
  private static let isStarted: Bool = sodium_init() >= 0

  /// Starts libsodium once for the process.
  package static func start() {
    if let unfit { preconditionFailure(unfit) }
    precondition(isStarted, "libsodium could not start: the system has no random source")
  }

  /// The version of the library that the process runs with.
  package static var version: String { String(cString: sodium_version_string()) }

  /// Why the library that the process runs with is not the one that it was built for; `nil` when it
  /// is, or a later one with the same interface.
  package static let unfit: String? = unfit(
    headers: (Int(SODIUM_LIBRARY_VERSION_MAJOR), Int(SODIUM_LIBRARY_VERSION_MINOR)),
    library: (Int(sodium_library_version_major()), Int(sodium_library_version_minor())),
    version: version)

  /// The interface of version 1.0.18, the oldest that will do.
  private static let oldest = (major: 10, minor: 3)

  /// The rule of the library's versions: another major one breaks programs, a lower minor one lacks
  /// something.
  package static func unfit(
    headers: (major: Int, minor: Int), library: (major: Int, minor: Int), version: String
  ) -> String? {
    let isSame = library.major == headers.major && library.minor >= headers.minor
    guard !isSame || library < oldest else { return nil }
    return """
      the libsodium of this system (\(version), interface \(library.major).\(library.minor)) is not \
      the one that this program was built for (interface \(headers.major).\(headers.minor)): \
      install libsodium 1.0.18 or later, or build the program on this system
      """
  }

  /// Random bytes from the system.
  package static func random(count: Int) -> [UInt8] {
    start()
    var bytes = [UInt8](repeating: 0, count: count)
    randombytes_buf(&bytes, count)
    return bytes
  }

  /// Overwrites bytes that held a secret.
  package static func wipe(_ bytes: inout [UInt8]) {
    bytes.withUnsafeMutableBytes { wipe($0) }
  }

  /// Overwrites bytes that held a secret.
  package static func wipe(_ bytes: UnsafeMutableRawBufferPointer) {
    if let start = bytes.baseAddress { sodium_memzero(start, bytes.count) }
  }
}

/// The memory of this process.
package enum ProcessMemory {
  /// Keeps it out of core dumps, and other processes of the user from reading it: a debugger, too.
  /// False when the system refuses.
  package static func forbidDumps() -> Bool { presence_forbid_dumps() == 0 }
}

import CSodium

/// Secret bytes in memory that is guarded, kept out of core dumps and swap where the system allows
/// it, and wiped when released. They do not print.
///
/// `@unchecked Sendable`: the memory is written in the initializer only, before anybody else has the
/// object.
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

  package convenience init(_ bytes: [UInt8]) {
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

  /// A copy outside of guarded memory, for writing to a file. The caller wipes it.
  package func exposed() -> [UInt8] {
    withBytes { Array(UnsafeBufferPointer(start: $0, count: count)) }
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
    precondition(isStarted, "libsodium could not start: the system has no random source")
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
    let count = bytes.count
    bytes.withUnsafeMutableBytes { sodium_memzero($0.baseAddress, count) }
  }
}

import Foundation

/// A process that inherits the three descriptors it is given, and nothing else of this one.
///
/// `Foundation.Process` closes in its child what was open when it looked. What another thread opens
/// a moment later is inherited, be it the end of a pipe whose reader then waits for somebody else's
/// child, or what Foundation itself learns of an end by.
package final class SpawnedProcess {
  /// Its number.
  package let id: Int32
  private var status: CInt?

  /// Starts a program.
  ///
  /// - Parameters:
  ///   - command: The path of the program, and what it is called with.
  ///   - environment: Its environment; `nil` for that of this process.
  ///   - input: What it reads.
  ///   - output: Where its output goes.
  ///   - errors: Where its errors go.
  /// - Throws: ``BenchError/childFailed(_:)`` when the system does not start it.
  package init(
    _ command: [String], environment: [String: String]? = nil,
    input: CInt = 0, output: CInt = 1, errors: CInt = 2
  ) throws(BenchError) {
    #if canImport(Darwin)
      var actions: posix_spawn_file_actions_t?
      var attributes: posix_spawnattr_t?
    #else
      var actions = posix_spawn_file_actions_t()
      var attributes = posix_spawnattr_t()
    #endif
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    // Above the three, so that none is overwritten before it is copied.
    let given = [input, output, errors].map { fcntl($0, F_DUPFD_CLOEXEC, 3) }
    defer { for descriptor in given where descriptor >= 0 { close(descriptor) } }
    guard !given.contains(where: { $0 < 0 }) else { throw Self.failure(errno) }
    for (number, descriptor) in given.enumerated() {
      posix_spawn_file_actions_adddup2(&actions, descriptor, CInt(number))
    }
    // The threads of tasks block signals; a program begins with none blocked and none ignored.
    var (none, all) = (sigset_t(), sigset_t())
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    var flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
    #if canImport(Darwin)
      flags |= POSIX_SPAWN_CLOEXEC_DEFAULT
    #else
      _ = Self.closeFrom?(&actions, 3)
    #endif
    posix_spawnattr_setflags(&attributes, .init(flags))
    let own = environment ?? ProcessInfo.processInfo.environment
    let words = command.map { strdup($0) } + [nil]
    let variables = own.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for word in words + variables { free(word) } }
    var process: pid_t = 0
    let number = posix_spawn(&process, command[0], &actions, &attributes, words, variables)
    guard number == 0 else { throw Self.failure(number) }
    id = process
  }

  deinit { end() }

  #if !canImport(Darwin)
    private typealias CloseFrom =
      @convention(c) (
        UnsafeMutablePointer<posix_spawn_file_actions_t>, CInt
      ) -> CInt

    /// Younger than the oldest C library that Swift runs on, so it is looked for.
    private static let closeFrom = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np")
      .map { unsafeBitCast($0, to: CloseFrom.self) }
  #endif

  /// How it ended: its exit code, or the negative number of the signal that killed it.
  ///
  /// - Parameter waiting: True to wait for the end, which holds the thread.
  /// - Returns: `nil` while it runs.
  package func exitCode(waiting: Bool = false) -> Int32? {
    if let status { return status }
    var word: CInt = 0
    var found: pid_t
    repeat { found = waitpid(id, &word, waiting ? 0 : WNOHANG) } while found < 0 && errno == EINTR
    guard found == id else { return nil }
    let signal = word & 0x7f
    status = signal == 0 ? (word >> 8) & 0xff : -signal
    return status
  }

  /// Sends a signal, while it runs.
  package func signal(_ number: Int32) {
    if exitCode() == nil { kill(id, number) }
  }

  /// Kills it if it runs, and waits until it is gone.
  package func end() {
    signal(SIGKILL)
    _ = exitCode(waiting: true)
  }

  /// The error for a number of the system.
  static func failure(_ number: CInt) -> BenchError {
    .childFailed(strerror(number).map { String(cString: $0) } ?? "error \(number)")
  }
}

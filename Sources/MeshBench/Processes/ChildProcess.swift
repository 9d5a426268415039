import Foundation

/// How a second process of this program is started, so that it measures.
package struct ChildLauncher: Sendable {
  /// The path of the program.
  package let program: String
  /// What stands before the name of the role.
  package let arguments: [String]

  package init(program: String, arguments: [String]) {
    self.program = program
    self.arguments = arguments
  }

  /// This program itself.
  package static func thisProgram(arguments: [String]) -> ChildLauncher {
    ChildLauncher(
      program: Bundle.main.executablePath ?? CommandLine.arguments[0], arguments: arguments)
  }
}

/// What a second process does.
package enum ChildRole: String, CaseIterable, Sendable {
  /// Hears cursor updates and plain datagrams, and notes when.
  case listener
  /// Holds sessions, and says how much memory they take.
  case holder

  /// Does it, talking over standard input and output, and returns when the parent is done.
  package func run() async throws(BenchError) {
    let link = PacketLink(reading: 0, writing: 1)
    switch self {
    case .listener: try await Listener.run(link)
    case .holder: try Holder.run(link)
    }
  }
}

/// A second process. Whoever starts it ends it.
final class ChildProcess {
  private let process: pid_t
  private let input: CInt
  private let output: CInt
  private var hasEnded = false
  let link: PacketLink

  init(_ role: ChildRole, launcher: ChildLauncher) throws(BenchError) {
    let (childInput, input) = try Self.makePipe()
    let (output, childOutput) = try Self.makePipe()
    defer {
      close(childInput)
      close(childOutput)
    }
    do throws(BenchError) {
      process = try Self.spawn(
        [launcher.program] + launcher.arguments + [role.rawValue], reading: childInput,
        writing: childOutput)
    } catch {
      close(input)
      close(output)
      throw error
    }
    self.input = input
    self.output = output
    link = PacketLink(reading: output, writing: input)
  }

  /// Ends the process, whatever it does. Once is enough.
  func end() {
    guard !hasEnded else { return }
    hasEnded = true
    close(input)
    close(output)
    kill(process, SIGKILL)
    var status: CInt = 0
    while waitpid(process, &status, 0) < 0 && errno == EINTR {}
  }

  deinit { end() }

  /// The reading and the writing end of a pipe, neither of which other processes inherit.
  private static func makePipe() throws(BenchError) -> (reading: CInt, writing: CInt) {
    var ends: [CInt] = [-1, -1]
    guard pipe(&ends) == 0 else { throw failure(errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }

  private static func spawn(
    _ arguments: [String], reading: CInt, writing: CInt
  ) throws(BenchError) -> pid_t {
    #if canImport(Darwin)
      var actions: posix_spawn_file_actions_t?
    #else
      var actions = posix_spawn_file_actions_t()
    #endif
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, reading, 0)
    posix_spawn_file_actions_adddup2(&actions, writing, 1)
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    defer { for word in words { free(word) } }
    words.append(nil)
    var process: pid_t = 0
    let number = posix_spawn(&process, arguments[0], &actions, nil, words, environ)
    guard number == 0 else { throw failure(number) }
    return process
  }

  private static func failure(_ number: CInt) -> BenchError {
    .childFailed(strerror(number).map { String(cString: $0) } ?? "error \(number)")
  }
}

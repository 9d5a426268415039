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
  /// A node of a mesh that does what it is told, and notes when it sees what others do.
  case member
  /// A node with many sessions, which another one gets from it.
  case keeper

  /// Does it, talking over standard input and output, and returns when the parent is done.
  package func run() async throws(BenchError) {
    let link = PacketLink(reading: 0, writing: 1)
    switch self {
    case .listener: try await Listener.run(link)
    case .holder: try Holder.run(link)
    case .member: try await Member.run(link)
    case .keeper: try await Keeper.run(link)
    }
  }
}

/// A second process that is talked to. Whoever starts it ends it.
final class ChildProcess {
  private let process: SpawnedProcess
  private var input: CInt
  private let output: CInt
  private var hasEnded = false
  let link: PacketLink
  /// Where what it says can be read.
  var said: CInt { output }

  /// This program in a role.
  convenience init(_ role: ChildRole, launcher: ChildLauncher) throws(BenchError) {
    try self.init([launcher.program] + launcher.arguments + [role.rawValue])
  }

  /// Any program.
  ///
  /// - Parameters:
  ///   - arguments: The path of the program, and what it is called with.
  ///   - variables: What its environment has beside this process's own.
  ///   - isQuiet: True when what it says of its troubles is dropped.
  init(
    _ arguments: [String], variables: [String: String] = [:], isQuiet: Bool = false
  ) throws(BenchError) {
    let (childInput, input) = try Self.makePipe()
    let (output, childOutput) = try Self.makePipe()
    let nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC)
    defer { for descriptor in [childInput, childOutput, nowhere] { close(descriptor) } }
    do throws(BenchError) {
      process = try SpawnedProcess(
        arguments, environment: ProcessInfo.processInfo.environment.merging(variables) { $1 },
        input: childInput, output: childOutput, errors: isQuiet ? nowhere : 2)
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
    closeInput()
    close(output)
    process.end()
  }

  deinit { end() }

  private func closeInput() {
    if input >= 0 { close(input) }
    input = -1
  }

  /// Everything that it says until it ends.
  func readAll() -> String {
    closeInput()
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(output, &buffer, buffer.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return String(decoding: text, as: UTF8.self) }
      text += buffer[..<count]
    }
  }

  /// The path of an installed program; `nil` when there is none of that name.
  static func installed(_ name: String) -> String? {
    let folders = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    return folders.split(separator: ":").map { "\($0)/\(name)" }
      .first { access($0, X_OK) == 0 }
  }

  /// The reading and the writing end of a pipe, neither of which other processes inherit.
  private static func makePipe() throws(BenchError) -> (reading: CInt, writing: CInt) {
    var ends: [CInt] = [-1, -1]
    guard pipe(&ends) == 0 else { throw SpawnedProcess.failure(errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }
}

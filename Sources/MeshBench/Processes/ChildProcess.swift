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

/// A second process. It is ended when this is released.
final class ChildProcess {
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()
  let link: PacketLink

  init(_ role: ChildRole, launcher: ChildLauncher) throws(BenchError) {
    process.executableURL = URL(filePath: launcher.program)
    process.arguments = launcher.arguments + [role.rawValue]
    process.standardInput = input
    process.standardOutput = output
    do { try process.run() } catch { throw .childFailed("\(error)") }
    link = PacketLink(
      reading: output.fileHandleForReading.fileDescriptor,
      writing: input.fileHandleForWriting.fileDescriptor)
  }

  deinit {
    try? input.fileHandleForWriting.close()
    process.terminate()
    process.waitUntilExit()
  }
}

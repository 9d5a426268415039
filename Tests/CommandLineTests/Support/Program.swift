import Foundation
import Testing

/// The built executable, which stands beside the test bundle.
enum Program {
  /// How long anything may take before a test gives up. Nothing is judged by how fast it is.
  static let patience: Duration = .seconds(90)

  /// Where it is.
  static let url: URL = {
    let places = Bundle.allBundles.map(\.bundleURL) + [URL(filePath: CommandLine.arguments[0])]
    let candidates = places.flatMap { place in
      [place.deletingLastPathComponent(), place.deletingLastPathComponent().appending(path: "..")]
        .map { $0.appending(path: "presence") }
    }
    let found = candidates.first { FileManager.default.isExecutableFile(atPath: $0.path) }
    return found ?? URL(filePath: "presence")
  }()

  /// What a command did.
  struct Outcome {
    var exitCode: Int32
    var output: String
    var errors: String

    var lines: [String] { output.split(separator: "\n").map(String.init) }

    /// The output as a JSON object.
    func object() throws -> [String: Any] {
      let value = try JSONSerialization.jsonObject(with: Data(output.utf8))
      return try #require(value as? [String: Any])
    }
  }

  /// Runs a command to its end.
  static func run(
    _ arguments: String..., input: String = "", environment: [String: String] = [:]
  ) async throws -> Outcome {
    try await run(arguments, input: input, environment: environment)
  }

  /// Runs a command to its end.
  static func run(
    _ arguments: [String], input: String = "", environment: [String: String] = [:]
  ) async throws -> Outcome {
    let child = try Child(arguments, input: .text(input), environment: environment)
    let exitCode = try await child.exitCode()
    return Outcome(exitCode: exitCode, output: child.output, errors: child.errors)
  }

  /// Asks again and again, until the answer is as expected.
  static func eventually(
    _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
  ) async throws {
    let end = ContinuousClock.now.advanced(by: patience)
    while try await !condition() {
      guard ContinuousClock.now < end else {
        Issue.record(what, sourceLocation: sourceLocation)
        throw CancellationError()
      }
      try await Task.sleep(for: .milliseconds(100))
    }
  }
}

#if os(Linux)
  /// Another user of the system, as whom a test that root runs can run the executable.
  enum OtherUser {
    static let id: UInt32 = 64_123
    static let wrapper = [
      "/usr/bin/setpriv", "--reuid", "\(id)", "--regid", "\(id)", "--clear-groups",
    ]

    /// True when root runs the tests, and that user can run the executable.
    static let isAvailable: Bool = {
      guard geteuid() == 0 else { return false }
      return (try? run([Program.url.path, "--version"]))?.exitCode == 0
    }()

    /// Runs a command as that user, with an environment of its own.
    static func run(
      _ command: [String], environment: [String: String] = [:]
    ) throws -> (exitCode: Int32, output: String) {
      let (process, pipe) = (Process(), Pipe())
      process.executableURL = URL(filePath: wrapper[0])
      process.arguments = wrapper.dropFirst() + command
      process.environment = ["PATH": "/usr/bin:/bin:/usr/local/bin"].merging(environment) { $1 }
      process.standardOutput = pipe
      process.standardError = pipe
      try process.run()
      let told = try pipe.fileHandleForReading.readToEnd() ?? Data()
      process.waitUntilExit()
      return (process.terminationStatus, String(decoding: told, as: UTF8.self))
    }
  }
#endif

/// A process of the executable. It is killed when nobody holds it any more.
final class Child {
  /// What the process reads.
  enum Input {
    /// A file that ends.
    case text(String)
    /// A pipe that ``Child/say(_:)`` writes to.
    case pipe
  }

  private let process = Process()
  private let folder: URL
  private let inputPipe: Pipe?

  /// Starts the process. Its output goes to files, so that no pipe can fill. With `wrapper`, that
  /// command is started, and is given the executable and the arguments behind its own.
  init(
    _ arguments: [String], input: Input = .text(""), environment: [String: String] = [:],
    wrapper: [String] = []
  ) throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "presence-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for name in ["output", "errors"] { try Data().write(to: folder.appending(path: name)) }
    let command = wrapper + [Program.url.path] + arguments
    process.executableURL = URL(filePath: command[0])
    process.arguments = Array(command.dropFirst())
    var all = ProcessInfo.processInfo.environment
    for name in ["PRESENCE_STATE", "PRESENCE_INVITE"] { all[name] = nil }
    process.environment = all.merging(environment) { $1 }
    switch input {
    case .text(let text):
      inputPipe = nil
      let file = folder.appending(path: "input")
      try Data(text.utf8).write(to: file)
      process.standardInput = try FileHandle(forReadingFrom: file)
    case .pipe:
      inputPipe = Pipe()
      process.standardInput = inputPipe
    }
    process.standardOutput = try FileHandle(forWritingTo: folder.appending(path: "output"))
    process.standardError = try FileHandle(forWritingTo: folder.appending(path: "errors"))
    try process.run()
  }

  deinit {
    end()
    try? FileManager.default.removeItem(at: folder)
  }

  var processIdentifier: Int32 { process.processIdentifier }
  var isRunning: Bool { process.isRunning }
  var output: String { text("output") }
  var errors: String { text("errors") }

  private func text(_ name: String) -> String {
    let data = (try? Data(contentsOf: folder.appending(path: name))) ?? Data()
    return String(decoding: data, as: UTF8.self)
  }

  /// Kills the process if it runs, and waits until it is gone.
  func end() {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
  }

  /// Writes a line to the pipe that the process reads.
  func say(_ line: String) throws {
    try inputPipe?.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
  }

  /// Ends what the process reads.
  func endInput() throws { try inputPipe?.fileHandleForWriting.close() }

  /// Sends a signal.
  func signal(_ number: Int32) { kill(process.processIdentifier, number) }

  /// Waits for the end. A process that was killed by a signal has the negative signal.
  func exitCode(within patience: Duration = Program.patience) async throws -> Int32 {
    let end = ContinuousClock.now.advanced(by: patience)
    while process.isRunning {
      guard ContinuousClock.now < end else {
        signal(SIGKILL)
        Issue.record("\(process.arguments ?? []) did not end")
        throw CancellationError()
      }
      try await Task.sleep(for: .milliseconds(20))
    }
    let status = process.terminationStatus
    return process.terminationReason == .uncaughtSignal ? -status : status
  }
}

/// A node of the command-line peer on loopback, with a state directory of its own.
final class TestNode {
  let state: String
  let child: Child
  private let ownsState: Bool

  /// A state directory that is not there yet.
  static func freshState() -> String {
    FileManager.default.temporaryDirectory.appending(path: "pm-\(UUID().uuidString.prefix(8))").path
  }

  /// Starts a node and waits until it is ready. With `isOpen`, it is in an open mesh.
  init(
    _ arguments: [String] = [], state: String? = nil, listen: String = "127.0.0.1:0",
    environment: [String: String] = [:], wrapper: [String] = [], isOpen: Bool = false
  ) async throws {
    self.state = state ?? Self.freshState()
    ownsState = state == nil
    if isOpen {
      _ = try await Program.run("mesh", "create", "--open", "--state", self.state)
    }
    child = try Child(
      ["up", "--state", self.state, "--listen", listen, "--no-multicast"] + arguments,
      environment: environment, wrapper: wrapper)
    try await Program.eventually("the node gets ready: \(child.errors)") {
      if !child.isRunning { throw NotReady(errors: child.errors) }
      return child.output.hasSuffix("\n")
    }
  }

  deinit {
    child.end()
    if ownsState { try? FileManager.default.removeItem(atPath: state) }
  }

  /// The node ended before it was ready.
  struct NotReady: Error {
    var errors: String
  }

  /// The value of a word of the ready line.
  func readyWord(_ name: String) throws -> String {
    let words = child.output.split(whereSeparator: \.isWhitespace)
    let word = try #require(words.first { $0.hasPrefix("\(name)=") })
    return String(word.dropFirst(name.count + 1))
  }

  /// Runs a command against the node.
  func run(_ arguments: String...) async throws -> Program.Outcome {
    try await Program.run(arguments + ["--state", state])
  }

  /// An invite to its mesh.
  func invite() async throws -> String {
    try await run("mesh", "invite").output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// The users of a room by their ids.
  func users(_ room: String) async throws -> [String: [String: Any]] {
    let object = try await run("who", room, "--json").object()
    let users = try #require(object["users"] as? [[String: Any]])
    return Dictionary(users.compactMap { user in (user["id"] as? String).map { ($0, user) } }) {
      first, _ in first
    }
  }
}

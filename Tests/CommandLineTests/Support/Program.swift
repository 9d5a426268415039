import Foundation
import MeshBench
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

    /// All that it said, the errors last.
    var words: String { output + errors }
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
    static let isAvailable =
      geteuid() == 0 && Tool.succeeds(wrapper + [Program.url.path, "--version"])

    /// Runs a command as that user, with an environment of its own.
    static func run(
      _ command: [String], environment: [String: String] = [:]
    ) async throws -> Program.Outcome {
      try await Tool.run(
        wrapper + command,
        environment: ["PATH": "/usr/bin:/bin:/usr/local/bin"].merging(environment) { $1 })
    }
  }
#endif

/// Programs of the system.
enum Tool {
  /// True when a program that reads nothing and ends soon does so well.
  static func succeeds(_ command: [String]) -> Bool {
    let nowhere = open("/dev/null", O_RDWR | O_CLOEXEC)
    defer { close(nowhere) }
    let process = try? SpawnedProcess(command, input: nowhere, output: nowhere, errors: nowhere)
    return process?.exitCode(waiting: true) == 0
  }

  /// Runs a program to its end.
  static func run(
    _ command: [String], input: String = "", environment: [String: String]
  ) async throws -> Program.Outcome {
    let child = try Child(command: command, input: .text(input), environment: environment)
    let exitCode = try await child.exitCode()
    return Program.Outcome(exitCode: exitCode, output: child.output, errors: child.errors)
  }
}

/// A process. It is killed when nobody holds it any more.
final class Child {
  /// What the process reads.
  enum Input {
    /// A file that ends.
    case text(String)
    /// A pipe that ``Child/say(_:)`` writes to.
    case pipe
  }

  private let command: [String]
  private let process: SpawnedProcess
  private let folder: URL
  private let inputPipe: Pipe?

  /// Starts the executable. With `wrapper`, that command is started, and is given the executable and
  /// the arguments behind its own.
  convenience init(
    _ arguments: [String], input: Input = .text(""), environment: [String: String] = [:],
    wrapper: [String] = []
  ) throws {
    var all = ProcessInfo.processInfo.environment
    for name in ["PRESENCE_STATE", "PRESENCE_INVITE"] { all[name] = nil }
    try self.init(
      command: wrapper + [Program.url.path] + arguments, input: input,
      environment: all.merging(environment) { $1 })
  }

  /// Starts a program. Its output goes to files, so that no pipe can fill.
  init(command: [String], input: Input, environment: [String: String]) throws {
    self.command = command
    folder = FileManager.default.temporaryDirectory.appending(path: "presence-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for name in ["output", "errors"] { try Data().write(to: folder.appending(path: name)) }
    let reading: FileHandle
    switch input {
    case .text(let text):
      inputPipe = nil
      let file = folder.appending(path: "input")
      try Data(text.utf8).write(to: file)
      reading = try FileHandle(forReadingFrom: file)
    case .pipe:
      let pipe = Pipe()
      inputPipe = pipe
      reading = pipe.fileHandleForReading
    }
    let output = try FileHandle(forWritingTo: folder.appending(path: "output"))
    let errors = try FileHandle(forWritingTo: folder.appending(path: "errors"))
    process = try SpawnedProcess(
      command, environment: environment, input: reading.fileDescriptor,
      output: output.fileDescriptor, errors: errors.fileDescriptor)
    for handle in [reading, output, errors] { try handle.close() }
  }

  deinit {
    end()
    try? FileManager.default.removeItem(at: folder)
  }

  var processIdentifier: Int32 { process.id }
  var isRunning: Bool { process.exitCode() == nil }
  var output: String { text("output") }
  var errors: String { text("errors") }

  private func text(_ name: String) -> String {
    let data = (try? Data(contentsOf: folder.appending(path: name))) ?? Data()
    return String(decoding: data, as: UTF8.self)
  }

  /// Kills the process if it runs, and waits until it is gone.
  func end() { process.end() }

  /// Writes a line to the pipe that the process reads.
  func say(_ line: String) throws {
    try inputPipe?.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
  }

  /// Ends what the process reads.
  func endInput() throws { try inputPipe?.fileHandleForWriting.close() }

  /// Sends a signal.
  func signal(_ number: Int32) { process.signal(number) }

  /// Waits for the end. A process that was killed by a signal has the negative signal.
  func exitCode(within patience: Duration = Program.patience) async throws -> Int32 {
    let end = ContinuousClock.now.advanced(by: patience)
    while true {
      if let code = process.exitCode() { return code }
      guard ContinuousClock.now < end else {
        signal(SIGKILL)
        Issue.record("\(command) did not end")
        throw CancellationError()
      }
      try await Task.sleep(for: .milliseconds(20))
    }
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

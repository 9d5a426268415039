import Foundation
import PresenceMesh

/// The standard output and the standard error.
enum Output {
  /// True when a person reads the standard output.
  static let isTerminal = isatty(STDOUT_FILENO) == 1

  /// True when colours are wanted on the standard output.
  static let hasColours = isTerminal && wantsColours

  /// False when the environment says so: see no-color.org.
  private static var wantsColours: Bool {
    let environment = ProcessInfo.processInfo.environment
    return environment["NO_COLOR", default: ""].isEmpty && environment["TERM"] != "dumb"
  }

  /// The columns of the terminal; `nil` when the output is none, and any width will do.
  static var width: Int? { isTerminal ? TerminalSize.current().columns : nil }

  /// Writes a line to the standard output.
  /// - Throws: ``OutputClosed`` when its reader went away; ``CommandFailure`` when the disk is full.
  static func print(_ line: String) throws { try write(line + "\n", to: STDOUT_FILENO) }

  /// Writes lines to the standard output.
  static func print(_ lines: [String]) throws {
    guard !lines.isEmpty else { return }
    try print(lines.joined(separator: "\n"))
  }

  /// Writes a JSON document to the standard output: over several lines, or in one.
  static func print(json value: some Encodable, onOneLine: Bool = false) throws {
    try print(PlainText.safeJSON(JSON.text(value, onOneLine: onOneLine)))
  }

  /// Waits until the reader of the standard output goes away, which a writer with nothing to write
  /// would not notice.
  /// - Throws: ``OutputClosed`` then.
  static func waitForClosing() async throws {
    while true {
      try await Task.sleep(for: .milliseconds(500))
      var state = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
      if poll(&state, 1, 0) > 0, state.revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0 {
        throw OutputClosed()
      }
    }
  }

  /// Writes a line to the standard error, made safe for a terminal.
  static func note(_ line: String) {
    let lines = line.split(separator: "\n", omittingEmptySubsequences: false)
      .map { PlainText.safe(String($0)) }
    try? write(lines.joined(separator: "\n") + "\n", to: STDERR_FILENO)
  }

  /// Writes everything, however long that takes.
  static func write(_ text: String, to descriptor: Int32) throws {
    var text = text
    try text.withUTF8 { bytes in
      var start = 0
      while start < bytes.count {
        let rest = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[start...])
        let count = Foundation.write(descriptor, rest.baseAddress, rest.count)
        if count >= 0 {
          start += count
          continue
        }
        switch errno {
        case EINTR: continue
        case EAGAIN:
          // Another process made the terminal non-blocking.
          var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          _ = poll(&ready, 1, 100)
        case EPIPE: throw OutputClosed()
        default: throw CommandFailure("cannot write the output: \(SystemError.message())")
        }
      }
    }
  }
}

/// The words of the system for its error numbers.
enum SystemError {
  static func message(_ number: Int32 = errno) -> String {
    strerror(number).map { String(cString: $0) } ?? "error \(number)"
  }
}

/// The size of the terminal.
struct TerminalSize: Hashable, Sendable {
  var columns: Int
  var rows: Int

  /// The size that the terminal says it has; else what the environment says; else 80 by 24.
  static func current() -> TerminalSize {
    var size = winsize()
    if ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 {
      return TerminalSize(columns: Int(size.ws_col), rows: Int(size.ws_row))
    }
    func number(_ name: String) -> Int? {
      ProcessInfo.processInfo.environment[name].flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
    }
    return TerminalSize(columns: number("COLUMNS") ?? 80, rows: number("LINES") ?? 24)
  }
}

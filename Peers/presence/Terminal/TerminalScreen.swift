import Foundation
import PresenceMesh
import Synchronization

/// The whole terminal, for as long as this is open: raw keys in, frames out.
///
/// The alternate screen keeps what was on the terminal before. Frames are drawn over the last one
/// in a single write, so that nothing flickers. ``close()`` puts everything back; once is enough.
final class TerminalScreen: Sendable {
  private let original: termios
  private let isOpen: Mutex<Bool>

  private static let opening = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l\u{1B}[2J"
  private static let closing = "\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"

  /// Takes the terminal.
  /// - Throws: ``CommandFailure`` when the standard input is no terminal.
  init() throws {
    var settings = termios()
    guard tcgetattr(STDIN_FILENO, &settings) == 0 else {
      throw CommandFailure("the standard input is no terminal: \(SystemError.message())")
    }
    original = settings
    isOpen = Mutex(false)
    try open()
  }

  private func open() throws {
    var raw = original
    // Keys come one by one, unseen; Ctrl-C and Ctrl-Z are keys like others.
    raw.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG | IEXTEN)
    raw.c_iflag &= ~tcflag_t(IXON | ICRNL)
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw)
    isOpen.withLock { $0 = true }
    try Output.write(Self.opening, to: STDOUT_FILENO)
  }

  /// Gives the terminal back as it was.
  func close() {
    let wasOpen = isOpen.withLock { isOpen in
      defer { isOpen = false }
      return isOpen
    }
    guard wasOpen else { return }
    try? Output.write(Self.closing, to: STDOUT_FILENO)
    var settings = original
    tcsetattr(STDIN_FILENO, TCSADRAIN, &settings)
  }

  /// Stops the process as Ctrl-Z does. Returns when it was continued.
  func suspend() throws {
    close()
    kill(getpid(), SIGSTOP)
    try open()
  }

  /// Draws a frame: as many lines as fit. With `cursor`, shows the cursor there (from 0).
  func draw(_ lines: [String], size: TerminalSize, cursor: (row: Int, column: Int)? = nil) throws {
    // Each line is placed by its number, and its rest is cleared: text whose width the terminal
    // sees otherwise cannot move the others. The terminal shows the frame when it is whole.
    var frame = "\u{1B}[?2026h\u{1B}[?25l"
    for (row, line) in lines.prefix(size.rows).enumerated() {
      frame += "\u{1B}[\(row + 1);1H\(line)\u{1B}[K"
    }
    if lines.count < size.rows { frame += "\u{1B}[\(lines.count + 1);1H\u{1B}[J" }
    if let cursor {
      frame += "\u{1B}[\(cursor.row + 1);\(min(cursor.column, size.columns - 1) + 1)H\u{1B}[?25h"
    }
    frame += "\u{1B}[?2026l"
    try Output.write(frame, to: STDOUT_FILENO)
  }
}

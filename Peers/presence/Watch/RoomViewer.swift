import Foundation
import PresenceMesh
import Synchronization

/// The live table of a room on a terminal, from keys and records to frames.
final class RoomViewer: Sendable {
  /// What the keys ask for.
  enum Wish: Sendable {
    case quit
    /// A line was typed.
    case line(String)
    /// Something is being typed, or no longer.
    case typing(Bool)
  }

  private struct State {
    var model = RoomModel()
    var screen: RoomScreen
    var decoder = KeyDecoder()
    var isClosed = false
  }

  private let terminal: TerminalScreen
  private let state: Mutex<State>
  private let changes: AsyncStream<Void>
  private let changed: AsyncStream<Void>.Continuation
  private let wishing: AsyncStream<Wish>.Continuation
  /// What the user wants, in order.
  let wishes: AsyncStream<Wish>

  /// The shortest time between two frames.
  private static let framePeriod: Duration = .milliseconds(50)

  /// Takes the terminal. With `hasPrompt`, keys make lines; without, `q` quits.
  init(room: String, hasPrompt: Bool) throws {
    state = Mutex(State(screen: RoomScreen(room: room, prompt: hasPrompt ? "" : nil)))
    (changes, changed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    (wishes, wishing) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(256))
    terminal = try TerminalScreen()
  }

  /// Draws and reads keys until the task is cancelled. The terminal is as before when it returns.
  func run() async throws {
    defer { close() }
    try await withThrowingTaskGroup { group in
      group.addTask { for await bytes in StandardInput.pieces() { try self.read(bytes) } }
      group.addTask { for await _ in Signals.resizes() { self.changed.yield() } }
      group.addTask {
        // Ages grow by themselves.
        while true {
          try await Task.sleep(for: .seconds(1))
          self.changed.yield()
        }
      }
      group.addTask {
        self.changed.yield()
        for await _ in self.changes {
          try self.draw()
          try await Task.sleep(for: Self.framePeriod)
        }
      }
      // The first error ends all of them.
      while try await group.next() != nil {}
    }
  }

  /// Gives the terminal back.
  func close() {
    state.withLock { $0.isClosed = true }
    terminal.close()
  }

  func apply(_ record: WatchRecord) {
    state.withLock { state in
      state.model.apply(record)
      if record.event == .lagged { state.screen.notice = nil }
    }
    changed.yield()
  }

  /// Says something to the user.
  func tell(_ text: String, _ style: Style = .dim) {
    state.withLock { $0.screen.notice = Cell(PlainText.safe(text), style) }
    changed.yield()
  }

  private func draw() throws {
    let size = TerminalSize.current()
    try state.withLock { state in
      guard !state.isClosed else { return }
      let (lines, cursor) = state.screen.lines(
        state.model, size: size, now: ClockText.nowMilliseconds, colours: Output.hasColours)
      try terminal.draw(lines, size: size, cursor: cursor)
    }
  }

  private func read(_ bytes: [UInt8]) throws {
    let keys = state.withLock { $0.decoder.keys(of: bytes) }
    for key in keys {
      switch key {
      case .interrupt: wishing.yield(.quit)
      case .suspend: try terminal.suspend()
      case .up: scroll { $0 - 1 }
      case .down: scroll { $0 + 1 }
      case .pageUp: scroll { [page] in $0 - page }
      case .pageDown: scroll { [page] in $0 + page }
      case .redraw: try Output.write("\u{1B}[2J", to: STDOUT_FILENO)
      default: edit(key)
      }
    }
    changed.yield()
  }

  private var page: Int { state.withLock { $0.screen.visibleRows(TerminalSize.current()) } }

  private func scroll(_ change: @Sendable (Int) -> Int) {
    state.withLock { state in
      let last = max(0, state.model.users.count - 1)
      state.screen.offset = min(max(0, change(state.screen.offset)), last)
    }
  }

  /// A key that edits the line, or a command where there is no line.
  private func edit(_ key: Key) {
    let wish = state.withLock { state -> Wish? in
      guard let line = state.screen.prompt else {
        return key == .text("q") || key == .text("Q") || key == .escape || key == .endOfInput
          ? .quit : nil
      }
      var next = line
      switch key {
      case .text(let text):
        state.screen.notice = nil
        if line.utf8.count < 256 { next += text }
      case .backspace: _ = next.popLast()
      case .deleteLine, .escape: next = ""
      case .deleteWord:
        while next.last == " " { next.removeLast() }
        while let last = next.last, last != " " { next.removeLast() }
      case .endOfInput: return line.isEmpty ? .quit : nil
      case .enter:
        state.screen.prompt = ""
        return line.isEmpty ? nil : .line(line)
      default: return nil
      }
      state.screen.prompt = next
      return next == line ? nil : .typing(!next.isEmpty && !next.hasPrefix("/"))
    }
    if let wish { wishing.yield(wish) }
  }
}

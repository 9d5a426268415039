import ArgumentParser
import Foundation
import PresenceMesh

/// `presence watch`: a live table on a terminal, lines elsewhere.
struct WatchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch",
    abstract: "Watch a room: a live table on a terminal, a line for each event elsewhere.",
    discussion: """
      With --json each line is a JSON document: the first has everything as it is now, the others \
      what changed.
      """)

  @OptionGroup var state: StateOptions

  @Argument(help: "The room; without one, the whole mesh.")
  var room: RoomName = .lobby

  @Flag(name: .customLong("json"), help: "Print one JSON document a line.")
  var isJSON = false

  @Flag(help: "Print plain lines also on a terminal.")
  var plain = false

  @Flag(help: "Print a line for each move of a cursor, too.")
  var cursors = false

  func run() async throws {
    let directory = try state.path()
    guard Output.isTerminal, isatty(STDIN_FILENO) == 1, !isJSON, !plain else {
      return try await Race.first(
        { [room, isJSON, cursors] in
          try await Watching.records(state: directory, room: room, session: nil) { record in
            try Watching.print(record, isJSON: isJSON, withCursors: cursors)
          }
        },
        { try await Output.waitForClosing() })
    }
    // Before the terminal is taken.
    guard await ControlClient.isRunning(state: directory) else {
      throw CommandFailure.noNode(state: directory)
    }
    let room = room
    let viewer = try RoomViewer(room: room.text, hasPrompt: false)
    defer { viewer.close() }
    let endings = Endings()
    endings.beforeExit { viewer.close() }
    try await Race.first(
      { try await viewer.run() },
      { for await _ in endings.signals { return } },
      { for await wish in viewer.wishes { if case .quit = wish { return } } },
      {
        try await Watching.records(state: directory, room: room, session: nil) { record in
          viewer.apply(record)
        }
      })
  }
}

/// What `presence watch` and `presence join` do alike.
enum Watching {
  /// Gives the records of a room to `body` until the node ends.
  /// - Throws: ``CommandFailure`` then; whatever `body` throws.
  static func records(
    state: String, room: RoomName, session: String?, _ body: (WatchRecord) throws -> Void
  ) async throws {
    try await ControlClient.with(state: state) { client in
      try await client.watch(room: room.text, session: session)
      while let record = try await client.nextRecord() { try body(record) }
    }
    try Task.checkCancellation()
    throw CommandFailure("the node has ended")
  }

  /// Prints a record for programs or for people.
  static func print(_ record: WatchRecord, isJSON: Bool, withCursors: Bool) throws {
    if isJSON {
      try Output.print(json: record, onOneLine: true)
    } else {
      try Output.print(RecordText.lines(record, withCursors: withCursors))
    }
  }
}

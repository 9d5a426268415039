import ArgumentParser
import PresenceMesh

/// `presence status`: says what the user does.
struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Set the status of a session of the running node, and a message.",
    usage: "presence status [<status>] [--message <message>] [--room <room>] [<options>]",
    discussion: """
      The lobby's status holds in all rooms that have none of their own. With neither a status nor \
      a message, the one that was set in the room is taken back.
      """)

  @OptionGroup var state: StateOptions
  @OptionGroup var choice: SessionChoiceOptions

  @Argument(help: "One of \(Status.allCases.map(\.name).joined(separator: ", ")).")
  var status: Status?

  @Option(help: "A message; empty takes it back.")
  var message: String?

  @Option(help: "Only in this room.")
  var room: RoomName?

  func run() async throws {
    let request = ControlRequest.status(
      choice.choice(in: room), status: status?.name, message: message)
    _ = try await ControlClient.ask(request, state: state.path())
  }
}

/// `presence cursor`: moves the cursor.
struct CursorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cursor", abstract: "Move the cursor of a session of the running node.",
    discussion: "Positions are 0…1 of the width and the height.")

  @OptionGroup var state: StateOptions
  @OptionGroup var choice: SessionChoiceOptions

  @Argument(help: "0 is left, 1 is right.")
  var x: Double?

  @Argument(help: "0 is at the top, 1 at the bottom.")
  var y: Double?

  @Option(help: "In this room. Default: the only room of the session, else the lobby.")
  var room: RoomName?

  @Option(help: "What the position belongs to: a selection, an element.")
  var anchor: String?

  @Flag(help: "Show the cursor no longer.")
  var hide = false

  mutating func validate() throws {
    guard hide || x != nil && y != nil else {
      throw ValidationError("A cursor needs x and y, or --hide.")
    }
    for value in [x, y].compactMap({ $0 }) where !(0...1).contains(value) {
      throw ValidationError("x and y are 0…1, not \(value).")
    }
  }

  func run() async throws {
    let request = ControlRequest.cursor(
      choice.choice(in: room), x: x ?? 0, y: y ?? 0, visible: !hide, anchor: anchor)
    _ = try await ControlClient.ask(request, state: state.path())
  }
}

/// `presence typing`: says that the user types.
struct TypingCommand: AsyncParsableCommand {
  /// On or off.
  enum Switch: String, ExpressibleByArgument, CaseIterable {
    case on, off
  }

  static let configuration = CommandConfiguration(
    commandName: "typing",
    abstract: "Say that the user of a session types, or stopped.",
    discussion: "Typing ends by itself after four seconds.")

  @OptionGroup var state: StateOptions
  @OptionGroup var choice: SessionChoiceOptions

  @Argument(help: "on or off.")
  var typing: Switch

  @Option(help: "In this room. Default: the only room of the session, else the lobby.")
  var room: RoomName?

  func run() async throws {
    let request = ControlRequest.typing(choice.choice(in: room), isTyping: typing == .on)
    _ = try await ControlClient.ask(request, state: state.path())
  }
}

/// `presence leave`: ends a session, or takes it out of a room.
struct LeaveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "leave",
    abstract: "End a session of the running node, or take it out of a room.",
    discussion: "The node goes on: `presence down` ends it.")

  @OptionGroup var state: StateOptions
  @OptionGroup var choice: SessionChoiceOptions

  @Option(help: "Leave only this room.")
  var room: RoomName?

  func run() async throws {
    _ = try await ControlClient.ask(.leave(choice.choice(in: room)), state: state.path())
  }
}

/// `presence debug`: cuts the node off for demonstrations.
struct DebugCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "debug", abstract: "Cut the running node off, and heal the cut.",
    shouldDisplay: false, subcommands: [Block.self, Unblock.self])

  /// `presence debug block`.
  struct Block: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "block", abstract: "Neither hear nor talk to these addresses, or anybody.")

    @OptionGroup var state: StateOptions

    @Argument(help: "Numeric addresses; none: everybody.")
    var addresses: [String] = []

    func run() async throws {
      _ = try await ControlClient.ask(.block(addresses: addresses), state: state.path())
    }
  }

  /// `presence debug unblock`.
  struct Unblock: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "unblock", abstract: "Hear and talk to everybody again.")

    @OptionGroup var state: StateOptions

    func run() async throws { _ = try await ControlClient.ask(.unblock, state: state.path()) }
  }
}

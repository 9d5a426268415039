import ArgumentParser
import Foundation
import PresenceMesh

/// `presence join`: enters a room and watches it.
struct JoinCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "join",
    abstract: "Enter a room and watch it until Ctrl-C.",
    discussion: """
      Uses the running node of the state directory, and runs one itself when there is none. On a \
      terminal, what is typed becomes the status or the message; elsewhere a line is printed for \
      each event, and the lines of the standard input say the same things:

      \(JoinInput.summary)

      The session ends with this command. Killed, it ends 30 seconds later, and --session takes it \
      up again until then.
      """)

  @OptionGroup var state: StateOptions

  @Argument(help: "The room.")
  var room: RoomName

  @Option(help: "The name of the user.")
  var name: String

  @OptionGroup(title: "Session") var profile: ProfileOptions

  @Option(help: ArgumentHelp("Take up this session again.", valueName: "id"))
  var session: SessionID?

  @Flag(name: .customLong("json"), help: "Print one JSON document a line.")
  var isJSON = false

  @Flag(help: "Print plain lines also on a terminal.")
  var plain = false

  @Flag(help: "Print a line for each move of a cursor, too.")
  var cursors = false

  @OptionGroup(title: "Node, when none is running") var node: NodeOptions

  func run() async throws {
    let directory = try state.path()
    if await ControlClient.isRunning(state: directory) {
      // The node keeps the mesh that it has: an invite to another one is not passed over in silence.
      if let invite = try node.invite.text() {
        try await Membership.check(invite, againstNodeOf: directory)
      }
      return try await enter(directory, isNewMesh: false, endings: Endings())
    }
    let endings = Endings()
    try await RunningNode.with(state: directory, options: node) { node in
      try node.announceNewMesh()
      try await enter(directory, isNewMesh: node.mesh.isNewMesh, endings: endings)
    }
  }

  private func enter(_ directory: String, isNewMesh: Bool, endings: Endings) async throws {
    let isInteractive =
      Output.isTerminal && isatty(STDIN_FILENO) == 1 && !isJSON && !plain
    let (requests, requesting) = AsyncStream<ControlRequest>.makeStream(
      bufferingPolicy: .bufferingOldest(16))
    let open = OpenRequest(
      user: profile.user ?? name, name: name, colour: profile.colour?.description,
      device: profile.device, rooms: [room.text], session: session?.description)
    try await ControlClient.with(state: directory) { client in
      guard case .opened(let id, _) = try await client.ask(.open(open)) else {
        throw ControlResponse.mismatch
      }
      let visit = RoomVisit(
        state: directory, room: room, session: id, isJSON: isJSON, withCursors: cursors,
        requesting: requesting, endings: endings)
      let viewer = isInteractive ? try RoomViewer(room: room.text, hasPrompt: true) : nil
      defer { viewer?.close() }
      if isNewMesh { viewer?.tell("A new mesh was made: `presence mesh invite` lets others in.") }
      try await withThrowingTaskGroup { group in
        group.addTask {
          defer { requesting.finish() }
          try await visit.run(viewer)
        }
        for await request in requests {
          do {
            try await client.command(request)
          } catch let failure as CommandFailure where failure != ControlClient.silence {
            visit.tell(failure.message, viewer)
          }
        }
        // Of a session that has ended already, nobody needs to be told.
        try? await client.command(.leave(SessionChoice(session: id)))
        try await group.next()
      }
    }
  }
}

/// What is typed into `presence join`.
enum JoinInput: Hashable {
  case request(ControlRequest)
  case quit
  case help
  case unknown(String)

  static let summary = """
    busy [message]   a status: \(Status.allCases.map(\.name).joined(separator: ", "))
    any other text   a message
    /clear           no message
    /cursor x y      a cursor, 0…1
    /hide            no cursor
    /typing on|off
    /quit
    """

  /// Reads a line that is about a session in a room; `nil` for an empty one.
  init?(_ line: String, session: String, room: String) {
    let line = line.trimmingCharacters(in: .whitespacesAndNewlines)
    let words = line.split(
      maxSplits: 1, omittingEmptySubsequences: true, whereSeparator: \.isWhitespace)
    guard let first = words.first else { return nil }
    let rest = words.count > 1 ? String(words[1].drop(while: \.isWhitespace)) : ""
    let everywhere = SessionChoice(session: session)
    let here = SessionChoice(session: session, room: room)
    switch first {
    case "/quit", "/leave": self = .quit
    case "/help": self = .help
    case "/clear": self = .request(.status(everywhere, status: nil, message: ""))
    case "/hide":
      self = .request(.cursor(here, x: 0, y: 0, visible: false, anchor: nil))
    case "/typing" where rest == "on" || rest == "off":
      self = .request(.typing(here, isTyping: rest == "on"))
    case "/cursor":
      let numbers = rest.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
      guard numbers.count == 2, numbers.allSatisfy({ (0...1).contains($0) }) else {
        self = .unknown("/cursor needs x and y, each 0…1")
        return
      }
      self = .request(
        .cursor(here, x: numbers[0], y: numbers[1], visible: true, anchor: nil))
    case let word where word.hasPrefix("/"):
      self = .unknown("\(word) is not known: /help lists what is")
    case let word:
      if let status = Status(String(word)) {
        let message = rest.isEmpty ? nil : rest
        self = .request(.status(everywhere, status: status.name, message: message))
      } else {
        self = .request(.status(everywhere, status: nil, message: String(line)))
      }
    }
  }
}

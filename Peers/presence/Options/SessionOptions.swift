public import ArgumentParser
public import PresenceMesh

/// Which session of the running node a command is about.
struct SessionChoiceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The session. Default: the newest of the user.", valueName: "id"))
  var session: SessionID?

  @Option(
    help: ArgumentHelp(
      "The user, when the node hosts sessions of several.", valueName: "id"))
  var user: String?

  /// The choice, in a room or where it makes sense.
  func choice(in room: RoomName?) -> SessionChoice {
    SessionChoice(session: session?.description, user: user, room: room?.text)
  }
}

/// Who a session belongs to.
struct ProfileOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The id that tells users apart. Default: the name.", valueName: "id"))
  var user: String?

  @Option(help: "What the session runs on, for others to read.")
  var device = "terminal"

  @Option(
    help: ArgumentHelp("The colour of the user. Default: by the id.", valueName: "#rrggbb"))
  var colour: Colour?
}

extension Colour: ExpressibleByArgument {
  /// Reads `#rrggbb`.
  public init?(argument: String) { self.init(argument) }
}

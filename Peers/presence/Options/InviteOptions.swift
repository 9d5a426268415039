import ArgumentParser
import MeshCrypto
import PresenceMesh

/// An invite that is given as an argument.
struct InviteArgument: ExpressibleByArgument {
  /// The invite; `nil` to read it from the standard input.
  private let text: SecretBytes?

  init(argument: String) {
    text = argument == "-" ? nil : GivenSecrets.named(argument) ?? SecretBytes(argument.utf8)
  }

  /// The text of the invite.
  func read() throws -> SecretBytes { try text ?? InviteText.ofStandardInput() }
}

/// Where an invite comes from.
struct InviteOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Join the mesh of the invite in this file; - reads the standard input.",
      discussion: """
        PRESENCE_INVITE holds one too. An invite holds the key of the mesh: neither of these ways \
        shows it in a list of processes.
        """,
      valueName: "file"),
    completion: .file())
  var inviteFile: String?

  @Option(
    help: ArgumentHelp(
      "Join the mesh of this invite; - reads the standard input.",
      discussion: "A shell remembers it, and a list of processes may show it for a moment.",
      valueName: "line"))
  var invite: InviteArgument?

  mutating func validate() throws {
    guard inviteFile == nil || invite == nil else {
      throw ValidationError("--invite-file and --invite both give an invite: choose one.")
    }
  }

  /// The invite, if one was given.
  /// - Throws: `ValidationError` when it should come from the standard input and does not;
  ///   ``CommandFailure`` when its file cannot be read, or is open to others.
  func text() throws -> SecretBytes? { try InviteText.given(file: inviteFile, argument: invite) }
}

/// Reads the text of invites.
enum InviteText {
  /// The most bytes of one.
  private static let bound = 4096

  /// The invite of a file, of an argument, or else of the environment.
  static func given(file: String?, argument: InviteArgument?) throws -> SecretBytes? {
    guard let file else { return try argument?.read() ?? GivenSecrets.ofEnvironment }
    guard file != "-" else { return try ofStandardInput() }
    do {
      return try SecretFile.read(file, bound: bound)
    } catch {
      throw CommandFailure("\(error)")
    }
  }

  /// The first line of the standard input.
  static func ofStandardInput() throws -> SecretBytes {
    let (line, _) = SecretBytes.read(
      from: StandardInput.descriptor, bound: bound, until: UInt8(ascii: "\n"))
    guard let line, line.count > 0 else {
      throw ValidationError("There is no invite on the standard input.")
    }
    return line
  }
}

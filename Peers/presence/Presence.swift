import ArgumentParser
import Foundation
import MeshCrypto

/// The command-line peer: runs a node of a mesh, and asks and tells the one that runs.
@main
struct Presence: AsyncParsableCommand {
  /// The version that `--version` prints.
  static let version = "0.1.0"

  static let configuration = CommandConfiguration(
    commandName: "presence",
    abstract: "Who is online, without a server.",
    discussion: """
      Run a node:        presence up --name Ada --room design
      Let others in:     presence invite
      Enter and watch:   presence join design --name Grace
      Look around:       presence who design

      A node keeps its identity in a state directory (--state, else PRESENCE_STATE). The other \
      commands reach the running node through a socket in it; several nodes on one machine need \
      a directory each.

      Exit codes:  0  done
                   1  it could not be done; the reason is on the standard error
                   2  wrong usage
                   3  no node is running for the state directory
                   130  ended at once by Ctrl-C while it was ending already
      """,
    version: version,
    groupedSubcommands: groups + laboratory)

  private static let groups = [
    CommandGroup(
      name: "Node",
      subcommands: [
        UpCommand.self, DownCommand.self, MeshCommand.self, TokenCommand.self,
      ]),
    CommandGroup(
      name: "Membership",
      subcommands: [
        InviteCommand.self, InvitesCommand.self, MembersCommand.self, RevokeCommand.self,
        RotateCommand.self, AuthorityCommand.self,
      ]),
    CommandGroup(
      name: "Presence",
      subcommands: [
        JoinCommand.self, WhoCommand.self, WatchCommand.self, RoomsCommand.self,
        StatusCommand.self, CursorCommand.self, TypingCommand.self, LeaveCommand.self,
      ]),
    CommandGroup(
      name: "Insight",
      subcommands: [
        PeersCommand.self, CountersCommand.self, DoctorCommand.self, DebugCommand.self,
      ]),
  ]

  private static let laboratory = [
    CommandGroup(
      name: "Laboratory",
      subcommands: [SimulateCommand.self, MeasureCommand.self, BenchCommand.self])
  ]

  /// Parses and runs a command, and ends the process with its exit code.
  static func main() async {
    StandardDescriptors.openAll()
    // A reader that goes away is an error of `write`, not the end of a node.
    signal(SIGPIPE, SIG_IGN)
    ProcessProtection.begin()
    do {
      if let unfit = Sodium.unfit { throw CommandFailure(unfit) }
      var command = try await asyncParseAsRoot(try arguments())
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
      Foundation.exit(0)
    } catch {
      Foundation.exit(report(error))
    }
  }

  /// The arguments of the command. A state directory that is named before it counts as if it stood
  /// in `PRESENCE_STATE`.
  /// - Throws: `ValidationError` when none is named: another one would be taken for it.
  private static func arguments() throws -> [String] {
    var arguments = GivenSecrets.take()
    guard let first = arguments.first else { return arguments }
    let directory: String
    if first == "--state" {
      directory = arguments.count > 1 ? arguments[1] : ""
      arguments.removeFirst(min(2, arguments.count))
    } else if first.hasPrefix("--state=") {
      directory = String(first.dropFirst("--state=".count))
      arguments.removeFirst()
    } else {
      return arguments
    }
    guard !directory.isEmpty else { throw ValidationError("--state needs a directory.") }
    setenv("PRESENCE_STATE", directory, 1)
    return arguments
  }

  /// Tells what went wrong. Returns the exit code.
  private static func report(_ error: any Error) -> Int32 {
    switch error {
    case is OutputClosed: return 0
    case let failure as CommandFailure:
      Output.note("presence: \(failure.message)")
      return failure.exitCode
    case let code as ExitCode: return code.rawValue
    default: break
    }
    let code = exitCode(for: error)
    if code == .success {
      // Help, the version, or a completion script.
      try? Output.print(fullMessage(for: error))
      return 0
    }
    if code == .validationFailure {
      Output.note(fullMessage(for: error))
      return CommandFailure.usageExitCode
    }
    Output.note("presence: \(error)")
    return CommandFailure.failedExitCode
  }
}

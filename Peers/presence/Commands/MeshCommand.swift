import ArgumentParser
import Foundation
import PresenceMesh

/// `presence mesh`: makes a mesh, and lets others in.
struct MeshCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mesh", abstract: "Make a mesh, and let others in.",
    subcommands: [Create.self, Invite.self, Join.self])

  /// `presence mesh create`.
  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "create",
      abstract: "Make a mesh in the state directory, and print the invite to it.",
      discussion: "The invite is one line and holds the key of the mesh: keep it like a password.")

    @OptionGroup var state: StateOptions

    func run() async throws {
      let line = try Membership.open(state.path()) { directory in
        guard try directory.mesh() == nil else {
          throw CommandFailure(
            "\(directory.path) has a mesh already: `presence mesh invite` prints its invite")
        }
        let credentials = MeshCredentials.random()
        _ = try directory.identity()
        try directory.store(credentials)
        return credentials.invite(by: []).line
      }
      try Output.print(line)
    }
  }

  /// `presence mesh invite`.
  struct Invite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "invite",
      abstract: "Print the invite to the mesh, with the addresses of the running node.",
      discussion: """
        The invite is one line and holds the key of the mesh: keep it like a password. When no \
        node is running, it names the addresses that are remembered of others.
        """)

    @OptionGroup var state: StateOptions

    @Option(
      help: ArgumentHelp(
        "Name this address instead of the node's own; may be repeated.", valueName: "host:port"))
    var address: [String] = []

    func run() async throws {
      let directory = try state.path()
      do {
        let answer = try await ControlClient.ask(.invite(addresses: address), state: directory)
        guard case .invite(let line) = answer else { throw ControlResponse.mismatch }
        try Output.print(line)
      } catch let failure as CommandFailure where failure == .noNode(state: directory) {
        guard address.isEmpty else { throw failure }
        try Output.print(try Membership.storedInvite(directory))
      }
    }
  }

  /// `presence mesh join`.
  struct Join: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "join",
      abstract: "Keep the mesh of an invite in the state directory.",
      discussion: "`presence up` joins it then. `presence up --invite …` does both.")

    @OptionGroup var state: StateOptions

    @Argument(help: "The invite, or - for the standard input.")
    var invite: String

    func run() async throws {
      try Membership.join(
        state.path(), line: invite == "-" ? NodeOptions.lineOfStandardInput() : invite)
    }
  }
}

/// The mesh that a state directory knows, while no node is running on it.
enum Membership {
  /// Opens a state directory, does something with it and closes it.
  /// - Throws: ``CommandFailure`` in the words of what went wrong.
  static func open<Value>(_ path: String, _ body: (StateDirectory) throws -> Value) throws -> Value
  {
    do {
      return try body(try StateDirectory(path: path))
    } catch let failure as CommandFailure {
      throw failure
    } catch {
      throw CommandFailure("\(error)")
    }
  }

  /// The invite to the mesh of a directory, by the addresses that it remembers.
  static func storedInvite(_ path: String) throws -> String {
    // To look does not make a directory.
    guard access(path, F_OK) == 0 else { throw Self.noMesh(path) }
    return try open(path) { directory in
      guard let credentials = try directory.mesh() else { throw Self.noMesh(path) }
      let (addresses, _) = directory.rememberedAddresses()
      if addresses.isEmpty {
        Output.note(
          """
          No node is running and no other is remembered: this invite names no address. Nodes on \
          one LAN find each other all the same; for others, run `presence up` and ask again.
          """)
      }
      return credentials.invite(by: addresses).line
    }
  }

  /// Keeps the mesh of an invite.
  static func join(_ path: String, line: String) throws {
    let invite: Invite
    do {
      invite = try Invite(line: line)
    } catch {
      throw CommandFailure("\(error)")
    }
    try open(path) { directory in
      if try directory.mesh()?.mesh != invite.mesh {
        try directory.store(MeshCredentials(invite))
      }
      _ = try directory.identity()
      let (known, _) = directory.rememberedAddresses()
      try directory.remember(invite.addresses + known.filter { !invite.addresses.contains($0) })
    }
  }

  private static func noMesh(_ path: String) -> CommandFailure {
    CommandFailure("\(path) knows no mesh: `presence up` or `presence mesh create` makes one")
  }
}

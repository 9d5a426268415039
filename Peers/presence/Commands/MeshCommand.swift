import ArgumentParser
import Foundation
import MeshCrypto
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
      discussion: """
        `presence up` joins it then. `presence up --invite-file …` does both. An invite with a newer key \
        of the mesh that is kept already adds that key; another key of an epoch that is known is \
        refused.
        """)

    @OptionGroup var state: StateOptions

    @Option(
      help: ArgumentHelp(
        "The file of the invite; - reads the standard input.",
        discussion: "PRESENCE_INVITE holds one too.", valueName: "file"),
      completion: .file())
    var inviteFile: String?

    @Argument(
      help: ArgumentHelp(
        "The invite, or - for the standard input.",
        discussion: "A shell remembers it, and a list of processes may show it for a moment."))
    var invite: InviteArgument?

    func run() async throws {
      guard inviteFile == nil || invite == nil else {
        throw ValidationError("--invite-file and an argument both give an invite: choose one.")
      }
      guard let text = try InviteText.given(file: inviteFile, argument: invite) else {
        throw ValidationError(
          "No invite: give one by --invite-file, on the standard input (-) or in PRESENCE_INVITE.")
      }
      try await Membership.join(state.path(), text: text)
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

  /// Keeps the mesh of an invite, or the newer key that it has.
  static func join(_ path: String, text: SecretBytes) async throws {
    let invite = try invite(text)
    if await ControlClient.isRunning(state: path) {
      try await check(invite, againstNodeOf: path, refusingOlder: true)
      return Output.note(nothingNew)
    }
    let isKnown = try open(path) { directory in
      let news = try keep(invite, in: directory)
      _ = try directory.identity()
      let (known, _) = directory.rememberedAddresses()
      try directory.remember(invite.addresses + known.filter { !invite.addresses.contains($0) })
      if case .newerKey(let epoch) = news {
        Output.note(
          "The key of epoch \(epoch) of the mesh was added: `presence up` uses it from now on.")
      }
      return news == .nothing
    }
    if isKnown { Output.note(nothingNew) }
  }

  private static let nothingNew = "This mesh and this key of it are known already: nothing changed."

  /// Keeps the membership that an invite gives. Returns what was new of a mesh that was known.
  private static func keep(
    _ invite: Invite, in directory: StateDirectory
  ) throws -> MeshCredentials.News? {
    guard var credentials = try directory.mesh(), credentials.mesh == invite.mesh else {
      // A directory that has another mesh refuses.
      try directory.store(MeshCredentials(invite))
      return nil
    }
    let news = try credentials.learn(from: invite)
    if case .olderKey(let epoch, let known) = news { throw outdated(epoch, known: known) }
    if news != .nothing { try directory.store(credentials) }
    return news
  }

  /// Refuses an invite that asks for another mesh or another key than the running node has, which
  /// takes up neither while it runs. An older key of its mesh is passed over.
  static func check(_ text: SecretBytes, againstNodeOf path: String) async throws {
    try await check(invite(text), againstNodeOf: path, refusingOlder: false)
  }

  private static func check(
    _ invite: Invite, againstNodeOf path: String, refusingOlder: Bool
  ) async throws {
    let answer = try await ControlClient.ask(.invite(addresses: []), state: path)
    guard case .invite(let line) = answer else { throw ControlResponse.mismatch }
    var credentials = MeshCredentials(try self.invite(SecretBytes(line.utf8)))
    guard credentials.mesh == invite.mesh else {
      throw CommandFailure(
        "the node that is running for \(path) is in another mesh: name another state directory")
    }
    let news: MeshCredentials.News
    do {
      news = try credentials.learn(from: invite)
    } catch {
      throw CommandFailure("\(error)")
    }
    switch news {
    case .nothing: break
    case .olderKey(let epoch, let known):
      if refusingOlder { throw outdated(epoch, known: known) }
    case .newerKey(let epoch):
      throw CommandFailure(
        """
        the invite has the key of epoch \(epoch), and the node that is running for \(path) does \
        not: end it with `presence down`, take the key with `presence mesh join`, and start it again
        """)
    }
  }

  private static func outdated(_ epoch: UInt32, known: UInt32) -> CommandFailure {
    CommandFailure(
      """
      the invite is of epoch \(epoch), and a key of epoch \(known) of this mesh is kept: nothing \
      was changed; ask for a new invite (`presence mesh invite` on a node that works)
      """)
  }

  private static func invite(_ text: SecretBytes) throws -> Invite {
    do {
      return try Invite(text)
    } catch {
      throw CommandFailure("\(error)")
    }
  }

  private static func noMesh(_ path: String) -> CommandFailure {
    CommandFailure("\(path) knows no mesh: `presence up` or `presence mesh create` makes one")
  }
}

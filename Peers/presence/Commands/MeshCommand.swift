import ArgumentParser
import Foundation
import MeshCrypto
import PresenceMesh

/// `presence mesh`: makes a mesh, and lets others in.
struct MeshCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mesh", abstract: "Make a mesh, and let others in.",
    subcommands: [Create.self, InviteCommand.self, Join.self])

  /// `presence mesh create`.
  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "create",
      abstract: "Make a mesh in the state directory, and print the invite to it.",
      discussion: """
        The node of the state directory is the first member, and keeps the key of the authority, which \
        lets others in. The invite is one line: keep it like a password.
        """)

    @OptionGroup var state: StateOptions

    @Flag(
      help: ArgumentHelp(
        "Make an open mesh: whoever has its key is a member, and may say anything.",
        discussion: "The invite holds the key. Nobody can be put out of an open mesh."))
    var open = false

    func run() async throws {
      let line = try Membership.open(state.path()) { directory in
        guard try directory.mesh() == nil else {
          throw CommandFailure(
            "\(directory.path) has a mesh already: `presence invite` prints an invite to it")
        }
        try directory.makeMesh(open: open, at: Membership.now)
        return try directory.invite(nil, by: [], at: Membership.now).line
      }
      try Output.print(line)
    }
  }

  /// `presence mesh join`.
  struct Join: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "join",
      abstract: "Keep the mesh of an invite in the state directory.",
      discussion: """
        `presence up` joins it then. `presence up --invite-file …` does both. A newer invite to the mesh \
        that is kept already takes the place of the older one; one that is older, or contradicts what \
        is kept, is refused.
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

  static var now: WallTime { WallTime(milliseconds: ClockText.nowMilliseconds) }

  /// A new invite to the mesh of a directory, by the addresses that it remembers.
  static func storedInvite(_ path: String, _ terms: InviteTerms?) throws -> String {
    try openKnown(path) { directory in
      let (addresses, _) = directory.rememberedAddresses()
      let line = try directory.invite(terms, by: addresses, at: now).line
      if addresses.isEmpty {
        Output.note(
          """
          No node is running and no other is remembered: this invite names no address. Nodes on \
          one LAN find each other all the same; for others, run `presence up` and ask again.
          """)
      }
      return line
    }
  }

  /// The invites that were issued from a directory.
  static func storedInvites(_ path: String) throws -> InvitesRecord {
    try openKnown(path) { directory in
      InvitesRecord(
        invites: try IssuedInvite.stored(in: directory).map { .init($0, isCounted: false) })
    }
  }

  /// Opens a directory that is there: to look does not make one.
  private static func openKnown<Value>(
    _ path: String, _ body: (StateDirectory) throws -> Value
  ) throws -> Value {
    guard access(path, F_OK) == 0 else { throw Self.noMesh(path) }
    return try open(path, body)
  }

  /// Keeps the mesh of an invite, or what is newer in it.
  static func join(_ path: String, text: SecretBytes) async throws {
    let invite = try invite(text)
    if await ControlClient.isRunning(state: path) {
      try await check(invite, againstNodeOf: path, refusingOlder: true)
      return Output.note(nothingNew)
    }
    let news = try open(path) { directory in
      let news = try keep(invite, in: directory)
      let (known, _) = directory.rememberedAddresses()
      try directory.remember(invite.addresses + known.filter { !invite.addresses.contains($0) })
      return news
    }
    switch news {
    case .newerKey(let epoch):
      Output.note(
        "The key of epoch \(epoch) of the mesh was added: `presence up` uses it from now on.")
    case .newerCertificate:
      Output.note("A new certificate took the place of the one before: `presence up` uses it.")
    case .nothing: Output.note(nothingNew)
    case .olderKey, .olderTicket, nil: break
    }
  }

  private static let nothingNew = "This invite is known already: nothing changed."

  /// Keeps the membership that an invite gives. Returns what was new of a mesh that was known.
  private static func keep(
    _ invite: Invite, in directory: StateDirectory
  ) throws -> MeshCredentials.News? {
    let known = try directory.mesh()
    let node = try directory.identity().origin
    guard var credentials = known, credentials.mesh == invite.mesh else {
      // A directory that has another mesh refuses.
      try directory.store(MeshCredentials(invite, node: node, at: now))
      return nil
    }
    let news = try credentials.learn(from: invite, node: node, at: now)
    if let refusal = refusal(of: news) { throw refusal }
    try directory.store(credentials)
    return news
  }

  /// Refuses an invite that asks for another mesh, key or certificate than the running node has, which
  /// takes up none while it runs. An older one of its mesh is passed over.
  static func check(_ text: SecretBytes, againstNodeOf path: String) async throws {
    try await check(invite(text), againstNodeOf: path, refusingOlder: false)
  }

  private static func check(
    _ invite: Invite, againstNodeOf path: String, refusingOlder: Bool
  ) async throws {
    guard case .membership(let node) = try await ControlClient.ask(.membership, state: path) else {
      throw ControlResponse.mismatch
    }
    guard node.mesh == invite.meshText, node.open == (invite.key != nil) else {
      throw CommandFailure(
        "the node that is running for \(path) is in another mesh: name another state directory")
    }
    if let held = invite.ticket {
      guard "\(held.key.origin)" != node.certificate?.ticket else { return }
      throw CommandFailure(
        """
        the node that is running for \(path) joined by another invite: end it with `presence down`, take \
        this one with `presence mesh join`, and start it again
        """)
    }
    let answer = try await ControlClient.ask(.invite(addresses: [], terms: nil), state: path)
    guard case .invite(let line) = answer else { throw ControlResponse.mismatch }
    let known = try self.invite(SecretBytes(line.utf8))
    let news: MeshCredentials.News
    do {
      news = try MeshCredentials.news(of: invite, to: known)
    } catch {
      throw CommandFailure("\(error)")
    }
    if refusingOlder, let refusal = refusal(of: news) { throw refusal }
    if case .newerKey(let epoch) = news {
      throw CommandFailure(
        """
        the invite has the key of epoch \(epoch), and the node that is running for \(path) does \
        not: end it with `presence down`, take the key with `presence mesh join`, and start it again
        """)
    }
  }

  /// Why an older invite is not taken; `nil`: it is no older one.
  private static func refusal(of news: MeshCredentials.News) -> CommandFailure? {
    switch news {
    case .olderKey(let epoch, let known):
      CommandFailure(
        """
        the invite is of epoch \(epoch), and a key of epoch \(known) of this mesh is kept: nothing \
        was changed; ask for a new invite (`presence mesh invite` on a node that works)
        """)
    case .olderTicket:
      CommandFailure(
        """
        the invite has ended, or is older than the one that this node joined by: nothing was changed; ask \
        an admin for a new one (`presence invite`)
        """)
    case .newerKey, .newerCertificate, .nothing: nil
    }
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

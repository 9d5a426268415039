import ArgumentParser
import MeshCrypto
import PresenceMesh

/// `presence invite`: lets others in.
struct InviteCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "invite",
    abstract: "Print an invite to the mesh, with the addresses of the running node.",
    discussion: """
      The invite is one line. Whoever reads it can join: keep it like a password. Each is another \
      ticket, which `presence invites` lists and `presence invites revoke` takes back. When no node is \
      running, it names the addresses that are remembered of others. The invite to an open mesh holds \
      the key of the mesh, and is always the same.
      """)

  @OptionGroup var state: StateOptions
  @OptionGroup var options: TicketOptions

  @Option(
    help: ArgumentHelp(
      "Name this address instead of the node's own; may be repeated.", valueName: "host:port"))
  var address: [String] = []

  func run() async throws {
    let directory = try state.path()
    do {
      let request = ControlRequest.invite(addresses: address, terms: options.terms)
      guard case .invite(let line) = try await ControlClient.ask(request, state: directory) else {
        throw ControlResponse.mismatch
      }
      try Output.print(line)
    } catch let failure as CommandFailure where failure == .noNode(state: directory) {
      guard address.isEmpty else { throw failure }
      try Output.print(try Membership.storedInvite(directory, options.terms))
    }
  }
}

/// `presence invites`: what was issued.
struct InvitesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "invites", abstract: "List the invites that this node issued, or revoke one.",
    subcommands: [List.self, Revoke.self], defaultSubcommand: List.self)

  /// `presence invites list`.
  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "List the invites that this node issued.")

    @OptionGroup var state: StateOptions
    @OptionGroup var format: FormatOptions

    func run() async throws {
      let directory = try state.path()
      var record: InvitesRecord
      do {
        guard case .invites(let answer) = try await ControlClient.ask(.invites, state: directory)
        else { throw ControlResponse.mismatch }
        record = answer
      } catch let failure as CommandFailure where failure == .noNode(state: directory) {
        record = try Membership.storedInvites(directory)
      }
      if format.isJSON { return try Output.print(json: record) }
      guard !record.invites.isEmpty else { return try Output.print("no invite was issued here") }
      let columns = ["TICKET", "ROLE", "USERS", "USED", "EXPIRES"].map {
        TextTable.Column(heading: $0)
      }
      let now = ClockText.nowMilliseconds
      let rows = record.invites.map { invite in
        let (end, style): (String, Style) =
          invite.revoked
          ? ("revoked", .bad)
          : invite.expiresAtMs < now
            ? ("ended", .dim)
            : ("in " + ClockText.span(milliseconds: invite.expiresAtMs - now), .good)
        let used = invite.used.map { "\($0)" } ?? "?"
        return [
          Cell(RecordText.shortened(invite.ticket), .bold), Cell(invite.role),
          Cell(UsersText.text(invite.users)),
          Cell(invite.uses == 0 ? used : "\(used) of \(invite.uses)"), Cell(end, style),
        ]
      }
      try Output.print(
        TextTable(columns: columns, rows: rows)
          .lines(width: Output.width, colours: Output.hasColours))
    }
  }

  /// `presence invites revoke`.
  struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "revoke",
      abstract: "Take an invite back: it admits nobody, and whoever came by it is out.")

    @OptionGroup var state: StateOptions

    @Argument(help: "The ticket as `presence invites` lists it.")
    var ticket: String

    func run() async throws { try await RevokeCommand.revoke(.ticket(ticket), state.path()) }
  }
}

/// `presence revoke`: puts a node or a user out.
struct RevokeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "revoke",
    abstract: "Put a node, a user, or all who came by an invite out of the mesh.",
    discussion: """
      All nodes hear of it, and show nothing of them from then on. It needs a running node of an admin, \
      and cannot be undone: a node that was revoked by mistake joins by a new invite with a new state \
      directory.
      """)

  @OptionGroup var state: StateOptions

  @Argument(help: "The node, by the first digits of its id: see `presence members`.")
  var node: String?

  @Option(help: ArgumentHelp("What anybody says about this user counts no more.", valueName: "id"))
  var user: String?

  @Option(
    help: ArgumentHelp(
      "The ticket as `presence members` and `presence invites` list it.", valueName: "id"))
  var ticket: String?

  mutating func validate() throws {
    guard [node, user, ticket].compactMap({ $0 }).count == 1 else {
      throw ValidationError("Name one of these: a node, a --user or a --ticket.")
    }
  }

  func run() async throws {
    let request: RevokeRequest =
      node.map { .node($0) } ?? user.map { .user($0) } ?? .ticket(ticket ?? "")
    try await Self.revoke(request, state.path())
  }

  static func revoke(_ request: RevokeRequest, _ state: String) async throws {
    guard case .told(let text) = try await ControlClient.ask(.revoke(request), state: state) else {
      throw ControlResponse.mismatch
    }
    Output.note(text)
  }
}

/// `presence rotate`: begins an epoch.
struct RotateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rotate", abstract: "Go on with a new key of the mesh.",
    discussion: """
      All members get it; who is away gets it when it comes back. Invites that are out hold. It needs a \
      running node of an admin.
      """)

  @OptionGroup var state: StateOptions

  func run() async throws {
    guard case .told(let text) = try await ControlClient.ask(.rotate, state: state.path()) else {
      throw ControlResponse.mismatch
    }
    Output.note(text)
  }
}

/// `presence members`: who is a member.
struct MembersCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "members", abstract: "List the members of a closed mesh, and what each may do.")

  @OptionGroup var state: StateOptions
  @OptionGroup var format: FormatOptions

  func run() async throws {
    guard case .members(let record) = try await ControlClient.ask(.members, state: state.path())
    else { throw ControlResponse.mismatch }
    if format.isJSON { return try Output.print(json: record) }
    if record.open {
      return try Output.print("the mesh is open: whoever has its key is a member")
    }
    let columns = ["NODE", "STANDING", "ROLE", "USERS", "UNTIL", "TICKET"].map {
      TextTable.Column(heading: $0)
    }
    let rows = record.members.map { member in
      let certificate = member.certificate
      return [
        Cell(RecordText.shortened(member.node), .bold),
        Cell(
          member.node == record.node ? "this node" : member.standing,
          member.standing == "member" ? .good : .bad),
        Cell(certificate?.role ?? "-"), Cell(certificate.map { UsersText.text($0.users) } ?? "-"),
        Cell(certificate.map { ClockText.date(ofMilliseconds: $0.notAfterAtMs) } ?? "-"),
        Cell(certificate.map { RecordText.shortened($0.ticket) } ?? "-", .dim),
      ]
    }
    try Output.print(
      TextTable(columns: columns, rows: rows)
        .lines(width: Output.width, colours: Output.hasColours))
    guard !record.revokedUsers.isEmpty else { return }
    try Output.print(
      "revoked users: " + record.revokedUsers.map { PlainText.safe($0) }.joined(separator: " "))
  }
}

/// `presence authority`: the key that a mesh begins with.
struct AuthorityCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "authority",
    abstract: "Move the key of the mesh's authority away, or bring it here.",
    discussion: "No node may be running on the state directory.",
    subcommands: [Export.self, Import.self])

  /// `presence authority export`.
  struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "export", abstract: "Print the key of the authority, a single line.",
      discussion:
        "The key stays in the file `authority` of the state directory: remove that to move it.")

    @OptionGroup var state: StateOptions

    func run() async throws {
      let line = try Membership.open(state.path()) { directory in
        guard let mesh = try directory.mesh()?.mesh, let key = try directory.authority() else {
          throw CommandFailure("\(directory.path) keeps no key of an authority")
        }
        return AuthorityLine(mesh: mesh, key: key).line
      }
      Output.note(
        """
        WHOEVER HAS THIS LINE CONTROLS THE MESH: it makes admins, revokes anybody, and cannot be taken \
        back. Keep it offline.
        """)
      try Output.print(line)
    }
  }

  /// `presence authority import`.
  struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "import",
      abstract: "Keep the key of the authority that stands on the standard input.",
      discussion: "The state directory is that of a member of the mesh.")

    @OptionGroup var state: StateOptions

    func run() async throws {
      let text = try InviteText.ofStandardInput()
      guard let line = AuthorityLine(text) else {
        throw CommandFailure(
          "this is not the line of `presence authority export`: copy it again, with nothing left out"
        )
      }
      try Membership.open(state.path()) { directory in
        guard try directory.take(line, at: Membership.now) else {
          throw CommandFailure(
            "\(directory.path) does not belong to the mesh of this authority: join it first")
        }
      }
      Output.note(
        "The key of the authority is kept, and this node is an admin: `presence up` lets others in."
      )
    }
  }
}

/// The users that a certificate names, for people to read.
enum UsersText {
  static func text(_ patterns: [String]) -> String {
    patterns.isEmpty
      ? "nobody" : patterns == ["*"] ? "all" : PlainText.safe(patterns.joined(separator: ","))
  }
}

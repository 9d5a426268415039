public import ArgumentParser
public import PresenceMesh

/// What an invite to a closed mesh is good for.
struct TicketOptions: ParsableArguments {
  @Option(help: ArgumentHelp("How many nodes it admits. Default: any number.", valueName: "n"))
  var uses: Int?

  @Option(
    help: ArgumentHelp("How long it admits: such as 30m, 24h, 7d. Default: 24h.", valueName: "time")
  )
  var expires: Span?

  @Option(
    help: ArgumentHelp(
      "How long a node that joined by it is a member. Default: 365d.", valueName: "time"))
  var lifetime: Span?

  @Option(
    help: ArgumentHelp(
      "The users that such a node may speak for, with commas between; may be repeated. Default: all.",
      discussion: "A * at the end of an id stands for any rest: ada,'bob-*'. Nobody: ''.",
      valueName: "list"))
  var users: [String] = []

  @Option(help: "What such a node may do: member, moderator or admin. Default: member.")
  var role: MemberRole?

  @Option(help: ArgumentHelp("The most sessions of such a node.", valueName: "n"))
  var sessions: Int?

  @Option(help: ArgumentHelp("The most rooms of such a node.", valueName: "n"))
  var rooms: Int?

  @Option(help: ArgumentHelp("The most records of such a node.", valueName: "n"))
  var records: Int?

  @Option(
    help: ArgumentHelp(
      "The most that such a node writes in a second, such as 50kB.", valueName: "bytes"))
  var rate: ByteRate?

  /// The terms; `nil` when nothing was said of them.
  var terms: InviteTerms? {
    var terms = InviteTerms()
    if let uses { terms.uses = uses }
    if let expires { terms.expiresIn = expires.duration }
    if let lifetime { terms.lifetime = lifetime.duration }
    if !users.isEmpty {
      terms.users = users.flatMap { $0.split(separator: ",") }.map(String.init)
    }
    if let role { terms.role = role }
    terms.sessions = sessions ?? 0
    terms.rooms = rooms ?? 0
    terms.records = records ?? 0
    terms.bytesPerSecond = rate?.bytes ?? 0
    return terms == InviteTerms() && users.isEmpty ? nil : terms
  }
}

/// A span of time such as 30m, 8h or 7d.
struct Span: ExpressibleByArgument {
  let duration: Duration

  private static let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]

  init?(argument: String) {
    guard let unit = argument.last.flatMap({ Self.units[$0] }),
      let count = Int(argument.dropLast()),
      1...100_000 ~= count
    else { return nil }
    duration = .seconds(count * unit)
  }
}

extension MemberRole: ExpressibleByArgument {}

import ArgumentParser
import PresenceMesh

/// `presence who`: the users of a room.
struct WhoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "who", abstract: "List who is there, and who was.",
    usage: "presence who [<room>] [--online] [<options>]")

  @OptionGroup var state: StateOptions
  @OptionGroup var format: FormatOptions

  @Argument(help: "The room; without one, the whole mesh.")
  var room: RoomName = .lobby

  @Flag(name: .customLong("online"), help: "Leave out who has gone.")
  var isOnlineOnly = false

  @Option(help: "The most users to list.")
  var limit = 1000

  @Option(help: "How many users to pass over.")
  var offset = 0

  mutating func validate() throws {
    guard (1...ControlLimits.users).contains(limit) else {
      throw ValidationError("--limit is 1…\(ControlLimits.users).")
    }
    guard offset >= 0 else { throw ValidationError("--offset is 0 or more.") }
  }

  func run() async throws {
    let request = ControlRequest.who(
      room: room.text, onlineOnly: isOnlineOnly, limit: limit, offset: offset)
    guard case .who(let roster) = try await ControlClient.ask(request, state: state.path()) else {
      throw ControlResponse.mismatch
    }
    if format.isJSON { return try Output.print(json: roster) }
    let now = ClockText.nowMilliseconds
    let table = TextTable(
      columns: UserText.columns, rows: roster.users.map { UserText.row($0, now: now) })
    let name = roster.room.isEmpty ? "lobby" : PlainText.safe(roster.room)
    let title = Style.bold.applied(to: name, colours: Output.hasColours)
    try Output.print(
      "\(title)  \(Count.text(roster.onlineUsers, "user")), "
        + "\(Count.text(roster.onlineSessions, "device"))  state \(roster.stateHash)")
    if roster.stale { try Output.print(Listing.staleLine) }
    guard !roster.users.isEmpty else { return }
    try Output.print(table.lines(width: Output.width, colours: Output.hasColours))
  }
}

/// `presence rooms`: the rooms that somebody is in.
struct RoomsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rooms", abstract: "List the rooms that somebody is in.")

  @OptionGroup var state: StateOptions
  @OptionGroup var format: FormatOptions

  func run() async throws {
    guard case .rooms(let rooms) = try await ControlClient.ask(.rooms, state: state.path()) else {
      throw ControlResponse.mismatch
    }
    if format.isJSON { return try Output.print(json: rooms) }
    if rooms.stale { try Output.print(Listing.staleLine) }
    let rows = (rooms.rooms + [rooms.lobby]).map { room in
      [
        room.name.isEmpty
          ? Cell("lobby (everybody)", .dim) : Cell(PlainText.safe(room.name), .bold),
        Cell("\(room.users)"), Cell("\(room.sessions)"),
      ]
    }
    let columns = [
      TextTable.Column(heading: "ROOM"),
      TextTable.Column(heading: "USERS", alignsRight: true),
      TextTable.Column(heading: "DEVICES", alignsRight: true),
    ]
    try Output.print(
      TextTable(columns: columns, rows: rows)
        .lines(width: Output.width, colours: Output.hasColours))
  }
}

/// `presence peers`: the other nodes.
struct PeersCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "peers",
    abstract: "List the other nodes: health, age, round trip, sessions, address.",
    discussion: "The state hash is equal on all nodes that have converged.")

  @OptionGroup var state: StateOptions
  @OptionGroup var format: FormatOptions

  func run() async throws {
    guard case .peers(let node) = try await ControlClient.ask(.peers, state: state.path()) else {
      throw ControlResponse.mismatch
    }
    if format.isJSON { return try Output.print(json: node) }
    let title = Style.bold.applied(
      to: RecordText.shortened(node.node), colours: Output.hasColours)
    try Output.print("\(title)  this node  state \(node.stateHash)")
    try Output.print("addresses  " + node.addresses.joined(separator: " "))
    if node.stale { try Output.print(Listing.staleLine) }
    guard !node.peers.isEmpty else { return try Output.print("no other node is known") }
    let columns = [
      TextTable.Column(heading: "NODE"), TextTable.Column(heading: "HEALTH"),
      TextTable.Column(heading: "AGE", alignsRight: true),
      TextTable.Column(heading: "ROUND TRIP", yielding: .vanish, alignsRight: true),
      TextTable.Column(heading: "SESSIONS", yielding: .vanish, alignsRight: true),
      TextTable.Column(heading: "STATE", yielding: .vanish), TextTable.Column(heading: "ADDRESS"),
    ]
    try Output.print(
      TextTable(columns: columns, rows: node.peers.map { Self.row($0) })
        .lines(width: Output.width, colours: Output.hasColours))
  }

  private static func row(_ peer: PeersRecord.Peer) -> [Cell] {
    let style: Style =
      switch peer.health {
      case "online": .good
      case "suspect": .warning
      case "offline": .bad
      default: .dim
      }
    let roundTrip = peer.roundTripUs.map { Milliseconds.text(microseconds: $0) } ?? "-"
    return [
      Cell(RecordText.shortened(peer.node), .bold),
      Cell(peer.unverified ? "\(peer.health) (unverified)" : peer.health, style),
      Cell(ClockText.span(milliseconds: UInt64(clamping: peer.ageMs))), Cell(roundTrip),
      Cell("\(peer.sessions)"), state(of: peer),
      Cell(peer.address ?? "through others", .dim),
    ]
  }

  private static func state(of peer: PeersRecord.Peer) -> Cell {
    if let span = peer.lastingDifferenceMs {
      return Cell("differs for \(ClockText.span(milliseconds: UInt64(clamping: span)))", .warning)
    }
    return Cell(peer.complete ? complete : "catching up")
  }

  private static let complete = "complete"
}

/// `presence counters`: what the node counted.
struct CountersCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "counters", abstract: "List what the running node has counted.")

  @OptionGroup var state: StateOptions
  @OptionGroup var format: FormatOptions

  func run() async throws {
    let answer = try await ControlClient.ask(.counters, state: state.path())
    guard case .counters(let counters) = answer else { throw ControlResponse.mismatch }
    if format.isJSON { return try Output.print(json: counters) }
    let columns = [
      TextTable.Column(heading: "COUNTER"), TextTable.Column(heading: "VALUE", alignsRight: true),
    ]
    let rows = counters.counters.map { counter in
      [Cell(counter.name), Cell("\(counter.value)", counter.value == 0 ? .dim : .plain)]
    }
    try Output.print(
      TextTable(columns: columns, rows: rows)
        .lines(width: Output.width, colours: Output.hasColours))
  }
}

/// What several listings say.
enum Listing {
  static var staleLine: String {
    Style.warning.applied(
      to: "STALE: " + RecordText.staleness(true), colours: Output.hasColours)
  }
}

/// A number with its noun.
enum Count {
  static func text(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
  }
}

/// Short spans in milliseconds.
enum Milliseconds {
  /// `0.24 ms`, `1.5 ms`, `120 ms`.
  static func text(microseconds: Int64) -> String {
    let count = max(0, microseconds)
    if count >= 10_000 { return "\(count / 1000) ms" }
    let hundredths = count / 10
    let digits = hundredths % 100 < 10 ? "0\(hundredths % 100)" : "\(hundredths % 100)"
    return "\(hundredths / 100).\(digits) ms"
  }
}

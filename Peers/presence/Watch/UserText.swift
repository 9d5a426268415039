/// Users in the words and cells of a terminal. Everything that others wrote is made safe here.
enum UserText {
  /// The columns of a table of users.
  static let columns: [TextTable.Column] = [
    TextTable.Column(heading: ""),
    TextTable.Column(heading: "USER", widths: 0...24),
    TextTable.Column(heading: "DEVICES", yielding: .vanish, alignsRight: true),
    TextTable.Column(heading: "STATUS", widths: 0...20),
    TextTable.Column(heading: "SEEN", yielding: .vanish),
    TextTable.Column(heading: "CURSOR", yielding: .vanish),
    TextTable.Column(heading: "MESSAGE", yielding: .first),
  ]

  /// The same columns for a table that is drawn again and again: what comes and goes in a moment
  /// does not move the others.
  static let steadyColumns: [TextTable.Column] = {
    let widths = ["STATUS": 14...20, "SEEN": 6...8, "CURSOR": 9...9]
    return columns.map { column in
      var column = column
      column.widths = widths[column.heading] ?? column.widths
      return column
    }
  }()

  /// The cells of a user.
  static func row(_ user: UserRecord, now: UInt64) -> [Cell] {
    [
      mark(user), Cell(name(user), user.online ? .bold : .dim),
      Cell(user.online ? "\(user.devices)" : "-", user.online ? .plain : .dim),
      Cell(status(user), style(user)), Cell(seen(user, now: now), .dim),
      Cell(user.online ? cursor(user) : "", .accent),
      Cell(PlainText.safe(user.message), user.online ? .plain : .dim),
    ]
  }

  /// The name, and the id where that says more.
  static func name(_ user: UserRecord) -> String {
    let name = user.name.isEmpty ? user.id : user.name
    return PlainText.safe(name == user.id ? name : "\(name) (\(user.id))")
  }

  /// What the user says, or `offline`; with `typing` and with `?` for one who is not heard of.
  static func status(_ user: UserRecord) -> String {
    guard user.online else { return "offline" }
    let typing = user.typing && user.status != "typing" ? ", typing" : ""
    return PlainText.safe(user.status) + typing + (user.suspect ? "?" : "")
  }

  /// `now`, or how long ago the user was seen.
  static func seen(_ user: UserRecord, now: UInt64) -> String {
    guard let last = user.lastSeenAtMs else { return user.online ? "now" : "" }
    return ClockText.age(ofMilliseconds: last, now: now)
  }

  /// Where the cursor of the newest session is that shows one.
  static func cursor(_ user: UserRecord) -> String {
    let shown = user.sessions.filter { $0.cursor?.visible == true }
    guard let cursor = shown.max(by: { $0.joinedAtMs < $1.joinedAtMs })?.cursor else { return "" }
    return "\(twoDigits(cursor.x)) \(twoDigits(cursor.y))"
  }

  /// A number of 0…1 as `0.42`.
  static func twoDigits(_ value: Double) -> String {
    let hundredths = Int((min(max(value, 0), 1) * 100).rounded())
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
  }

  private static func mark(_ user: UserRecord) -> Cell {
    guard user.online else { return Cell("○", .dim) }
    return user.suspect ? Cell("◐", .warning) : Cell("●", .good)
  }

  private static func style(_ user: UserRecord) -> Style {
    guard user.online, !user.suspect else { return user.online ? .warning : .dim }
    return switch user.status {
    case "online", "active", "typing": .good
    case "busy": .bad
    default: .warning
    }
  }
}

/// Records as plain lines.
enum RecordText {
  /// The lines of a record; none for one that is only of interest to programs.
  static func lines(_ record: WatchRecord, withCursors: Bool) -> [String] {
    let time = ClockText.time(ofMilliseconds: record.atMs)
    func line(_ event: String, _ text: String) -> String {
      "\(time) \(DisplayWidth.fitted(event, to: 8)) \(text)"
    }
    switch record.event {
    case .snapshot:
      let users = (record.users ?? []).map {
        line($0.online ? "here" : "gone", user($0, now: record.atMs))
      }
      let count = users.isEmpty ? [line("here", "nobody")] : users
      return record.stale == true ? count + [line("stale", staleness(true))] : count
    case .online, .updated, .offline, .status, .typing:
      guard let subject = record.user else { return [] }
      return [line(record.event.rawValue, user(subject, now: record.atMs))]
    case .cursor:
      guard withCursors, let id = record.userIdentifier, let cursor = record.cursor else {
        return []
      }
      let place = "\(UserText.twoDigits(cursor.x)) \(UserText.twoDigits(cursor.y))"
      let anchor = cursor.anchor.map { " at \(PlainText.safe($0))" } ?? ""
      let text = cursor.visible ? place + anchor : "hidden"
      return [line("cursor", "\(PlainText.safe(id)) · \(text)")]
    case .stale: return [line("stale", staleness(record.stale == true))]
    case .node:
      return [line("node", "\(shortened(record.node)) is \(record.health ?? "unknown")")]
    case .nodeForgotten: return [line("node", "\(shortened(record.node)) is forgotten")]
    case .cloned:
      return [line("cloned", "another process speaks with the key of this node")]
    case .contradicted:
      let node = shortened(record.node)
      return [line("node", "\(node) contradicts itself, and is hidden until it starts anew")]
    case .expelled:
      return [line("expelled", record.reason ?? "this node is no member of the mesh any more")]
    case .lagged: return [line("lagged", "this reader was too slow; the whole list follows")]
    case .sessionRestored: return [line("session", "is back with all that it said")]
    case .sessionMoved: return [line("session", "goes on at node \(shortened(record.node))")]
    case .sessionEnded: return [line("session", "has ended")]
    }
  }

  /// Whether what is shown may be old.
  static func staleness(_ isStale: Bool) -> String {
    isStale ? "no other node is heard: what is shown may be old" : "other nodes are heard again"
  }

  /// The first digits of a node's id.
  static func shortened(_ node: String?) -> String { String((node ?? "").prefix(10)) }

  private static func user(_ user: UserRecord, now: UInt64) -> String {
    var parts = [UserText.name(user), UserText.status(user)]
    if user.online { parts.append(user.devices == 1 ? "1 device" : "\(user.devices) devices") }
    if !user.online, let last = user.lastSeenAtMs {
      parts.append("seen \(ClockText.age(ofMilliseconds: last, now: now)) ago")
    }
    if !user.message.isEmpty { parts.append("\"\(PlainText.safe(user.message))\"") }
    return parts.joined(separator: " · ")
  }
}

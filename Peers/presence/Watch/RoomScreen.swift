/// What a watcher sees on a terminal: a pure function of the model, the size and the time.
struct RoomScreen {
  var room: String
  /// The line that is typed, on the screen of `presence join`.
  var prompt: String?
  /// What was said to the user last.
  var notice: Cell?
  /// How many users are scrolled past.
  var offset = 0

  /// A terminal with fewer rows has none to spare.
  private static let ampleRows = 12

  /// The rows above the users: title, headings, and a blank between them where there is room.
  private func rowsAbove(_ size: TerminalSize) -> Int { size.rows < Self.ampleRows ? 2 : 3 }

  /// The rows below the users: what was said last, the hint, and what is typed.
  private var rowsBelow: Int { prompt == nil ? 2 : 3 }

  /// The users that fit.
  func visibleRows(_ size: TerminalSize) -> Int {
    max(0, size.rows - rowsAbove(size) - rowsBelow)
  }

  /// The lines of the screen, and where its cursor is.
  func lines(
    _ model: RoomModel, size: TerminalSize, now: UInt64, colours: Bool
  ) -> (lines: [String], cursor: (row: Int, column: Int)?) {
    let users = model.users
    let visible = visibleRows(size)
    let start = min(max(0, offset), max(0, users.count - visible))
    let page = users.dropFirst(start).prefix(visible)
    let table = TextTable(
      columns: UserText.steadyColumns, rows: page.map { UserText.row($0, now: now) })
    var lines = [title(model, size: size, colours: colours)]
    if rowsAbove(size) > 2 { lines.append("") }
    lines += table.lines(width: size.columns, colours: colours, isPlaced: true)
    let top = max(0, size.rows - rowsBelow)
    while lines.count < top { lines.append("") }
    lines = Array(lines.prefix(top))
    let rest = users.count - start - page.count
    lines.append(status(rest: rest, size: size, colours: colours))
    guard let prompt else {
      lines.append(hint("q quits", size: size, colours: colours))
      return (lines, nil)
    }
    lines.append(
      hint(
        "a status or a message, then Enter · /help · Ctrl-C leaves", size: size, colours: colours))
    // The end of what is typed stays in sight.
    var shown = prompt
    while DisplayWidth.columns(of: shown) > max(1, size.columns - 3) { shown.removeFirst() }
    lines.append("> " + shown)
    return (lines, (lines.count - 1, 2 + DisplayWidth.columns(of: shown)))
  }

  private func title(_ model: RoomModel, size: TerminalSize, colours: Bool) -> String {
    let counts = model.counts
    let name = room.isEmpty ? "lobby" : PlainText.safe(room)
    let numbers =
      "\(counts.users) \(counts.users == 1 ? "user" : "users"), "
      + "\(counts.sessions) \(counts.sessions == 1 ? "device" : "devices")"
    let stale = model.isStale ? "  STALE: no other node is heard" : ""
    let width = size.columns - DisplayWidth.columns(of: numbers) - 2 - stale.count
    let title = DisplayWidth.truncated(name, to: max(8, width))
    return Style.bold.applied(to: title, colours: colours) + "  "
      + Style.dim.applied(to: numbers, colours: colours)
      + Style.warning.applied(to: stale, colours: colours)
  }

  private func status(rest: Int, size: TerminalSize, colours: Bool) -> String {
    if let notice {
      return notice.style.applied(
        to: DisplayWidth.truncated(notice.text, to: size.columns), colours: colours)
    }
    return rest > 0 ? hint("\(rest) more: arrows scroll", size: size, colours: colours) : ""
  }

  private func hint(_ text: String, size: TerminalSize, colours: Bool) -> String {
    Style.dim.applied(to: DisplayWidth.truncated(text, to: size.columns), colours: colours)
  }
}

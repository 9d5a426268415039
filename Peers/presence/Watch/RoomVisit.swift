import Foundation
import PresenceMesh

/// A session in a room while `presence join` runs: what comes in from the room, and what goes out
/// from the keys or the standard input.
struct RoomVisit: Sendable {
  let state: String
  let room: RoomName
  let session: String
  let isJSON: Bool
  let withCursors: Bool
  let requesting: AsyncStream<ControlRequest>.Continuation
  let endings: Endings

  /// How often typing is renewed: it ends after four seconds.
  private static let typingPeriod: Duration = .seconds(2)

  /// Goes on until the user quits, a signal comes, the session ends, or the node does.
  func run(_ viewer: RoomViewer?) async throws {
    if let viewer { endings.beforeExit { viewer.close() } }
    try await Race.first(
      { for await _ in endings.signals { return } },
      { try await beat() },
      { try await watch(viewer) },
      { try await speak(viewer) },
      {
        if let viewer {
          try await viewer.run()
        } else {
          try await Output.waitForClosing()
        }
      })
  }

  /// Says something to the user.
  func tell(_ text: String, _ viewer: RoomViewer?) {
    if let viewer { viewer.tell(text, .warning) } else { Output.note("presence: \(text)") }
  }

  /// Says again and again that the client is there.
  private func beat() async throws {
    while true {
      try await Task.sleep(for: ControlLimits.heartbeatPeriod)
      requesting.yield(.heartbeat(session: session))
    }
  }

  private func watch(_ viewer: RoomViewer?) async throws {
    do {
      try await Watching.records(state: state, room: room, session: session) { record in
        if let viewer {
          viewer.apply(record)
        } else {
          try Watching.print(record, isJSON: isJSON, withCursors: withCursors)
        }
        guard record.event == .sessionEnded || record.event == .sessionMoved else { return }
        throw VisitEnded(record: record)
      }
    } catch let ending as VisitEnded {
      viewer?.close()
      if viewer != nil {
        for line in RecordText.lines(ending.record, withCursors: false) { Output.note(line) }
      }
    }
  }

  /// Makes requests of what the user types.
  private func speak(_ viewer: RoomViewer?) async throws {
    guard let viewer else {
      let hasEnded = try await StandardInput.forEachLine { line in
        switch line {
        case .text(let text): return try await !act(on: text, nil)
        case .tooLong:
          let bound = StandardInput.lineBound
          tell("a line of more than \(bound) bytes was passed over: shorten it", nil)
          return true
        }
      }
      // The end of the input is not the end of the visit.
      while hasEnded { try await Task.sleep(for: .seconds(3600)) }
      return
    }
    var typingSince: ContinuousClock.Instant?
    for await wish in viewer.wishes {
      switch wish {
      case .quit: return
      case .typing(true):
        if let typingSince, typingSince.duration(to: .now) < Self.typingPeriod { continue }
        typingSince = .now
        try await request(typing: true)
      case .typing(false):
        if typingSince != nil { try await request(typing: false) }
        typingSince = nil
      case .line(let line):
        if typingSince != nil { try await request(typing: false) }
        typingSince = nil
        if try await act(on: line, viewer) { return }
      }
    }
  }

  private func request(typing isTyping: Bool) async throws {
    try await request(
      .typing(SessionChoice(session: session, room: room.text), isTyping: isTyping))
  }

  /// Puts a request in line. The line is short: who speaks faster than the node answers waits, and
  /// nothing of it is lost.
  private func request(_ request: ControlRequest) async throws {
    while case .dropped = requesting.yield(request) {
      try await Task.sleep(for: .milliseconds(10))
    }
  }

  /// Does what a line says. True: to quit.
  private func act(on line: String, _ viewer: RoomViewer?) async throws -> Bool {
    switch JoinInput(line, session: session, room: room.text) {
    case nil: break
    case .quit: return true
    case .help:
      let help = JoinInput.summary.split(separator: "\n").map(String.init)
      if let viewer {
        viewer.tell("busy [message] · message · /clear · /cursor x y · /hide · /quit")
      } else {
        for line in help { Output.note(line) }
      }
    case .unknown(let problem): tell(problem, viewer)
    case .request(let request): try await self.request(request)
    }
    return false
  }
}

/// The session of a visit ended or went on elsewhere.
private struct VisitEnded: Error {
  let record: WatchRecord
}

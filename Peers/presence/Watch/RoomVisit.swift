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

  /// How often typing is renewed: it ends after four seconds.
  private static let typingPeriod: Duration = .seconds(2)

  /// Goes on until the user quits, a signal comes, the session ends, or the node does.
  func run(_ viewer: RoomViewer?) async throws {
    let endings = Signals.endings { viewer?.close() }
    try await Race.first(
      { for await _ in endings { return } },
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
      await StandardInput.forEachLine { line in !act(on: line, nil) }
      // The end of the input is not the end of the visit.
      try await Task.sleep(for: .seconds(.max / 4))
      return
    }
    var typingSince: ContinuousClock.Instant?
    for await wish in viewer.wishes {
      switch wish {
      case .quit: return
      case .typing(true):
        if let typingSince, typingSince.duration(to: .now) < Self.typingPeriod { continue }
        typingSince = .now
        requestTyping(true)
      case .typing(false):
        if typingSince != nil { requestTyping(false) }
        typingSince = nil
      case .line(let line):
        if typingSince != nil { requestTyping(false) }
        typingSince = nil
        if act(on: line, viewer) { return }
      }
    }
  }

  private func requestTyping(_ isTyping: Bool) {
    requesting.yield(
      .typing(SessionChoice(session: session, room: room.text), isTyping: isTyping))
  }

  /// Does what a line says. True: to quit.
  private func act(on line: String, _ viewer: RoomViewer?) -> Bool {
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
    case .request(let request): requesting.yield(request)
    }
    return false
  }
}

/// The session of a visit ended or went on elsewhere.
private struct VisitEnded: Error {
  let record: WatchRecord
}

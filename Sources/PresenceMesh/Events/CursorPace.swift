import MeshCRDT

/// Holds back the cursors that move faster than a reader wants to be told.
///
/// Of each session the first move passes at once, later ones after a gap; of those that come meanwhile
/// the newest waits, and takes the place of the one before. A move of a session that is gone is dropped:
/// no cursor is told after the end of its session. All else passes as it comes.
///
/// A value without a clock: whoever owns it gives the time, and asks again at the ``deadline``. It knows
/// at most one move of each session that is in the room.
struct CursorPace: Sendable {
  typealias Time = ContinuousClock.Instant

  private struct Track {
    /// When the next move may be told.
    var due: Time
    var waiting: Cursor?
  }

  /// The shortest time between two moves of one session.
  let gap: Duration
  /// When a move that waits is due; perhaps earlier than the first of them.
  private(set) var deadline: Time?
  private var tracks: [UserKey: [SessionID: Track]] = [:]

  init(gap: Duration) { self.gap = gap }

  /// The events of those that came which are to be told now.
  ///
  /// - Parameter space: How many moves the reader has room for. The others wait.
  mutating func passing(
    _ events: [PresenceEvent], space: Int, now: Time
  ) -> [PresenceEvent] {
    var space = space
    return events.filter { event in
      switch event {
      case .cursor(let user, let session, let cursor):
        let key = UserKey(user)
        let due = tracks[key]?[session]?.due ?? now
        if due <= now, space > 0 {
          space -= 1
          tracks[key, default: [:]][session] = Track(due: now + gap)
          return true
        }
        wait(for: Track(due: due > now ? due : now + gap, waiting: cursor), key, session)
        return false
      case .updated(let user):
        let key = UserKey(user.id)
        guard let known = tracks[key] else { return true }
        let left = known.filter { id, _ in user.sessions.contains { $0.id == id } }
        tracks[key] = left.isEmpty ? nil : left
        return true
      case .offline(let user):
        tracks[UserKey(user.id)] = nil
        return true
      default: return true
      }
    }
  }

  private mutating func wait(for track: Track, _ user: UserKey, _ session: SessionID) {
    tracks[user, default: [:]][session] = track
    deadline = min(deadline ?? track.due, track.due)
  }

  /// The moves that have waited for long enough, in the order of their sessions' ids.
  ///
  /// - Parameter space: As in ``passing(_:space:now:)``.
  /// - Complexity: The sessions of the room that moved lately.
  mutating func takeDue(space: Int, now: Time) -> [PresenceEvent] {
    typealias Move = (user: UserKey, session: SessionID, cursor: Cursor)
    var due: [Move] = []
    deadline = nil
    for (user, sessions) in tracks {
      for (session, track) in sessions {
        switch track.waiting {
        case let cursor? where track.due <= now: due.append((user, session, cursor))
        case .some: deadline = min(deadline ?? track.due, track.due)
        case nil where track.due <= now: tracks[user]?[session] = nil
        case nil: break
        }
      }
      if tracks[user]?.isEmpty == true { tracks[user] = nil }
    }
    due.sort { $0.session < $1.session }
    for (index, move) in due.enumerated() {
      let isTold = index < space
      wait(
        for: Track(due: now + gap, waiting: isTold ? nil : move.cursor), move.user, move.session)
    }
    return due.prefix(max(0, space)).map {
      .cursor(user: $0.user.text, session: $0.session, $0.cursor)
    }
  }

  /// The number of moves that wait.
  var waitingCount: Int {
    tracks.values.reduce(0) { $0 + $1.values.count { $0.waiting != nil } }
  }
}

import NIOCore
import PresenceMesh

/// The cursors of a room for a client that wants to be told of them less often than each tick.
///
/// The first move is told at once, later ones at most so many times a second, each time all cursors
/// that moved meanwhile, where they are then. What waits is a list of sessions: it is never longer than
/// the room.
final class CursorTeller {
  private let room: RoomName
  private let core: GatewayCore
  private let gap: TimeAmount
  private let send: (ByteBuffer) -> Void
  /// The sessions whose cursors moved and were not told, with their users.
  private var waiting: [SessionID: String] = [:]
  private var lastTold = NIODeadline.uptimeNanoseconds(0)
  private var timer: Scheduled<Void>?

  /// `nil` where the feed tells no more often by itself.
  init?(
    room: RoomName, core: GatewayCore, perSecond rate: Int, send: @escaping (ByteBuffer) -> Void
  ) {
    gap = .nanoseconds(1_000_000_000 / Int64(max(1, rate)))
    guard gap > RoomFeed.tick else { return nil }
    self.room = room
    self.core = core
    self.send = send
  }

  deinit { timer?.cancel() }

  /// Notes the cursors that moved in one tick.
  func note(_ cursors: [(user: String, session: SessionID, cursor: Cursor)]) {
    for (user, session, _) in cursors { waiting[session] = user }
    guard !waiting.isEmpty, timer == nil else { return }
    let due = lastTold + gap
    guard due > .now() else { return tell() }
    let box = NIOLoopBound(WeakTeller(teller: self), eventLoop: core.eventLoop)
    timer = core.eventLoop.scheduleTask(deadline: due) {
      box.value.teller?.timer = nil
      box.value.teller?.tell()
    }
  }

  /// The client was told the whole room.
  func reset() { waiting = [:] }

  /// Tells all cursors of the room: what an earlier socket held back is among them.
  func tellAll() {
    for user in core.feed(room)?.snapshot?.users ?? [] {
      for session in user.sessions { waiting[session.id] = user.id }
    }
    tell()
  }

  private func tell() {
    guard let feed = core.feed(room), let snapshot = feed.snapshot else { return }
    // Who has gone since has no cursor.
    let cursors = waiting.keys.sorted().compactMap { id in
      waiting[id].flatMap { user in
        snapshot.user(user)?.sessions.first { $0.id == id }?.cursor.map { (user, id, $0) }
      }
    }
    waiting = [:]
    guard !cursors.isEmpty else { return }
    lastTold = .now()
    send(NativeWords.cursors(cursors, room: room, resume: feed.resume))
  }

  private struct WeakTeller {
    weak var teller: CursorTeller?
  }
}

import MeshCRDT
import MeshWire

/// The cursors of this node's sessions: sends their movements in frames, and writes where they come
/// to rest.
///
/// While cursors move there is a tick in each interval, with one frame for each room: the newest
/// update of each session that was not sent within the last interval. A session that was not sent
/// within the last interval does not wait for the tick: it goes at once if the last frame is at
/// least half an interval old, else as soon as it is. A cursor that did not move for a while is at
/// rest, and is written as a record with the counter of its last update.
///
/// Bounds: the rooms of the sessions that are hosted; of cursors that move
/// ``Limits/movingCursorsPerOrigin``, of which more are seen only when they come to rest.
struct CursorWriter: Sendable {
  private struct Tracked: Sendable {
    var cursor: Cursor
    /// When it moved last.
    var movedAt: MonotonicTime
    /// The counter of the last update that was sent, or of the record; 0: there is none.
    var counter: UInt64 = 0
    /// When the last update was sent.
    var sentAt: MonotonicTime?
    var isAtRest = true
    /// True while it moves and has no place in frames.
    var isUnsent = false
    /// True while an update waits.
    var isWaiting = false
  }

  private let interval: Span
  private let rest: Span
  private var tracked: [SessionPlace: Tracked] = [:]
  /// Whose updates wait. Some may have left since.
  private var waiting: [SessionPlace] = []
  /// When those that move are looked at next.
  private var rests = Deadlines<SessionPlace>()
  /// The number of cursors that move and have a place in frames.
  private var movingCount = 0
  private var lastFrameAt: MonotonicTime?
  private var lastTickAt: MonotonicTime?
  private var frameDue: MonotonicTime?

  init(interval: Span, rest: Span) {
    self.interval = interval
    self.rest = rest
  }

  /// When frames are to be sent.
  var frameDeadline: MonotonicTime? { frameDue }
  /// When a cursor may be at rest.
  var restDeadline: MonotonicTime? { rests.next }

  /// Where the cursor of a session is in a room; `nil`: it has shown none.
  func cursor(of session: SessionID, in room: RoomName) -> Cursor? {
    tracked[SessionPlace(session, room)]?.cursor
  }

  // MARK: Moving

  /// Moves a cursor. One that is there already does not move.
  mutating func move(_ place: SessionPlace, to cursor: Cursor, now: MonotonicTime) {
    let index = tracked.index(forKey: place)
    var one = index.map { tracked.values[$0] } ?? Tracked(cursor: cursor, movedAt: now)
    guard index == nil || one.cursor != cursor else { return }
    one.cursor = cursor
    one.movedAt = now
    if one.isAtRest {
      one.isAtRest = false
      one.isUnsent = movingCount >= Limits.movingCursorsPerOrigin
      if !one.isUnsent { movingCount += 1 }
      rests.set(place, at: now + rest)
    }
    if !one.isUnsent {
      let isFirst = !one.isWaiting && isReady(one, now: now)
      if !one.isWaiting { waiting.append(place) }
      one.isWaiting = true
      schedule(isFirst: isFirst, now: now)
    }
    if let index { tracked.values[index] = one } else { tracked[place] = one }
  }

  /// True when a cursor was not sent within the last interval.
  private func isReady(_ one: Tracked, now: MonotonicTime) -> Bool {
    one.sentAt.map { $0 + interval <= now } ?? true
  }

  private mutating func schedule(isFirst: Bool, now: MonotonicTime) {
    let last = isFirst ? lastFrameAt : lastTickAt
    let due = last.map { $0 + (isFirst ? interval.scaled(1, over: 2) : interval) } ?? now
    frameDue = min(frameDue ?? due, due)
  }

  /// Takes in a cursor that is at rest.
  mutating func adopt(
    _ place: SessionPlace, _ cursor: Cursor, counter: UInt64, now: MonotonicTime
  ) {
    _ = remove(place)
    tracked[place] = Tracked(cursor: cursor, movedAt: now, counter: counter)
  }

  /// Forgets the cursor of a session in a room. False when there was none.
  mutating func remove(_ place: SessionPlace) -> Bool {
    guard let one = tracked.removeValue(forKey: place) else { return false }
    if !one.isAtRest, !one.isUnsent { movingCount -= 1 }
    rests.remove(place)
    if one.isWaiting { waiting.removeAll { $0 == place } }
    return true
  }

  // MARK: Frames

  /// Takes the frames that are due, room by room, the updates of each in the order of their sessions.
  ///
  /// - Parameter counter: the next counter of a session; `nil`: there is none, and nothing is sent.
  mutating func takeFrames(
    _ incarnation: Incarnation, now: MonotonicTime, counter: (SessionID) -> UInt64?
  ) -> [CursorFrame] {
    guard let due = frameDue, due <= now else { return [] }
    frameDue = nil
    if lastTickAt.map({ $0 + interval <= now }) ?? true { lastTickAt = now }
    waiting.sort { $0.room == $1.room ? $0.session < $1.session : $0.room < $1.room }
    var frames: [CursorFrame] = []
    var updates: [CursorUpdate] = []
    var left: [SessionPlace] = []
    for (index, place) in waiting.enumerated() {
      if let at = tracked.index(forKey: place) {
        if !isReady(tracked.values[at], now: now) {
          left.append(place)
        } else {
          tracked.values[at].isWaiting = false
          if let counter = counter(place.session) {
            tracked.values[at].counter = counter
            tracked.values[at].sentAt = now
            updates.append(
              CursorUpdate(
                session: place.session, counter: counter, cursor: tracked.values[at].cursor))
          }
        }
      }
      guard index + 1 == waiting.count || waiting[index + 1].room != place.room else { continue }
      Self.append(&updates, of: place.room, incarnation, to: &frames)
    }
    waiting.removeAll(keepingCapacity: true)
    waiting += left
    if !frames.isEmpty { lastFrameAt = now }
    if !waiting.isEmpty, let lastTickAt { frameDue = lastTickAt + interval }
    return frames
  }

  /// Puts the updates of a room into as few frames as they fit in.
  private static func append(
    _ updates: inout [CursorUpdate], of room: RoomName, _ incarnation: Incarnation,
    to frames: inout [CursorFrame]
  ) {
    while !updates.isEmpty {
      let count = CursorFrame.prefix(of: updates[...], room: room)
      precondition(count > 0, "a cursor of this node is longer than a frame")
      let isAll = count == updates.count
      frames.append(
        CursorFrame(
          incarnation: incarnation, room: room,
          updates: isAll ? updates : Array(updates.prefix(count))))
      updates.removeFirst(count)
    }
  }

  // MARK: Rest

  /// Takes the records of cursors that have come to rest, of one slice.
  ///
  /// - Parameter counter: the next counter of a session, for a cursor of which no update was sent.
  mutating func takeRests(
    now: MonotonicTime, counter: (SessionID) -> UInt64?
  ) -> [RoomChange] {
    var changes: [RoomChange] = []
    for _ in 0..<HostingLimits.evaluationsPerTurn {
      guard let place = rests.take(due: now) else { break }
      guard var one = tracked[place], !one.isAtRest,
        !PlantedBug.isActive(.restingCursorNotPacked)
      else { continue }
      let due = one.isWaiting ? now + .milliseconds(1) : one.movedAt + rest
      guard due <= now else {
        rests.set(place, at: due)
        continue
      }
      if !one.isUnsent { movingCount -= 1 }
      if one.isUnsent { one.counter = counter(place.session) ?? one.counter }
      one.isUnsent = false
      one.isAtRest = true
      tracked[place] = one
      if one.counter > 0 { changes.append(Self.change(place, one)) }
    }
    return changes
  }

  /// The records of all cursors, for another incarnation: those that move, too.
  mutating func changes(counter: (SessionID) -> UInt64?) -> [RoomChange] {
    var changes: [RoomChange] = []
    for place in tracked.keys.sorted() {
      guard var one = tracked[place] else { continue }
      if one.isWaiting || one.counter == 0 {
        one.counter = counter(place.session) ?? one.counter
      }
      tracked[place] = one
      changes.append(Self.change(place, one))
    }
    return changes
  }

  private static func change(_ place: SessionPlace, _ one: Tracked) -> RoomChange {
    RoomChange(
      .cursor, place.session, place.room, counter: one.counter,
      value: RecordValues.bytes(one.cursor))
  }
}

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
  private var tracked: [SessionID: [RoomName: Tracked]] = [:]
  /// Sessions whose updates wait. Some may have left since.
  private var waiting: [RoomName: [SessionID]] = [:]
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
    tracked[session]?[room]?.cursor
  }

  // MARK: Moving

  /// Moves a cursor. One that is there already does not move.
  mutating func move(_ place: SessionPlace, to cursor: Cursor, now: MonotonicTime) {
    var one = tracked[place.session]?[place.room] ?? Tracked(cursor: cursor)
    let isKnown = tracked[place.session]?[place.room] != nil
    guard !isKnown || one.cursor != cursor else { return }
    one.cursor = cursor
    if one.isAtRest {
      one.isAtRest = false
      one.isUnsent = movingCount >= Limits.movingCursorsPerOrigin
      if !one.isUnsent { movingCount += 1 }
    }
    if !one.isUnsent {
      let isFirst = !one.isWaiting && one.sentAt.map { $0 + interval <= now } ?? true
      if !one.isWaiting { waiting[place.room, default: []].append(place.session) }
      one.isWaiting = true
      schedule(isFirst: isFirst, now: now)
    }
    tracked[place.session, default: [:]][place.room] = one
    rests.set(place, at: now + rest)
  }

  private mutating func schedule(isFirst: Bool, now: MonotonicTime) {
    let last = isFirst ? lastFrameAt : lastTickAt
    let due = last.map { $0 + (isFirst ? interval.scaled(1, over: 2) : interval) } ?? now
    frameDue = min(frameDue ?? due, due)
  }

  /// Takes in a cursor that is at rest.
  mutating func adopt(_ place: SessionPlace, _ cursor: Cursor, counter: UInt64) {
    _ = remove(place)
    tracked[place.session, default: [:]][place.room] = Tracked(cursor: cursor, counter: counter)
  }

  /// Forgets the cursor of a session in a room. False when there was none.
  mutating func remove(_ place: SessionPlace) -> Bool {
    guard let one = tracked[place.session]?.removeValue(forKey: place.room) else { return false }
    if tracked[place.session]?.isEmpty == true { tracked[place.session] = nil }
    if !one.isAtRest, !one.isUnsent { movingCount -= 1 }
    rests.remove(place)
    if one.isWaiting { waiting[place.room]?.removeAll { $0 == place.session } }
    if waiting[place.room]?.isEmpty == true { waiting[place.room] = nil }
    return true
  }

  // MARK: Frames

  /// Takes the frames that are due, room by room.
  ///
  /// - Parameter counter: the next counter of a session; `nil`: there is none, and nothing is sent.
  mutating func takeFrames(
    _ incarnation: Incarnation, now: MonotonicTime, counter: (SessionID) -> UInt64?
  ) -> [CursorFrame] {
    guard let due = frameDue, due <= now else { return [] }
    frameDue = nil
    if lastTickAt.map({ $0 + interval <= now }) ?? true { lastTickAt = now }
    var frames: [CursorFrame] = []
    for room in waiting.keys.sorted() {
      let updates = takeUpdates(room, now: now, counter: counter)
      var rest = updates[...]
      while !rest.isEmpty {
        let count = CursorFrame.prefix(of: rest, room: room)
        precondition(count > 0, "a cursor of this node is longer than a frame")
        frames.append(
          CursorFrame(incarnation: incarnation, room: room, updates: Array(rest.prefix(count))))
        rest = rest.dropFirst(count)
      }
    }
    if !frames.isEmpty { lastFrameAt = now }
    if !waiting.isEmpty, let lastTickAt { frameDue = lastTickAt + interval }
    return frames
  }

  /// The updates of a room that are ready, in the order of their sessions. The others stay.
  private mutating func takeUpdates(
    _ room: RoomName, now: MonotonicTime, counter: (SessionID) -> UInt64?
  ) -> [CursorUpdate] {
    var updates: [CursorUpdate] = []
    var left: [SessionID] = []
    for session in (waiting[room] ?? []).sorted() {
      guard var one = tracked[session]?[room] else { continue }
      guard one.sentAt.map({ $0 + interval <= now }) ?? true else {
        left.append(session)
        continue
      }
      one.isWaiting = false
      if let counter = counter(session) {
        one.counter = counter
        one.sentAt = now
        updates.append(CursorUpdate(session: session, counter: counter, cursor: one.cursor))
      }
      tracked[session]?[room] = one
    }
    waiting[room] = left.isEmpty ? nil : left
    return updates
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
      guard var one = tracked[place.session]?[place.room], !one.isAtRest,
        !PlantedBug.isActive(.restingCursorNotPacked)
      else { continue }
      guard !one.isWaiting else {
        rests.set(place, at: now + .milliseconds(1))
        continue
      }
      if !one.isUnsent { movingCount -= 1 }
      if one.isUnsent { one.counter = counter(place.session) ?? one.counter }
      one.isUnsent = false
      one.isAtRest = true
      tracked[place.session]?[place.room] = one
      if one.counter > 0 { changes.append(Self.change(place, one)) }
    }
    return changes
  }

  /// The records of all cursors of a session, for another incarnation: those that move, too.
  mutating func changes(
    of session: SessionID, counter: (SessionID) -> UInt64?
  ) -> [RoomChange] {
    var changes: [RoomChange] = []
    for room in (tracked[session] ?? [:]).keys.sorted() {
      guard var one = tracked[session]?[room] else { continue }
      if one.isWaiting || one.counter == 0 { one.counter = counter(session) ?? one.counter }
      tracked[session]?[room] = one
      changes.append(Self.change(SessionPlace(session, room), one))
    }
    return changes
  }

  private static func change(_ place: SessionPlace, _ one: Tracked) -> RoomChange {
    RoomChange(
      .cursor, place.session, place.room, counter: one.counter,
      value: RecordValues.bytes(one.cursor))
  }
}

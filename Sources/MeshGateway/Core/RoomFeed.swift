import NIOCore
import PresenceMesh

/// Who is told what happens in a room. Called on the gateway's loop.
protocol RoomSubscriber: AnyObject {
  /// Everything is as in the feed's ``RoomFeed/snapshot``: at first, and when changes were missed.
  func synchronize(_ feed: RoomFeed)
  /// What changed since the last call.
  func update(_ feed: RoomFeed, _ update: RoomUpdate)
}

/// What happens in one room, told to all subscribers of this node together.
///
/// One reader of the mesh stands for all subscribers of the room. Changes are collected for a tick
/// and put into words once for each kind of client, however many there are.
final class RoomFeed {
  let room: RoomName
  /// The room as the subscribers were told; `nil` before the first look.
  private(set) var snapshot: PresenceSnapshot?
  /// Tells the messages of this feed from those of an earlier one.
  let epoch: UInt64
  /// The number of the last message.
  private(set) var sequence: UInt64 = 0
  private(set) var subscribers: [ObjectIdentifier: any RoomSubscriber] = [:]

  private let eventLoop: any EventLoop
  private var waiting: [PresenceEvent] = []
  private var lastFlush = NIODeadline.uptimeNanoseconds(0)
  private var isFlushScheduled = false
  private var reader: Task<Void, Never>?
  /// The last messages in the words of the native clients, for those that come back.
  private var recent: [(sequence: UInt64, message: ByteBuffer, isOfCursors: Bool)] = []
  private var recentBytes = 0

  /// The shortest time between two updates.
  static let tick = TimeAmount.milliseconds(33)
  static let recentBound = 512
  static let recentBytesBound = 1 << 20

  init(room: RoomName, mesh: PresenceMesh, eventLoop: any EventLoop) {
    self.room = room
    self.eventLoop = eventLoop
    epoch = UInt64.random(in: 1...(1 << 48))
    let box = NIOLoopBound(self, eventLoop: eventLoop)
    let events = mesh.room(room).events(buffer: 8192)
    reader = Task {
      for await event in events {
        eventLoop.execute { box.value.take(event) }
      }
    }
  }

  /// Ends the reading. The feed tells nothing after it.
  func stop() {
    reader?.cancel()
    reader = nil
    subscribers = [:]
  }

  // MARK: Subscribers

  func add(_ subscriber: any RoomSubscriber) {
    // What waits is for those who were told the state before it.
    flush()
    subscribers[ObjectIdentifier(subscriber)] = subscriber
    if snapshot != nil { subscriber.synchronize(self) }
  }

  /// False: it was none.
  func remove(_ subscriber: any RoomSubscriber) -> Bool {
    subscribers.removeValue(forKey: ObjectIdentifier(subscriber)) != nil
  }

  /// True when the subscribers were told of a session, or are told now.
  func knows(_ session: SessionID, of user: String) -> Bool {
    flush()
    return snapshot?.user(user)?.sessions.contains { $0.id == session } ?? false
  }

  // MARK: Events

  private func take(_ event: PresenceEvent) {
    guard reader != nil else { return }
    switch event {
    case .snapshot(let next):
      waiting = []
      snapshot = next
      sequence += 1
      recent = []
      recentBytes = 0
      for subscriber in subscribers.values { subscriber.synchronize(self) }
    case .lagged: break
    default:
      waiting.append(event)
      scheduleFlush()
    }
  }

  private func scheduleFlush() {
    guard !isFlushScheduled else { return }
    let due = lastFlush + Self.tick
    isFlushScheduled = true
    eventLoop.assumeIsolated().scheduleTask(deadline: max(due, NIODeadline.now())) { [self] in
      isFlushScheduled = false
      flush()
    }
  }

  private func flush() {
    guard !waiting.isEmpty, var next = snapshot else { return }
    lastFlush = .now()
    let update = RoomUpdate(room: room, events: waiting, feed: self, before: next)
    for event in waiting { next.apply(event) }
    snapshot = next
    waiting = []
    // Put into words even if nobody listens: somebody may come back and ask for what it missed.
    _ = update.native
    for subscriber in subscribers.values { subscriber.update(self, update) }
  }

  // MARK: Numbers of messages

  /// The next number, and the word by which a client can go on after it.
  func nextResume() -> String {
    sequence += 1
    return resume
  }

  /// The word by which a client can go on after the last message.
  var resume: String { "\(epoch).\(sequence)" }

  func remember(_ message: ByteBuffer, isOfCursors: Bool = false) {
    recent.append((sequence, message, isOfCursors))
    recentBytes += message.readableBytes
    guard recent.count > 2 * Self.recentBound || recentBytes > Self.recentBytesBound else { return }
    let gone = recent.prefix(max(1, recent.count / 2))
    recentBytes -= gone.reduce(0) { $0 + $1.message.readableBytes }
    recent.removeFirst(gone.count)
  }

  /// The messages after the one of this word; `nil` when they are not all there any more.
  ///
  /// - Parameter withCursors: False leaves out those of cursors.
  func messages(after resume: String, withCursors: Bool = true) -> [ByteBuffer]? {
    let parts = resume.split(separator: ".", maxSplits: 1)
    guard parts.count == 2, UInt64(parts[0]) == epoch, let number = UInt64(parts[1]),
      number <= sequence
    else { return nil }
    if number == sequence { return [] }
    guard let first = recent.first, first.sequence <= number + 1 else { return nil }
    return recent.filter { $0.sequence > number && (withCursors || !$0.isOfCursors) }
      .map(\.message)
  }
}

/// What changed in a room in one tick; the words for each kind of client are found once.
final class RoomUpdate {
  let room: RoomName
  /// Changes but those of cursors. Of statuses of one user that follow each other the last one counts,
  /// and so of typing; of updates of one user, which tell everything of it, only the last one.
  let changes: [PresenceEvent]
  /// The newest position of each cursor that moved.
  let cursors: [(user: String, session: SessionID, cursor: Cursor)]
  /// The room before the changes.
  let before: PresenceSnapshot
  private unowned let feed: RoomFeed

  init(room: RoomName, events: [PresenceEvent], feed: RoomFeed, before: PresenceSnapshot) {
    self.room = room
    self.feed = feed
    self.before = before
    (changes, cursors) = Self.coalesced(events)
  }

  /// What is left of the events of one tick. Replaying it gives what replaying the events does.
  static func coalesced(
    _ events: [PresenceEvent]
  ) -> (
    changes: [PresenceEvent], cursors: [(user: String, session: SessionID, cursor: Cursor)]
  ) {
    var changes: [PresenceEvent?] = []
    var cursors: [SessionID: Int] = [:]
    var moved: [(user: String, session: SessionID, cursor: Cursor)] = []
    // Where the last status and typing of each user stand, since anything else was said of it.
    var statuses: [UserKey: Int] = [:]
    var typings: [UserKey: Int] = [:]
    var updates: [UserKey: Int] = [:]
    func put(_ event: PresenceEvent, at index: Int?) -> Int {
      guard let index else {
        changes.append(event)
        return changes.count - 1
      }
      changes[index] = event
      return index
    }
    for event in events {
      switch event {
      case .cursor(let user, let session, let cursor):
        if let index = cursors[session] {
          moved[index].cursor = cursor
        } else {
          cursors[session] = moved.count
          moved.append((user, session, cursor))
        }
      case .status(let user):
        let key = UserKey(user.id)
        statuses[key] = put(event, at: statuses[key])
      case .typing(let user):
        let key = UserKey(user.id)
        typings[key] = put(event, at: typings[key])
      case .online(let user), .updated(let user), .offline(let user):
        let key = UserKey(user.id)
        statuses[key] = nil
        typings[key] = nil
        if case .updated = event {
          // Statuses that came after the earlier one stay: clients show them as they happen.
          if let index = updates[key] { changes[index] = nil }
          updates[key] = changes.count
        }
        // These bring the cursors along, or make an end of them; moves are told after all changes.
        if moved.contains(where: { UserKey($0.user) == key }) {
          moved.removeAll { UserKey($0.user) == key }
          cursors = Dictionary(
            uniqueKeysWithValues: moved.enumerated().map { ($1.session, $0) })
        }
        changes.append(event)
      default: changes.append(event)
      }
    }
    return (changes.compactMap(\.self), moved)
  }

  /// The words of the native clients: frames of text.
  var native: [ByteBuffer] { nativeWords.changes + nativeWords.cursors }

  /// The same without cursors.
  var nativeChanges: [ByteBuffer] { nativeWords.changes }

  private lazy var nativeWords: (changes: [ByteBuffer], cursors: [ByteBuffer]) = {
    let messages = changes.compactMap { change -> ByteBuffer? in
      NativeWords.message(change, room: room, resume: feed.nextResume()).map {
        feed.remember($0)
        return $0
      }
    }
    guard !cursors.isEmpty else { return (messages, []) }
    let message = NativeWords.cursors(cursors, room: room, resume: feed.nextResume())
    feed.remember(message, isOfCursors: true)
    return (messages, [message])
  }()

  /// The users that anything was said of, cursors aside.
  private(set) lazy var users: [String] = {
    var seen: Set<UserKey> = []
    return changes.compactMap { change in
      let id: String? =
        switch change {
        case .online(let user), .updated(let user), .offline(let user), .status(let user),
          .typing(let user):
          user.id
        default: nil
        }
      return id.flatMap { seen.insert(UserKey($0)).inserted ? $0 : nil }
    }
  }()
}

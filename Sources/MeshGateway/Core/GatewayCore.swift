import Logging
import NIOCore
import PresenceMesh

/// What belongs to the gateway's event loop: rooms that are looked at, sessions of clients, counters.
/// Nothing else touches it, so that it needs no lock.
final class GatewayCore {
  let mesh: PresenceMesh
  let configuration: GatewayConfiguration
  let eventLoop: any EventLoop
  let logger: Logger
  var counters = GatewayCounters()
  /// True from the beginning of the end: `/readyz` says so, and nothing new is begun.
  private(set) var isLeaving = false
  private(set) var isClosing = false
  /// True while a page has cut this node's links.
  var isCut = false
  private(set) var sessions: [SessionID: ClientSession] = [:]
  /// The number of sessions of each user, those that are being opened among them.
  private var userSessions: [UserKey: Int] = [:]
  /// The number of sessions that are being opened.
  private var openings = 0
  private var feeds: [RoomName: RoomFeed] = [:]
  /// Rooms of feeds without subscribers, and since when: the longest left first.
  private var left: [(room: RoomName, since: NIODeadline)] = []
  /// The number of users that are watched, each as often as it is.
  var watchCount = 0
  /// Open connections, to be closed at the end and looked after.
  var connections: [ObjectIdentifier: any GatewayConnection] = [:]
  let yjs = YjsClients()
  let tokens: ClientTokens
  private var care: Scheduled<Void>?

  init(
    mesh: PresenceMesh, configuration: GatewayConfiguration, eventLoop: any EventLoop,
    logger: Logger
  ) {
    self.mesh = mesh
    tokens = ClientTokens(mesh: mesh, roomTime: configuration.roomTokenTime)
    self.configuration = configuration
    self.eventLoop = eventLoop
    self.logger = logger
    careForConnections()
  }

  // MARK: Hops

  /// Calls something on the gateway's loop with a result from elsewhere.
  func hop<Value: Sendable>(
    _ completion: @escaping (Value) -> Void
  ) -> @Sendable (Value) -> Void {
    let box = NIOLoopBound(completion, eventLoop: eventLoop)
    let eventLoop = eventLoop
    return { value in eventLoop.execute { box.value(value) } }
  }

  /// Does something asynchronous, and goes on with its result on the gateway's loop.
  func run<Value: Sendable>(
    _ work: @escaping @Sendable () async -> Value, then completion: @escaping (Value) -> Void
  ) {
    let completion = hop(completion)
    Task { completion(await work()) }
  }

  // MARK: Rooms

  /// Tells a subscriber about a room from now on.
  func subscribe(_ subscriber: any RoomSubscriber, to room: RoomName) {
    let feed =
      feeds[room] ?? RoomFeed(room: room, mesh: mesh, eventLoop: eventLoop)
    feeds[room] = feed
    if feed.subscribers.isEmpty { left.removeAll { $0.room == room } }
    feed.add(subscriber)
  }

  func unsubscribe(_ subscriber: any RoomSubscriber, from room: RoomName) {
    guard let feed = feeds[room], feed.remove(subscriber), feed.subscribers.isEmpty else { return }
    // Somebody may come back soon: then the feed still knows what was missed.
    left.append((room, .now()))
    if left.count > configuration.keptRoomBound { dropFeed(left.removeFirst().room) }
  }

  /// Forgets rooms that were left long ago.
  private func dropLeftFeeds(_ now: NIODeadline) {
    let bound = TimeAmount.milliseconds(Int64(configuration.keptRoomTime.inMilliseconds))
    while let first = left.first, now - first.since > bound {
      dropFeed(left.removeFirst().room)
    }
  }

  private func dropFeed(_ room: RoomName) { feeds.removeValue(forKey: room)?.stop() }

  func feed(_ room: RoomName) -> RoomFeed? { feeds[room] }

  var feedCount: Int { feeds.count }

  // MARK: Sessions

  /// Opens a session for a client, or takes it up again.
  ///
  /// - Parameter completion: Called with the session, and whether it was there before.
  func open(
    _ id: SessionID, _ profile: Profile, device: String, lease: SessionLease,
    owner: (any SessionOwner)?,
    completion:
      @escaping (Result<(session: ClientSession, wasRestored: Bool), GatewayError>) -> Void
  ) {
    guard !isLeaving else {
      return completion(.failure(.leaving))
    }
    let user = UserKey(profile.userID)
    let isNew = sessions[id] == nil
    if isNew, userSessions[user, default: 0] >= configuration.userBound {
      counters.count(.limitsHit)
      return completion(
        .failure(
          GatewayError(
            .tooManySessions, "a user has at most \(configuration.userBound) sessions at a node")))
    }
    guard !isNew || sessions.count + openings < configuration.sessionBound else {
      counters.count(.limitsHit)
      return completion(
        .failure(
          GatewayError(.tooManySessions, "the gateway serves \(sessions.count) sessions already")))
    }
    // Counted from now on, so that many at once do not pass the bounds together.
    if isNew { reserve(for: user) }
    typealias Opened = (session: LocalSession, joinedAt: WallTime)
    let finish = hop { (result: Result<Opened, PresenceError>) in
      if isNew { self.release(for: user) }
      switch result {
      case .failure(let error): completion(.failure(GatewayError(error)))
      case .success(let (local, joinedAt)):
        let session = self.adopt(
          local, joinedAt, profile: profile, device: device, lease: lease)
        if let owner {
          if let old = session.owner, old !== owner {
            self.counters.count(.socketsTakenOver)
            old.sessionWasTaken()
          }
          session.owner = owner
        }
        completion(.success((session, local.wasRestored)))
      }
    }
    mesh.submitOpening(profile, id: id, device: device, lease: lease, completion: finish)
  }

  private func reserve(for user: UserKey) {
    openings += 1
    userSessions[user, default: 0] += 1
  }

  private func release(for user: UserKey) {
    openings -= 1
    endCount(of: user)
  }

  private func endCount(of user: UserKey) {
    let left = userSessions[user, default: 1] - 1
    userSessions[user] = left > 0 ? left : nil
  }

  private func adopt(
    _ local: LocalSession, _ joinedAt: WallTime, profile: Profile, device: String,
    lease: SessionLease
  ) -> ClientSession {
    counters.count(local.wasRestored ? .sessionsRestored : .sessionsOpened)
    if let known = sessions[local.id], !known.hasEnded, !local.wasRestored {
      // That one has ended, which is on its way to here: this is another stay.
      sessions[local.id] = nil
      endCount(of: UserKey(known.profile.userID))
    }
    if let known = sessions[local.id], !known.hasEnded {
      known.profile = profile
      known.joinedAt = joinedAt
      known.lease = lease
      known.lastHeartbeat = .now()
      return known
    }
    let session = ClientSession(
      id: local.id, profile: profile, device: device, joinedAt: joinedAt, lease: lease)
    session.rooms = Set(local.snapshot?.places.map(\.room) ?? []).subtracting([.lobby])
    session.lastHeartbeat = .now()
    sessions[local.id] = session
    userSessions[UserKey(profile.userID), default: 0] += 1
    let tell = hop { (event: LocalSession.Event) in self.take(event, of: session) }
    let events = local.events
    session.events = Task { for await event in events { tell(event) } }
    return session
  }

  private func take(_ event: LocalSession.Event, of session: ClientSession) {
    switch event {
    case .restored: break
    case .moved(let node):
      forget(session)
      session.owner?.sessionMoved(to: node)
    case .leaseEnded:
      counters.count(.sessionsExpired)
      forget(session)
      session.owner?.sessionEnded()
    case .removed(let room) where room.isLobby:
      counters.count(.sessionsRemoved)
      forget(session)
      session.owner?.sessionRemoved()
    case .removed(let room):
      session.rooms.remove(room)
      session.owner?.sessionRemoved(from: room)
    }
  }

  private func forget(_ session: ClientSession) {
    session.hasEnded = true
    session.events?.cancel()
    guard sessions[session.id] === session else { return }
    sessions[session.id] = nil
    endCount(of: UserKey(session.profile.userID))
  }

  /// Does something for a session; `completion` learns how it went.
  func act(
    _ action: SessionAction, _ session: ClientSession,
    completion: @escaping (GatewayError?) -> Void = { _ in }
  ) {
    let before = session.rooms
    note(action, of: session)
    mesh.submit(
      action, of: session.id,
      completion: hop { (result: Result<Void, PresenceError>) in
        if case .failure(let error) = result {
          session.rooms.formIntersection(before)
          completion(GatewayError(error))
        } else {
          completion(nil)
        }
      })
  }

  private func note(_ action: SessionAction, of session: ClientSession) {
    switch action {
    case .enter(let room): session.rooms.insert(room)
    case .exit(let room): session.rooms.remove(room)
    case .leave: forget(session)
    case .all(let actions): for action in actions { note(action, of: session) }
    default: break
    }
  }

  /// A sign of life of a session's client; the mesh needs one a second at the most.
  func noteLife(of session: ClientSession) {
    let now = NIODeadline.now()
    guard !session.hasEnded, now - session.lastHeartbeat > .seconds(1) else { return }
    session.lastHeartbeat = now
    act(.heartbeat, session)
  }

  /// Calls back when the view shows a session in a room, or after a moment at the latest: what is
  /// done shows a little later.
  func whenSeen(
    _ session: ClientSession, in room: RoomName, triesLeft: Int = 40,
    completion: @escaping () -> Void
  ) {
    let isSeen =
      if let feed = feeds[room], feed.snapshot != nil {
        feed.knows(session.id, of: session.profile.userID)
      } else {
        mesh.session(session.id).map { $0.place(in: room) != nil || room.isLobby } ?? false
      }
    guard !isSeen, triesLeft > 0 else { return completion() }
    let box = NIOLoopBound((self, session, completion), eventLoop: eventLoop)
    eventLoop.scheduleTask(in: .milliseconds(3)) {
      let (core, session, completion) = box.value
      core.whenSeen(session, in: room, triesLeft: triesLeft - 1, completion: completion)
    }
  }

  // MARK: Connections

  /// Looks after the connections every few seconds: asks the silent ones for a sign of life, closes
  /// the dead ones.
  private func careForConnections() {
    let box = NIOLoopBound(self, eventLoop: eventLoop)
    let interval = TimeAmount.milliseconds(Int64(configuration.careInterval.inMilliseconds))
    care = eventLoop.scheduleTask(in: interval) {
      let core = box.value
      let now = NIODeadline.now()
      for connection in core.connections.values { connection.care(now) }
      core.dropLeftFeeds(now)
      core.careForConnections()
    }
  }

  /// From now on nothing new is begun; what is there goes on.
  func leave() { isLeaving = true }

  /// Tells all clients that the node leaves, and closes their connections.
  func close() {
    isLeaving = true
    isClosing = true
    care?.cancel()
    for connection in connections.values { connection.closeForLeaving() }
    for feed in feeds.values { feed.stop() }
    feeds = [:]
    left = []
    for session in sessions.values { session.events?.cancel() }
  }
}

/// A connection of a client, as the core looks after it.
protocol GatewayConnection: AnyObject {
  func care(_ now: NIODeadline)
  func closeForLeaving()
}

import NIOCore
import PresenceMesh

/// How a client wants to be told of a room.
private struct RoomWish {
  /// The word of the last message that it has.
  var resume: String?
  /// How many messages of cursors it takes a second.
  var cursorRate: Int?
}

/// A client of the native WebSocket: one session in several rooms. See section 4 of Docs/Gateway.md.
final class NativeSocket: RefusingLogic, RoomSubscriber, SessionOwner {
  private let core: GatewayCore
  private let access: Access
  private weak var socket: WebSocketConnection?
  private var session: ClientSession?
  /// Rooms that it is told about.
  private var rooms: Set<RoomName> = []
  /// Rooms that are to be told from a word on, when they are next synchronized.
  private var resumes: [RoomName: String] = [:]
  /// Rooms whose cursors are told less often than each tick.
  private var cursorTellers: [RoomName: CursorTeller] = [:]
  private var watches: [UserKey: WatchReader] = [:]
  /// Messages wait while the session opens, so that nothing overtakes it.
  private var waiting: [RequestFields]?
  private var hasEnded = false

  private static let watchBound = 64

  init(core: GatewayCore, access: Access) {
    self.core = core
    self.access = access
  }

  func begin(_ socket: WebSocketConnection) {
    self.socket = socket
    socket.send(
      text: NativeWords.welcome(
        node: core.mesh.nodeID.description, isTrusted: access.isTrusted, heartbeat: 30_000))
  }

  func end() {
    hasEnded = true
    waiting = nil
    for room in rooms { core.unsubscribe(self, from: room) }
    rooms = []
    cursorTellers = [:]
    for watch in watches.values { watch.stop() }
    watches = [:]
    session?.owner = nil
  }

  func care(_ now: NIODeadline) {}

  // MARK: Messages

  func receive(binary: [UInt8]) { socket?.close(.wrongKind, "messages are text") }

  func receive(text: [UInt8]) {
    let fields: RequestFields
    do { fields = try RequestFields(bytes: text) } catch { return refuse(error) }
    if waiting != nil {
      guard waiting?.count ?? 0 < 256 else {
        return refuse(GatewayError(.tooManyRequests, "wait until the session is open"))
      }
      waiting?.append(fields)
      return
    }
    take(fields)
  }

  func refuse(_ error: GatewayError) { socket?.send(text: NativeWords.error(error, ref: nil)) }

  private func take(_ fields: RequestFields) {
    guard !hasEnded else { return }
    let ref = fields.value["ref"]
    if let session { core.noteLife(of: session) }
    do {
      try perform(fields, ref: ref)
    } catch {
      core.counters.count(.messagesRefused)
      socket?.send(text: NativeWords.error(error, ref: ref))
    }
  }

  /// The fields of each message beside `type` and `ref`.
  private static let fields: [String: Set<String>] = [
    "join": [
      "room", "user", "sessionId", "device", "interval", "expiresIn", "resume", "cursorRate",
    ],
    "leave": ["room"], "heartbeat": ["interval", "expiresIn"],
    "presence.status": ["room", "status", "message"], "presence.typing": ["room", "typing"],
    "presence.cursor": ["room", "x", "y", "visible", "anchor"],
    "presence.data": ["room", "data"],
    "presence.profile": ["name", "color", "avatar", "data"],
    "presence.list": ["room"], "watch": ["userId"], "unwatch": ["userId"],
  ]

  private func perform(_ fields: RequestFields, ref: JSONValue?) throws(GatewayError) {
    let type = try fields.text("type", atMost: 64)
    if let known = Self.fields[type] { try fields.allow(known.union(["type", "ref"])) }
    switch type {
    case "join": try join(fields, ref: ref)
    case "leave": try leave(fields.room(), ref: ref)
    case "heartbeat":
      let session = try mine()
      if let lease = try fields.lease() {
        session.lease = lease
        act(.setLease(lease), session, ref: ref)
      } else {
        act(.heartbeat, session, ref: ref)
      }
    case "presence.status":
      let status = try fields.status()
      let message = try fields.optionalText("message", atMost: Limits.messageBytes)
      act(.setStatus(status, message: message, in: try spoken(fields)), try mine(), ref: ref)
    case "presence.typing":
      let isTyping = try fields.flag("typing")
      act(.setTyping(isTyping, in: try spoken(fields)), try mine(), ref: ref)
    case "presence.cursor":
      let cursor = try fields.cursor()
      act(.moveCursor(cursor, in: try spoken(fields)), try mine(), ref: ref)
    case "presence.data":
      guard let data = try fields.data("data", atMost: Limits.presenceDataBytes) else {
        throw .missing("data", "JSON")
      }
      act(.setData(data, in: try spoken(fields)), try mine(), ref: ref)
    case "presence.profile":
      let session = try mine()
      session.profile = try RequestFields(fields.value.without(["type", "ref"]))
        .profile(session.profile)
      act(.setProfile(session.profile), session, ref: ref)
    case "presence.list":
      let room = try fields.room()
      try access.checkReading(room)
      guard rooms.contains(room), let feed = core.feed(room) else {
        throw GatewayError(.unknownRoom, "join the room first")
      }
      tell(feed)
      answer(ref)
    case "watch": try watch(fields.text("userId", atMost: Limits.userIDBytes), ref: ref)
    case "unwatch":
      let user = try fields.text("userId", atMost: Limits.userIDBytes)
      watches.removeValue(forKey: UserKey(user))?.stop()
      answer(ref)
    default:
      throw GatewayError(.invalidRequest, "there is no message of type \(type.debugDescription)")
    }
  }

  private func answer(_ ref: JSONValue?) {
    if let ref { socket?.send(text: NativeWords.ok(ref)) }
  }

  private func act(_ action: SessionAction, _ session: ClientSession, ref: JSONValue?) {
    session.lastHeartbeat = .now()
    core.act(action, session) { [weak self] error in
      if let error {
        self?.core.counters.count(.messagesRefused)
        self?.socket?.send(text: NativeWords.error(error, ref: ref))
      } else {
        self?.answer(ref)
      }
    }
  }

  private func mine() throws(GatewayError) -> ClientSession {
    guard let session, !session.hasEnded else {
      throw GatewayError(.unknownSession, "join a room with a user first")
    }
    return session
  }

  /// The room that something is said in.
  private func spoken(_ fields: RequestFields) throws(GatewayError) -> RoomName {
    let room = try fields.room()
    try access.check(.publish, in: room)
    let session = try mine()
    guard room.isLobby || session.rooms.contains(room) else {
      throw GatewayError(.unknownRoom, "join the room first")
    }
    return room
  }

  // MARK: Joining and leaving

  private func join(_ fields: RequestFields, ref: JSONValue?) throws(GatewayError) {
    let room = try fields.room()
    try access.checkReading(room)
    guard rooms.contains(room) || rooms.count < Limits.roomsPerSession else {
      throw GatewayError(.tooManyRooms, "a socket has at most \(Limits.roomsPerSession) rooms")
    }
    let wish = RoomWish(
      resume: try fields.optionalText("resume", atMost: 64),
      cursorRate: try fields.integer("cursorRate", in: 1...60))
    guard let user = try fields.fields("user") else {
      socket?.send(
        text: NativeWords.joined(
          room, session: nil, token: nil, wasRestored: false, expiresIn: nil, ref: ref))
      return follow(room, wish)
    }
    try access.check(.publish, in: room)
    let profile = try user.profile(id: user.optionalText("id", atMost: 64) ?? access.user)
    try access.checkSpeaking(for: profile.userID)
    let device = try fields.optionalText("device", atMost: Limits.deviceBytes) ?? ""
    let lease = try fields.lease() ?? session?.lease ?? .client
    let name = try fields.optionalText("sessionId", atMost: 128)
    let named = name.map { core.mesh.sessionID(of: profile.userID, named: $0) }
    if let session, !session.hasEnded {
      guard UserKey(session.profile.userID) == UserKey(profile.userID),
        named.map({ $0 == session.id }) ?? true
      else {
        throw GatewayError(
          .sessionConflict, "this socket speaks for another session: open another socket")
      }
    }
    let id = named ?? session?.id ?? core.mesh.sessionID(of: profile.userID)
    waiting = []
    core.open(id, profile, device: device, lease: lease, owner: self) { [weak self] result in
      guard let self else { return }
      if hasEnded, case .success(let (session, _)) = result, session.owner === self {
        session.owner = nil
        return
      }
      switch result {
      case .failure(let error):
        core.counters.count(.messagesRefused)
        socket?.send(text: NativeWords.error(error, ref: ref))
      case .success(let (session, wasRestored)):
        self.session = session
        enter(room, session, wasRestored: wasRestored, wish, ref: ref)
      }
      let messages = waiting ?? []
      waiting = nil
      for (index, message) in messages.enumerated() {
        // A join among them makes the rest wait again.
        if waiting != nil {
          waiting? += messages[index...]
          break
        }
        take(message)
      }
    }
  }

  private func enter(
    _ room: RoomName, _ session: ClientSession, wasRestored: Bool, _ wish: RoomWish,
    ref: JSONValue?
  ) {
    guard let socket, !hasEnded else {
      // The client went while the session opened: its lease runs.
      session.owner = nil
      return
    }
    let wasThere = room.isLobby || session.rooms.contains(room)
    let isBack = wasRestored && wasThere
    func go() {
      socket.send(
        text: NativeWords.joined(
          room, session: session.id, token: core.tokens.token(for: session), wasRestored: isBack,
          expiresIn: session.lease.milliseconds, ref: ref))
      if isBack, !rooms.contains(room) {
        socket.send(text: NativeWords.restored(room, session: session.id))
      }
      rooms.insert(room)
      core.whenSeen(session, in: room) { [weak self] in
        // It may have left again meanwhile.
        guard let self, !hasEnded, rooms.contains(room) else { return }
        follow(room, wish)
      }
    }
    guard !wasThere else { return go() }
    core.act(.enter(room), session) { [weak self] error in
      guard let self, !hasEnded else { return }
      if let error {
        session.rooms.remove(room)
        self.socket?.send(text: NativeWords.error(error, ref: ref))
      } else {
        go()
      }
    }
  }

  private func follow(_ room: RoomName, _ wish: RoomWish) {
    resumes[room] = wish.resume ?? resumes[room]
    cursorTellers[room] = wish.cursorRate.flatMap { rate in
      CursorTeller(room: room, core: core, perSecond: rate) { [weak self] message in
        _ = self?.socket?.sendUpdate(text: [message])
      }
    }
    rooms.insert(room)
    core.subscribe(self, to: room)
  }

  private func leave(_ room: RoomName, ref: JSONValue?) throws(GatewayError) {
    guard rooms.remove(room) != nil else {
      throw GatewayError(.unknownRoom, "the socket is not in this room")
    }
    core.unsubscribe(self, from: room)
    cursorTellers[room] = nil
    guard let session, !session.hasEnded else { return answer(ref) }
    // A room that was only looked at is none of the session's.
    guard room.isLobby || session.rooms.contains(room) else { return answer(ref) }
    if session.rooms.subtracting([room]).isEmpty {
      act(.leave, session, ref: ref)
      self.session = nil
    } else {
      act(.exit(room), session, ref: ref)
    }
  }

  // MARK: What is told

  func synchronize(_ feed: RoomFeed) {
    guard rooms.contains(feed.room) else { return }
    let teller = cursorTellers[feed.room]
    if let resume = resumes.removeValue(forKey: feed.room),
      let messages = feed.messages(after: resume, withCursors: teller == nil)
    {
      core.counters.count(.resumed)
      _ = socket?.sendUpdate(text: messages)
      teller?.tellAll()
      return
    }
    tell(feed)
  }

  private func tell(_ feed: RoomFeed) {
    guard let snapshot = feed.snapshot else { return }
    cursorTellers[feed.room]?.reset()
    _ = socket?.sendUpdate(text: [NativeWords.sync(snapshot, resume: feed.resume)])
  }

  func update(_ feed: RoomFeed, _ update: RoomUpdate) {
    guard let teller = cursorTellers[feed.room] else {
      _ = socket?.sendUpdate(text: update.native)
      return
    }
    if !update.nativeChanges.isEmpty { _ = socket?.sendUpdate(text: update.nativeChanges) }
    teller.note(update.cursors)
  }

  func resynchronize() {
    for room in rooms.sorted() { if let feed = core.feed(room) { tell(feed) } }
    for user in watches.keys.sorted() {
      _ = socket?.sendUpdate(text: [NativeWords.watch(user.text, core.mesh.user(user.text))])
    }
  }

  // MARK: Watching users

  private func watch(_ user: String, ref: JSONValue?) throws(GatewayError) {
    guard access.allows(.read, in: .lobby) else {
      throw GatewayError(.forbidden, "watching a user needs the right to read the lobby")
    }
    let key = UserKey(user)
    guard watches[key] != nil || watches.count < Self.watchBound else {
      throw GatewayError(.tooManyRequests, "at most \(Self.watchBound) users are watched at once")
    }
    if watches[key] == nil {
      watches[key] = WatchReader(user: user, core: core) { [weak self] message in
        _ = self?.socket?.sendUpdate(text: [message])
      }
    }
    answer(ref)
  }

  // MARK: The session

  func sessionWasTaken() {
    session = nil
    socket?.close(.takenOver, "another socket speaks for this session")
  }

  func sessionMoved(to node: NodeID) {
    session = nil
    socket?.send(text: NativeWords.moved(to: node))
  }

  func sessionEnded() {
    session = nil
    socket?.send(text: NativeWords.expired)
  }

  func sessionRemoved() {
    session = nil
    socket?.send(text: NativeWords.removed(from: nil))
  }

  func sessionRemoved(from room: RoomName) {
    socket?.send(text: NativeWords.removed(from: room))
  }
}

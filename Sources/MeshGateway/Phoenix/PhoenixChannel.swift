import PresenceMesh

/// One topic of a Phoenix client: its session in the room, and what it is told of the others.
final class PhoenixChannel: RoomSubscriber, SessionOwner {
  let topic: String
  let joinRef: JSONValue
  private let room: RoomName
  private let isSupabase: Bool
  private let core: GatewayCore
  private let access: Access
  /// Gone when the client is; then nothing is told.
  private weak var socket: PhoenixSocket?
  private var session: ClientSession?
  private var presence = PhoenixPresence()
  private var hasState = false
  private var isClosed = false
  /// Messages that wait while the session opens, so that they find it.
  private var waiting: [PhoenixFrame]?
  /// The user that the client is tracked as.
  private var key = ""

  init(
    socket: PhoenixSocket, topic: String, room: RoomName, joinRef: JSONValue, isSupabase: Bool
  ) {
    self.socket = socket
    core = socket.core
    access = socket.access
    self.topic = topic
    self.room = room
    self.joinRef = joinRef
    self.isSupabase = isSupabase
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    waiting = nil
    core.unsubscribe(self, from: room)
    guard let session, session.owner === self else { return }
    session.owner = nil
    if !session.hasEnded { core.act(.leave, session) }
  }

  func noteLife() { if let session { core.noteLife(of: session) } }

  private static var guest: String {
    "guest-" + String(UInt32.random(in: .min ... .max), radix: 16)
  }

  // MARK: What the client says

  func join(_ frame: PhoenixFrame) {
    if isSupabase {
      let config = frame.payload["config"]?["presence"]
      let key = config?["key"]?.string ?? ""
      self.key = key.isEmpty ? access.user ?? Self.guest : key
      reply(
        to: frame, ok: [.init(key: "postgres_changes", value: .array([]))], joinRef: joinRef)
      return core.subscribe(self, to: room)
    }
    let id = frame.payload["user_id"]?.string ?? frame.payload["user"]?["id"]?.string
    guard let user = id ?? access.user else {
      reply(to: frame, ok: [], joinRef: joinRef)
      return core.subscribe(self, to: room)
    }
    key = user
    let data = frame.payload.without(["user_id", "user", "token", "access_token", "name", "color"])
    let name = frame.payload["name"]?.string ?? frame.payload["user"]?["name"]?.string
    let color = frame.payload["color"]?.string ?? frame.payload["user"]?["color"]?.string
    track(user, name: name, color: color, data: data) { [weak self] error in
      guard let self, !isClosed else { return }
      if let error { return reply(to: frame, error: error.message) }
      reply(to: frame, ok: [], joinRef: joinRef)
      core.subscribe(self, to: room)
    }
  }

  func receive(_ frame: PhoenixFrame) {
    guard !isClosed else { return }
    if let count = waiting?.count {
      guard count < 64 else { return reply(to: frame, error: "wait for the join") }
      waiting?.append(frame)
      return
    }
    switch (isSupabase, frame.event) {
    case (true, "access_token"): break
    case (_, "presence"): takePresence(frame)
    case (false, "update"), (false, "presence:update"):
      update(frame)
    case (false, "status"):
      say(frame) { fields throws(GatewayError) in
        .setStatus(
          try fields.status(), message: try fields.optionalText("message", atMost: 140),
          in: self.room)
      }
    case (false, "typing"):
      say(frame) { fields throws(GatewayError) in
        .setTyping(try fields.flag("typing"), in: self.room)
      }
    case (false, "cursor"):
      say(frame) { fields throws(GatewayError) in
        .moveCursor(try fields.cursor(), in: self.room)
      }
    default: reply(to: frame, error: "an unknown event")
    }
  }

  /// `track` tells data of the client, and brings it into the room if it is not there; `untrack`
  /// takes it out.
  private func takePresence(_ frame: PhoenixFrame) {
    switch frame.payload["event"]?.string {
    case "track":
      guard !key.isEmpty else { return reply(to: frame, error: "join with a user_id first") }
      let data = frame.payload["payload"] ?? .object([])
      let profile = session?.profile
      track(
        key, name: data["name"]?.string ?? profile?.name,
        color: data["color"]?.string ?? profile?.colour.description, data: data
      ) { [weak self] in self?.answer(frame, $0) }
    case "untrack":
      if let session, !session.hasEnded { core.act(.leave, session) }
      session = nil
      reply(to: frame, ok: [], joinRef: joinRef)
    default: reply(to: frame, error: "an unknown event of presence")
    }
  }

  private func answer(_ frame: PhoenixFrame, _ error: GatewayError?) {
    guard !isClosed else { return }
    if let error { return reply(to: frame, error: error.message) }
    reply(to: frame, ok: [], joinRef: joinRef)
  }

  private func say(
    _ frame: PhoenixFrame, _ action: (RequestFields) throws(GatewayError) -> SessionAction
  ) {
    guard let session, !session.hasEnded else {
      return reply(to: frame, error: "join with a user_id first")
    }
    do throws(GatewayError) {
      let action = try action(RequestFields(frame.payload))
      core.act(action, session) { [weak self] in self?.answer(frame, $0) }
    } catch {
      reply(to: frame, error: error.message)
    }
  }

  private func update(_ frame: PhoenixFrame) {
    say(frame) { fields throws(GatewayError) in
      let bytes = fields.value.bytes
      guard bytes.count <= Limits.presenceDataBytes else {
        throw .wrong("the payload", "at most \(Limits.presenceDataBytes) bytes")
      }
      return .setData(bytes, in: self.room)
    }
  }

  /// Brings the client into the room, with data of its own.
  private func track(
    _ user: String, name: String?, color: String?, data: JSONValue,
    completion: @escaping (GatewayError?) -> Void
  ) {
    let bytes = data.members?.isEmpty == false ? data.bytes : []
    do throws(GatewayError) {
      guard bytes.count <= Limits.presenceDataBytes else {
        throw .wrong("the payload", "at most \(Limits.presenceDataBytes) bytes")
      }
      try access.check(.publish, in: room)
      try access.checkSpeaking(for: user)
    } catch {
      return completion(error)
    }
    let profile = Profile(userID: user, name: name, colour: color.flatMap { Colour($0) })
    waiting = waiting ?? []
    let completion = { [weak self] (error: GatewayError?) in
      completion(error)
      guard let self, !isClosed, let frames = waiting else { return }
      waiting = nil
      for frame in frames { receive(frame) }
    }
    let room = room
    let core = core
    func speak(_ session: ClientSession) {
      // All at once, so that nobody sees it without what it tracks.
      var actions: [SessionAction] = [.enter(room), .setData(bytes, in: room)]
      if let status = data["status"]?.string.flatMap({ Status($0) }) {
        actions.append(.setStatus(status, message: nil, in: room))
      }
      core.act(.all(actions), session, completion: completion)
    }
    if let session, !session.hasEnded {
      if session.profile != profile {
        session.profile = profile
        core.act(.setProfile(profile), session)
      }
      return speak(session)
    }
    core.open(
      core.mesh.sessionID(of: user), profile, device: "phoenix", lease: .interval(.seconds(30)),
      owner: self
    ) { [weak self] result in
      switch result {
      case .failure(let error): completion(error)
      case .success(let (session, _)):
        guard let self, !isClosed else { return core.act(.leave, session) }
        self.session = session
        speak(session)
      }
    }
  }

  // MARK: What the client is told

  func synchronize(_ feed: RoomFeed) {
    guard let snapshot = feed.snapshot else { return }
    let state = presence.state(snapshot)
    hasState = sendUpdate(joinRef, "presence_state", state)
  }

  func update(_ feed: RoomFeed, _ update: RoomUpdate) {
    guard hasState, let snapshot = feed.snapshot,
      let diff = presence.diff(of: update.users, before: update.before, after: snapshot)
    else { return }
    // A diff belongs to the topic, not to a join of it.
    hasState = sendUpdate(.null, "presence_diff", diff)
  }

  private func reply(to frame: PhoenixFrame, error reason: String) {
    socket?.reply(to: frame, error: reason)
  }

  private func reply(to frame: PhoenixFrame, ok response: [JSONValue.Member], joinRef: JSONValue) {
    socket?.reply(to: frame, ok: response, joinRef: joinRef)
  }

  private func sendUpdate(_ joinRef: JSONValue, _ event: String, _ payload: [UInt8]) -> Bool {
    socket?.sendUpdate(joinRef: joinRef, topic: topic, event: event, payload: payload) ?? false
  }

  func resynchronize() { if let feed = core.feed(room) { synchronize(feed) } }

  // MARK: The session

  func sessionWasTaken() { session = nil }

  func sessionMoved(to node: NodeID) {
    session = nil
    socket?.fail(self)
  }

  func sessionEnded() {
    session = nil
    socket?.fail(self)
  }

  func sessionRemoved() {
    session = nil
    socket?.expel(self)
  }

  func sessionRemoved(from room: RoomName) {
    if room == self.room { socket?.expel(self) }
  }
}

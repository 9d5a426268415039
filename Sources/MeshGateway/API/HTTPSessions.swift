import NIOCore
import PresenceMesh

/// Sessions of clients that speak by requests: opened and kept by heartbeats.
struct HTTPSessions {
  let core: GatewayCore
  let access: Access

  /// How long after it was done a change shows at this node, at the most.
  private static let showing = TimeAmount.milliseconds(20)

  /// What a heartbeat asks for.
  struct Heartbeat {
    var room: RoomName
    var profile: Profile
    var sessionName: String
    var device = ""
    var lease: SessionLease
    /// Said on each heartbeat, after the session is in the room.
    var actions: [SessionAction] = []
    /// True: the session belongs to this room for good.
    var bindsRoom = false
  }

  /// Opens a session or keeps it, and brings it into the room.
  func heartbeat(
    _ request: Heartbeat,
    completion:
      @escaping (Result<(session: ClientSession, wasRestored: Bool), GatewayError>) -> Void
  ) {
    let core = core
    let room = request.room
    let id = core.mesh.sessionID(named: request.sessionName)
    do throws(GatewayError) {
      try access.check(.publish, in: room)
      try access.checkSpeaking(for: request.profile.userID)
      if let known = core.sessions[id] {
        try Self.check(known, serves: request)
      }
    } catch {
      return completion(.failure(error))
    }
    if let known = core.sessions[id], !known.hasEnded, known.profile == request.profile,
      known.lease == request.lease
    {
      return keep(known, request) { error in
        completion(error.map { .failure($0) } ?? .success((known, true)))
      }
    }
    core.open(id, request.profile, device: request.device, lease: request.lease, owner: nil) {
      result in
      switch result {
      case .failure(let error): completion(.failure(error))
      case .success(let (session, wasRestored)):
        if request.bindsRoom { session.boundRoom = room }
        keep(session, request) { error in
          completion(error.map { .failure($0) } ?? .success((session, wasRestored)))
        }
      }
    }
  }

  private static func check(
    _ known: ClientSession, serves request: Heartbeat
  ) throws(GatewayError) {
    guard known.profile.userID.utf8.elementsEqual(request.profile.userID.utf8) else {
      throw GatewayError(.sessionConflict, "the session id is in use by another user")
    }
    guard !request.bindsRoom || known.boundRoom.map({ $0 == request.room }) ?? true else {
      throw GatewayError(.sessionConflict, "the session id is in use in another room")
    }
  }

  private func keep(
    _ session: ClientSession, _ request: Heartbeat,
    completion: @escaping (GatewayError?) -> Void
  ) {
    session.lastHeartbeat = .now()
    var actions = request.actions
    if !request.room.isLobby, !session.rooms.contains(request.room) {
      actions.insert(.enter(request.room), at: 0)
    }
    actions.append(.heartbeat)
    perform(actions[...], session, completion: completion)
  }

  /// Does several things in turn, until one is refused.
  func perform(
    _ actions: ArraySlice<SessionAction>, _ session: ClientSession,
    completion: @escaping (GatewayError?) -> Void
  ) {
    guard let first = actions.first else {
      // Whoever reads after the answer finds what was said: it shows a moment later.
      core.eventLoop.assumeIsolated().scheduleTask(in: Self.showing) { completion(nil) }
      return
    }
    core.act(first, session) { error in
      if case .enter(let room) = first, error != nil { session.rooms.remove(room) }
      guard error == nil else { return completion(error) }
      perform(actions.dropFirst(), session, completion: completion)
    }
  }

  /// Ends the session of a token. Nothing happens for one that is not known (any more).
  func disconnect(_ token: String) {
    guard let id = core.tokens.session(token) else { return }
    if let session = core.sessions[id] { return core.act(.leave, session) }
    // A session of another node: see remove(_:from:completion:).
    // One that this node shows and does not serve has just ended: the beacon comes twice.
    guard let seen = core.mesh.session(id), seen.host != core.mesh.nodeID else { return }
    let core = core
    core.open(
      id, seen.value.profile, device: seen.value.device, lease: .interval(.seconds(30)), owner: nil
    ) { result in
      if case .success(let (session, _)) = result { endTaken(session) { _ in } }
    }
  }

  /// Ends a session that was taken over just now: after the old host has heard of it. Else the taking
  /// over would be merged with the end, and the old host would go on.
  private func endTaken(
    _ session: ClientSession, completion: @escaping (GatewayError?) -> Void
  ) {
    let taken = session.lastHeartbeat
    let box = NIOLoopBound((core, session, completion), eventLoop: core.eventLoop)
    core.eventLoop.scheduleTask(in: .milliseconds(250)) {
      let (core, session, completion) = box.value
      // Its client has come back here meanwhile.
      guard session.lastHeartbeat == taken else { return completion(nil) }
      core.act(.leave, session, completion: completion)
    }
  }

  /// The session of a token.
  func session(_ token: String) throws(GatewayError) -> ClientSession {
    guard let id = core.tokens.session(token), let session = core.sessions[id] else {
      throw GatewayError(.unknownSession, "the session has ended: send a heartbeat")
    }
    return session
  }

  // MARK: Removing others

  /// Ends all sessions of a user, wherever they are, or takes them out of a room.
  ///
  /// A session of another node is taken over first, by its id: then this node's word counts, and the
  /// old host gives it up. Its client learns that it moved.
  func remove(
    _ user: String, from room: RoomName?, completion: @escaping (Int) -> Void
  ) {
    let all = room.map { core.mesh.room($0).user(user) } ?? core.mesh.user(user)
    let sessions = all?.sessions ?? []
    guard !sessions.isEmpty else { return completion(0) }
    var left = sessions.count
    var removed = 0
    func done(_ isRemoved: Bool) {
      left -= 1
      if isRemoved { removed += 1 }
      if left == 0 { completion(removed) }
    }
    for session in sessions {
      if let mine = core.sessions[session.id], !mine.hasEnded {
        let owner = mine.owner
        if let room, !room.isLobby {
          core.act(.exit(room), mine) { done($0 == nil) }
        } else {
          core.act(.leave, mine) { done($0 == nil) }
          owner?.sessionEnded()
        }
        continue
      }
      if session.host == core.mesh.nodeID {
        // A session of the node's own process.
        let action = room.flatMap { $0.isLobby ? nil : SessionAction.exit($0) } ?? .leave
        core.mesh.submit(
          action, of: session.id,
          completion: core.hop { (result: Result<Void, PresenceError>) in
            if case .success = result { done(true) } else { done(false) }
          })
        continue
      }
      core.open(
        session.id, session.profile, device: session.device, lease: .interval(.seconds(30)),
        owner: nil
      ) { result in
        guard case .success(let (mine, _)) = result else { return done(false) }
        if let room, !room.isLobby {
          core.act(.exit(room), mine) { done($0 == nil) }
        } else {
          endTaken(mine) { done($0 == nil) }
        }
      }
    }
  }
}

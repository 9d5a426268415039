import NIOCore
import PresenceMesh

/// Sessions of clients that speak by requests: opened and kept by heartbeats.
struct HTTPSessions {
  let core: GatewayCore
  let access: Access

  /// How long after it was done a change shows at this node, at the most.
  private static let showing = TimeAmount.milliseconds(20)

  /// What a heartbeat asks for. Its session belongs to the room for good.
  struct Heartbeat {
    var room: RoomName
    var profile: Profile
    var sessionName: String
    var device = ""
    var lease: SessionLease
    /// Said on each heartbeat, after the session is in the room.
    var actions: [SessionAction] = []
  }

  /// Opens a session or keeps it, and brings it into the room.
  func heartbeat(
    _ request: Heartbeat,
    completion:
      @escaping (Result<(session: ClientSession, wasRestored: Bool), GatewayError>) -> Void
  ) {
    let room = request.room
    let id = core.mesh.sessionID(of: request.profile.userID, named: request.sessionName)
    do throws(GatewayError) {
      try access.check(.publish, in: room)
      try access.checkSpeaking(for: request.profile.userID)
      try checkRoom(of: id, request)
    } catch {
      return completion(.failure(error))
    }
    guard let known = core.sessions[id], !known.hasEnded, known.profile == request.profile,
      known.lease == request.lease
    else { return open(id, request, device: request.device, completion: completion) }
    if known.mayHaveComeBack, !core.isLeaving {
      return open(id, request, device: known.device, completion: completion)
    }
    keep(known, request) { error in
      switch error?.code {
      case nil: completion(.success((known, true)))
      // It has just ended: that is on its way to here.
      case .unknownSession: open(id, request, device: request.device, completion: completion)
      case _?: completion(.failure(error ?? .leaving))
      }
    }
  }

  private func open(
    _ id: SessionID, _ request: Heartbeat, device: String,
    completion:
      @escaping (Result<(session: ClientSession, wasRestored: Bool), GatewayError>) -> Void
  ) {
    core.open(id, request.profile, device: device, lease: request.lease, owner: nil) { result in
      switch result {
      case .failure(let error): completion(.failure(error))
      case .success(let (session, wasRestored)):
        session.boundRoom = request.room
        keep(session, request) { error in
          completion(error.map { .failure($0) } ?? .success((session, wasRestored)))
        }
      }
    }
  }

  /// Throws when a session belongs to another room: by a request to this node, or, where another node hosts it, by
  /// the rooms that it is in.
  private func checkRoom(of id: SessionID, _ request: Heartbeat) throws(GatewayError) {
    let isElsewhere: Bool
    if let known = core.sessions[id] {
      isElsewhere = known.boundRoom.map { $0 != request.room } ?? false
    } else {
      let rooms = core.mesh.session(id)?.rooms.filter { !$0.isLobby } ?? []
      isElsewhere = !rooms.isEmpty && !rooms.contains(request.room)
    }
    guard !isElsewhere else {
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
    perform(actions, session, completion: completion)
  }

  /// Does several things in turn, until one is refused.
  func perform(
    _ actions: [SessionAction], _ session: ClientSession,
    completion: @escaping (GatewayError?) -> Void
  ) {
    let core = core
    core.act(.all(actions), session) { error in
      guard error == nil else { return completion(error) }
      // Whoever reads after the answer finds what was said: it shows a moment later.
      core.eventLoop.assumeIsolated().scheduleTask(in: Self.showing) { completion(nil) }
    }
  }

  /// Ends the session of a token. Nothing happens for one that is not known (any more).
  func disconnect(_ token: String) {
    guard let (id, joinedAt) = core.tokens.session(token) else { return }
    if let session = core.sessions[id] {
      // A later stay of the same id is another session.
      if session.joinedAt == joinedAt { core.act(.leave, session) }
      return
    }
    // A session of another node. One that this node shows and does not serve has just ended: the
    // beacon comes twice.
    guard let seen = core.mesh.session(id), seen.host != core.mesh.nodeID,
      seen.value.joinedAt == joinedAt
    else { return }
    core.mesh.submit(.remove(from: .lobby, isFinal: false), of: id) { _ in }
  }

  /// The session of a token.
  func session(_ token: String) throws(GatewayError) -> ClientSession {
    guard let (id, joinedAt) = core.tokens.session(token), let session = core.sessions[id],
      session.joinedAt == joinedAt
    else {
      throw GatewayError(.unknownSession, "the session has ended: send a heartbeat")
    }
    return session
  }

  // MARK: Removing others

  /// Takes all sessions of a user out of a room, wherever they are; out of the lobby, ends them.
  /// `completion` learns how many there were, or what kept one from being removed.
  func remove(
    _ user: String, from room: RoomName,
    completion: @escaping (Result<Int, GatewayError>) -> Void
  ) {
    let seen = core.mesh.room(room).user(user)?.sessions ?? []
    remove(seen.map(\.id), from: room, completion: completion)
  }

  /// Takes everybody out of a room.
  func removeAll(
    from room: RoomName, completion: @escaping (Result<Int, GatewayError>) -> Void
  ) {
    remove(core.mesh.room(room).sessions().map(\.id), from: room, completion: completion)
  }

  private func remove(
    _ sessions: [SessionID], from room: RoomName,
    completion: @escaping (Result<Int, GatewayError>) -> Void
  ) {
    var left = sessions.count
    guard left > 0 else { return completion(.success(0)) }
    var removed = 0
    var refusal: GatewayError?
    for session in sessions {
      core.mesh.submit(
        .remove(from: room, isFinal: true), of: session,
        completion: core.hop { (result: Result<Void, PresenceError>) in
          switch result {
          case .success: removed += 1
          // It has gone by itself.
          case .failure(.unknownSession), .failure(.notInRoom): break
          case .failure(let error): refusal = refusal ?? GatewayError(error)
          }
          left -= 1
          if left == 0 { completion(refusal.map { .failure($0) } ?? .success(removed)) }
        })
    }
  }
}

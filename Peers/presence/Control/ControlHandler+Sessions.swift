import PresenceMesh

extension ControlHandler {
  /// Opens a session, or takes one up again, and brings it into its rooms.
  func open(_ request: OpenRequest) async throws -> ControlResponse {
    let rooms = try request.rooms.map { try mesh.room($0).name }
    let profile = Profile(
      userID: request.user, name: request.name, colour: request.colour.flatMap { Colour($0) })
    let session = try await mesh.openSession(
      profile, id: request.session.flatMap { SessionID($0) }, device: request.device,
      lease: .timeToLive(ControlLimits.sessionTimeToLive))
    do {
      for room in rooms where !room.isLobby { try await session.enter(room) }
    } catch {
      if !session.wasRestored { try? await session.leave() }
      throw error
    }
    try await Task.sleep(for: Self.settlingTime)
    return .opened(session: "\(session.id)", restored: session.wasRestored)
  }

  /// Does what a session says.
  func speak(_ request: ControlRequest) async throws {
    switch request {
    case .heartbeat(let id): try await choose(SessionChoice(session: id)).heartbeat()
    case .status(let choice, let name, let message):
      let status = try name.map { name in try Status.parsing(name) }
      let session = try await choose(choice)
      let room = try choice.room.map { try mesh.room($0).name } ?? .lobby
      // A message goes with a status: without a new one, with the one that holds.
      let held = session.snapshot?.place(in: room)?.presence.status?.status
      let chosen = status ?? (message == nil ? nil : held ?? .online)
      try await session.setStatus(chosen, message: message, in: room)
    case .typing(let choice, let isTyping):
      let session = try await choose(choice)
      try await session.setTyping(isTyping, in: place(of: session, choice))
    case .cursor(let choice, let x, let y, let visible, let anchor):
      let session = try await choose(choice)
      try await session.moveCursor(
        to: Cursor(x: x, y: y, isVisible: visible, anchor: anchor), in: place(of: session, choice))
      return
    case .leave(let choice):
      let session = try await choose(choice)
      if let room = choice.room, !room.isEmpty {
        try await session.exit(mesh.room(room).name)
      } else {
        try await session.leave()
      }
    default: throw CommandFailure("no session says that")
    }
    try await Task.sleep(for: Self.settlingTime)
  }

  /// The session that a request is about.
  /// - Throws: ``CommandFailure`` when there is none, or when it is not clear which.
  private func choose(_ choice: SessionChoice) async throws -> LocalSession {
    if let text = choice.session {
      guard let id = SessionID(text), let session = await mesh.localSession(id) else {
        throw CommandFailure("this node has no session \(text): it has left, moved or ended")
      }
      return session
    }
    let sessions = await mesh.localSessions()
      .compactMap { session in session.snapshot.map { (session: session, value: $0.value) } }
      .filter { choice.user == nil || $0.value.profile.userID == choice.user }
    guard let newest = sessions.max(by: { $0.value.joinedAt < $1.value.joinedAt }) else {
      throw CommandFailure(
        """
        this node has no session\(choice.user.map { " of user \($0)" } ?? ""): open one with `presence join ROOM --name …`, or start the node \
        with `presence up --name …`
        """)
    }
    guard sessions.allSatisfy({ $0.value.profile.userID == newest.value.profile.userID }) else {
      let list = sessions.map { "\($0.session.id) (\($0.value.profile.userID))" }
      throw CommandFailure(
        "this node has sessions of several users: choose with --user or --session: "
          + list.joined(separator: ", "))
    }
    return newest.session
  }

  /// Where a session types or points: the room that was named, else its only room, else the lobby.
  private func place(of session: LocalSession, _ choice: SessionChoice) throws -> RoomName {
    if let room = choice.room { return try mesh.room(room).name }
    let rooms = (session.snapshot?.places ?? []).map(\.room).filter { !$0.isLobby }
    guard rooms.count < 2 else {
      throw CommandFailure(
        "the session is in several rooms: choose one with --room: "
          + rooms.map(\.text).joined(separator: ", "))
    }
    return rooms.first ?? .lobby
  }
}

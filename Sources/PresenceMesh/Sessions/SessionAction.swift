import MeshCrypto
import MeshEngine
import MeshTransport
import MeshTrust

/// What a session of this node says or does, for callers that speak for many sessions and may not
/// wait: see ``PresenceMesh/submit(_:of:completion:)``.
package indirect enum SessionAction: Sendable {
  case heartbeat
  case setLease(SessionLease)
  case setProfile(Profile)
  case enter(RoomName)
  case exit(RoomName)
  case setStatus(Status?, message: String?, in: RoomName)
  case setTyping(Bool, in: RoomName)
  case setData([UInt8], in: RoomName)
  case moveCursor(Cursor, in: RoomName)
  case leave
  /// Takes the session of whatever host out of a room, or ends it: see
  /// ``PresenceMesh/signOut(user:)``. When it is not final, it may come back at once.
  case remove(from: RoomName, isFinal: Bool)
  /// Several things, told together. Those before one that is refused are done.
  case all([SessionAction])

  fileprivate func operation(_ session: SessionID) -> LocalOperation {
    switch self {
    case .heartbeat: .heartbeat(session)
    case .setLease(let lease): .setLease(session, lease.engineLease)
    case .setProfile(let profile): .setProfile(session, profile)
    case .enter(let room): .enter(session, room)
    case .exit(let room): .exit(session, room)
    case .setStatus(let status, let message, let room):
      .setStatus(session, room, status, message: message, at: WallClock.now)
    case .setTyping(let isTyping, let room): .setTyping(session, room, isTyping)
    case .setData(let data, let room): .setData(session, room, data)
    case .moveCursor(let cursor, let room): .moveCursor(session, room, cursor)
    case .leave: .leave(session)
    case .remove(let room, let isFinal): .remove(session, from: room, isFinal: isFinal)
    case .all(let actions): .all(actions.map { $0.operation(session) })
    }
  }
}

extension PresenceMesh {
  /// Does something for a session of this node. Actions are done in the order of the calls.
  ///
  /// - Parameter completion: Called on the node's event loop; a failure has changed no state.
  package func submit(
    _ action: SessionAction, of session: SessionID,
    completion: @escaping @Sendable (Result<Void, PresenceError>) -> Void
  ) {
    driver.submit(action.operation(session)) { [hub] result in
      if case .leave = action, case .success = result { hub.finish(session) }
      completion(result.mapError { PresenceError($0, hub.expulsion) })
    }
  }

  /// Opens a session as ``openSession(_:id:device:lease:)`` does, in the order of the calls.
  ///
  /// - Parameter completion: Called on the node's event loop with the session, and with the time at
  ///   which it joined: that of its opening, or what it keeps of an earlier one. The view may show it
  ///   a little later.
  package func submitOpening(
    _ profile: Profile, id: SessionID, device: String, lease: SessionLease,
    completion:
      @escaping @Sendable (Result<(session: LocalSession, joinedAt: WallTime), PresenceError>)
      -> Void
  ) {
    let subscription = hub.subscribe(session: id, capacity: LocalSessionEvents.capacity)
    let time = WallClock.now
    let operation = LocalOperation.open(id, profile, device: device, lease.engineLease, at: time)
    driver.submit(operation) { engine in
      engine.hostedSession(id)?.value.joinedAt ?? time
    } completion: { [self] result in
      completion(
        result.mapError { PresenceError($0, hub.expulsion) }.map { joinedAt in
          hub.own(id, user: profile.userID)
          let session = LocalSession(
            id: id, mesh: self,
            wasRestored: subscription.mailbox.takeAll().contains(.restored))
          return (session, joinedAt)
        })
    }
  }

  /// A word that only nodes of this mesh can make for a text, by the key of an epoch, and all of them make alike:
  /// 32 hexadecimal digits; empty as long as this node has no key.
  package func seal(of text: String) -> String {
    keeper.credentials.keyring.keys.last.map { Self.seal(of: text, by: $0.key) } ?? ""
  }

  /// True for the word of a text by the key of an epoch that is in use.
  package func isSeal(_ word: some StringProtocol, of text: String) -> Bool {
    keeper.credentials.keyring.keys.contains { Self.seal(of: text, by: $0.key) == word }
  }

  private static func seal(of text: String, by key: SecretBytes) -> String {
    MeshKeyring.secret(of: key, for: "gateway " + text).withBytes { bytes in
      hexadecimal((0..<16).map { bytes[$0] })
    }
  }
}

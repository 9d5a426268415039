import MeshEngine
import MeshTransport
import MeshTrust

extension PresenceMesh {
  /// Opens a session on this node, or takes one up again.
  ///
  /// The same id inside the lease keeps what the session said, its rooms and its cursor, also when
  /// another node hosted it until now: others see an update at most, never a leaving and coming
  /// (``LocalSession/wasRestored``).
  ///
  /// - Parameters:
  ///   - profile: Who the user is. Sizes are bounded: see `Limits`.
  ///   - id: The id of the session: see ``sessionID(of:named:)``; a random one when it is `nil`.
  ///   - device: What the session runs on, at most `Limits.deviceBytes` bytes.
  ///   - lease: How long it lives without a ``LocalSession/heartbeat()``.
  /// - Throws: ``PresenceError``; no state changed then.
  public func openSession(
    _ profile: Profile, id: SessionID? = nil, device: String = "", lease: SessionLease = .process
  ) async throws(PresenceError) -> LocalSession {
    let id = id ?? sessionID(of: profile.userID)
    let subscription = hub.subscribe(session: id, capacity: LocalSessionEvents.capacity)
    try await perform(.open(id, profile, device: device, lease.engineLease, at: WallClock.now))
    hub.own(id, user: profile.userID)
    // The engine tells of it in the same step.
    let wasRestored = subscription.mailbox.takeAll().contains(.restored)
    return LocalSession(id: id, mesh: self, wasRestored: wasRestored)
  }

  /// The id of a session of a user. Ids belong to their users: a node that may speak for some users alone
  /// hosts no others, and what one user calls its session is another session than another user's of that name.
  ///
  /// - Parameters:
  ///   - user: The id of the user.
  ///   - name: What the client calls it: the same id on every node of the mesh, not to be found from the name
  ///     without the key of the mesh. The 32 hexadecimal digits of an id of the user stand for themselves. `nil`:
  ///     a random id.
  public func sessionID(of user: String, named name: String? = nil) -> SessionID {
    let key = meshID.hashKey
    guard let name else { return SessionID(of: user, .random(in: .min ... .max), key: key) }
    if let id = SessionID(name), id.belongs(to: user, key: key) { return id }
    return SessionID(of: user, SipHash.hash(Array("session \(name)".utf8), key: key), key: key)
  }

  /// A session that this node hosts; `nil` for any other.
  public func localSession(_ id: SessionID) async -> LocalSession? {
    let isHosted = await driver.read { engine, _ in engine.hostedSessions.contains(id) }
    return isHosted ? LocalSession(id: id, mesh: self, wasRestored: false) : nil
  }

  /// The sessions that this node hosts, in the order of their ids.
  public func localSessions() async -> [LocalSession] {
    await driver.read { engine, _ in engine.hostedSessions }
      .map { LocalSession(id: $0, mesh: self, wasRestored: false) }
  }

  /// Ends all sessions of a user that are seen in the mesh, wherever they are.
  ///
  /// The order is part of what this node tells the mesh: a host that is cut off now obeys it when it
  /// hears of it, and nobody who has heard it shows the sessions. They cannot be opened again for two
  /// minutes; other sessions of the user can. Orders are kept in memory: when this node restarts
  /// before a host has heard, that host's session stays.
  /// - Returns: How many there were.
  /// - Throws: ``PresenceError``; sessions before the one that failed have ended then.
  @discardableResult
  public func signOut(user: String) async throws(PresenceError) -> Int {
    try await remove(user: user, from: .lobby)
  }

  /// Takes the sessions of a user out of a room, wherever they are; out of the lobby, ends them.
  func remove(user: String, from room: RoomName) async throws(PresenceError) -> Int {
    // What was opened here a moment ago may not show yet.
    let own = hub.ownSessions(of: user)
    let seen = hub.look { $0.roster(room).sessionIDs(of: user) }
    var removed = 0
    for session in Set(own + seen).sorted() {
      do throws(PresenceError) {
        try await perform(.remove(session, from: room, isFinal: true))
        removed += 1
      } catch {
        switch error {
        case .unknownSession, .notInRoom: continue
        default: throw error
        }
      }
    }
    return removed
  }

  /// Does something on the event loop.
  func perform(_ operation: LocalOperation) async throws(PresenceError) {
    do throws(OperationError) {
      try await driver.perform(operation)
    } catch {
      throw PresenceError(error, hub.expulsion)
    }
  }
}

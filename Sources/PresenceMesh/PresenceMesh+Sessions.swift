import MeshEngine
import MeshTransport

extension PresenceMesh {
  /// Opens a session on this node, or takes one up again.
  ///
  /// The same id inside the lease keeps what the session said, its rooms and its cursor, also when
  /// another node hosted it until now: others see an update at most, never a leaving and coming
  /// (``LocalSession/wasRestored``).
  ///
  /// - Parameters:
  ///   - profile: Who the user is. Sizes are bounded: see `Limits`.
  ///   - id: The id of the session; a random one when it is `nil`.
  ///   - device: What the session runs on, at most `Limits.deviceBytes` bytes.
  ///   - lease: How long it lives without a ``LocalSession/heartbeat()``.
  /// - Throws: ``PresenceError``; no state changed then.
  public func openSession(
    _ profile: Profile, id: SessionID? = nil, device: String = "", lease: SessionLease = .process
  ) async throws(PresenceError) -> LocalSession {
    let id = id ?? .random()
    let subscription = hub.subscribe(session: id, capacity: LocalSessionEvents.capacity)
    try await perform(.open(id, profile, device: device, lease.engineLease, at: WallClock.now))
    hub.own(id, user: profile.userID)
    // The engine tells of it in the same step.
    let wasRestored = subscription.mailbox.takeAll().contains(.restored)
    return LocalSession(id: id, mesh: self, wasRestored: wasRestored)
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

  /// Ends all sessions of a user that this node hosts; sessions on other nodes go on.
  /// - Returns: How many there were.
  /// - Throws: ``PresenceError/meshLeft`` or ``PresenceError/countersExhausted``; sessions before
  ///   the one that failed have ended then.
  @discardableResult
  public func signOut(user: String) async throws(PresenceError) -> Int {
    let sessions = hub.ownSessions(of: user)
    for session in sessions {
      try await perform(.leave(session))
      hub.finish(session)
    }
    return sessions.count
  }

  /// Does something on the event loop.
  func perform(_ operation: LocalOperation) async throws(PresenceError) {
    do throws(OperationError) {
      try await driver.perform(operation)
    } catch {
      throw PresenceError(error)
    }
  }
}

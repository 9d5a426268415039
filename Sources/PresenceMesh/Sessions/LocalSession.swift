/// A session that this node hosts: what a program speaks through.
///
/// A small value; copies speak for the same session. It does not end by being released: call
/// ``leave()``, let its lease end, or leave the mesh. When it has ended, or went on at another node,
/// every call throws ``PresenceError/unknownSession(_:)``.
public struct LocalSession: Sendable, Identifiable {
  /// The id, by which the session can be taken up again.
  public let id: SessionID
  /// The mesh that it is in.
  public let mesh: PresenceMesh
  /// True when opening it took up a session that was there, with all that it said.
  public let wasRestored: Bool

  /// The session as it is seen in the mesh, with all its rooms; `nil` when it is not.
  public var snapshot: SessionSnapshot? { mesh.session(id) }

  // MARK: What it says

  /// Sets the status in a room.
  ///
  /// - Parameters:
  ///   - status: The status; `nil` takes it back, and that of the lobby holds in the room.
  ///   - message: What goes with it, at most `Limits.messageBytes` bytes; `nil` leaves it as it
  ///     is, empty text takes it back.
  ///   - room: The room. The lobby's status holds in all rooms that have none of their own.
  /// - Throws: ``PresenceError``; no state changed then.
  public func setStatus(
    _ status: Status?, message: String? = nil, in room: RoomName = .lobby
  ) async throws(PresenceError) {
    try await mesh.perform(.setStatus(id, room, status, message: message, at: WallClock.now))
  }

  /// Says that the user types in a room, or stopped. Typing ends by itself after four seconds: call
  /// this again while the user goes on.
  /// - Throws: ``PresenceError``; no state changed then.
  public func setTyping(
    _ isTyping: Bool = true, in room: RoomName = .lobby
  ) async throws(PresenceError) {
    try await mesh.perform(.setTyping(id, room, isTyping))
  }

  /// Moves the cursor in a room. Moves that come faster than 60 each second are merged; the last one
  /// always arrives.
  /// - Throws: ``PresenceError``; no state changed then.
  public func moveCursor(
    to cursor: Cursor, in room: RoomName = .lobby
  ) async throws(PresenceError) {
    try await mesh.perform(.moveCursor(id, room, cursor))
  }

  /// Sets the free data of the session in a room, at most `Limits.presenceDataBytes` bytes: what
  /// it looks at, for example.
  /// - Throws: ``PresenceError``; no state changed then.
  public func setData(_ data: [UInt8], in room: RoomName = .lobby) async throws(PresenceError) {
    try await mesh.perform(.setData(id, room, data))
  }

  /// Changes name, colour, avatar or data of the user. The user id stays.
  /// - Throws: ``PresenceError``; no state changed then.
  public func setProfile(_ profile: Profile) async throws(PresenceError) {
    try await mesh.perform(.setProfile(id, profile))
  }

  // MARK: Where it is

  /// Enters a room, at most `Limits.roomsPerSession` at once. Nothing happens to a session that is
  /// there.
  /// - Throws: ``PresenceError``; no state changed then.
  public func enter(_ room: RoomName) async throws(PresenceError) {
    try await mesh.perform(.enter(id, room))
  }

  /// Leaves a room. Nothing happens to a session that is not there. Leaving the lobby takes back
  /// what was said there.
  /// - Throws: ``PresenceError``; no state changed then.
  public func exit(_ room: RoomName) async throws(PresenceError) {
    try await mesh.perform(.exit(id, room))
  }

  // MARK: How long it lives

  /// A sign of life of the client. Others learn nothing of it.
  /// - Throws: ``PresenceError/unknownSession(_:)`` when it has ended: open it again.
  public func heartbeat() async throws(PresenceError) {
    try await mesh.perform(.heartbeat(id))
  }

  /// Changes the lease, at once and counted from now.
  /// - Throws: ``PresenceError``; no state changed then.
  public func setLease(_ lease: SessionLease) async throws(PresenceError) {
    try await mesh.perform(.setLease(id, lease.engineLease))
  }

  /// Ends the session, everywhere at once. Nothing happens to one that has ended.
  /// - Throws: ``PresenceError/meshLeft``.
  public func leave() async throws(PresenceError) {
    try await mesh.perform(.leave(id))
    mesh.hub.finish(id)
  }

  // MARK: What happens to it

  /// Something that happened to the session, and was not asked for through this value.
  public enum Event: Hashable, Sendable {
    /// It was opened again inside its lease, or came back from another node.
    case restored
    /// It goes on at another node. The sequence ends.
    case moved(to: NodeID)
    /// Its lease ended, and with it the session. The sequence ends.
    case leaseEnded
    /// Somebody took it out of a room by order; out of the lobby: ended it, and the sequence ends.
    case removed(from: RoomName)
  }

  /// What happens to the session from now on.
  ///
  /// For one reader. Sixteen events wait for it at most, then the oldest go. The sequence ends with
  /// the session, when the mesh is left, or when the reading task is cancelled.
  public var events: LocalSessionEvents {
    LocalSessionEvents(
      subscription: mesh.hub.subscribe(session: id, capacity: LocalSessionEvents.capacity))
  }
}

/// What happens to a session of this node: see ``LocalSession/events``.
public struct LocalSessionEvents: AsyncSequence, Sendable {
  /// Something that happened.
  public typealias Element = LocalSession.Event
  /// There are no errors.
  public typealias Failure = Never

  /// The most events that wait.
  static let capacity = 16

  fileprivate let subscription: Subscription<LocalSession.Event>

  /// Begins to read. Iterators of one sequence share what waits.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(subscription: subscription) }

  /// A reader.
  public struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let subscription: Subscription<LocalSession.Event>

    /// The next event; `nil` when there will be no more.
    public mutating func next() async -> LocalSession.Event? { await next(isolation: nil) }

    /// The next event; `nil` when there will be no more.
    public mutating func next(
      isolation actor: isolated (any Actor)?
    ) async -> LocalSession.Event? {
      if case .element(let event) = await subscription.mailbox.take() { event } else { nil }
    }
  }
}

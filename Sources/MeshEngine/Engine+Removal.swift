import MeshCRDT
import MeshWire

// Removal: who may order it is a matter of the host's application. The order is a record of the one
// who gives it, so that it lasts, and reaches a host that is cut off now.

/// An order of this node to take a session out of a room, or to end it.
struct RemovalOrder: Sendable {
  let counter: UInt64
  /// True: it may not come back while the order stands.
  let isFinal: Bool
  /// Where the session was.
  let host: OriginID
  let givenAt: MonotonicTime
}

extension Engine {
  /// The most orders of this node at once; its log has room for their tombstones besides.
  static let orderLimit = Limits.removalsPerOrigin / 2

  /// Gives an order. The session's host obeys when it hears of it; nobody shows the session from now
  /// on.
  mutating func remove(
    _ session: SessionID, from room: RoomName, isFinal: Bool
  ) throws(OperationError) {
    // What is asked for and not told yet counts.
    let seen = hostedSession(session) ?? self.session(session)
    guard let seen else { throw .unknownSession(session) }
    guard room.isLobby || seen.isIn(room) else { throw .notInRoom(session, room) }
    guard orderCount < Self.orderLimit else { throw .tooManyRemovals(limit: Self.orderLimit) }
    let counter = try counter()
    let order = RemovalOrder(counter: counter, isFinal: isFinal, host: seen.host, givenAt: now)
    orders[session, default: [:]][room] = order
    write(order, session, room)
    timers.set(.removal(session, room), at: now + configuration.removalHold)
    flushBatches()
  }

  private var orderCount: Int { orders.values.reduce(0) { $0 + $1.count } }

  mutating func write(_ order: RemovalOrder, _ session: SessionID, _ room: RoomName) {
    write(
      Record(
        session: session, lane: .removal, room: room, counter: order.counter,
        value: .removal(RemovalValue(isFinal: order.isFinal))))
  }

  /// True when a session may not enter a room, or be opened (the lobby).
  func isShutOut(_ session: SessionID, of room: RoomID) -> Bool {
    state.removals(of: session, from: room).contains {
      $0.decoded(.removal) == .removal(RemovalValue(isFinal: true))
    }
  }

  /// Does what others, or this node itself, ordered about a session that it hosts.
  mutating func obeyRemovals(of session: SessionID) {
    guard let host = hosted[session], !PlantedBug.isActive(.removalNotObeyed) else { return }
    if state.isRemoved(session, from: .lobby, since: host.counter) {
      guard let counter = try? counter() else { return }
      end(session, counter: counter)
      emit(.removed(session, from: .lobby))
      return
    }
    for (room, place) in host.places.sorted(by: { $0.key < $1.key }) where !room.isLobby {
      guard
        state.isRemoved(
          session, from: state.room(room), since: place.presence.enteredCounter),
        let counter = try? counter()
      else { continue }
      hosted[session]?.places[room] = nil
      bury(session, room, hadCursor: place.cursor != nil, counter: counter)
      emit(.removed(session, from: room))
    }
  }

  /// True when a session was ended by order since its host wrote it.
  func isRemoved(_ session: SessionID, slot: Int) -> Bool {
    guard state.hasRemovals, let cell = state.logs[slot].live(RecordKey(session: session)) else {
      return false
    }
    return state.isRemoved(session, from: .lobby, since: cell.counter)
  }

  /// Takes an order back that has done its work: nothing is left that it outweighs, and its host is
  /// heard of, or was gone for too long.
  mutating func judgeRemoval(of session: SessionID, from room: RoomName) {
    guard let order = orders[session]?[room] else { return }
    guard isDone(order, session, room), let counter = try? counter() else {
      return timers.set(.removal(session, room), at: now + configuration.removalHold)
    }
    orders[session]?[room] = nil
    if orders[session]?.isEmpty == true { orders[session] = nil }
    write(
      Record(session: session, lane: .removal, room: room, counter: counter, value: nil))
  }

  private func isDone(_ order: RemovalOrder, _ session: SessionID, _ room: RoomName) -> Bool {
    let key = RecordKey(session: session, lane: .presence, room: state.room(room))
    let visit = RecordKey(session: session, lane: .visit, room: state.room(room))
    let isOutweighing = state.homes(of: session).contains { slot in
      let log = state.logs[slot]
      let since =
        room.isLobby
        ? log.live(RecordKey(session: session))?.counter
        : log.live(key)?.enteredCounter ?? log.live(visit)?.counter
      return since.map { $0 <= order.counter } ?? false
    }
    if order.givenAt + configuration.removalLife <= now { return true }
    guard !isOutweighing else { return false }
    guard let slot = state.slot(of: order.host) else { return false }
    return state.logs[slot].isSettled && isVisible(slot)
  }
}

import MeshEngine
import MeshTransport
import Synchronization

/// The rooms that a node subscribes to: those that its user chose, and those whose events somebody reads
/// meanwhile.
final class RoomSubscriptions: Sendable {
  private struct State {
    /// `nil`: all.
    var chosen: Set<RoomName>?
    /// The rooms whose events are read, those read the longest first, and by how many.
    var read: [(room: RoomName, readers: Int)] = []

    /// All of them, as many as there may be. Those that are read wait for room.
    var rooms: Set<RoomName>? {
      guard var rooms = chosen else { return nil }
      for room in read.map(\.room) where rooms.count < Limits.roomsSubscribed { rooms.insert(room) }
      return rooms
    }
  }

  private let state = Mutex(State())
  private let driver: MeshDriver

  init(driver: MeshDriver) { self.driver = driver }

  /// Chooses rooms in the place of those that were chosen before; `nil`: all.
  /// - Throws: ``PresenceError``; then what was chosen before stays.
  func choose(_ rooms: Set<RoomName>?) async throws(PresenceError) {
    if let rooms, rooms.count > Limits.roomsSubscribed {
      throw .tooManySubscriptions(limit: Limits.roomsSubscribed)
    }
    let before = state.withLock { $0.chosen }
    let result = await withCheckedContinuation { continuation in
      state.withLock { state in
        state.chosen = rooms
        // Handed over inside of the lock: what was said last is done last.
        driver.submit(.subscribe(state.rooms)) { continuation.resume(returning: $0) }
      }
    }
    do throws(OperationError) {
      try result.get()
    } catch {
      state.withLock { if $0.chosen == rooms { $0.chosen = before } }
      throw PresenceError(error, nil)
    }
  }

  /// Subscribes to a room for as long as what is returned is held. Nothing happens at a node that subscribes to all.
  func read(_ room: RoomName) -> Reading {
    change { state in
      if let index = state.read.firstIndex(where: { $0.room == room }) {
        state.read[index].readers += 1
      } else {
        state.read.append((room, 1))
      }
    }
    return Reading(subscriptions: self, room: room)
  }

  private func end(_ room: RoomName) {
    change { state in
      guard let index = state.read.firstIndex(where: { $0.room == room }) else { return }
      state.read[index].readers -= 1
      if state.read[index].readers == 0 { state.read.remove(at: index) }
    }
  }

  private func change(_ body: (inout State) -> Void) {
    state.withLock { state in
      let before = state.rooms
      body(&state)
      guard state.rooms != before else { return }
      driver.submit(.subscribe(state.rooms)) { _ in }
    }
  }

  /// Somebody who reads the events of a room.
  final class Reading: Sendable {
    private let subscriptions: RoomSubscriptions
    private let room: RoomName

    fileprivate init(subscriptions: RoomSubscriptions, room: RoomName) {
      self.subscriptions = subscriptions
      self.room = room
    }

    deinit { subscriptions.end(room) }
  }
}

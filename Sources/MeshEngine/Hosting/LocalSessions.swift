import MeshCRDT
import MeshWire

/// The sessions that this node hosts: does the operations of its users, and says which records are
/// to be written.
///
/// An operation either throws and changes nothing, or succeeds; so does a list of them, between
/// ``begin()`` and ``commit()`` or ``rollBack()``. What is to be written and done goes to
/// `actions`, which whoever calls carries out once all has succeeded.
///
/// Counters are Lamport counters of the session: one above the highest that is known, here and in
/// the records of all origins, when the session is opened; after that whoever calls tells of
/// changes at other origins (``judge(_:_:now:_:)``), and the session counts on from there.
struct LocalSessions: Sendable {
  var table = HostedTable()
  /// The most rooms in which sessions of this node are at a time.
  var roomLogLimit = HostingLimits.roomLogs
  /// The highest counters of sessions that ended here. A session that is opened again goes on above
  /// them, so that cursors of its earlier stay do not count.
  var endedCounters = CounterMemory<SessionID>(bound: HostingLimits.rememberedCounters)
  /// The status counters that this node wrote last, until the records of it are read.
  var statusCounters = CounterMemory<UserKey>(bound: HostingLimits.rememberedCounters)
  var handOvers = Deadlines<SessionID>()
  /// True once somebody in the mesh subscribes to some rooms only: sessions are written with the
  /// rooms that they are in.
  var writesOccupancy = false
  /// What is to be written again, a slice at a time: the last first.
  var refresh: (kind: Refresh, sessions: [SessionID]) = (.occupancy, [])
  let origin: OriginID

  /// What is written again of all sessions.
  enum Refresh: Hashable, Sendable {
    case occupancy
    /// All records, for another incarnation.
    case everything
  }

  init(origin: OriginID) { self.origin = origin }

  mutating func begin() { table.begin() }
  mutating func commit() { table.commit() }
  mutating func rollBack() { table.rollBack() }

  func hosting(_ session: SessionID) throws(OperationError) -> HostedSession {
    guard let host = table[session] else { throw .unknownSession(session) }
    return host
  }

  /// The stamp of the session record that this node writes.
  func stamp(of host: HostedSession) -> Stamp { Stamp(counter: host.counter, origin: origin) }

  // MARK: By time

  /// When something is due.
  var deadline: MonotonicTime? {
    refresh.sessions.isEmpty ? handOvers.next : MonotonicTime(nanoseconds: 0)
  }

  /// Removes what was handed over long enough ago, and writes a slice of what is to be written
  /// again.
  mutating func advance(now: MonotonicTime, _ actions: inout [HostingAction]) {
    for _ in 0..<HostingLimits.evaluationsPerTurn {
      guard let session = handOvers.take(due: now) else { break }
      bury(session, &actions)
    }
    for _ in 0..<HostingLimits.evaluationsPerTurn {
      guard let session = refresh.sessions.popLast() else { break }
      write(session, refresh.kind, &actions)
    }
  }

  // MARK: Writing all again

  /// Begins to write which rooms sessions are in, for those who do not subscribe to all.
  mutating func beginOccupancy() {
    guard !writesOccupancy, !PlantedBug.isActive(.occupancyNotWritten) else { return }
    writesOccupancy = true
    // What is being written again as a whole has to be so with its rooms.
    let kind = refresh.sessions.isEmpty ? .occupancy : refresh.kind
    refresh = (kind, table.sessions.reversed())
  }

  /// Writes everything again, for an incarnation that has said nothing yet. Handed-over sessions
  /// have no records in it.
  mutating func restart() {
    while let session = handOvers.take(due: MonotonicTime(nanoseconds: .max)) {
      table.setHandedOver(session, to: nil)
    }
    refresh = (.everything, table.sessions.reversed())
  }

  private mutating func write(
    _ session: SessionID, _ kind: Refresh, _ actions: inout [HostingAction]
  ) {
    guard var host = table[session] else { return }
    var free = HostingLimits.occupancies - table.occupancies
    for room in host.places.keys.sorted() {
      let isNew = needsOccupancy(room, free: free) && host.places[room]?.hasOccupancy == false
      if isNew {
        host.places[room]?.hasOccupancy = true
        free -= 1
      }
      switch kind {
      case .occupancy:
        guard isNew, let change = host.occupancyChange(session, in: room) else { continue }
        actions.append(.write(change))
      case .everything:
        actions += host.changes(session, in: room).map { .write($0) }
      }
    }
    if kind == .everything { actions.append(.write(host.change(session))) }
    table.set(session, to: host)
  }

  /// True when an occupancy record is to be written for a room.
  func needsOccupancy(_ room: RoomName, free: Int) -> Bool {
    writesOccupancy && !room.isLobby && free > 0
  }
}

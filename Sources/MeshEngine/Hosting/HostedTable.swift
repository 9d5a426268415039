import MeshCRDT

/// The sessions that this node hosts, and those that it handed over, with what is counted of them.
///
/// Changes can be rolled back to where they began: so a list of operations is done as a whole, or
/// not at all. Bound: ``Limits/sessionsPerOrigin`` sessions of both kinds, kept by whoever adds.
struct HostedTable: Sendable {
  /// A session that another node hosts now, and whose records here are still to be removed.
  struct HandedOver: Hashable, Sendable {
    var host: HostedSession
    let due: MonotonicTime
  }

  private struct Before: Sendable {
    let host: HostedSession?
    let handedOver: HandedOver?
  }

  private var hosted: [SessionID: HostedSession] = [:]
  private var handedOver: [SessionID: HandedOver] = [:]
  /// How many sessions are in each room.
  private var sessionsIn: [RoomName: Int] = [:]
  private(set) var occupancies = 0
  /// What changed since ``begin()`` was; `nil`: nobody asked.
  private var journal: [SessionID: Before]?

  /// The number of sessions of both kinds.
  var count: Int { hosted.count + handedOver.count }
  var hostedCount: Int { hosted.count }
  /// The number of rooms with sessions, the lobby not counted.
  var roomCount: Int { sessionsIn.count - (sessionsIn[.lobby] == nil ? 0 : 1) }
  /// The sessions that are hosted, in the order of their ids. Cost: all of them.
  var sessions: [SessionID] { hosted.keys.sorted() }

  subscript(session: SessionID) -> HostedSession? { hosted[session] }
  func handedOver(_ session: SessionID) -> HandedOver? { handedOver[session] }
  func hasSessions(in room: RoomName) -> Bool { sessionsIn[room] != nil }

  // MARK: Changing

  /// Puts a session in the place of what is there; `nil`: takes it away. Cost: its rooms.
  mutating func set(_ session: SessionID, to host: HostedSession?) {
    note(session)
    count(from: hosted[session], to: host)
    hosted[session] = host
  }

  mutating func setHandedOver(_ session: SessionID, to entry: HandedOver?) {
    note(session)
    handedOver[session] = entry
  }

  mutating func witness(_ counter: UInt64, of session: SessionID) {
    guard let index = hosted.index(forKey: session) else { return }
    hosted.values[index].witness(counter)
  }

  /// A counter for the next write; `nil` when the session is not hosted, or has none left.
  mutating func takeCounter(of session: SessionID) -> UInt64? {
    guard let index = hosted.index(forKey: session) else { return nil }
    return hosted.values[index].takeCounter()
  }

  private mutating func count(from old: HostedSession?, to new: HostedSession?) {
    for (room, place) in old?.places ?? [:] {
      if place.hasOccupancy { occupancies -= 1 }
      guard new?.places[room] == nil, let count = sessionsIn[room] else { continue }
      sessionsIn[room] = count > 1 ? count - 1 : nil
    }
    for (room, place) in new?.places ?? [:] {
      if place.hasOccupancy { occupancies += 1 }
      if old?.places[room] == nil { sessionsIn[room, default: 0] += 1 }
    }
  }

  // MARK: Rolling back

  /// Begins to take note of what was there.
  mutating func begin() { journal = [:] }

  mutating func commit() { journal = nil }

  /// Goes back to where ``begin()`` was called. Cost: what changed since.
  mutating func rollBack() {
    let changed = journal ?? [:]
    journal = nil
    for (session, before) in changed {
      count(from: hosted[session], to: before.host)
      hosted[session] = before.host
      handedOver[session] = before.handedOver
    }
  }

  private mutating func note(_ session: SessionID) {
    guard journal?[session] == nil else { return }
    journal?[session] = Before(host: hosted[session], handedOver: handedOver[session])
  }
}

package import MeshCRDT
import MeshWire

/// Which sessions are visible, and with which values: a function of the records that a node holds and of
/// which origins are visible, reported as events in slices.
///
/// Changes are noted when they come, and reported by ``work(budget:_:)``, which evaluates a bounded number
/// of sessions for each call. What was reported and what is held therefore differ for a while:
/// ``snapshot(_:)`` and ``session(_:_:)`` say what was *reported*, so that the events replayed over a
/// snapshot always give the next one; ``host(of:_:)`` and ``current(_:_:)`` say what is so now.
///
/// All records are read through ``RecordReading``; the caller passes the same records each time, and tells
/// every change of them. Memory: about 30 bytes for each visible session, and nothing of its values.
package struct SessionView: Sendable {
  /// What is known of an origin.
  struct Host: Sendable {
    var isVisible = false
    /// Whom it may speak for, and whose sessions it may remove.
    var rights = Rights.unlimited
    /// The sessions that were reported with this host.
    var reported = 0
    var cursors = MovingCursors()
  }

  /// The reported sessions, with the slots of their hosts.
  private(set) var reported = ShardedMap<SessionID, Int32>()
  private(set) var hosts: [Host] = []
  /// Of whom nothing counts, whoever says it.
  private(set) var revokedUsers: Set<UserKey> = []
  /// True when some origin may not speak for all.
  private(set) var isRestricted = false
  var waiting = WaitingSessions()
  private(set) var scans = VisibilityScans()
  /// The sessions of origins whose visibility changed that ``work(budget:_:)`` looked at when it was called last.
  var scanned: [SessionID] = []
  private var statuses: UserStatusCounters
  /// The number of reports of sessions so far, from 1.
  private var reports: UInt64 = 1

  /// The most sessions that wait. Beyond that the oldest are reported when new ones come.
  package static let waitingBound = 131_072
  /// The most changes that are noted of a session that waits. With more it is reported out of turn.
  package static let changesOfWaitingBound = 64
  /// The most rooms of a session that are looked at, the lobby among them: the first by their names.
  package static let roomBound = Limits.roomsPerSession + 1
  /// The sessions of one scan that are looked at in a row.
  static let scanPage = 32

  let waitingBound: Int
  let hashKey: HashKey

  /// - Parameters:
  ///   - hashKey: the key of the mesh.
  ///   - waitingBound: the most sessions that wait.
  package init(hashKey: HashKey, waitingBound: Int = waitingBound) {
    statuses = UserStatusCounters(hashKey: hashKey)
    self.hashKey = hashKey
    self.waitingBound = waitingBound
  }

  /// The number of sessions that were reported as visible.
  package var sessionCount: Int { reported.count }

  /// True when something is still to be reported.
  package var hasWork: Bool { !waiting.isEmpty || !scans.isEmpty }

  /// The number of sessions that were reported with this host.
  package func sessionCount(slot: Int) -> Int { host(slot)?.reported ?? 0 }

  /// True when sessions were reported that this origin hosts.
  package func isReported(slot: Int) -> Bool { host(slot)?.reported ?? 0 > 0 }

  /// True when a change of an origin's visibility is reported in full. An origin that is hidden for good is
  /// kept until then, so that forgetting it is cheap.
  package func isSettled(slot: Int) -> Bool {
    !scans.contains(slot) && (isVisible(slot: slot) || !isReported(slot: slot))
  }

  /// True when the sessions of an origin may be visible.
  package func isVisible(slot: Int) -> Bool {
    hosts.indices.contains(slot) && hosts[slot].isVisible
  }

  func host(_ slot: Int) -> Host? { hosts.indices.contains(slot) ? hosts[slot] : nil }

  func reportedSlot(of session: SessionID) -> Int? { reported[session].map { Int($0) } }

  // MARK: Users

  /// The highest status counter that is known of a user, of all origins; 0: none. Cost: one look-up. See
  /// ``UserStatusCounters`` for the bound.
  package mutating func statusCounter(ofUser user: String) -> UInt64 { statuses.highest(of: user) }

  mutating func noteStatuses(of snapshot: SessionSnapshot) {
    for place in snapshot.places {
      guard let status = place.presence.status else { continue }
      statuses.note(status.counter, of: snapshot.value.profile.userID)
    }
  }

  mutating func noteStatus(_ counter: UInt64, of user: String) {
    statuses.note(counter, of: user)
  }
}

// MARK: - Inputs

extension SessionView {
  /// Notes that the sessions of an origin may be visible from now on, or may not. Cost: constant; the
  /// sessions are looked at by ``work(budget:_:)``.
  package mutating func visibility(slot: Int, isVisible: Bool) {
    guard grow(to: slot), hosts[slot].isVisible != isVisible else { return }
    hosts[slot].isVisible = isVisible
    // Also one that hosts no session: a record of its that does not decode may have hidden some.
    scans.begin(slot)
    if !isVisible && hosts[slot].reported == 0 { hosts[slot].cursors = MovingCursors() }
  }

  /// Sets what an origin may say. Cost: constant; its sessions are looked at again by ``work(budget:_:)``.
  mutating func setRights(slot: Int, _ rights: Rights) {
    guard grow(to: slot), hosts[slot].rights != rights else { return }
    hosts[slot].rights = rights
    isRestricted = true
    scans.begin(slot)
  }

  /// Sets the users of whom nothing counts. Cost: the origins; their sessions are looked at again.
  mutating func setRevoked(users: [String]) {
    let users = Set(users.map { UserKey($0) })
    guard revokedUsers != users else { return }
    revokedUsers = users
    isRestricted = true
    for slot in hosts.indices { scans.begin(slot) }
  }

  /// Forgets an origin, whose number may be given to another one from now on. That its records are gone was
  /// told before. Cost: the sessions that wait, and the reported ones when this origin hosts some of them.
  package mutating func forgotten(slot: Int, _ records: some RecordReading) -> [MeshEvent] {
    guard hosts.indices.contains(slot) else { return [] }
    hosts[slot].isVisible = false
    scans.end(slot)
    var sessions = waiting.sessions(involving: slot)
    if hosts[slot].reported > 0 {
      sessions += reported.sortedKeys { $0 == Int32(slot) }
    }
    var events: [MeshEvent] = []
    for session in sessions { reportOutOfTurn(session, records, &events) }
    hosts[slot] = Host()
    return events
  }

  /// Makes room for an origin. False for a number that no origin has.
  private mutating func grow(to slot: Int) -> Bool {
    guard slot >= 0 else { return false }
    while hosts.count <= slot { hosts.append(Host()) }
    return true
  }

  mutating func endScan(_ slot: Int) { scans.end(slot) }

  mutating func advanceScan(to last: SessionID) { scans.advance(to: last) }
}

// MARK: - What was reported

extension SessionView {
  /// Notes that a session was reported with a host, or as not visible.
  mutating func setReported(_ session: SessionID, _ slot: Int?) {
    let old = reported.set(session, slot.map { Int32($0) })
    if let slot { hosts[slot].reported += 1 }
    guard let host = old.map({ Int($0) }) else { return }
    hosts[host].reported -= 1
    if !hosts[host].isVisible && hosts[host].reported == 0 {
      hosts[host].cursors = MovingCursors()
    }
  }

  /// Changes the moving cursors of an origin, and notes what was reported of them.
  mutating func changeCursor(
    _ key: CursorKey, slot: Int, _ body: (inout MovingCursors) -> Void
  ) {
    let old = hosts[slot].cursors[key]
    body(&hosts[slot].cursors)
    guard reportedSlot(of: key.session) == slot, hosts[slot].cursors[key] != old else { return }
    waiting.add(key.session) { $0.note(old, in: key.room) }
  }

  /// Sets the moving cursor of a session about which everything was reported: see
  /// ``MovingCursors/advance(_:for:reports:)``.
  mutating func advance(
    _ cursor: MovingCursor, for key: CursorKey, slot: Int
  ) -> MovingCursors.Advance {
    guard isVisible(slot: slot) else { return .known }
    return hosts[slot].cursors.advance(cursor, for: key, reports: reports)
  }

  /// The same of one that is news, with whether its session is shown in the room.
  mutating func setReportedCursor(
    _ cursor: MovingCursor, for key: CursorKey, slot: Int, isShown: Bool
  ) {
    hosts[slot].cursors.put(cursor, for: key)
    hosts[slot].cursors.note(isShown: isShown, key, reports: reports)
  }

  /// A session is reported: what was found out about cursors may be so no more.
  mutating func countReport() { reports += 1 }
}

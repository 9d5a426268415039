import MeshCRDT
import MeshTrust
import MeshWire

/// What this node itself says: its sessions with their leases, typing and cursors, its removals and
/// its subscription, and the batches, cursor frames and checkpoints that say so.
///
/// It owns the parts of hosting, and carries out what one asks of another; it sends nothing.
/// ``advance(_:now:)`` is called when ``deadline`` has come, ``judge(_:_:now:)`` for each session
/// that ``isConcerned(with:)`` knows and whose records at other origins, removals, or hosts'
/// visibility changed. After each input whoever calls
/// - takes ``takeBatches(_:now:)`` while ``batchDeadline`` has come, and signs, applies and sends
///   each batch before the next call;
/// - takes ``takeFrames(now:)``, and signs, shows and sends each frame;
/// - takes ``takeCheckpoint()`` when ``checkpointDeadline`` has come, signs it with the root of the
///   own replica, and sends it.
struct Hosting: Sendable {
  private var sessions: LocalSessions
  private var leases = Leases()
  private var typing: Typing
  private var removals: Removals
  private(set) var subscription: OwnSubscription
  private var cursors: CursorWriter
  private var batches: BatchWriter
  private(set) var checkpoints: CheckpointWriter
  private let origin: OriginID
  private(set) var incarnation: Incarnation
  /// Why no operation is done any more.
  private var refusal: OperationError?
  /// What this node may say.
  private var rights = Rights.unlimited
  private let hashKey: HashKey

  init(origin: OriginID, configuration: EngineConfiguration) {
    self.origin = origin
    incarnation = configuration.incarnation
    hashKey = configuration.mesh.hashKey
    sessions = LocalSessions(origin: origin)
    typing = Typing(timeout: configuration.typingTimeout)
    removals = Removals(
      hold: configuration.removalHold, retention: configuration.removalRetention)
    subscription = OwnSubscription(hashKey: configuration.mesh.hashKey)
    cursors = CursorWriter(
      interval: configuration.cursorInterval, rest: configuration.cursorRest)
    batches = BatchWriter(incarnation: incarnation, interval: configuration.batchInterval)
    checkpoints = CheckpointWriter(
      incarnation: incarnation, delay: configuration.checkpointDelay,
      delayAtMost: configuration.checkpointDelayAtMost)
  }

  // MARK: Deadlines

  /// When ``advance(_:now:)`` has something to do.
  var deadline: MonotonicTime? {
    guard refusal == nil else { return nil }
    return earliest(
      earliest(sessions.deadline, leases.deadline),
      earliest(earliest(typing.deadline, removals.deadline), cursors.restDeadline))
  }
  /// When ``takeBatches(_:now:)`` has something.
  var batchDeadline: MonotonicTime? { isSilenced ? nil : batches.deadline }
  /// When ``takeFrames(now:)`` has something.
  var frameDeadline: MonotonicTime? { isSilenced ? nil : cursors.frameDeadline }
  /// When ``takeCheckpoint()`` is due.
  var checkpointDeadline: MonotonicTime? { isSilenced ? nil : checkpoints.deadline }
  /// True when another process speaks with this node's key: nothing is written any more.
  private var isSilenced: Bool { refusal == .cloned || refusal == .expelled }
  /// True when the versions of the incarnation are used up, and another one has to begin.
  var isExhausted: Bool { batches.isExhausted }

  // MARK: Reading

  /// The sessions that this node hosts, in the order of their ids. Cost: all of them.
  var hostedSessions: [SessionID] { sessions.table.sessions }
  var hostedCount: Int { sessions.table.hostedCount }

  /// True for sessions that this node hosts, or handed over a moment ago.
  func isConcerned(with session: SessionID) -> Bool {
    sessions.table[session] != nil || sessions.table.handedOver(session) != nil
  }

  /// A session that this node hosts, with what is not written yet; `nil`: it hosts none.
  func snapshot(_ session: SessionID) -> SessionSnapshot? {
    guard let host = sessions.table[session] else { return nil }
    return SessionSnapshot(
      id: session, host: origin, value: host.value,
      places: host.places.map { room, place in
        SessionSnapshot.Place(
          room: room, presence: place.presence, cursor: cursors.cursor(of: session, in: room))
      })
  }
}

// MARK: - Inputs

extension Hosting {
  /// Does an operation. It either throws before anything changed, or succeeds.
  mutating func perform(
    _ operation: LocalOperation, _ mesh: some MeshReading, now: MonotonicTime
  ) throws(OperationError) -> [MeshEvent] {
    if let refusal { throw refusal }
    let before = (removals, subscription)
    var actions: [HostingAction] = []
    var effects = Effects()
    sessions.begin()
    do throws(OperationError) {
      try apply(operation, mesh, now: now, &actions, &effects)
    } catch {
      if PlantedBug.isActive(.listNotAtomic) { sessions.commit() } else { sessions.rollBack() }
      (removals, subscription) = before
      throw error
    }
    sessions.commit()
    let events = carryOut(actions, now: now)
    if effects.isUrgent { batches.hasten(now: now) }
    if effects.isLeaving { leave(now: now) }
    return events
  }

  /// Moves a cursor, where that needs no look at the mesh. False, and nothing changed, for other operations.
  mutating func move(
    _ operation: LocalOperation, now: MonotonicTime
  ) throws(OperationError) -> Bool {
    guard case .moveCursor(let session, let room, let cursor) = operation, !room.isLobby,
      refusal == nil
    else { return false }
    try sessions.checkMove(of: session, in: room, to: cursor)
    cursors.move(SessionPlace(session, room), to: cursor, now: now)
    return true
  }

  /// What an operation asks for beside actions.
  private struct Effects {
    /// What is written goes at once.
    var isUrgent = false
    var isLeaving = false
  }

  private mutating func apply(
    _ operation: LocalOperation, _ mesh: some MeshReading, now: MonotonicTime,
    _ actions: inout [HostingAction], _ effects: inout Effects
  ) throws(OperationError) {
    switch operation {
    case .all(let operations):
      for operation in operations { try apply(operation, mesh, now: now, &actions, &effects) }
    case .subscribe(let rooms):
      guard let change = try subscription.set(rooms) else { return }
      actions.append(.write(change))
      effects.isUrgent = true
    case .remove(let session, let room, let isFinal):
      try checkRemoval(of: session, mesh)
      let order = try sessions.prepareRemoval(of: session, from: room, seeing(mesh))
      let change = try removals.order(
        SessionPlace(session, room), counter: order.counter, isFinal: isFinal,
        holders: order.holders, now: now)
      actions.append(.write(change))
      sessions.obeyRemovals(of: session, seeing(mesh), &actions)
      effects.isUrgent = true
    case .leaveMesh: effects.isLeaving = true
    default:
      if operation.addsRecords, mesh.ownUsage.exceeds(limits) {
        let bytes = mesh.ownUsage.bytes
        throw .tooLong(
          field: "what this node says", bytes: bytes, limit: limits.bytes)
      }
      try checkUser(of: operation)
      let first = actions.count
      try sessions.perform(operation, seeing(mesh), &actions)
      noteDepartures(in: &actions, from: first, now: now)
    }
  }

  /// What this node's records may be before operations that add to them are refused.
  private var limits: OriginBounds {
    var limits = HostingLimits.records
    if rights.quotas.records > 0 {
      limits.records = min(limits.records, Int(clamping: rights.quotas.records) / 4 * 3)
    }
    return limits
  }

  /// Throws unless this node may speak for the user whom an operation names, and host one session more.
  private func checkUser(of operation: LocalOperation) throws(OperationError) {
    if case .open(let session, _, _, _, _) = operation, rights.quotas.sessions > 0 {
      let limit = Int(clamping: rights.quotas.sessions)
      guard sessions.table[session] != nil || hostedCount < limit else {
        throw .tooManySessions(limit: limit)
      }
    }
    guard rights.users != .all else { return }
    switch operation {
    case .open(let session, let profile, _, _, _), .setProfile(let session, let profile):
      guard rights.users.includes(profile.userID) else { throw .userNotCovered(profile.userID) }
      guard session.belongs(to: profile.userID, key: hashKey) else {
        throw .sessionOfAnotherUser(session)
      }
    default: return
    }
  }

  private func checkRemoval(
    of session: SessionID, _ mesh: some MeshReading
  ) throws(OperationError) {
    let user =
      sessions.table[session]?.value.profile.userID
      ?? mesh.visibleHost(of: session).flatMap { RecordValues.userID(ofSession: $0.record.value) }
    guard user.map({ rights.mayRemove(sessionsOf: $0) }) ?? true else {
      throw .mayNotRemove(session)
    }
  }

  /// Sets what this node may say from now on. Sessions that it may not host any more stay, and nobody shows
  /// them.
  mutating func setRights(_ rights: Rights) {
    self.rights = rights
    let rooms = Int(clamping: rights.quotas.rooms)
    sessions.roomLogLimit = rooms > 0 ? min(rooms, HostingLimits.roomLogs) : HostingLimits.roomLogs
  }

  /// This node is no member any more: no operation is done and nothing is written.
  mutating func expel() { refusal = refusal ?? .expelled }

  /// This node is a member again.
  mutating func readmit() { if refusal == .expelled { refusal = nil } }

  /// Notes what left, so that the next operation of a list sees it.
  private mutating func noteDepartures(
    in actions: inout [HostingAction], from first: Int, now: MonotonicTime
  ) {
    for index in first..<actions.count {
      guard case .depart(let place, let counter, let holders) = actions[index] else { continue }
      let changes = removals.depart(place, counter: counter, holders: holders, now: now)
      actions[index...index] = ArraySlice(changes.map { .write($0) })
      // One departure is the last action of an operation.
      return
    }
  }

  /// The mesh with the removals that are not written yet.
  private func seeing<Mesh: MeshReading>(_ mesh: Mesh) -> MeshWithRemovals<Mesh> {
    MeshWithRemovals(base: mesh, removals: removals)
  }

  /// Evaluates what others say of a session of this node.
  mutating func judge(
    _ session: SessionID, _ mesh: some MeshReading, now: MonotonicTime
  ) -> [MeshEvent] {
    var actions: [HostingAction] = []
    sessions.judge(session, seeing(mesh), now: now, &actions)
    return carryOut(actions, now: now)
  }

  /// Does what is due by time, of one slice.
  mutating func advance(_ mesh: some MeshReading, now: MonotonicTime) -> [MeshEvent] {
    var actions: [HostingAction] = []
    sessions.advance(now: now, &actions)
    for _ in 0..<HostingLimits.evaluationsPerTurn {
      guard let session = leases.take(due: now) else { break }
      guard !PlantedBug.isActive(.leaseNotEnded), sessions.table[session] != nil else { continue }
      sessions.end(session, seeing(mesh), &actions)
      actions.append(.emit(.leaseEnded(session)))
    }
    for _ in 0..<HostingLimits.evaluationsPerTurn {
      guard let place = typing.take(due: now), !PlantedBug.isActive(.typingNotEnded) else { break }
      sessions.endTyping(place, seeing(mesh), &actions)
    }
    actions += removals.advance(mesh, now: now).map { .write($0) }
    let rests = cursors.takeRests(now: now) { sessions.table.takeCounter(of: $0) }
    actions += rests.map { .write($0) }
    return carryOut(actions, now: now)
  }

  /// Grants a pause of the node that ended now to the leases. To be called before
  /// ``advance(_:now:)``.
  mutating func grant(_ pause: Span) { leases.grant(pause) }

  /// Somebody in the mesh subscribes to some rooms only: sessions are written with their rooms from
  /// now on.
  mutating func beginOccupancy() { sessions.beginOccupancy() }

  /// Begins an incarnation: everything is written again.
  mutating func restart(_ incarnation: Incarnation, now: MonotonicTime) {
    self.incarnation = incarnation
    batches.restart(incarnation)
    checkpoints.restart(incarnation, now: now)
    sessions.restart()
    var changes = removals.changes
    if subscription.rooms != nil { changes.append(subscription.change) }
    changes += cursors.changes { sessions.table.takeCounter(of: $0) }
    for change in changes { batches.add(change, now: now) }
  }

  /// Another process speaks with this node's key: no operation is done and nothing is written any
  /// more.
  mutating func silence() { refusal = .cloned }

  /// No operation is done any more; what waits is written, and a last checkpoint.
  private mutating func leave(now: MonotonicTime) {
    refusal = .meshLeft
    batches.hasten(now: now)
    checkpoints.leave(now: now)
  }

  // MARK: Carrying out

  private mutating func carryOut(_ actions: [HostingAction], now: MonotonicTime) -> [MeshEvent] {
    var events: [MeshEvent] = []
    for action in actions {
      switch action {
      case .write(let change): batches.add(change, now: now)
      case .lease(let session, let lease): leases.set(session, lease, now: now)
      case .heard(let session): leases.renew(session, now: now)
      case .typing(let place, let isOn):
        if isOn { typing.begin(place, now: now) } else { typing.end(place) }
      case .move(let place, let cursor): cursors.move(place, to: cursor, now: now)
      case .adoptCursor(let place, let cursor, let counter):
        cursors.adopt(place, cursor, counter: counter, now: now)
        batches.add(
          RoomChange(
            .cursor, place.session, place.room, counter: counter,
            value: RecordValues.bytes(cursor)), now: now)
      case .leave(let place, let counter):
        typing.end(place)
        guard cursors.remove(place) else { continue }
        batches.add(
          RoomChange(.cursor, place.session, place.room, counter: counter, value: nil), now: now)
      case .end(let session): leases.remove(session)
      case .handOver(let session, let rooms):
        leases.remove(session)
        for room in rooms {
          typing.end(SessionPlace(session, room))
          _ = cursors.remove(SessionPlace(session, room))
        }
      case .depart(let place, let counter, let holders):
        for change in removals.depart(place, counter: counter, holders: holders, now: now) {
          batches.add(change, now: now)
        }
      case .emit(let event): events.append(event)
      }
    }
    return events
  }
}

// MARK: - Outputs

extension Hosting {
  /// Takes the batches that are due.
  mutating func takeBatches(_ mesh: some MeshReading, now: MonotonicTime) -> [WrittenBatch] {
    guard !isSilenced else { return [] }
    let written = batches.take(now: now) { key, room in
      mesh.record(key, in: room, slot: mesh.ownSlot) != nil
    }
    for batch in written { checkpoints.note(batch, now: now) }
    return written
  }

  /// Takes the cursor frames that are due.
  mutating func takeFrames(now: MonotonicTime) -> [CursorFrame] {
    guard !isSilenced else { return [] }
    return cursors.takeFrames(incarnation, now: now) { sessions.table.takeCounter(of: $0) }
  }

  /// A checkpoint is due at once: there is a new chain of beats, or another period.
  mutating func demandCheckpoint(now: MonotonicTime) { checkpoints.demand(now: now) }

  /// The next checkpoint, due or not.
  mutating func takeCheckpoint() -> CheckpointDraft { checkpoints.take() }
}

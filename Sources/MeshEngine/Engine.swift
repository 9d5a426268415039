package import MeshCRDT
package import MeshTrust
import MeshWire

/// The whole protocol as one value, without input or output: datagrams, local operations and time go in;
/// datagrams, events and a deadline come out.
///
/// ## The contract
/// After every call of ``receive(_:from:now:)``, ``perform(_:now:)``, ``tick(now:)`` or
/// ``addPeers(_:now:)`` take everything from ``nextOutput()`` until it is `nil`; then wait for the next
/// input, at the longest until ``deadline``. A ``Output/persist(_:)`` is done before the outputs behind it.
/// Times do not go back. Two engines that get the same calls give the same outputs.
///
/// ## Inside
/// Each part owns its state and knows no other part. The engine alone sequences them: it takes what one
/// found to the next.
///
/// ```
/// datagram → paths → message → verifier → records → view → events
///                                  ↓         ↓
///                             membership   comparison, repairs → outbox → sealed datagram
/// operation → hosting → batch, frame, checkpoint → records, view, outbox
/// ```
package struct Engine: Sendable {
  var context: EngineContext
  var paths: Paths
  var records: RecordStore
  var comparison = Comparison()
  var repairs = Repairs()
  var members: FailureDetector
  var staleness: Staleness
  var quarantine = Quarantine()
  var removedPeers = RemovedPeers()
  var beats: OwnBeats
  var subscriptions: Subscriptions
  var hosting: Hosting
  var view: SessionView
  var router: Router
  var trust: TrustSet
  var admission: Admission
  /// Where the own records stand.
  private(set) var ownSlot: Int
  /// Origins of which something came with the present input: what they need is looked at once at its end,
  /// with whoever sent it.
  var touched: [(slot: Int, address: PeerAddress)] = []
  /// Slots of origins that were forgotten, whose records are still to be dropped.
  var leavers: [Int] = []
  private var hasLeft = false
  /// The last checkpoint of a node that left, which is sent once more: datagrams get lost.
  private(set) var farewell: Authentic<Checkpoint>?
  /// What users were told of ``isStale``.
  private var wasStale = false
  /// True when another process lives with this node's key: this one says nothing any more.
  package internal(set) var isCloned = false
  /// How often the incarnation was raised above words of this node that it did not write.
  var raises = 0
  /// True after a pause in which the clock may have stood still: the next beat begins a schedule.
  var clockMayHaveStopped = false
  /// When contradictions of an origin were sent on last.
  var contradictedAt: [OriginID: MonotonicTime] = [:]
  private(set) var durable: DurableState?
  /// What is to be kept of the membership.
  var keptDecrees: [Decree]?
  /// True when the mesh keys are to be kept anew.
  var keysChanged = false
  /// What went in and came out, when that is asked for.
  package internal(set) var recording: EngineRecording?

  package init(
    configuration: EngineConfiguration, crypto: any Crypto, treeHash: any TreeHash,
    now: MonotonicTime
  ) {
    var context = EngineContext(
      configuration: configuration, crypto: crypto, treeHash: treeHash, now: now)
    paths = Paths(&context)
    records = RecordStore(hashKey: configuration.mesh.hashKey, hash: treeHash)
    members = FailureDetector(forgetAfter: configuration.forgetAfter)
    staleness = Staleness(startingAt: now)
    beats = OwnBeats(&context)
    subscriptions = Subscriptions(hashKey: configuration.mesh.hashKey)
    hosting = Hosting(origin: context.origin, configuration: configuration)
    view = SessionView(hashKey: configuration.mesh.hashKey)
    router = Router(
      origin: context.origin, directPeers: configuration.directPeers, rings: configuration.rings,
      hashKey: configuration.mesh.hashKey)
    // An empty store has room for its own origin.
    trust = TrustSet(root: configuration.trust?.authority)
    admission = Admission(tag: configuration.mesh.tag, now: now)
    ownSlot = records.open(context.origin, context.incarnation, scope: .all)?.slot ?? 0
    view.visibility(slot: ownSlot, isVisible: true)
    durable = DurableState(incarnationCounter: context.incarnation.counter)
    hosting.demandCheckpoint(now: now)
    context.setTimer(.compare, afterJittered: configuration.comparisonPeriod)
    if configuration.isRecording {
      recording = EngineRecording(configuration: configuration, start: now)
    }
    self.context = context
    beginTrust()
    setTimers()
  }

  // MARK: Reading

  package var configuration: EngineConfiguration { context.configuration }
  /// The node's id.
  package var origin: OriginID { context.origin }
  /// The present life of the node.
  package var incarnation: Incarnation { context.incarnation }
  package var counters: Counters { context.counters }
  /// True when nobody is heard of those who were there. A node alone is not stale.
  package var isStale: Bool { staleness.isCutOff && !members.isAlone }
  package var pathCount: Int { paths.table.count }
  /// The nodes that are seen, this one among them.
  package var visibleCount: Int { members.visibleCount + 1 }
  /// The origins and sessions of which anything is held.
  package var size: (origins: Int, sessions: Int) {
    (records.replica.originCount, records.replica.sessionCount)
  }
  /// The sessions that this node hosts, in the order of their ids.
  package var hostedSessions: [SessionID] { hosting.hostedSessions }
  package var knownAddresses: [PeerAddress] { paths.knownAddresses }

  /// When ``tick(now:)`` is next due.
  package var deadline: MonotonicTime? { hasLeft ? nil : context.timers.deadline }

  /// What is read of the mesh where it is written.
  var mesh: MeshRecords {
    MeshRecords(records: records, ownSlot: ownSlot, members: members, view: view)
  }
}

// MARK: - Inputs

extension Engine {
  /// Receives a datagram. Whatever is wrong with it is counted, and answered with silence.
  package mutating func receive(
    _ datagram: [UInt8], from address: PeerAddress, now: MonotonicTime
  ) {
    recording?.note(.receive(datagram, from: address, now: now))
    begin(now)
    guard !hasLeft else { return }
    if receiveAdmission(datagram, from: address) { return finish() }
    var received = paths.receive(datagram, from: address, &context)
    if let epoch = received.unknownEpoch { hearUnknownEpoch(epoch, from: address) }
    if let applicant = received.applicant { received = admit(applicant) }
    for lost in received.lost { handle(lost) }
    if let other = received.ownKey { hearOwnKey(other) }
    guard var arrival = received.arrival else { return finish() }
    hearSomebody()
    if arrival.isNewPath { greet(arrival.address) }
    while let message = nextMessage(&arrival) {
      handle(message, from: arrival.address, sender: arrival.sender)
    }
    finish()
  }

  private mutating func nextMessage(_ arrival: inout Paths.Arrival) -> MeshMessage? {
    do {
      return try arrival.messages.next()
    } catch {
      context.counters.count(.messagesMalformed)
      return nil
    }
  }

  /// Does what a user of this node asks for.
  ///
  /// - Throws: ``OperationError``; then no state changed.
  package mutating func perform(
    _ operation: LocalOperation, now: MonotonicTime
  ) throws(OperationError) {
    recording?.note(.perform(operation, now: now))
    begin(now)
    guard !hasLeft else { throw .meshLeft }
    // What is done most often, at a time when all memory is cold: nothing else is touched for it.
    if try hosting.move(operation, now: context.now) {
      sendFrames()
      return setHostingTimer()
    }
    let rooms = hosting.subscription.rooms
    for event in try hosting.perform(operation, mesh, now: context.now) { context.emit(event) }
    if hosting.subscription.rooms != rooms { subscriptionChanged() }
    finish()
  }

  /// Does what is due.
  package mutating func tick(now: MonotonicTime) {
    recording?.note(.tick(now: now))
    begin(now)
    // Each timer that is set again is set for later, so that this ends.
    while !hasLeft, let timer = context.timers.next(due: context.now) { handle(timer) }
    finish()
  }

  /// Tries to reach nodes at addresses that the user gave, or that are remembered, as long as there is no
  /// path to them.
  package mutating func addPeers(_ addresses: [PeerAddress], now: MonotonicTime) {
    recording?.note(.addPeers(addresses, now: now))
    begin(now)
    for address in addresses { paths.addConfigured(address, &context) }
    finish()
  }

  /// Takes the wall clock in: what certificates are judged by. To be called now and then.
  package mutating func setWall(_ milliseconds: UInt64, now: MonotonicTime) {
    recording?.note(.setWall(milliseconds, now: now))
    begin(now)
    context.setWall(milliseconds)
    if context.admitted != nil { dropEndedTrust() }
    finish()
  }

  /// Takes the time in, and grants a pause of this node: its own timers are late then.
  private mutating func begin(_ now: MonotonicTime) {
    let last = context.now
    let due = max(context.timers.deadline ?? now, last)
    context.advance(to: now)
    guard now > due + configuration.pauseThreshold, !PlantedBug.isActive(.pauseNotForgiven) else {
      return
    }
    let pause = now.since(last)
    context.counters.count(.pausesForgiven)
    members.grant(pause, at: context.now)
    staleness.grant(pause, at: context.now)
    hosting.grant(pause)
    if pause > EngineLimits.longPause { clockMayHaveStopped = true }
  }

  /// Looks at what the present input touched, writes what is due, and sets the timers.
  private mutating func finish() {
    for (slot, address) in touched { lookAfter(slot, from: address) }
    touched = []
    startWaitingFetches()
    commit()
    if isStale != wasStale {
      wasStale = isStale
      context.emit(.stale(isStale))
    }
    dropForgotten()
    for event in view.work(budget: EngineLimits.sessionsPerTurn, records) { context.emit(event) }
    for session in view.scanned where hosting.isConcerned(with: session) {
      for event in hosting.judge(session, mesh, now: context.now) { context.emit(event) }
    }
    setTimers()
  }

  private mutating func setTimers() {
    func set(_ timer: EngineTimer, _ time: MonotonicTime?) {
      if let time { context.timers.set(timer, at: max(time, context.now)) }
    }
    set(.membership, members.deadline)
    set(.staleness, staleness.deadline(typicalPeriod: members.typicalPeriod))
    setHostingTimer()
    if view.hasWork || !leavers.isEmpty { set(.view, context.now + Span(nanoseconds: 1)) }
  }

  private mutating func setHostingTimer() {
    let time = earliest(
      earliest(hosting.deadline, hosting.batchDeadline),
      earliest(hosting.frameDeadline, hosting.checkpointDeadline))
    if let time { context.timers.set(.hosting, at: max(time, context.now)) }
  }

  private mutating func handle(_ timer: EngineTimer) {
    switch timer {
    case .paths(let timer):
      let demand = demand()
      let lost = paths.handle(timer, demand, period: { members.clock(of: $0)?.period }, &context)
      if let lost { handle(lost) }
    case .comparison(let timer):
      handle(
        comparison.handle(
          timer, peers: { Self.sources(of: $0, paths, subscriptions) }, &context))
    case .compare: compareWithSomebody()
    case .repair(let origin): repair(origin)
    case .membership: handle(members.advance(to: context.now))
    case .staleness: lookForSilence()
    case .beat: beat()
    case .beats: flushBeats()
    case .hosting:
      for event in hosting.advance(mesh, now: context.now) { context.emit(event) }
    case .trust: dropEndedTrust()
    case .admission: askAgain()
    case .epoch: goOverToNewestEpoch()
    case .outbox, .view: break
    }
  }
}

// MARK: - Outputs

extension Engine {
  /// What is to be done next; `nil`: nothing.
  package mutating func nextOutput() -> Output? {
    let output = takeOutput()
    if let output { recording?.note(output) }
    return output
  }

  private mutating func takeOutput() -> Output? {
    if let durable, !PlantedBug.isActive(.persistAfterSend) || context.outbox.isEmpty {
      self.durable = nil
      return .persist(durable)
    }
    // A key is of no use without its decree.
    if let decrees = keptDecrees {
      keptDecrees = nil
      return .keep(decrees)
    }
    if keysChanged {
      keysChanged = false
      return .keepKeys
    }
    if let datagram = nextDatagram() {
      return datagram.address.map { .send(datagram.bytes, to: $0) } ?? .announce(datagram.bytes)
    }
    return context.nextEvent().map { .event($0) }
  }

  private mutating func nextDatagram() -> (bytes: [UInt8], address: PeerAddress?)? {
    // Without a mesh key there is one thing to say to anybody.
    while context.sealingEpoch == 0, let departure = context.nextDeparture() {
      askForKey(at: departure.address)
    }
    if let datagram = admission.nextDatagram() { return datagram }
    guard context.sealingEpoch != 0 else { return nil }
    if let datagram = paths.nextDatagram(&context) { return datagram }
    guard let checkpoint = farewell else { return nil }
    farewell = nil
    for address in paths.table.best.map(\.address) { send(checkpoint, to: address) }
    return paths.nextDatagram(&context)
  }

  /// Says farewell: once what waits was sent, and the last checkpoint once more, nothing is said or heard.
  mutating func setLeft(_ checkpoint: Authentic<Checkpoint>) {
    hasLeft = true
    farewell = checkpoint
  }

  /// Begins a higher incarnation, because the mesh knows of this node's words in one that this process did
  /// not write: its disk was put back.
  mutating func raiseIncarnation(above counter: UInt64) {
    let before = incarnation
    context.raiseIncarnation(to: counter + 1)
    guard incarnation > before, let opened = records.open(origin, incarnation, scope: .all) else {
      return
    }
    ownSlot = opened.slot
    noteChanges(opened.changes, slot: ownSlot)
    if !PlantedBug.isActive(.raiseNotPersisted) {
      durable = DurableState(incarnationCounter: incarnation.counter)
    }
    beats.restart(&context)
    hosting.restart(incarnation, now: context.now)
    paths.proveAll(&context)
  }
}

/// The records, with what writers ask about their origins.
struct MeshRecords: MeshReading {
  let records: RecordStore
  let ownSlot: Int
  let members: FailureDetector
  let view: SessionView

  func slot(of origin: OriginID) -> Int? { records.slot(of: origin) }

  func isVisible(slot: Int) -> Bool { slot == ownSlot || view.isVisible(slot: slot) }

  func isComplete(slot: Int) -> Bool { slot == ownSlot || records.isComplete(slot: slot) }

  func movingCursor(of session: SessionID, in room: RoomName, slot: Int) -> Cursor? {
    view.movingCursor(of: session, in: room, slot: slot)
  }

  func statusCounter(of user: String) -> UInt64 {
    // The view renews what it knows of a user when it is asked; here that does not matter.
    var view = view
    return view.statusCounter(ofUser: user)
  }

  var ownUsage: OriginUsage { records.replica.replica(slot: ownSlot)?.usage ?? OriginUsage() }

  func origin(slot: Int) -> OriginID? { records.origin(slot: slot) }
  func homes(of session: SessionID) -> [SessionHome] {
    let homes = records.homes(of: session)
    guard view.isRestricted else { return homes }
    let evaluation = view.evaluation
    return homes.filter { evaluation.mayHost(session, slot: $0.slot, records) }
  }
  func record(_ key: EntryKey, in room: RoomName, slot: Int) -> StoredRecord? {
    records.record(key, in: room, slot: slot)
  }
  func removals(
    of session: SessionID, from room: RoomName
  ) -> [(slot: Int, record: StoredRecord)] {
    let removals = records.removals(of: session, from: room)
    guard view.isRestricted, !removals.isEmpty else { return removals }
    let (homes, evaluation) = (homes(of: session), view.evaluation)
    return removals.filter { removal in
      // Of a session that nobody hosts, whose it is cannot be told.
      guard !homes.isEmpty else {
        return removal.slot == ownSlot || evaluation.mayRemoveAll(removal.slot)
      }
      return homes.allSatisfy {
        evaluation.mayRemove(session, by: removal.slot, hostedBy: $0.slot, records)
      }
    }
  }
  func sessions(slot: Int) -> [SessionID] { records.sessions(slot: slot) }
}

import MeshCRDT
import MeshTrust
import MeshWire

extension Engine {
  // MARK: This node's own heads

  /// Signs a head of this node and tells everybody.
  mutating func sendHead() {
    // The head says which cursors are at rest.
    joinOwnFrames()
    heartbeat += 1
    let period = headPeriod
    let body = HeadBody(
      generation: generation, heartbeat: heartbeat, claim: state.logs[ownSlot].lobby.cut,
      counter: restCounter, periodMilliseconds: period.milliseconds,
      isLeaving: hasLeft)
    var writer = ByteWriter(reserving: 64)
    body.write(to: &writer)
    let head = verifier.sign(body, bytes: writer.bytes)
    lastHead = head.envelope
    lastHeadAt = now
    liveness[ownSlot].heartbeat = heartbeat
    liveness[ownSlot].head = head.envelope
    liveness[ownSlot].heardAt = now
    liveness[ownSlot].leftAt = now
    liveness[ownSlot].period = period
    counters.count(.headsSent)
    disseminate(.head(ageMilliseconds: 0, head.envelope))
    timers.set(.head, at: now + random.jittered(period))
  }

  /// The counter up to which all cursors of this node are at rest, and so in its log.
  private var restCounter: UInt64 {
    state.moving[ownSlot].oldestCounter.map { $0 - 1 } ?? state.lamport.counter
  }

  // MARK: Heads of others

  mutating func hear(head envelope: Envelope, age: UInt64, from address: PeerAddress) {
    counters.count(.headsReceived)
    guard let (generation, heartbeat, claim) = try? HeadBody.peek(envelope.body) else {
      return counters.count(.messagesMalformed)
    }
    let origin = envelope.origin
    if origin == self.origin {
      guard isNewOwnWord(generation: generation, heartbeat: heartbeat) else { return }
    } else {
      guard isNews(origin, generation: generation, heartbeat: heartbeat, claim: claim) else {
        if let slot = state.slot(of: origin), generation == state.logs[slot].generation {
          pruneHeads(of: slot, from: address)
        }
        return counters.count(.headsKnown)
      }
    }
    guard let head = verified(envelope, as: HeadBody.self) else { return }
    guard head.origin != self.origin else { return hearOwnWord(generation: head.body.generation) }
    // Whoever wrote it lives. If others have led its counter astray, nothing else in it is believed.
    let isPlausible = state.lamport.isPlausible(head.body.counter)
    if !isPlausible { counters.count(.countersImplausible) }
    let known = state.slot(of: origin).map { state.logs[$0].generation }
    // What is pulled is offered when it is complete, and its head goes with it.
    let isAnswer = isPulling(ShelfID(origin, .lobby), from: address)
    guard let slot = open(origin, generation: generation) else { return }
    renew(slot, by: head, age: PlantedBug.isActive(.ageNotCarried) ? 0 : age)
    if isPlausible {
      state.witness(counter: head.body.counter)
      reserveCounters()
      settle(slot, .lobby, claim: head.body.claim, from: address)
      dropMoves(slot, by: head.body)
    }
    if !isAnswer { forwardHead(slot, isNewLife: known != generation, from: address) }
  }

  /// Drops the cursors that an origin has said are at rest. It says of the lobby alone what its log is
  /// then: what was written of others until then has had time to come, by way of digests.
  private mutating func dropMoves(_ slot: Int, by head: HeadBody) {
    guard let known = liveness[slot].rest else {
      liveness[slot].rest = (head.counter, now)
      return
    }
    guard known.at + Self.restingTime <= now else { return }
    for key in state.dropMoves(slot: slot, through: known.counter) { markDirty(key.session) }
    liveness[slot].rest = (head.counter, now)
  }

  /// How long ago an origin must have said that a cursor is at rest, before its moves go.
  private static let restingTime = Span.seconds(8)

  /// True when a heartbeat is strictly newer than what is known, or says more: two processes with one
  /// key may have signed the same heartbeat, and of their words the higher one counts everywhere.
  private func isNews(
    _ origin: OriginID, generation: UInt64, heartbeat: UInt64, claim: Cut
  ) -> Bool {
    if let grave = graves[origin] {
      return (generation, heartbeat) > (grave.generation, grave.heartbeat)
    }
    guard let slot = state.slot(of: origin) else { return true }
    if PlantedBug.isActive(.oldHeartbeatRenews) { return generation >= state.logs[slot].generation }
    let known = (state.logs[slot].generation, liveness[slot].heartbeat)
    guard (generation, heartbeat) == known, liveness[slot].head != nil else {
      return (generation, heartbeat) > known
    }
    return claim > claimOfHead(slot)
  }

  /// Verifies an envelope and counts.
  mutating func verified<Body: SignedBody>(
    _ envelope: Envelope, as type: Body.Type
  ) -> Verified<Body>? {
    do {
      let result = try verifier.verify(envelope, as: type)
      counters.count(.signaturesVerified)
      return result
    } catch {
      switch error {
      case .malformed: counters.count(.messagesMalformed)
      case .wrongSignature: counters.count(.signaturesWrong)
      }
      return nil
    }
  }

  /// The slot of an origin that has spoken, made if there is none.
  mutating func open(_ origin: OriginID, generation: UInt64) -> Int? {
    let known = state.slot(of: origin)
    let wasGeneration = known.map { state.logs[$0].generation }
    var dropped: [SessionID] = []
    guard let slot = state.open(origin, generation: generation, dropped: &dropped) else {
      counters.count(.originsRefused)
      return nil
    }
    if slot == stores.count {
      stores.append(BatchStores())
      liveness.append(Liveness(heardAt: now, health: .offline))
    }
    if known == nil {
      stores[slot] = BatchStores()
      // Nothing is known of its age until a head comes: it is not shown before.
      liveness[slot] = Liveness(heardAt: now, health: .offline)
      graves.remove(origin)
      timers.set(.liveness(slot), at: now + configuration.forgetAfter)
      emit(.node(origin, .offline))
    } else if wasGeneration != generation {
      stores[slot] = BatchStores()
      liveness[slot].heartbeat = 0
      liveness[slot].head = nil
      liveness[slot].rest = nil
      liveness[slot].givenUp = [:]
      forgetPulls(of: origin)
    }
    for session in dropped { markDirty(session) }
    return slot
  }

  /// A strictly newer heartbeat: the age of its origin is counted from when it left.
  private mutating func renew(_ slot: Int, by head: Verified<HeadBody>, age: UInt64) {
    let waited = backlog.flatMap { now < $0.until ? $0.span : nil } ?? .milliseconds(0)
    let leftAt = now - (.milliseconds(age) + waited)
    let isNewer = head.body.heartbeat > liveness[slot].heartbeat || liveness[slot].head == nil
    if head.body.heartbeat == liveness[slot].heartbeat { liveness[slot].head = head.envelope }
    liveness[slot].heardAt =
      liveness[slot].wasHeard ? max(liveness[slot].heardAt, leftAt) : leftAt
    liveness[slot].wasHeard = true
    if PlantedBug.isActive(.oldHeartbeatRenews) { liveness[slot].heardAt = leftAt }
    guard isNewer else { return judge(slot) }
    liveness[slot].isForgiven = false
    liveness[slot].isExcused = false
    liveness[slot].head = head.envelope
    liveness[slot].leftAt = leftAt
    liveness[slot].heartbeat = head.body.heartbeat
    liveness[slot].period = .milliseconds(head.body.periodMilliseconds)
    liveness[slot].isLeaving = head.body.isLeaving
    judge(slot)
  }

  // MARK: Judging

  /// How long an origin may be silent.
  private func timeToLive(_ slot: Int) -> Span {
    liveness[slot].period.scaled(configuration.timeToLiveHalfPeriods, over: 2)
  }

  /// Judges an origin by the age of its heartbeat, and sets the timer for the next judgement.
  mutating func judge(_ slot: Int) {
    guard slot != ownSlot, state.origins[slot] != nil else { return }
    let (heardAt, period) = (liveness[slot].heardAt, liveness[slot].period)
    let age = now.since(heardAt)
    let timeToLive = timeToLive(slot)
    let forgetAfter = max(configuration.forgetAfter, period.scaled(10, over: 1))
    if age >= forgetAfter { return forget(slot) }
    // A new life that was heard by its records alone is judged by the heads of the one before.
    guard liveness[slot].wasHeard else {
      return timers.set(.liveness(slot), at: heardAt + forgetAfter)
    }
    let isLeaving = liveness[slot].isLeaving
    // In a large mesh a head waits at each hop, and who misses it asks first.
    let suspectAfter = isLarge ? timeToLive.scaled(4, over: 5) : timeToLive.scaled(1, over: 2)
    // Nobody else can say whether it is the other or this node that is cut off; but not for ever.
    let lonelyAfter = timeToLive.scaled(Self.lonelyTimes, over: 1)
    let askAfter = isLarge ? period.scaled(7, over: 4) : period.scaled(11, over: 10)
    let health: NodeHealth
    var next: Span
    if isLeaving {
      health = .left
      next = forgetAfter
    } else if age >= timeToLive && (!isStale || !isVisible(slot) || age >= lonelyAfter) {
      health = .offline
      next = forgetAfter
    } else if age >= suspectAfter {
      health = .suspect
      next = isStale ? max(timeToLive, age + period) : timeToLive
    } else {
      health = .online
      next = suspectAfter
    }
    if isLeaving {
      // It said that it will not be heard again.
    } else if age >= askAfter {
      // Somebody else may have heard of it: asked at the first doubt, then while it is doubted, then
      // seldom.
      askForHead(of: slot)
      let pause =
        if isLarge && health != .offline {
          max(period.scaled(1, over: 4), .milliseconds(250))
        } else {
          min(max(period, age.scaled(1, over: 4), .seconds(1)), Self.longestDoubt)
        }
      next = min(next, age + pause)
    } else {
      next = min(next, askAfter)
    }
    let due = heardAt + min(next, forgetAfter)
    // Of many, several are judged at once.
    timers.set(.liveness(slot), at: isLarge ? due.roundedUp(to: Self.judgementStep) : due)
    if mayShow(slot, as: health) { change(slot, to: health) }
  }

  /// An origin that was hidden is shown when its log is what its head says, or a second later: what
  /// ended while it could not be heard is not shown once more.
  private mutating func mayShow(_ slot: Int, as health: NodeHealth) -> Bool {
    guard health == .online || health == .suspect, !isVisible(slot),
      !state.logs[slot].lobby.isSettled || claimOfHead(slot) > state.logs[slot].lobby.cut
    else {
      liveness[slot].shownBy = nil
      return true
    }
    let due = liveness[slot].shownBy ?? now + Self.settlingTime
    liveness[slot].shownBy = due
    timers.set(.liveness(slot), at: due)
    return due <= now
  }

  /// After how many times to live a node that hears nobody takes the others for offline.
  private static let lonelyTimes: UInt64 = 4
  /// A large mesh's members are judged at multiples of it.
  private static let judgementStep = Span.milliseconds(32)
  /// How long it is at most from one question about a hidden origin to the next.
  private static let longestDoubt = Span.seconds(60)

  /// How long the sessions of an origin that came back wait for its log.
  private static let settlingTime = Span.seconds(1)

  private mutating func change(_ slot: Int, to health: NodeHealth) {
    guard liveness[slot].health != health, let origin = state.origins[slot] else { return }
    let wasVisible = isVisible(slot)
    liveness[slot].health = health
    liveness[slot].isUnverified = isStale && health == .offline
    emit(.node(origin, health))
    if isVisible(slot) != wasVisible {
      noteMember(origin, isVisible: !wasVisible)
      liveness[slot].givenUp = [:]
      if interests()[slot] != nil { noteInterests() }
      // Its heads will come from where they come.
      if wasVisible { forgetPrunes(of: slot) }
      for session in state.logs[slot].entries.keys.sorted() { markDirty(session) }
      if !isVisible(slot) && PlantedBug.isActive(.hiddenWrittenToState) { forget(slot) }
    }
  }

  /// True when the sessions of an origin are shown.
  func isVisible(_ slot: Int) -> Bool {
    liveness[slot].health == .online || liveness[slot].health == .suspect
  }

  /// Drops an origin that was silent for very long, but for its last words.
  private mutating func forget(_ slot: Int) {
    guard let origin = state.origins[slot] else { return }
    let generation = state.logs[slot].generation
    if graves.dig(origin, generation: generation, heartbeat: liveness[slot].heartbeat) {
      counters.count(.gravesDropped)
    }
    if isVisible(slot) { noteMember(origin, isVisible: false) }
    for session in state.forget(slot: slot) { markDirty(session) }
    stores[slot] = BatchStores()
    liveness[slot] = Liveness(heardAt: now, health: .offline)
    forgetPrunes(of: slot)
    book[origin] = nil
    forgetPulls(of: origin)
    emit(.forgotten(origin))
  }

  /// Ends what was asked about an origin. Cost: the pulls under way.
  private mutating func forgetPulls(of origin: OriginID) {
    for id in pulls.keys.filter({ $0.origin == origin }) { pulls[id] = nil }
    for id in manifests.keys.filter({ $0.origin == origin }) { manifests[id] = nil }
  }

  private mutating func askForHead(of slot: Int) {
    guard let origin = state.origins[slot], let known = knownHead(slot) else { return }
    guard !isLarge else {
      liveness[slot].doubtedAt = now
      // The one that it came from, and another.
      var asked = liveness[slot].parent.map { paths[$0] == nil ? [] : [$0] } ?? []
      asked += random.sample(neighbours().filter { $0 != asked.first }, 1)
      liveness[slot].cut.removeAll { asked.contains($0) }
      for address in asked { send(.headQuery([known]), to: address) }
      return
    }
    let others = receivers().filter { $0 != pathOf[origin] }
    for address in random.sample(others, 3) { send(.headQuery([known]), to: address) }
  }

  mutating func askForHead(of slot: Int, from address: PeerAddress) {
    guard let known = knownHead(slot) else { return }
    liveness[slot].cut.removeAll { $0 == address }
    send(.headQuery([known]), to: address)
  }

  private func knownHead(_ slot: Int) -> HeadKnown? {
    guard let origin = state.origins[slot] else { return nil }
    let generation = state.logs[slot].generation
    return HeadKnown(origin: origin, generation: generation, heartbeat: liveness[slot].heartbeat)
  }

  mutating func answer(_ known: [HeadKnown], to address: PeerAddress) {
    for query in known {
      guard let slot = state.slot(of: query.origin) else { continue }
      graftHeads(of: slot, to: address)
      guard liveness[slot].head != nil,
        (state.logs[slot].generation, liveness[slot].heartbeat)
          > (query.generation, query.heartbeat)
      else { continue }
      sendHead(of: query.origin, to: address)
    }
  }

  /// The age of an origin's newest heartbeat in milliseconds.
  func age(_ slot: Int) -> UInt64 { now.since(liveness[slot].leftAt).milliseconds }

  // MARK: Doubt about oneself

  /// Somebody was heard: what is seen is not stale.
  mutating func noteHeard() {
    lastHeardAt = now
    guard isStale else { return }
    isStale = false
    emit(.stale(false))
    // The others could not be heard: they get time to be heard again.
    for slot in state.sortedSlots where slot != ownSlot {
      liveness[slot].isUnverified = false
      if isVisible(slot) { grant(slot, by: \.isExcused) }
    }
    timers.set(.stale, at: now + configuration.headPeriod)
  }

  /// Counts the age of an origin as half of its time to live at the most, after a time in which this
  /// node could not hear, once until it is heard again. Of one that is hidden the time is taken off.
  ///
  /// - Parameter isGranted: whether that was done, for a pause or for the silence of all.
  private mutating func grant(
    _ slot: Int, pause: Span = .milliseconds(0), by isGranted: WritableKeyPath<Liveness, Bool>
  ) {
    let heardAt = liveness[slot].heardAt
    let renewed =
      isVisible(slot) ? now - timeToLive(slot).scaled(1, over: 2) : min(heardAt + pause, now)
    if renewed > heardAt, !liveness[slot][keyPath: isGranted] {
      liveness[slot][keyPath: isGranted] = true
      liveness[slot].heardAt = renewed
    }
    if isVisible(slot) { judge(slot) }
  }

  /// Sees whether nobody was heard for longer than any visible node may be silent.
  mutating func judgeStaleness() {
    var longest = configuration.headPeriod
    var isAlone = true
    for slot in liveness.indices where slot != ownSlot && state.origins[slot] != nil {
      if liveness[slot].isUnverified { isAlone = false }
      guard isVisible(slot) else { continue }
      isAlone = false
      longest = max(longest, liveness[slot].period)
    }
    let due = lastHeardAt + longest.scaled(5, over: 4)
    if now >= due && !isAlone && !isStale {
      isStale = true
      emit(.stale(true))
    }
    if isAlone && isStale {
      isStale = false
      emit(.stale(false))
    }
    timers.set(.stale, at: max(due, now + longest.scaled(1, over: 4)))
  }

  /// The process slept: nobody may be judged by the time that it could not hear.
  mutating func forgive(pause: Span) {
    counters.count(.pausesForgiven)
    backlog = (now + .milliseconds(250), pause)
    lastHeardAt = min(lastHeardAt + pause, now)
    for slot in state.sortedSlots where slot != ownSlot {
      grant(slot, pause: pause, by: \.isForgiven)
    }
    for (session, var host) in hosted {
      host.heardAt = min(host.heardAt + pause, now)
      hosted[session] = host
    }
    for (address, var path) in paths {
      path.heardAt = min(path.heardAt + pause, now)
      paths[address] = path
    }
  }
}

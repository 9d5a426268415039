import MeshCRDT
import MeshWire

// Signs of life: of others, and of this node.

extension Engine {
  // MARK: Checkpoints

  mutating func receiveCheckpoint(
    _ message: SignedMessage, age: UInt64, from address: PeerAddress, _ sender: Sender
  ) {
    context.counters.count(.checkpointsReceived)
    guard let position = try? Checkpoint.Position(of: message) else {
      return context.counters.count(.messagesMalformed)
    }
    if message.origin == origin {
      return hearOwnWords(position.incarnation, message, from: address)
    }
    let isOwnWord = sender.origin == message.origin
    guard context.isAdmitted(message.origin) else {
      context.counters.count(.messagesUncertified)
      return trust.wait(for: message.origin, position, from: address)
    }
    guard !quarantine.contains(message.origin, position.incarnation),
      removedPeers.admits(
        message.origin, incarnation: position.incarnation, sequence: position.sequence)
    else {
      context.counters.count(.checkpointsKnown)
      if isOwnWord { sendNote(of: message.origin, above: position.incarnation, to: address) }
      return
    }
    switch records.standing(of: message, position) {
    case .older:
      context.counters.count(.checkpointsKnown)
      // Whose disk was lost or put back hears its own word, and begins above it.
      if isOwnWord, sender.incarnation == position.incarnation,
        let newest = newestCheckpoint(of: message.origin),
        newest.body.incarnation > position.incarnation
      {
        answer(newest, to: address)
      }
      // Of an origin that is hidden, somebody may have no newer one completely.
      guard comparison.lacks(position, of: message.origin, from: address),
        let body = try? message.read(Checkpoint.self),
        let checkpoint = verified(message, body, from: address)
      else { return }
      comparison.note(checkpoint, from: address)
    case .same:
      context.counters.count(.checkpointsKnown)
      // It was verified before; the age that somebody else tells may count.
      guard let slot = records.slot(of: message.origin),
        let known = records.newest(slot: slot)?.checkpoint, known.message == message
      else { return }
      comparison.note(known, from: address)
      accept(known, age: .milliseconds(age), isOwnWord: isOwnWord, slot: slot)
    case .contradicts:
      guard let body = try? message.read(Checkpoint.self),
        let checkpoint = verified(message, body, from: address),
        let other = records.checkpoint(contradicting: checkpoint),
        let contradiction = context.verifier.contradiction(other, checkpoint)
      else { return }
      handle(contradiction)
    case .newer:
      guard let body = try? message.read(Checkpoint.self) else {
        return context.counters.count(.messagesMalformed)
      }
      guard let checkpoint = verified(message, body, from: address) else { return }
      ingest(checkpoint, age: .milliseconds(age), isOwnWord: isOwnWord, from: address)
    }
  }

  private mutating func ingest(
    _ checkpoint: Authentic<Checkpoint>, age: Span, isOwnWord: Bool, from address: PeerAddress
  ) {
    let isNewLife =
      records.slot(of: checkpoint.origin).flatMap { records.replica.replica(slot: $0) }?.incarnation
      != checkpoint.body.incarnation
    let bounds = trust.bounds(of: checkpoint.origin)
    guard
      let opened = records.open(checkpoint.origin, checkpoint.body.incarnation, bounds: bounds)
    else {
      return context.counters.count(.originsRefused)
    }
    let remembered = removedPeers.remove(checkpoint.origin)
    _ = quarantine.release(checkpoint.origin, by: checkpoint.body.incarnation)
    setRights(of: checkpoint.origin, slot: opened.slot)
    noteChanges(opened.changes, slot: opened.slot)
    records.ingest(checkpoint, slot: opened.slot, from: address)
    comparison.note(checkpoint, from: address)
    // Before the origin may be hidden by its own farewell: what it says is complete then.
    let need = records.need(slot: opened.slot)
    let isHere = records.isComplete(slot: opened.slot)
    let waits = need == .fetch || records.isHidden(slot: opened.slot) && !isHere
    let sign = CheckpointSign(checkpoint, age: age, isOwnWord: isOwnWord)
    guard
      let events = members.accept(
        sign, isComplete: records.isComplete(slot: opened.slot), remembered: remembered?.clock,
        at: context.now)
    else { return context.counters.count(.originsRefused) }
    handle(events)
    // What is to be fetched is sent on once it is here: who hears of it asks for it. Of an origin that is
    // fetched before a word of it came, everybody knows: this node is new.
    let isFetching = comparison.isFetching(checkpoint.origin)
    if !(waits || isFetching) || checkpoint.body.isLeaving {
      forward(checkpoint, isNewLife: isNewLife, except: [address])
    } else if !isFetching || records.complete(slot: opened.slot) != nil {
      records.holdBack(slot: opened.slot, isNewLife: isNewLife)
    }
    if records.slot(of: checkpoint.origin) == opened.slot { touched.append((opened.slot, address)) }
  }

  /// Takes in a checkpoint that is known as a sign of life.
  private mutating func accept(
    _ checkpoint: Authentic<Checkpoint>, age: Span, isOwnWord: Bool, slot: Int
  ) {
    let sign = CheckpointSign(checkpoint, age: age, isOwnWord: isOwnWord)
    let isComplete = records.isComplete(slot: slot)
    handle(members.accept(sign, isComplete: isComplete, at: context.now) ?? [])
  }

  private func newestCheckpoint(of other: OriginID) -> Authentic<Checkpoint>? {
    records.slot(of: other).flatMap { records.newest(slot: $0)?.checkpoint }
  }

  /// Sends the newest checkpoint of an origin, with its age. True when there is one.
  @discardableResult
  mutating func sendCheckpoint(of other: OriginID, to address: PeerAddress) -> Bool {
    guard let newest = newestCheckpoint(of: other) else { return false }
    send(newest, to: address)
    return true
  }

  /// Sends an origin that was forgotten the checkpoint of its note, if that is of a higher incarnation than it
  /// speaks in: its disk was put back, and it goes on above what it hears.
  private mutating func sendNote(
    of other: OriginID, above incarnation: Incarnation, to address: PeerAddress
  ) {
    guard let note = removedPeers[other], note.incarnation > incarnation,
      let checkpoint = note.checkpoint,
      paths.takeAnswer(bytes: checkpoint.bytes.count, of: address, &context)
    else { return }
    context.counters.count(.checkpointsSent)
    let age = note.clock?.age(at: context.now).milliseconds ?? 0
    context.send(.checkpoint(checkpoint, ageMilliseconds: age), to: address)
  }

  /// Sends a checkpoint to whoever should have it, if there is a share of answers left for the path.
  private mutating func answer(_ checkpoint: Authentic<Checkpoint>, to address: PeerAddress) {
    let bytes = checkpoint.message.bytes.count
    guard paths.takeAnswer(bytes: bytes, of: address, &context) else { return }
    send(checkpoint, to: address)
  }

  mutating func send(_ checkpoint: Authentic<Checkpoint>, to address: PeerAddress) {
    let clock = members.clock(of: checkpoint.origin)
    let age =
      checkpoint.origin == origin
      ? context.now.since(beats.schedule.moment(ofBeat: checkpoint.body.beat))
      : clock?.age(ofBeat: checkpoint.body.beat, at: context.now) ?? Span(nanoseconds: 0)
    context.counters.count(.checkpointsSent)
    let told = PlantedBug.isActive(.ageNotCarried) ? 0 : age.milliseconds
    context.send(.checkpoint(checkpoint.message, ageMilliseconds: told), to: address)
    sendBeat(after: checkpoint, to: address)
  }

  /// Sends the newest beat of a checkpoint's chain, if that is a later one: who hears of the origin for the first
  /// time would take the beat for a new sign of life later.
  private mutating func sendBeat(after checkpoint: Authentic<Checkpoint>, to address: PeerAddress) {
    let body = checkpoint.body
    guard checkpoint.origin != origin || !isCloned,
      let known = newestBeat(of: checkpoint.origin, at: context.now),
      (known.schedule.incarnation, known.chain) == (body.incarnation, body.chain),
      known.index > body.beat, let beat = newestBeat(of: checkpoint.origin)
    else { return }
    context.counters.count(.beatsSent)
    context.send(.beats([beat]), to: address)
  }

  // MARK: Beats

  mutating func receive(_ beat: Beat, from address: PeerAddress) {
    context.counters.count(.beatsReceived)
    guard beat.originPrefix != origin.word0,
      paths.takeWork(
        WorkUnits.beat, reserved: MembershipLimits.stepsPerBeat * WorkUnits.hash, of: address,
        isOwnWord: false, &context)
    else { return }
    guard
      let reception = members.accept(
        beat: beat.index, value: beat.value, prefix: beat.originPrefix, hash: context.treeHash,
        at: context.now)
    else {
      guard
        let revived = removedPeers.accept(
          beat: beat.index, value: beat.value, prefix: beat.originPrefix, hash: context.treeHash,
          at: context.now)
      else { return context.counters.count(.beatsRefused) }
      if revived.isRevived { probe(revived.origin, at: [address], anything: true) }
      return
    }
    _ = paths.takeWork(
      reception.receipt.hashes * WorkUnits.hash, of: address, isOwnWord: false, &context)
    handle(reception.events)
    switch reception.receipt.verdict {
    case .fits: add(beatOf: reception.origin, from: address)
    case .known:
      context.counters.count(.beatsKnown)
      noteKnown(beatOf: reception.origin, from: address)
    // Not charged as waste: it may belong to a chain whose checkpoint was lost.
    case .wrong: context.counters.count(.beatsRefused)
    // A newer checkpoint than is held says where its chain is by now: comparisons bring it.
    case .tooFar: context.counters.count(.beatsRefused)
    }
  }

  /// Sends the own beat, or begins a chain.
  mutating func beat() {
    guard !isCloned else { return }
    defer { clockMayHaveStopped = false }
    switch beats.handle(
      members: visibleCount, clockStoodStill: clockMayHaveStopped, &context)
    {
    case .nothing: break
    case .checkpoint: hosting.demandCheckpoint(now: context.now)
    case .beat where router.isLarge: add(beatOf: origin, from: nil)
    case .beat(let beat):
      for address in receivers() {
        context.counters.count(.beatsSent)
        context.send(.beats([beat]), to: address)
      }
    }
  }

  // MARK: Probes

  /// Asks for a newer sign of life of an origin.
  mutating func probe(
    _ other: OriginID, at addresses: [PeerAddress], anything: Bool = false
  ) {
    let slot = records.slot(of: other)
    let newest = slot.flatMap { records.newest(slot: $0) }
    let probe =
      anything
      ? Probe(origin: other, incarnation: nil, sequence: 0, beat: 0)
      : Probe(
        origin: other, incarnation: newest?.facts.incarnation,
        sequence: newest?.facts.sequence ?? 0,
        beat: newest == nil ? 0 : members.clock(of: other)?.newest ?? 0)
    for address in addresses {
      context.counters.count(.probesSent)
      context.send(.control(.probe([probe])), to: address)
    }
  }

  mutating func answer(_ probe: Probe, to address: PeerAddress) {
    context.counters.count(.probesReceived)
    router.graft(probe.origin, to: address)
    guard paths.answerBytes(of: address, &context) != nil,
      let newest = newestCheckpoint(of: probe.origin)
    else { return }
    let known = probe.incarnation.map {
      Checkpoint.Position(incarnation: $0, sequence: probe.sequence)
    }
    let isBehind = known.map { $0 < newest.body.position } ?? true
    if isBehind { answer(newest, to: address) }
    // Who asks for anything may want to know where it is, too.
    if known == nil, router.isLarge {
      paths.sendPeers([probe.origin], andOthers: false, to: address, &context)
    }
    // With a checkpoint the newest beat goes anyway.
    guard !isBehind, known?.incarnation == newest.body.incarnation,
      let beat = newestBeat(of: probe.origin), beat.index > probe.beat
    else { return }
    context.counters.count(.beatsSent)
    paths.spendAnswer(bytes: Int(MembershipLimits.beatBytes), of: address)
    context.send(.beats([beat]), to: address)
  }

  /// The newest beat of an origin that others can verify.
  func newestBeat(of other: OriginID) -> Beat? {
    if other == origin { return beats.current(context) }
    guard let clock = members.clock(of: other), let value = clock.newestValue else { return nil }
    return Beat(of: other, index: clock.newest, value: value)
  }

  // MARK: Health

  mutating func handle(_ events: [MembershipEvent]) {
    for event in events {
      switch event {
      case .changed(let transition): handle(transition)
      case .putBack(let other): putBack(other)
      case .takenUp(let other): takeUp(other)
      case .probe(let other):
        probe(other, at: sources(ofMissed: other))
      case .forgotten(let other, let clock):
        let slot = records.slot(of: other)
        let newest = slot.flatMap { records.newest(slot: $0)?.checkpoint }
        // Nothing of an incarnation without a checkpoint keeps an earlier one away, which others may hold.
        if let newest,
          removedPeers.add(
            other, incarnation: newest.body.incarnation, sequence: newest.body.sequence,
            checkpoint: newest.message, clock: clock) != nil
        {
          context.counters.count(.removedPeersForgotten)
        }
        forget(other)
      }
    }
  }

  private mutating func handle(_ transition: HealthTransition) {
    context.emit(.node(transition.origin, transition.to))
    guard let slot = records.slot(of: transition.origin),
      transition.from.isVisible != transition.to.isVisible
    else { return }
    view.visibility(slot: slot, isVisible: transition.to.isVisible)
    noteVisibleSubscriber(transition.origin)
    noteMember(transition.origin, isVisible: transition.to.isVisible)
    // What is under way may be what nobody has.
    if !transition.to.isVisible { comparison.forget(transition.origin) }
  }

  /// What is above the complete checkpoint of an origin that is hidden may never be completed by anybody.
  private mutating func putBack(_ other: OriginID) {
    guard let slot = records.slot(of: other) else { return }
    repairs.complete(other)
    let changes = records.hide(slot: slot)
    noteSubscriptions(changes, of: other)
    for event in view.changed(slot: slot, changes, records) { context.emit(event) }
  }

  private mutating func takeUp(_ other: OriginID) {
    guard let slot = records.slot(of: other) else { return }
    noteChanges(records.resume(slot: slot), slot: slot)
    if let address = paths.table.bestAddress(of: other) ?? paths.table.best.first?.address {
      touched.append((slot, address))
    }
  }

  /// Somebody was heard on a proven path.
  mutating func hearSomebody() {
    guard let silence = staleness.hear(at: context.now) else { return }
    handle(members.endCutOff(silence: silence, at: context.now))
  }

  /// Finds out whether nobody is heard any more.
  mutating func lookForSilence() {
    guard staleness.evaluate(at: context.now, typicalPeriod: members.typicalPeriod) else { return }
    members.beginCutOff()
  }

  // MARK: The own key

  /// Another process proved a path with this node's key.
  mutating func hearOwnKey(_ other: Incarnation) {
    // An earlier proof of this process says nothing.
    guard other.nonce != incarnation.nonce else { return }
    stopAsClone(of: other)
  }

  /// Words of this node come back. What it did not write was written by another process with its key, or by
  /// an earlier one whose disk was lost or put back since.
  mutating func hearOwnWords(
    _ other: Incarnation, _ message: SignedMessage, from address: PeerAddress
  ) {
    guard other > incarnation, !PlantedBug.isActive(.ownWordsIgnored) else { return }
    let isAuthentic =
      switch message.kind {
      case .batch:
        (try? message.read(Batch.self)).flatMap { verified(message, $0, from: address) } != nil
      case .checkpoint:
        (try? message.read(Checkpoint.self)).flatMap { verified(message, $0, from: address) } != nil
      default: false
      }
    guard isAuthentic else { return }
    // Words of an earlier process are older than this one. Who goes on above it lives beside it.
    guard raises < EngineLimits.raises else { return stopAsClone(of: other) }
    raises += 1
    raiseIncarnation(above: other.counter)
  }

  private mutating func stopAsClone(of other: Incarnation) {
    guard !isCloned else { return }
    if !PlantedBug.isActive(.cloneWritesOn) { hosting.silence() }
    isCloned = true
    context.emit(.cloned(other))
  }
}

extension CheckpointSign {
  init(_ checkpoint: Authentic<Checkpoint>, age: Span, isOwnWord: Bool) {
    let body = checkpoint.body
    self.init(
      origin: checkpoint.origin,
      terms: ChainTerms(
        incarnation: body.incarnation, chain: body.chain, schedule: body.schedule,
        offset: .milliseconds(body.offsetMilliseconds),
        period: .milliseconds(body.periodMilliseconds),
        beat: body.beat, value: body.value),
      isLeaving: body.isLeaving, age: age, isOwnWord: isOwnWord)
  }
}

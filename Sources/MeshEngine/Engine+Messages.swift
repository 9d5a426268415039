import MeshCRDT
import MeshWire

// What messages of proven paths lead to.

extension Engine {
  mutating func handle(_ message: MeshMessage, from address: PeerAddress, sender: Sender) {
    guard paths.takeWork(WorkUnits.message, of: address, isOwnWord: false, &context) else { return }
    switch message {
    case .batch(let signed): receiveBatch(signed, from: address)
    case .checkpoint(let age, let signed):
      receiveCheckpoint(signed, age: age, from: address, sender)
    case .cursorFrame(let signed): receiveFrame(signed, from: address)
    case .beats(let received): for beat in received { receive(beat, from: address) }
    case .compare(let request): answer(request, to: address)
    case .nodes(let answer): receive(answer, from: address)
    case .repair(let request): answer(request, to: address)
    case .probe(let probes): for probe in probes { answer(probe, to: address) }
    case .contradiction(let contradiction): receive(contradiction, from: address)
    case .peerExchange(let peers):
      let demand = demand()
      paths.receive(peers, from: address, demand, &context)
    case .prune(let origins): receivePrune(origins, from: address)
    case .certificate(let certificate): receive(certificate, from: address)
    case .decree(let decree): receive(decree, from: address)
    case .challenge, .pathProof: break
    }
  }

  /// Verifies a message, if its path has the work for it; a wrong one costs the path dearly.
  mutating func verified<Body: StatementBody>(
    _ message: SignedMessage, _ body: Body, from address: PeerAddress
  ) -> Authentic<Body>? {
    let isOwnWord = paths.table.origin(at: address) == message.origin
    guard paths.takeWork(WorkUnits.signature, of: address, isOwnWord: isOwnWord, &context) else {
      return nil
    }
    context.counters.count(.signaturesVerified)
    guard let authentic = try? context.verifier.verify(message, body) else {
      context.counters.count(.signaturesWrong)
      charge(.wrongSignature, to: address)
      return nil
    }
    return authentic
  }

  /// True while an origin says no more in a second than its certificate lets it: the rest is dropped, and found
  /// by comparing.
  private mutating func isWithinQuota(_ message: SignedMessage) -> Bool {
    guard context.admitted != nil,
      !trust.take(bytes: message.bytes.count, of: message.origin, now: context.now)
    else { return true }
    context.counters.count(.quotasExceeded)
    return false
  }

  /// Charges a path for what it made this node do in vain.
  mutating func charge(_ waste: Waste, to address: PeerAddress) {
    if let lost = paths.charge(waste, to: address, &context) { handle(lost) }
  }

  /// True when words of an incarnation of an origin may be heard.
  private func isHeard(_ origin: OriginID, _ incarnation: Incarnation, sequence: UInt64) -> Bool {
    context.isAdmitted(origin) && !quarantine.contains(origin, incarnation)
      && removedPeers.admits(origin, incarnation: incarnation, sequence: sequence)
  }

  // MARK: Batches

  private mutating func receiveBatch(_ message: SignedMessage, from address: PeerAddress) {
    context.counters.count(.batchesReceived)
    guard let heading = try? Batch.Heading(of: message) else {
      return context.counters.count(.messagesMalformed)
    }
    if message.origin == origin { return hearOwnWords(heading.incarnation, message, from: address) }
    guard isHeard(message.origin, heading.incarnation, sequence: 0),
      hosting.subscription.includes(heading.room), records.isNews(message, heading)
    else { return context.counters.count(.batchesKnown) }
    guard let body = try? message.read(Batch.self) else {
      return context.counters.count(.messagesMalformed)
    }
    guard let batch = verified(message, body, from: address), isWithinQuota(message) else { return }
    guard let slot = open(batch.origin, body.incarnation) else { return }
    ingest(batch, slot: slot, from: address)
  }

  /// Makes room for an incarnation of an origin whose signed word has come.
  private mutating func open(_ origin: OriginID, _ incarnation: Incarnation) -> Int? {
    let held = records.slot(of: origin).flatMap { records.replica.incarnation(slot: $0) }
    guard let opened = records.open(origin, incarnation, bounds: trust.bounds(of: origin)) else {
      context.counters.count(.originsRefused)
      return nil
    }
    let isNewLife = held.map { $0 < incarnation } ?? false
    guard let events = members.open(origin, isNewLife: isNewLife, at: context.now) else {
      context.counters.count(.originsRefused)
      return nil
    }
    handle(events)
    if !opened.changes.isEmpty { comparison.forget(origin) }
    _ = quarantine.release(origin, by: incarnation)
    _ = removedPeers.remove(origin)
    setRights(of: origin, slot: opened.slot)
    noteChanges(opened.changes, slot: opened.slot)
    return opened.slot
  }

  private mutating func ingest(_ batch: Authentic<Batch>, slot: Int, from address: PeerAddress) {
    let result = records.ingest(batch, slot: slot)
    if let (one, other) = result.contradiction {
      if let contradiction = context.verifier.contradiction(one, other) { handle(contradiction) }
      return
    }
    if result.isRefused { return context.counters.count(.recordsRefused) }
    if result.isNews { context.counters.count(.recordsJoined, batch.body.changes.count) }
    noteChanges(result.changes, slot: slot)
    // Who is answered what it missed is behind the others.
    let first = batch.body.first
    if result.isNews, !repairs.isAsked(address, for: first, of: batch.origin) {
      forward(.batch(batch.message), .batchesSent, in: batch.body.room, from: address)
    }
    touched.append((slot, address))
  }

  /// Tells the view and the hosting of records that changed.
  mutating func noteChanges(_ changes: [AppliedChange], slot: Int) {
    guard !changes.isEmpty else { return }
    for event in view.changed(slot: slot, changes, records) { context.emit(event) }
    guard slot != ownSlot else { return }
    if let other = records.origin(slot: slot) { noteSubscriptions(changes, of: other) }
    // Mostly none of them concerns this node.
    var concerned: Set<SessionID> = []
    for index in changes.indices where hosting.isConcerned(with: changes[index].key.session) {
      concerned.insert(changes[index].key.session)
    }
    for session in concerned.sorted() {
      for event in hosting.judge(session, mesh, now: context.now) { context.emit(event) }
    }
  }

  // MARK: Cursors

  private mutating func receiveFrame(_ message: SignedMessage, from address: PeerAddress) {
    context.counters.count(.cursorFramesReceived)
    guard message.origin != origin, let slot = records.slot(of: message.origin),
      let frame = try? message.read(CursorFrame.self),
      hosting.subscription.includes(frame.room),
      frame.incarnation == records.replica.incarnation(slot: slot),
      view.isWanted(frame.updates, in: frame.room, slot: slot, records)
    else { return context.counters.count(.cursorFramesKnown) }
    guard let authentic = verified(message, frame, from: address), isWithinQuota(message) else {
      return
    }
    let outcome = view.move(frame.updates, in: frame.room, slot: slot, records)
    context.counters.count(.cursorUpdatesJoined, outcome.news)
    context.counters.count(.cursorUpdatesRefused, outcome.refused)
    for event in outcome.events { context.emit(event) }
    // What is not held would go round without end.
    guard outcome.news > 0 else { return }
    forward(.cursorFrame(authentic), .cursorFramesSent, in: frame.room, from: address)
  }

  // MARK: Contradictions

  private mutating func receive(_ contradiction: Contradiction, from address: PeerAddress) {
    context.counters.count(.contradictionsReceived)
    guard contradiction.origin != origin, context.isAdmitted(contradiction.origin),
      !quarantine.contains(contradiction.origin, contradiction.incarnation),
      paths.takeWork(2 * WorkUnits.signature, of: address, isOwnWord: false, &context)
    else { return }
    guard let authentic = try? context.verifier.verify(contradiction) else {
      context.counters.count(.contradictionsFalse)
      return charge(.falseContradiction, to: address)
    }
    handle(authentic)
  }

  /// Puts an incarnation that contradicted itself into quarantine, and says so to all, once.
  mutating func handle(_ contradiction: AuthenticContradiction) {
    guard
      case .added = quarantine.add(
        contradiction.origin, contradiction.incarnation, proof: contradiction.contradiction)
    else { return }
    context.emit(.contradicted(contradiction.origin, contradiction.incarnation))
    let isRecent =
      contradictedAt[contradiction.origin].map {
        context.now.since($0) < EngineLimits.contradictionPause
      } ?? PlantedBug.isActive(.contradictionNotTold)
    if contradictedAt.count >= MembershipLimits.quarantined { contradictedAt = [:] }
    contradictedAt[contradiction.origin] = context.now
    // Whoever makes one incarnation after the other contradict itself is sent on once a second.
    for address in isRecent == true ? [] : receivers() {
      send(contradiction.contradiction, to: address)
    }
    guard let slot = records.slot(of: contradiction.origin),
      let held = records.replica.incarnation(slot: slot),
      held <= contradiction.incarnation
    else { return }
    _ = members.remove(contradiction.origin)
    forget(contradiction.origin)
  }

  /// Sends a proof to a peer that holds what is in quarantine here: it has missed it.
  mutating func sendProof(of other: OriginID, to address: PeerAddress) {
    guard let proof = quarantine.proof(of: other) else { return }
    let bytes = OutgoingMessage.control(.contradiction(proof)).byteCount
    guard paths.takeAnswer(bytes: bytes, of: address, &context) else { return }
    send(proof, to: address)
  }

  private mutating func send(_ contradiction: Contradiction, to address: PeerAddress) {
    context.counters.count(.contradictionsSent)
    context.send(.control(.contradiction(contradiction)), to: address)
  }

  /// Drops an origin with all its records.
  mutating func forget(_ origin: OriginID) {
    comparison.forget(origin)
    repairs.complete(origin)
    subscriptions.forget(origin)
    router.noteSubscriptions()
    guard let slot = records.slot(of: origin), slot != ownSlot else { return }
    noteMember(origin, isVisible: false)
    view.visibility(slot: slot, isVisible: false)
    touched.removeAll { $0.slot == slot }
    context.emit(.forgotten(origin))
    _ = records.forget(slot: slot, atMost: 0)
    leavers.append(slot)
    dropForgotten()
  }

  /// Drops a slice of what was forgotten.
  mutating func dropForgotten() {
    guard let slot = leavers.first else { return }
    // Fewer than are looked at in one turn, so that not ever more sessions wait.
    let changes = records.forget(slot: slot, atMost: EngineLimits.sessionsPerTurn / 4)
    for event in view.changed(slot: slot, changes, records) { context.emit(event) }
    guard records.origin(slot: slot) == nil else { return }
    leavers.removeFirst()
    for event in view.forgotten(slot: slot, records) { context.emit(event) }
  }
}

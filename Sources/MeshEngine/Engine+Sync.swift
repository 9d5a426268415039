import MeshCRDT
import MeshWire

// Comparing with others, fetching and repairing.

extension Engine {
  /// The first words on a new path: the own checkpoint and newest beat, a comparison, and where others are.
  mutating func greet(_ address: PeerAddress) {
    sendCheckpoint(of: origin, to: address)
    // While much is fetched, much differs that will not differ soon.
    if !router.isLarge || comparison.fetchCount == 0 { compare(with: address) }
    introduce(to: address)
  }

  private mutating func compare(with address: PeerAddress) {
    comparison.begin(with: address, timeout: patience(address), &records, &context)
  }

  /// Compares with a random peer, and sets the next time.
  mutating func compareWithSomebody() {
    let isStorm = PlantedBug.isActive(.comparesWithoutPause)
    context.setTimer(
      .compare, afterJittered: isStorm ? Span(nanoseconds: 100_000) : configuration.comparisonPeriod
    )
    guard let address = chooseForComparison(), !PlantedBug.isActive(.nothingCompared) else {
      return
    }
    compare(with: address)
    // Now and then the others' addresses, so that all who can reach each other do.
    if context.random.below(8) == 0, !router.isLarge { introduce(to: address) }
  }

  func patience(_ address: PeerAddress) -> Span {
    paths.table.path(at: address)?.patience ?? EngineLimits.answerTimeout
  }

  // MARK: Answers

  /// The bytes of answers that a peer may have now, and that there is room for; `nil`: less than a datagram.
  ///
  /// What waits goes in its order, and the front of an answer is what the rest hangs on: so no more is begun.
  private mutating func answerBytes(for address: PeerAddress) -> Int? {
    let room = context.outbox.answerRoom(for: address)
    guard room >= Limits.datagramBytes else {
      context.counters.count(.answersRefused)
      return nil
    }
    return paths.answerBytes(of: address, &context).map { min($0, room) }
  }

  mutating func answer(_ request: CompareRequest, to address: PeerAddress) {
    context.counters.count(.comparisonsReceived)
    let units = WorkUnits.treeNode * UInt64(request.nodes.count)
    guard let bytes = answerBytes(for: address),
      paths.takeWork(units, of: address, isOwnWord: false, &context),
      let answer = ComparisonAnswers.answer(request, from: &records, atMost: bytes)
    else { return }
    if case .origin(let other, _, _) = request.place { prove(other, for: address) }
    if let checkpoint = answer.checkpoint {
      paths.spendAnswer(bytes: checkpoint.message.bytes.count, of: address)
      send(checkpoint, to: address)
    }
    for nodes in answer.nodes {
      let message = OutgoingMessage.answer(.nodes(nodes))
      paths.spendAnswer(bytes: message.byteCount, of: address)
      context.counters.count(.nodesSent, nodes.nodes.count)
      context.send(message, to: address)
    }
  }

  mutating func answer(_ request: RepairRequest, to address: PeerAddress) {
    context.counters.count(.repairsReceived)
    guard var room = answerBytes(for: address) else { return }
    for batch in records.batches(request) {
      let message = OutgoingMessage.answer(.batch(batch))
      room -= message.byteCount
      guard room >= 0, paths.takeAnswer(bytes: message.byteCount, of: address, &context) else {
        return
      }
      context.send(message, to: address)
    }
  }

  mutating func receive(_ answer: NodesAnswer, from address: PeerAddress) {
    let units = WorkUnits.receivedNode * UInt64(answer.nodes.count + 1)
    guard paths.takeWork(units, of: address, isOwnWord: false, &context) else { return }
    let events = comparison.receive(
      answer, from: address, peers: { Self.sources(of: $0, paths, subscriptions) }, &records,
      &context)
    handle(events)
  }

  // MARK: What comes of it

  mutating func handle(_ events: [ComparisonEvent]) {
    for event in events {
      switch event {
      case .failed: break
      case .rested(let other):
        if let slot = records.slot(of: other), let address = source(of: other) {
          lookAfter(slot, from: address)
        }
      case .equal(let address): paths.noteComparison(true, with: address, context)
      case .behind(let other, let position, let address):
        paths.noteComparison(false, with: address, context)
        want(other, position, from: address)
      case .ahead(let other, let address):
        paths.noteComparison(false, with: address, context)
        if let slot = records.slot(of: other), let complete = records.complete(slot: slot),
          paths.takeAnswer(bytes: complete.message.bytes.count, of: address, &context)
        {
          send(complete, to: address)
        }
      case .learned(let key, let value, let address):
        paths.noteComparison(false, with: address, context)
        learn(key, value, from: address)
      case .untold(let key, let address):
        paths.noteComparison(false, with: address, context)
        tell(key, to: address)
      case .fetched(let other, let fetched, let checkpoint, let holders):
        adopt(fetched, checkpoint, of: other, heldBy: holders)
      case .wrong(let address): charge(.wrongAnswer, to: address)
      case .roundTrip(let address, let span): paths.note(roundTrip: span, of: address)
      case .overdue(let address): paths.noteOverdue(address)
      }
    }
  }

  /// A peer holds a later checkpoint of an origin completely.
  private mutating func want(
    _ other: OriginID, _ position: Checkpoint.Position, from address: PeerAddress
  ) {
    guard context.isAdmitted(other) else { return trust.wait(for: other, position, from: address) }
    guard !quarantine.contains(other, position.incarnation) else {
      return sendProof(of: other, to: address)
    }
    guard
      removedPeers.admits(other, incarnation: position.incarnation, sequence: position.sequence)
    else { return }
    guard other != origin else {
      // Words of this node that it did not write: the checkpoint tells, once it is verified.
      if position.incarnation > incarnation { probe(other, at: [address], anything: true) }
      return
    }
    let slot = records.slot(of: other)
    if let slot, let complete = records.complete(slot: slot), complete.body.position >= position {
      return
    }
    // A newer one is known, and is being repaired or fetched, unless it is hidden and nobody may have that.
    if let slot, let newest = records.newest(slot: slot),
      newest.facts.position > position && !records.isHidden(slot: slot)
        || newest.isExcessive && newest.facts.position == position
    {
      return
    }
    handle(fetch(other, position, from: source(of: other, near: address) ?? address))
  }

  /// Fetches the trees of an origin that it has at a position, now or when others are done.
  mutating func fetch(
    _ other: OriginID, _ position: Checkpoint.Position, from address: PeerAddress
  ) -> [ComparisonEvent] {
    let slot = records.slot(of: other)
    return comparison.want(
      other, position, from: address, timeout: patience(address),
      first: records.replica.firstWants(slot: slot),
      newest: slot.flatMap { records.newest(slot: $0)?.checkpoint }, &records, &context)
  }

  /// Fetches an origin that has just been admitted, from a peer that has it.
  mutating func wantOrAsk(
    _ other: OriginID, _ position: Checkpoint.Position, from address: PeerAddress
  ) {
    guard paths.table.path(at: address) != nil else { return }
    probe(other, at: [address], anything: true)
    want(other, position, from: address)
  }

  mutating func startWaitingFetches() {
    while let (other, position, address) = comparison.nextWaiting() {
      want(other, position, from: address)
    }
  }

  private mutating func adopt(
    _ fetched: FetchedOrigin, _ checkpoint: Authentic<Checkpoint>, of other: OriginID,
    heldBy holders: Set<PeerAddress>
  ) {
    guard let slot = records.slot(of: other),
      let changes = records.adopt(slot: slot, fetched, checkpoint)
    else { return }
    let isAdopted = records.complete(slot: slot) == checkpoint
    context.counters.count(isAdopted ? .fetchesCompleted : .checkpointsExcessive)
    noteChanges(changes, slot: slot)
    becameComplete(slot, heldBy: holders)
    // The origin may have gone on since.
    if isAdopted, !records.isComplete(slot: slot), let address = source(of: other) {
      lookAfter(slot, from: address)
    }
  }

  /// Finds out what is missing of an origin, and asks for it.
  mutating func lookAfter(_ slot: Int, from address: PeerAddress) {
    guard slot != ownSlot, let other = records.origin(slot: slot) else { return }
    let wasComplete = records.isComplete(slot: slot)
    let need = records.need(slot: slot)
    let isComplete = records.isComplete(slot: slot)
    if isComplete != wasComplete || isComplete { becameComplete(slot) }
    if !isComplete { handle(members.setComplete(false, for: other, at: context.now)) }
    switch need {
    case .nothing: repairs.complete(other)
    case .refusal:
      repairs.complete(other)
      context.counters.count(.checkpointsExcessive)
      noteChanges(records.refuseNewest(slot: slot), slot: slot)
    case .repair: repairs.want(other, from: address, &context)
    case .fetch:
      guard let newest = records.newest(slot: slot) else { return }
      let source = newest.source.flatMap { paths.table.path(at: $0) == nil ? nil : $0 }
      want(other, newest.facts.position, from: source ?? address)
    }
  }

  private mutating func becameComplete(_ slot: Int, heldBy holders: Set<PeerAddress> = []) {
    guard let other = records.origin(slot: slot), let complete = records.complete(slot: slot) else {
      return
    }
    comparison.complete(other, complete.body.position)
    let isComplete = records.isComplete(slot: slot)
    handle(members.setComplete(isComplete, for: other, at: context.now))
    guard let (newest, isNewLife) = records.takeHeldBack(slot: slot) else { return }
    forward(
      newest.checkpoint, isNewLife: isNewLife,
      except: holders.union(newest.source.map { [$0] } ?? []))
  }

  /// Asks for the batches that are missing of an origin.
  mutating func repair(_ other: OriginID) {
    guard let slot = records.slot(of: other), let held = records.replica.replica(slot: slot),
      case .repair(let gaps) = records.need(slot: slot)
    else { return repairs.complete(other) }
    let peers = Self.sources(of: other, paths, subscriptions).first { !$0.isEmpty } ?? []
    switch repairs.handle(
      other, through: gaps.map(\.versions.upperBound).max() ?? 0,
      ownPath: paths.table.bestAddress(of: other), peers: peers, patience: patience, &context)
    {
    case .notYet: break
    case .ask(let address):
      for gap in gaps {
        context.counters.count(.repairsSent)
        context.send(
          .control(
            .repair(
              RepairRequest(
                origin: other, incarnation: held.incarnation, room: gap.room,
                after: gap.versions.lowerBound - 1, through: gap.versions.upperBound))), to: address
        )
      }
    case .givenUp(let address):
      if let newest = records.newest(slot: slot), !records.isComplete(slot: slot) {
        want(other, newest.facts.position, from: address)
      }
    }
  }

  // MARK: Paths

  mutating func handle(_ lost: LostPath) {
    handle(
      comparison.forget(
        lost.address, peers: { Self.sources(of: $0, paths, subscriptions) }, &context))
  }
}

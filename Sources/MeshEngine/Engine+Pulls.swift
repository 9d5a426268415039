import MeshCRDT
import MeshWire

// What a node lacks of an origin is asked of a peer that has it: batches above a version, part by
// part, and, where they do not lead to what the origin signed, the list of what lives.

extension Engine {
  mutating func pull(_ entry: DigestEntry, from address: PeerAddress) {
    if let slot = state.slot(of: entry.origin), entry.origin != origin,
      state.logs[slot].generation == entry.generation
    {
      return pull(slot, from: address)
    }
    // An origin or a life that is not known: from the beginning, without a state of its own yet.
    pull(entry.origin, generation: entry.generation, after: 0, from: address)
  }

  /// Asks a peer for what is missing of an origin, unless somebody was asked just now.
  mutating func pull(_ slot: Int, from address: PeerAddress) {
    guard let origin = state.origins[slot] else { return }
    let log = state.logs[slot]
    pull(origin, generation: log.generation, after: log.cut.version, from: address)
  }

  private mutating func pull(
    _ origin: OriginID, generation: UInt64, after: UInt64, from address: PeerAddress
  ) {
    if PlantedBug.isActive(.gapNotPulled) { return }
    if let known = pulls[origin], known.deadline > now { return }
    guard pulls[origin] != nil || pulls.count < Limits.origins else { return }
    let failures = pulls[origin]?.failures ?? 0
    let silences = pulls[origin]?.silences ?? 0
    // Neither batches nor the list of what lives led to what the origin signed: what is held is of
    // another history, or nobody has the rest of it. Begin at the beginning.
    var after = after
    if failures > 0, failures.isMultiple(of: 4), let slot = state.slot(of: origin) {
      guard isVisible(slot) else { return giveUp(slot) }
      startOver(slot)
      after = 0
    }
    let deadline = now + answerTimeout(address)
    pulls[origin] = PullState(
      address: address, step: .batches, deadline: deadline,
      held: state.slot(of: origin).map { state.logs[$0].held }, failures: failures,
      silences: silences)
    counters.count(.pullsSent)
    send(.pull(Pull(origin: origin, generation: generation, after: after)), to: address)
    timers.set(.pull(origin), at: deadline)
  }

  /// How long a peer's answer may take: some round trips, if it is known how long one is.
  private func answerTimeout(_ address: PeerAddress) -> Span {
    guard let roundTrip = paths[address]?.roundTrip else {
      return SyncLimits.answerTimeout
    }
    return min(roundTrip.scaled(4, over: 1) + .milliseconds(50), SyncLimits.answerTimeout)
  }

  /// Answers a pull: the head, the batches above the version, and where that ends.
  mutating func answer(_ pull: Pull, to address: PeerAddress) {
    guard let slot = state.slot(of: pull.origin) else { return }
    let log = state.logs[slot]
    guard log.generation >= pull.generation else { return }
    // So much waits already that more would come too late: the peer asks again.
    guard outbox.answerBytes(for: address) < answerBytes else { return }
    counters.count(.pullsAnswered)
    let after = log.generation == pull.generation ? pull.after : 0
    sendHead(of: pull.origin, to: address)
    if isLarge && pull.after == 0 { introduce(pull.origin, to: address) }
    let (batches, through, hasMore) = stores[slot].answer(
      after: after, bytes: answerBytes)
    for batch in batches { send(.batch(batch.envelope), to: address, isAnswer: true) }
    let reached = hasMore ? through : log.highestVersion
    send(
      .pullEnd(
        PullEnd(
          origin: pull.origin, generation: log.generation, after: after,
          through: max(after, reached), hasMore: hasMore)), to: address, isAnswer: true)
  }

  /// Goes on with a pull: the next part, or, if everything is here and the sums differ, the list of
  /// what lives.
  mutating func hear(_ end: PullEnd, from address: PeerAddress) {
    guard let slot = state.slot(of: end.origin), state.logs[slot].generation == end.generation
    else { return }
    guard var pull = pulls[end.origin] else {
      // What came is all that this node has heard of, and the peer has more of it.
      if end.hasMore, end.through == state.logs[slot].cut.version { self.pull(slot, from: address) }
      return
    }
    guard pull.address == address, case .batches = pull.step else { return }
    pull.deadline = now + SyncLimits.answerTimeout
    pull.silences = 0
    pulls[end.origin] = pull
    timers.set(.pull(end.origin), at: pull.deadline)
    if !end.hasMore { settleByHead(slot) }
    if end.hasMore && end.through > end.after {
      counters.count(.pullsSent)
      send(
        .pull(Pull(origin: end.origin, generation: end.generation, after: end.through)),
        to: address)
    } else if state.logs[slot].isSettled {
      finishPull(slot)
    } else {
      // Parts of the answer may still be under way.
      pull.step = .ended
      pull.deadline = now + SyncLimits.stragglers
      pulls[end.origin] = pull
      timers.set(.pull(end.origin), at: pull.deadline)
    }
  }

  /// All of an answer came, and the log is not what its origin signed.
  private mutating func goOn(_ origin: OriginID, _ slot: Int) {
    guard var pull = pulls[origin],
      state.logs[slot].highestVersion <= state.logs[slot].claim.version,
      !PlantedBug.isActive(.manifestNotAsked)
    else {
      // Records came that are newer than any word about them: a head or batch will say more.
      return rest(origin)
    }
    pull.step = .manifest
    pull.deadline = now + SyncLimits.answerTimeout
    pulls[origin] = pull
    timers.set(.pull(origin), at: pull.deadline)
    beginManifest(slot, from: pull.address)
  }

  /// Takes the word of the newest head again, which starting over forgot, if what is held now is what
  /// it says: the batch that said it last may be gone, because nothing of it lives.
  private mutating func settleByHead(_ slot: Int) {
    let log = state.logs[slot]
    let claim = claimOfHead(slot)
    guard claim > log.claim, claim.version >= log.highestVersion, claim.count == log.liveCount,
      claim.hash == log.liveHash
    else { return }
    state.settle(slot: slot, claim: claim)
  }

  /// What the newest head says of this life's log; nothing when none was heard.
  func claimOfHead(_ slot: Int) -> Cut {
    guard let body = liveness[slot].head?.body, let head = try? HeadBody.peek(body),
      head.generation == state.logs[slot].generation
    else { return .empty }
    return head.claim
  }

  /// A part of an answer comes: the rest may take as long again.
  mutating func prolongPull(_ origin: OriginID, from address: PeerAddress) {
    guard let pull = pulls[origin], pull.address == address, case .batches = pull.step else {
      return
    }
    let deadline = max(pull.deadline, now + SyncLimits.answerTimeout)
    pulls[origin]?.deadline = deadline
  }

  /// The bytes of batches that one pull is answered with: no more than go there in a quarter of a
  /// second.
  private var answerBytes: Int {
    min(SyncLimits.answerBytes, max(Int(clamping: configuration.rate / 4), Limits.datagramBytes))
  }

  /// True while a peer answers a pull.
  func isPulling(_ origin: OriginID, from address: PeerAddress) -> Bool {
    guard let pull = pulls[origin], pull.address == address else { return false }
    if case .resting = pull.step { return false }
    return pull.deadline > now
  }

  /// True when a pull is not over, though the log is settled; it will be soon.
  mutating func isAwaitingEnd(_ origin: OriginID) -> Bool {
    guard let pull = pulls[origin], case .batches = pull.step, pull.deadline > now else {
      return false
    }
    let soon = min(pull.deadline, now + SyncLimits.stragglers)
    pulls[origin]?.deadline = soon
    timers.set(.pull(origin), at: soon)
    return true
  }

  /// The log of an origin is settled: nothing is missing of it. Neighbours may miss it as well.
  mutating func finishPull(_ slot: Int) {
    guard let origin = state.origins[slot] else { return }
    manifests[origin] = nil
    if let pull = pulls.removeValue(forKey: origin) {
      if isLarge {
        offers[slot] = pull.address
        if timers.due(.flushOffers) == nil {
          timers.set(.flushOffers, at: now + SyncLimits.offerDelay)
        }
      }
      if pulls.isEmpty, let peer = askNext {
        // A list may have been too long for its answer.
        askNext = nil
        if paths[peer] != nil { probe(peer) }
      }
    }
    if liveness[slot].shownBy != nil { judge(slot) }
  }

  /// Lists for the neighbours what was pulled: they pull in turn what they lack.
  mutating func flushOffers() {
    let ready = offers.filter { state.origins[$0.key] != nil && state.logs[$0.key].isSettled }
    offers = [:]
    for address in neighbours() {
      let entries = ready.filter { $0.value != address }
        .compactMap { state.digestEntry(slot: $0.key) }
        .sorted { $0.origin < $1.origin }
      guard !entries.isEmpty else { continue }
      let mask = entries.reduce(UInt32(0)) { $0 | 1 << UInt32(Digest.bucket(of: $1.origin)) }
      send(
        pages(of: entries, mask: mask, nonce: 0, wantsAnswer: false, atMost: .max), to: address)
    }
  }

  /// A try that led nowhere: the next comes later, with whom the next digest finds. What was not
  /// answered says nothing about what is held: it is no reason to start over.
  mutating func rest(_ origin: OriginID) {
    guard var pull = pulls[origin] else { return }
    manifests[origin] = nil
    var isSilence = false
    if case .batches = pull.step { isSilence = true }
    if let slot = state.slot(of: origin), liveness[slot].isGivenUp {
      return giveUp(slot)
    }
    pull.step = .resting
    let isProgress = state.slot(of: origin).map { state.logs[$0].held } != pull.held
    if isProgress {
      pull.failures = 0
    } else if isSilence {
      pull.silences += 1
    } else {
      pull.failures += 1
    }
    let doublings =
      isSilence ? min(pull.silences / SyncLimits.silences, 2) : min(max(pull.failures, 1) - 1, 5)
    pull.deadline = now + SyncLimits.rest.scaled(1 << UInt64(doublings), over: 1)
    pulls[origin] = pull
    timers.set(.pull(origin), at: pull.deadline)
  }

  /// The answer to a pull is late, or its rest is over.
  mutating func retryPull(_ origin: OriginID) {
    guard let pull = pulls[origin] else { return }
    guard pull.deadline <= now else { return timers.set(.pull(origin), at: pull.deadline) }
    guard let slot = state.slot(of: origin) else {
      pulls[origin] = nil
      manifests[origin] = nil
      return
    }
    guard !state.logs[slot].isSettled else { return finishPull(slot) }
    if case .resting = pull.step {
      // The origin itself knows best; in a big mesh, any neighbour may know. Without them, the next
      // digest finds somebody who holds more.
      guard isVisible(slot) else { return }
      if let address = pathOf[origin] {
        self.pull(slot, from: address)
      } else if pull.silences < SyncLimits.silences,
        let address = random.sample(neighbours(), 1).first
      {
        self.pull(slot, from: address)
      }
    } else if case .ended = pull.step {
      goOn(origin, slot)
    } else if case .batches = pull.step, isVisible(slot), pull.silences < SyncLimits.silences,
      let other = random.sample(neighbours().filter { $0 != pull.address }, 1).first
    {
      // Lost on the way, it seems: somebody else has it too.
      pulls[origin]?.silences += 1
      self.pull(slot, from: other)
    } else if case .manifest = pull.step, repeatManifest(origin) {
      return
    } else {
      rest(origin)
    }
  }

  /// Drops what is held of a hidden origin, because nobody was found to have all of its log: it died
  /// while it told, or is cut off. Parts differ from node to node, and what was removed from them
  /// cannot be told, so that they would never become equal; nobody sees them either. When the origin
  /// is heard again, all of it is pulled anew.
  mutating func giveUp(_ slot: Int) {
    guard let origin = state.origins[slot], !state.logs[slot].isSettled else { return }
    counters.count(.logsGivenUp)
    liveness[slot].isGivenUp = true
    startOver(slot)
    pulls[origin] = nil
    manifests[origin] = nil
  }

  /// Drops what is held of an origin, so that all of it is pulled again, from somebody who holds all
  /// of it.
  mutating func startOver(_ slot: Int, claim: Cut? = nil) {
    let claim = claim ?? claimOfHead(slot)
    for (key, _) in state.reopen(slot: slot, claim: claim) { markDirty(key.session) }
    stores[slot].removeAll()
  }
}

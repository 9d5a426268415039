import MeshCRDT
import MeshWire

// Two nodes that hold the same exchange one digest and one empty answer. If buckets differ, the
// answer lists what the other holds in them; the asker pulls what it lacks, and lists in turn what
// the other lacks.

extension Engine {
  /// Compares with a random peer, and sets the next time.
  mutating func sendDigest() {
    timers.set(.digest, at: now + random.jittered(configuration.digestPeriod))
    seekNeighbours()
    let all = receivers()
    guard !all.isEmpty else { return }
    guard !isLarge else { return probeInLarge(all) }
    probe(all[random.below(all.count)])
    // Now and then the others' addresses, so that all who can reach each other do.
    if random.below(8) == 0 { introduce(to: all[random.below(all.count)]) }
  }

  /// Mostly compares with a neighbour, whose path is kept up by that; now and then with anybody.
  private mutating func probeInLarge(_ all: [PeerAddress]) {
    switch random.below(16) {
    case 0..<12:
      let neighbours = neighbours()
      probe(neighbours[random.below(neighbours.count)])
    case 12..<15: probe(all[random.below(all.count)])
    default:
      // Somebody else, to whom there is no path now: the first words on it are a digest.
      let members = book.keys.sorted()
      let member = members[random.below(members.count)]
      guard let address = book[member] else { return }
      // Told of by somebody, and never heard of since: tried once.
      if state.slot(of: member) == nil { book[member] = nil }
      if paths[address] == nil { contact(address, isConfigured: false) } else { probe(address) }
    }
  }

  mutating func probe(_ address: PeerAddress) {
    let nonce = random.next()
    let sentAt = now
    paths[address]?.probe = (nonce, sentAt)
    counters.count(.digestsSent)
    send(.digest(nonce: nonce, state.digest), to: address)
  }

  mutating func hear(_ digest: Digest, nonce: UInt64, from address: PeerAddress) {
    let mask = state.digest.difference(from: digest)
    counters.count(mask == 0 ? .digestsEqual : .digestsDifferent)
    sendEntries(mask, nonce: nonce, wantsAnswer: mask != 0, to: address)
  }

  /// Lists what is held in some buckets, in as many datagrams as allowed.
  private mutating func sendEntries(
    _ mask: UInt32, nonce: UInt64, wantsAnswer: Bool, to address: PeerAddress
  ) {
    let slots = state.sortedSlots.filter { slot in
      guard let origin = state.origins[slot] else { return false }
      return mask & 1 << UInt32(Digest.bucket(of: origin)) != 0
    }
    let entries = slots.compactMap { state.digestEntry(slot: $0) }
    send(pages(of: entries, mask: mask, nonce: nonce, wantsAnswer: wantsAnswer), to: address)
  }

  private mutating func send(_ pages: [Entries], to address: PeerAddress) {
    for page in pages { send(.entries(page), to: address) }
  }

  private func pages(
    of entries: [DigestEntry], mask: UInt32, nonce: UInt64, wantsAnswer: Bool,
    atMost bound: Int = SyncLimits.entriesPages
  ) -> [Entries] {
    var pages: [Entries] = []
    var rest = entries[...]
    var after = OriginID(0, 0, 0, 0)
    repeat {
      let page = Array(rest.prefix(Int(Entries.bound)))
      rest = rest.dropFirst(page.count)
      pages.append(
        Entries(
          nonce: nonce, wantsAnswer: wantsAnswer, hasMore: !rest.isEmpty, mask: mask,
          after: after, entries: page))
      after = page.last?.origin ?? after
    } while !rest.isEmpty && pages.count < bound
    return pages
  }

  /// Compares a peer's list with what is held: pulls what is newer there, lists what is newer here.
  mutating func hear(_ entries: Entries, from address: PeerAddress) {
    if let probe = paths[address]?.probe, probe.nonce == entries.nonce {
      let roundTrip = now.since(probe.sentAt)
      paths[address]?.roundTrip = roundTrip
      paths[address]?.probe = nil
    }
    var theirs: [OriginID: DigestEntry] = [:]
    var pulled = 0
    for entry in entries.entries {
      theirs[entry.origin] = entry
      if let grave = graves[entry.origin], grave.generation == entry.generation {
        // It was forgotten here; if it lives, somebody has heard of it since.
        let known = HeadKnown(
          origin: entry.origin, generation: grave.generation, heartbeat: grave.heartbeat)
        send(.headQuery([known]), to: address)
      }
      guard pulled < SyncLimits.pullsAtOnce, isBehind(entry) else { continue }
      joinGivingUp(entry)
      if isHopeless(entry) {
        // Whoever has not heard of as much holds it for complete, or hopes for the rest.
        sendHead(of: entry.origin, to: address)
        continue
      }
      pulled += 1
      pull(entry, from: address)
      askNext = address
    }
    guard entries.wantsAnswer else { return }
    let last = entries.hasMore ? entries.entries.last?.origin : nil
    var newer: [DigestEntry] = []
    for slot in state.sortedSlots {
      guard let mine = state.digestEntry(slot: slot), mine.origin > entries.after,
        last.map({ mine.origin <= $0 }) ?? true,
        entries.mask & 1 << UInt32(Digest.bucket(of: mine.origin)) != 0
      else { continue }
      guard let other = theirs[mine.origin] else {
        newer.append(mine)
        continue
      }
      // Whoever lacks something of it judges for himself.
      if mine != other && mine.generation >= other.generation { newer.append(mine) }
    }
    guard !newer.isEmpty else { return }
    send(
      pages(of: newer, mask: entries.mask, nonce: entries.nonce, wantsAnswer: false), to: address)
  }

  /// True when a peer knows more of an origin than this node.
  private func isBehind(_ entry: DigestEntry) -> Bool {
    if entry.origin == origin {
      // Words of this node that it has not said: pulled, because only signed ones count.
      let held = state.logs[ownSlot].held
      return entry.generation > generation
        || entry.generation == generation
          && (entry.held.version > held.version
            || entry.held.version == held.version && entry.held != held)
    }
    if let grave = graves[entry.origin], entry.generation <= grave.generation { return false }
    guard let slot = state.slot(of: entry.origin) else { return true }
    let log = state.logs[slot]
    guard entry.generation == log.generation else { return entry.generation > log.generation }
    // Who has gaps may find them filled by anybody who holds something else.
    return entry.held > log.held || entry.held != log.held && !log.isSettled
  }

  /// True when nobody was found to have all of an origin's log, and a peer has not either.
  private func isHopeless(_ entry: DigestEntry) -> Bool {
    guard let slot = state.slot(of: entry.origin), liveness[slot].isGivenUp,
      entry.generation == state.logs[slot].generation
    else { return false }
    let claim = state.logs[slot].claim
    return entry.held.version <= claim.version && entry.held != claim
  }

  /// A peer has nothing of a hidden origin, and this node was told nowhere what it lacks: the peer has
  /// given up. Doing so too, all agree soon.
  private mutating func joinGivingUp(_ entry: DigestEntry) {
    guard entry.held.version == 0, let slot = state.slot(of: entry.origin), !isVisible(slot),
      state.logs[slot].generation == entry.generation,
      let pull = pulls[entry.origin], pull.failures > 0
    else { return }
    giveUp(slot)
  }

  /// Tells the newest head of an origin, with its age.
  mutating func sendHead(of origin: OriginID, to address: PeerAddress) {
    guard let slot = state.slot(of: origin), let head = liveness[slot].head else { return }
    send(.head(ageMilliseconds: age(slot), head), to: address)
  }

  // MARK: Pulls

  private mutating func pull(_ entry: DigestEntry, from address: PeerAddress) {
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
    // Neither batches nor the list of what lives led to what the origin signed: what is held is of
    // another history, or nobody has the rest of it. Begin at the beginning.
    var after = after
    if failures > 0, failures.isMultiple(of: 4), let slot = state.slot(of: origin) {
      guard isVisible(slot) else { return giveUp(slot) }
      startOver(slot)
      after = 0
    }
    pulls[origin] = PullState(
      address: address, step: .batches, deadline: now + SyncLimits.answerTimeout,
      held: state.slot(of: origin).map { state.logs[$0].held }, failures: failures)
    counters.count(.pullsSent)
    send(.pull(Pull(origin: origin, generation: generation, after: after)), to: address)
    timers.set(.pull(origin), at: now + SyncLimits.answerTimeout)
  }

  /// Answers a pull: the head, the batches above the version, and where that ends.
  mutating func answer(_ pull: Pull, to address: PeerAddress) {
    guard let slot = state.slot(of: pull.origin) else { return }
    let log = state.logs[slot]
    guard log.generation >= pull.generation else { return }
    counters.count(.pullsAnswered)
    let after = log.generation == pull.generation ? pull.after : 0
    sendHead(of: pull.origin, to: address)
    if isLarge && pull.after == 0 { introduce(pull.origin, to: address) }
    let (batches, through, hasMore) = stores[slot].answer(
      after: after, bytes: SyncLimits.answerBytes)
    for batch in batches { send(.batch(batch.envelope), to: address) }
    let reached = hasMore ? through : log.highestVersion
    send(
      .pullEnd(
        PullEnd(
          origin: pull.origin, generation: log.generation, after: after,
          through: max(after, reached), hasMore: hasMore)), to: address)
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

  /// A try that led nowhere: the next comes later, with whom the next digest finds.
  mutating func rest(_ origin: OriginID) {
    guard var pull = pulls[origin] else { return }
    manifests[origin] = nil
    if let slot = state.slot(of: origin), liveness[slot].isGivenUp {
      return giveUp(slot)
    }
    pull.step = .resting
    let isProgress = state.slot(of: origin).map { state.logs[$0].held } != pull.held
    pull.failures = isProgress ? 0 : pull.failures + 1
    pull.deadline =
      now + SyncLimits.rest.scaled(1 << UInt64(min(max(pull.failures, 1) - 1, 5)), over: 1)
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
      // The origin itself knows best. Without it, the next digest finds somebody who holds more.
      if let address = pathOf[origin], isVisible(slot) { self.pull(slot, from: address) }
    } else if case .ended = pull.step {
      goOn(origin, slot)
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
  private mutating func giveUp(_ slot: Int) {
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

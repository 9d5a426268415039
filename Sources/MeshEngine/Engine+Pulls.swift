import MeshCRDT
import MeshWire

// What a node lacks of an origin is asked of a peer that has it: batches above a version, part by
// part, and, where they do not lead to what the origin signed, the list of what lives.

extension Engine {
  /// Asks for what a peer lists. True when that began.
  mutating func pull(_ entry: DigestEntry, from address: PeerAddress) -> Bool {
    if let slot = state.slot(of: entry.origin), entry.origin != origin,
      state.logs[slot].generation == entry.generation
    {
      let shelf = state.logs[slot].shelf(entry.room)
      guard shelf.isSettled, shelf.cut.version == entry.held.version, shelf.cut != entry.held
      else { return pull(slot, entry.room, from: address) }
      // The origin has signed two words about one version, it seems: the other one is asked for as a
      // whole. If it does not come, nobody has it who says so.
      guard vain[entry.shelf].map({ $0 <= now }) ?? true,
        pull(entry.shelf, generation: entry.generation, after: 0, from: address)
      else { return false }
      pulls[entry.shelf]?.isOfOtherWord = true
      return true
    }
    // An origin or a life that is not known: from the beginning, without a state of its own yet.
    return pull(entry.shelf, generation: entry.generation, after: 0, from: address)
  }

  /// Asks a peer for what is missing of a shelf, unless somebody was asked just now.
  @discardableResult
  mutating func pull(_ slot: Int, _ room: RoomID, from address: PeerAddress) -> Bool {
    guard let origin = state.origins[slot] else { return false }
    let log = state.logs[slot]
    return pull(
      ShelfID(origin, room), generation: log.generation, after: log.shelf(room).cut.version,
      from: address)
  }

  private mutating func pull(
    _ id: ShelfID, generation: UInt64, after: UInt64, from address: PeerAddress
  ) -> Bool {
    if PlantedBug.isActive(.gapNotPulled) { return false }
    if let known = pulls[id], known.deadline > now { return false }
    guard pulls[id] != nil || pulls.count < Limits.origins else { return false }
    let failures = pulls[id]?.failures ?? 0
    let silences = pulls[id]?.silences ?? 0
    // Neither batches nor the list of what lives led to what the origin signed: what is held is of
    // another history, or nobody has the rest of it. Begin at the beginning.
    var after = after
    if failures > 0, failures.isMultiple(of: 4), let slot = state.slot(of: id.origin) {
      guard isVisible(slot) else {
        giveUp(slot, id.room)
        return false
      }
      startOver(slot, id.room)
      after = 0
    }
    let deadline = now + answerTimeout(address)
    pulls[id] = PullState(
      address: address, step: .batches, deadline: deadline, held: held(id), failures: failures,
      silences: silences)
    counters.count(.pullsSent)
    send(.pull(Pull(shelf: id, generation: generation, after: after)), to: address)
    timers.set(.pull(id), at: deadline)
    return true
  }

  /// What is held of a shelf; `nil`: its origin is not known.
  private func held(_ id: ShelfID) -> Cut? {
    state.slot(of: id.origin).map { state.logs[$0].shelf(id.room).held }
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
    guard let slot = state.slot(of: pull.shelf.origin) else { return }
    let room = pull.shelf.room
    let log = state.logs[slot]
    guard log.generation >= pull.generation else { return }
    // So much waits already that more would come too late: the peer asks again.
    guard outbox.answerBytes(for: address) < answerBytes else { return }
    counters.count(.pullsAnswered)
    let after = log.generation == pull.generation ? pull.after : 0
    if room.isLobby {
      sendHead(of: pull.shelf.origin, to: address)
      if isLarge && pull.after == 0 { introduce(pull.shelf.origin, to: address) }
    }
    let (batches, through, hasMore) = stores[slot][room].answer(
      after: after, bytes: answerBytes)
    // Who has to ask for more does so while the second half is on its way.
    let early = batches.prefix(hasMore ? (batches.count + 1) / 2 : batches.count)
    for batch in early { send(.batch(batch.envelope), to: address, isAnswer: true) }
    let reached = hasMore ? through : log.shelf(room).highestVersion
    send(
      .pullEnd(
        PullEnd(
          shelf: pull.shelf, generation: log.generation, after: after,
          through: max(after, reached), hasMore: hasMore)), to: address, isAnswer: true)
    for batch in batches[early.endIndex...] {
      send(.batch(batch.envelope), to: address, isAnswer: true)
    }
  }

  /// Goes on with a pull: the next part, or, if everything is here and the sums differ, the list of
  /// what lives.
  mutating func hear(_ end: PullEnd, from address: PeerAddress) {
    let id = end.shelf
    guard let slot = state.slot(of: id.origin), state.logs[slot].generation == end.generation
    else { return }
    let shelf = state.logs[slot].shelf(id.room)
    guard var pull = pulls[id] else {
      // What came is all that this node has heard of, and the peer has more of it.
      if end.hasMore, end.through >= shelf.cut.version, holds(id) {
        self.pull(slot, id.room, from: address)
      }
      return
    }
    guard pull.address == address, case .batches = pull.step else { return }
    pull.deadline = now + SyncLimits.answerTimeout
    pull.silences = 0
    pulls[id] = pull
    timers.set(.pull(id), at: pull.deadline)
    if !end.hasMore && id.room.isLobby { settleByHead(slot) }
    if end.hasMore && end.through > end.after {
      counters.count(.pullsSent)
      send(.pull(Pull(shelf: id, generation: end.generation, after: end.through)), to: address)
    } else if state.logs[slot].shelf(id.room).isSettled {
      finishPull(slot, id.room)
    } else {
      // Parts of the answer may still be under way.
      pull.step = .ended
      pull.deadline = now + SyncLimits.stragglers
      pulls[id] = pull
      timers.set(.pull(id), at: pull.deadline)
    }
  }

  /// All of an answer came, and the shelf is not what its origin signed.
  private mutating func goOn(_ id: ShelfID, _ slot: Int) {
    let shelf = state.logs[slot].shelf(id.room)
    guard var pull = pulls[id], shelf.highestVersion <= shelf.claim.version,
      !PlantedBug.isActive(.manifestNotAsked)
    else {
      // Records came that are newer than any word about them: a head or batch will say more.
      return rest(id)
    }
    pull.step = .manifest
    pull.deadline = now + SyncLimits.answerTimeout
    pulls[id] = pull
    timers.set(.pull(id), at: pull.deadline)
    beginManifest(slot, id.room, from: pull.address)
  }

  /// Takes the word of the newest head again, which starting over forgot, if what is held now is what
  /// it says: the batch that said it last may be gone, because nothing of it lives.
  private mutating func settleByHead(_ slot: Int) {
    let lobby = state.logs[slot].lobby
    let claim = claimOfHead(slot)
    guard claim > lobby.claim, claim.version >= lobby.highestVersion,
      claim.count == lobby.liveCount, claim.hash == lobby.liveHash
    else { return }
    state.settle(slot: slot, room: .lobby, claim: claim)
  }

  /// What the newest head says of the lobby's shelf of this life; nothing when none was heard.
  func claimOfHead(_ slot: Int) -> Cut {
    guard let body = liveness[slot].head?.body, let head = try? HeadBody.peek(body),
      head.generation == state.logs[slot].generation
    else { return .empty }
    return head.claim
  }

  /// A part of an answer comes: the rest may take as long again.
  mutating func prolongPull(_ id: ShelfID, from address: PeerAddress) {
    guard let pull = pulls[id], pull.address == address, case .batches = pull.step else {
      return
    }
    let deadline = max(pull.deadline, now + SyncLimits.answerTimeout)
    pulls[id]?.deadline = deadline
  }

  /// The bytes of batches that one pull is answered with: no more than go there in a quarter of a
  /// second.
  var answerBytes: Int {
    min(SyncLimits.answerBytes, max(Int(clamping: configuration.rate / 4), Limits.datagramBytes))
  }

  /// True while a peer answers a pull, or tells all of a room.
  func isPulling(_ id: ShelfID, from address: PeerAddress) -> Bool {
    if isFetching(id.room, from: address) { return true }
    guard let pull = pulls[id], pull.address == address else { return false }
    if case .resting = pull.step { return false }
    return pull.deadline > now
  }

  /// True when a pull is not over, though the shelf is settled; it will be soon.
  mutating func isAwaitingEnd(_ id: ShelfID) -> Bool {
    guard let pull = pulls[id], case .batches = pull.step, pull.deadline > now else {
      return false
    }
    let soon = min(pull.deadline, now + SyncLimits.stragglers)
    pulls[id]?.deadline = soon
    timers.set(.pull(id), at: soon)
    return true
  }

  /// A shelf is settled: nothing is missing of it. Neighbours may miss it as well.
  mutating func finishPull(_ slot: Int, _ room: RoomID) {
    guard let origin = state.origins[slot] else { return }
    let id = ShelfID(origin, room)
    manifests[id] = nil
    if let pull = pulls.removeValue(forKey: id) {
      let hasNews = held(id) != pull.held
      if hasNews { noteNews() }
      if pull.isOfOtherWord, !hasNews { noteVain(id) }
      if isLarge {
        offers[id] = pull.address
        // The head that came with it got lost, it seems.
        if room.isLobby, !isVisible(slot), liveness[slot].shownBy == nil {
          askForHead(of: slot, from: pull.address)
        }
        if timers.due(.flushOffers) == nil {
          timers.set(.flushOffers, at: now + SyncLimits.offerDelay)
        }
      }
      goOnComparing()
    }
    if liveness[slot].shownBy != nil { judge(slot) }
  }

  /// Another word about the version that is held did not come from whoever listed it.
  private mutating func noteVain(_ id: ShelfID) {
    if vain.count >= SyncLimits.vainBound {
      vain = vain.filter { $0.value > now }
      if vain.count >= SyncLimits.vainBound { vain = [:] }
    }
    vain[id] = now + SyncLimits.vainTime
  }

  /// Lists for the neighbours what was pulled: they pull in turn what they lack.
  mutating func flushOffers() {
    let ready = offers.sorted { $0.key < $1.key }.compactMap { id, address in
      state.slot(of: id.origin).map { (slot: $0, room: id.room, from: address) }
    }.filter { state.logs[$0.slot].shelf($0.room).isSettled }
    offers = [:]
    if ready.count >= SyncLimits.manyPulls { compareOften() }
    for address in neighbours() {
      let sharing = sharing(with: address)
      let entries = ready.filter { $0.from != address && sharing.covers($0.room, of: $0.slot) }
        .compactMap { state.digestEntry(slot: $0.slot, room: $0.room) }
      guard !entries.isEmpty else { continue }
      let mask = entries.reduce(UInt32(0)) { $0 | 1 << UInt32(Digest.bucket(of: $1.shelf)) }
      send(
        pages(of: entries, mask: mask, nonce: 0, wantsAnswer: false, atMost: .max), to: address)
    }
  }

  /// A try that led nowhere: the next comes later, with whom the next digest finds. What was not
  /// answered says nothing about what is held: it is no reason to start over.
  mutating func rest(_ id: ShelfID) {
    guard var pull = pulls[id] else { return }
    manifests[id] = nil
    var isSilence = false
    if case .batches = pull.step { isSilence = true }
    if let slot = state.slot(of: id.origin), liveness[slot].givenUp[id.room] != nil {
      return giveUp(slot, id.room)
    }
    pull.step = .resting
    if held(id) != pull.held {
      noteNews()
      pull.failures = 0
    } else if isSilence {
      pull.silences += 1
    } else {
      pull.failures += 1
    }
    let doublings =
      isSilence ? min(pull.silences / SyncLimits.silences, 2) : min(max(pull.failures, 1) - 1, 5)
    pull.deadline = now + SyncLimits.rest.scaled(1 << UInt64(doublings), over: 1)
    pulls[id] = pull
    timers.set(.pull(id), at: pull.deadline)
    goOnComparing()
  }

  /// The answer to a pull is late, or its rest is over.
  mutating func retryPull(_ id: ShelfID) {
    guard let pull = pulls[id] else { return }
    guard pull.deadline <= now else { return timers.set(.pull(id), at: pull.deadline) }
    guard let slot = state.slot(of: id.origin) else {
      pulls[id] = nil
      manifests[id] = nil
      return
    }
    guard !state.logs[slot].shelf(id.room).isSettled else { return finishPull(slot, id.room) }
    if case .resting = pull.step {
      // The origin itself knows best; in a big mesh, any neighbour may know. Without them, the next
      // digest finds somebody who holds more.
      guard isVisible(slot) else { return }
      if let address = pathOf[id.origin] {
        self.pull(slot, id.room, from: address)
      } else if pull.silences < SyncLimits.silences,
        let address = random.sample(sources(id.room), 1).first
      {
        self.pull(slot, id.room, from: address)
      }
    } else if case .ended = pull.step {
      goOn(id, slot)
    } else if case .batches = pull.step, isVisible(slot), pull.silences < SyncLimits.silences,
      let other = random.sample(sources(id.room).filter { $0 != pull.address }, 1).first
    {
      // Lost on the way, it seems: somebody else has it too.
      pulls[id]?.silences += 1
      self.pull(slot, id.room, from: other)
    } else if case .manifest = pull.step, repeatManifest(id) {
      return
    } else {
      rest(id)
    }
  }

  /// Drops what is held of a shelf of a hidden origin, because nobody was found to have all of it: the
  /// origin died while it told, or is cut off. Parts differ from node to node, and what was removed
  /// from them cannot be told, so that they would never become equal; nobody sees them either. When
  /// the origin is heard again, all of it is pulled anew.
  mutating func giveUp(_ slot: Int, _ room: RoomID) {
    guard let origin = state.origins[slot] else { return }
    let shelf = state.logs[slot].shelf(room)
    guard !shelf.isSettled else { return }
    counters.count(.logsGivenUp)
    liveness[slot].givenUp[room] = shelf.claim
    startOver(slot, room)
    pulls[ShelfID(origin, room)] = nil
    manifests[ShelfID(origin, room)] = nil
    guard room.isLobby else { return }
    // What it said in rooms was cut off at the same time.
    for room in state.logs[slot].rooms.keys.sorted() { giveUp(slot, room) }
  }

  /// Drops what is held of a shelf, so that all of it is pulled again, from somebody who holds all of
  /// it.
  mutating func startOver(_ slot: Int, _ room: RoomID, claim: Cut? = nil) {
    let claim = claim ?? (room.isLobby ? claimOfHead(slot) : .empty)
    for (key, _) in state.reopen(slot: slot, room: room, claim: claim) { markDirty(key.session) }
    stores[slot].remove(room)
  }
}

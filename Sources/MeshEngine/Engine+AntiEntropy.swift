import MeshCRDT
import MeshWire

// Two nodes that hold the same exchange one digest and one empty answer. If buckets differ, the
// answer lists what the other holds in them; the asker pulls what it lacks, and lists in turn what
// the other lacks. All of that is about the shelves that both hold, as far as each knows what the other
// follows. While one does not, the digests differ, which costs a list.

extension Engine {
  /// Compares with a random peer, and sets the next time.
  mutating func sendDigest() {
    // Few hear the heads of all from themselves, and what these claim.
    let isBusy = busyUntil.map { now < $0 } ?? false
    let period = isBusy ? busyPeriod : configuration.digestPeriod.scaled(isLarge ? 1 : 2, over: 1)
    timers.set(.digest, at: now + random.jittered(period))
    seekNeighbours()
    seekFollowers()
    let all = receivers()
    guard !all.isEmpty else { return }
    guard !isLarge else { return probeInLarge(all) }
    compare(with: all[random.below(all.count)])
    // Now and then the others' addresses, so that all who can reach each other do.
    if random.below(8) == 0 { introduce(to: all[random.below(all.count)]) }
  }

  /// Something is lost on the way, or much came that was missing, of which some got lost. For a while
  /// nodes compare more often, so that the last of them need not wait long.
  mutating func compareOften() {
    busyUntil = now + SyncLimits.busyTime
    timers.set(.digest, at: now + random.jittered(busyPeriod))
  }

  private var busyPeriod: Span { configuration.digestPeriod.scaled(1, over: 4) }

  /// Mostly compares with a neighbour, whose path is kept up by that; now and then with anybody.
  private mutating func probeInLarge(_ all: [PeerAddress]) {
    switch random.below(16) {
    case 0..<12:
      if let neighbour = random.sample(neighbours(), 1).first { compare(with: neighbour) }
    case 12..<15:
      if let address = companion() { probe(address) } else { probe(all[random.below(all.count)]) }
    default:
      // Somebody else, to whom there is no path now: the first words on it are a digest.
      guard let member = random.sample(book.keys.sorted(), 1).first, let address = book[member]
      else { return }
      // Told of by somebody, and never heard of since: tried once.
      if state.slot(of: member) == nil { book[member] = nil }
      if paths[address] == nil { contact(address, isConfigured: false) } else { probe(address) }
    }
  }

  /// Sends a digest, and another one to somebody else if no answer comes.
  private mutating func compare(with address: PeerAddress) {
    probe(address)
    asked = (address, 2)
    timers.set(.digestAgain, at: now + SyncLimits.digestTimeout)
  }

  /// A peer beside this node in some room, if the members do not all follow all rooms: a neighbour may
  /// share no room with this node. `nil`: anybody will do.
  private mutating func companion() -> PeerAddress? {
    let interests = interests()
    guard !interests.isEmpty, random.below(3) != 0 else { return nil }
    // Who follows all rooms meets those who do not in the rooms that they follow.
    let rooms =
      followedIDs.map { $0.union(state.liveRooms(slot: ownSlot)) }
      ?? interests.values.reduce(into: []) { $0.formUnion($1) }
    guard let room = random.sample(rooms.sorted().filter { !$0.isLobby }, 1).first else {
      return nil
    }
    let route = route(in: room)
    seek(route.neighbours)
    return random.sample(route.addresses, 1).first
  }

  /// A neighbour has not answered a digest: another one is asked, before it is time for the next.
  mutating func probeAgain() {
    guard let (address, tries) = asked, let sentAt = paths[address]?.probe?.sentAt else { return }
    let due = sentAt + SyncLimits.digestTimeout
    guard due <= now else { return timers.set(.digestAgain, at: due) }
    // Where digests get lost, so do batches.
    if isLarge { compareOften() }
    let others = neighbours().filter { $0 != address }
    guard tries > 0, let other = random.sample(others, 1).first else { return }
    probe(other)
    asked = (other, tries - 1)
    timers.set(.digestAgain, at: now + SyncLimits.digestTimeout)
  }

  mutating func probe(_ address: PeerAddress) {
    let nonce = random.next()
    let sentAt = now
    paths[address]?.probe = (nonce, sentAt)
    counters.count(.digestsSent)
    send(.digest(nonce: nonce, state.digest(of: sharing(with: address))), to: address)
  }

  mutating func hear(_ digest: Digest, nonce: UInt64, from address: PeerAddress) {
    let mask = state.digest(of: sharing(with: address)).difference(from: digest)
    counters.count(mask == 0 ? .digestsEqual : .digestsDifferent)
    noteComparison(with: address, isEqual: mask == 0)
    sendEntries(mask, nonce: nonce, wantsAnswer: mask != 0, to: address)
  }

  /// Lists what is held in some buckets, in as many datagrams as allowed.
  private mutating func sendEntries(
    _ mask: UInt32, nonce: UInt64, wantsAnswer: Bool, to address: PeerAddress
  ) {
    let entries =
      mask == 0 ? [] : state.digestEntries(mask: mask, sharing: sharing(with: address))
    sendPart(of: entries, mask: mask, nonce: nonce, wantsAnswer: wantsAnswer, to: address)
  }

  /// Sends as much of a list as one exchange allows. A long list begins where the last one to the
  /// address ended, the first one at a random place, and goes round: so all of it is compared after a
  /// few exchanges, even if the room logs at some place differ for long.
  private mutating func sendPart(
    of entries: [DigestEntry], mask: UInt32, nonce: UInt64, wantsAnswer: Bool,
    to address: PeerAddress
  ) {
    var start = 0
    if entries.count > SyncLimits.entriesPages * Int(Entries.bound) {
      if let listed = paths[address]?.listed {
        start = entries.firstIndex { $0.shelf > listed } ?? 0
      } else {
        start = random.below(entries.count)
      }
    }
    let pages = pages(
      of: entries, from: start, mask: mask, nonce: nonce, wantsAnswer: wantsAnswer)
    if entries.count > SyncLimits.entriesPages * Int(Entries.bound) {
      paths[address]?.listed = pages.last?.entries.last?.shelf
    }
    send(pages, to: address)
  }

  mutating func send(_ pages: [Entries], to address: PeerAddress) {
    for page in pages { send(.entries(page), to: address) }
  }

  /// A list in messages: from an entry on to the last, then from the first to that entry.
  func pages(
    of entries: [DigestEntry], from start: Int = 0, mask: UInt32, nonce: UInt64,
    wantsAnswer: Bool, atMost bound: Int = SyncLimits.entriesPages
  ) -> [Entries] {
    var pages: [Entries] = []
    func add(_ part: ArraySlice<DigestEntry>, after first: ShelfID, isWhole: Bool) {
      var rest = part
      var after = first
      repeat {
        let page = Array(rest.prefix(Int(Entries.bound)))
        rest = rest.dropFirst(page.count)
        pages.append(
          Entries(
            nonce: nonce, wantsAnswer: wantsAnswer, hasMore: !rest.isEmpty || !isWhole, mask: mask,
            after: after, entries: page))
        after = page.last?.shelf ?? after
      } while !rest.isEmpty && pages.count < bound
    }
    // A message without more after it speaks of all that is above its first entry.
    add(
      entries[start...], after: start == 0 ? .first : entries[start - 1].shelf, isWhole: true)
    if start > 0, pages.count < bound { add(entries[..<start], after: .first, isWhole: false) }
    return pages
  }

  /// Compares a peer's list with what is held: pulls what is newer there, lists what is newer here.
  mutating func hear(_ entries: Entries, from address: PeerAddress) {
    let answersDigest = paths[address]?.probe?.nonce == entries.nonce
    if answersDigest, let probe = paths[address]?.probe {
      let roundTrip = now.since(probe.sentAt)
      paths[address]?.roundTrip = roundTrip
      paths[address]?.probe = nil
    }
    endFetch(entries, from: address)
    // The answer to a fetch of an empty room names no bucket either.
    if entries.wantsAnswer || entries.mask == 0 && answersDigest {
      noteComparison(with: address, isEqual: entries.mask == 0)
    }
    var theirs: Set<ShelfID> = []
    var newer: [DigestEntry] = []
    var pulled = 0
    for entry in entries.entries {
      theirs.insert(entry.shelf)
      if let mine = better(entry, wantsAnswer: entries.wantsAnswer) { newer.append(mine) }
      if entry.room.isLobby, let grave = graves[entry.origin], grave.generation == entry.generation
      {
        // It was forgotten here; if it lives, somebody has heard of it since.
        let known = HeadKnown(
          origin: entry.origin, generation: grave.generation, heartbeat: grave.heartbeat)
        send(.headQuery([known]), to: address)
      }
      guard pulled < SyncLimits.pullsAtOnce, isBehind(entry) else { continue }
      if joinGivingUp(entry), !entry.room.isLobby { continue }
      if isHopeless(entry) {
        // Whoever has not heard of as much holds it for complete, or hopes for the rest.
        sendHead(of: entry.origin, to: address)
        continue
      }
      if pull(entry, from: address) { pulled += 1 }
    }
    noteList(
      from: address, hasMore: entries.wantsAnswer && entries.hasMore, hasCause: pulled > 0)
    if entries.wantsAnswer {
      let last = entries.hasMore ? entries.entries.last?.shelf : nil
      let mine = state.digestEntries(mask: entries.mask, sharing: sharing(with: address))
      for entry in mine where entry.shelf > entries.after && !theirs.contains(entry.shelf) {
        if let last, entry.shelf > last { break }
        newer.append(entry)
      }
      newer.sort { $0.shelf < $1.shelf }
    }
    guard !newer.isEmpty else { return }
    sendPart(
      of: newer, mask: entries.mask, nonce: entries.nonce, wantsAnswer: false, to: address)
  }

  // MARK: Lists that are longer than an exchange

  /// Remembers whose list gave cause to pull, or was longer than an exchange.
  private mutating func noteList(from address: PeerAddress, hasMore: Bool, hasCause: Bool) {
    guard hasMore || hasCause, let path = paths[address] else { return }
    if !toAsk.contains(where: { $0.address == address }) {
      guard toAsk.count < SyncLimits.peersToAsk else { return }
      toAsk.append(ListToGoOn(address: address))
    }
    guard hasMore, path.fruitlessLists < SyncLimits.fruitlessLists,
      let index = toAsk.firstIndex(where: { $0.address == address })
    else { return }
    toAsk[index].messages += 1
    guard toAsk[index].isLong else { return }
    // A part of it may still be under way.
    let isWhole = toAsk[index].messages >= SyncLimits.entriesPages
    timers.set(.nextList, at: isWhole ? now : now + SyncLimits.stragglers)
  }

  /// Something that was pulled is here: there may be more where it came from.
  mutating func noteNews() {
    for index in toAsk.indices { toAsk[index].hasNews = true }
  }

  /// Compares on at once with a peer whose list was longer than an exchange, or from which something
  /// came, when nothing is under way any more. A pull that brought nothing is no reason to compare: two
  /// nodes that cannot agree would do so without end.
  mutating func goOnComparing() {
    guard !toAsk.isEmpty, !pulls.values.contains(where: \.isUnderWay) else { return }
    while !toAsk.isEmpty {
      let next = toAsk.removeFirst()
      guard let path = paths[next.address] else { continue }
      if next.hasNews {
        paths[next.address]?.fruitlessLists = 0
      } else {
        guard next.isLong, path.fruitlessLists < SyncLimits.fruitlessLists else { continue }
        paths[next.address]?.fruitlessLists = path.fruitlessLists + 1
      }
      return probe(next.address)
    }
  }

  /// A digest was compared with a peer's.
  private mutating func noteComparison(with address: PeerAddress, isEqual: Bool) {
    let now = now
    if isEqual {
      paths[address]?.differsSince = nil
      paths[address]?.fruitlessLists = 0
    } else if paths[address]?.differsSince == nil {
      paths[address]?.differsSince = now
    }
    paths[address]?.differedAt = isEqual ? nil : now
  }

  /// What is held here of a shelf that a peer lists, if the peer should hear of it: whoever lacks
  /// something of it judges for himself. That a room's shelf is empty now stands in no list, so that
  /// it is told to whoever lists records of it.
  private func better(_ entry: DigestEntry, wantsAnswer: Bool) -> DigestEntry? {
    guard let slot = state.slot(of: entry.origin), holds(entry.shelf),
      let mine = state.digestEntry(slot: slot, room: entry.room), mine != entry,
      mine.generation >= entry.generation
    else { return nil }
    if entry.room.isLobby { return wantsAnswer ? mine : nil }
    guard mine.held.version > 0 || liveness[slot].givenUp[entry.room] != nil else { return nil }
    return wantsAnswer || mine.held.count == 0 && entry.held.count > 0 ? mine : nil
  }

  /// True when a peer knows more of a shelf than this node, which follows its room.
  private func isBehind(_ entry: DigestEntry) -> Bool {
    guard holds(entry.shelf) else { return false }
    if entry.origin == origin {
      // Words of this node that it has not said: pulled, because only signed ones count.
      let held = state.logs[ownSlot].shelf(entry.room).held
      return entry.generation > generation
        || entry.generation == generation
          && (entry.held.version > held.version
            || entry.held.version == held.version && entry.held != held)
    }
    if let grave = graves[entry.origin], entry.generation <= grave.generation { return false }
    guard let slot = state.slot(of: entry.origin) else { return true }
    guard entry.generation == state.logs[slot].generation else {
      return entry.generation > state.logs[slot].generation
    }
    let shelf = state.logs[slot].shelf(entry.room)
    // Who never heard of a room needs not hear that nothing lives there any more.
    if !entry.room.isLobby && entry.held.count == 0 && shelf.held.version == 0
      && shelf.claim.version == 0
    {
      return false
    }
    // Who has gaps may find them filled by anybody who holds something else.
    return entry.held > shelf.held || entry.held != shelf.held && !shelf.isSettled
  }

  /// True when nobody was found to have all of a shelf, and a peer has not either.
  private func isHopeless(_ entry: DigestEntry) -> Bool {
    guard let slot = state.slot(of: entry.origin),
      let missed = liveness[slot].givenUp[entry.room],
      entry.generation == state.logs[slot].generation
    else { return false }
    guard !entry.room.isLobby else {
      let claim = state.logs[slot].lobby.claim
      return entry.held.version <= claim.version && entry.held != claim
    }
    // No head speaks of rooms: what is complete up to an earlier word is as much as can be had.
    return entry.held.version == missed.version && entry.held != missed
  }

  /// A peer has nothing of a hidden origin, and this node was told nowhere what it lacks: the peer has
  /// given up. Doing so too, all agree soon.
  /// Of a room, only who has given up says that nothing is there. True when this node gave up too.
  private mutating func joinGivingUp(_ entry: DigestEntry) -> Bool {
    guard entry.held.version == 0, let slot = state.slot(of: entry.origin), !isVisible(slot),
      state.logs[slot].generation == entry.generation,
      !entry.room.isLobby || pulls[entry.shelf].map({ $0.failures > 0 }) ?? false
    else { return false }
    giveUp(slot, entry.room)
    return true
  }

  /// Tells the newest head of an origin, with its age.
  mutating func sendHead(of origin: OriginID, to address: PeerAddress) {
    guard let slot = state.slot(of: origin), let head = liveness[slot].head else { return }
    send(.head(ageMilliseconds: age(slot), head), to: address)
  }
}

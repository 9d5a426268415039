import MeshCRDT
import MeshWire

// Two nodes that hold the same exchange one digest and one empty answer. If buckets differ, the
// answer lists what the other holds in them; the asker pulls what it lacks, and lists in turn what
// the other lacks.

extension Engine {
  /// Compares with a random peer, and sets the next time.
  mutating func sendDigest() {
    // Few hear the heads of all from themselves, and what these claim.
    let period = configuration.digestPeriod.scaled(isLarge ? 1 : 2, over: 1)
    timers.set(.digest, at: now + random.jittered(period))
    seekNeighbours()
    let all = receivers()
    guard !all.isEmpty else { return }
    guard !isLarge else { return probeInLarge(all) }
    compare(with: all[random.below(all.count)])
    // Now and then the others' addresses, so that all who can reach each other do.
    if random.below(8) == 0 { introduce(to: all[random.below(all.count)]) }
  }

  /// Mostly compares with a neighbour, whose path is kept up by that; now and then with anybody.
  private mutating func probeInLarge(_ all: [PeerAddress]) {
    switch random.below(16) {
    case 0..<12:
      let neighbours = neighbours()
      compare(with: neighbours[random.below(neighbours.count)])
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

  /// Sends a digest, and another one to somebody else if no answer comes.
  private mutating func compare(with address: PeerAddress) {
    probe(address)
    asked = (address, 2)
    timers.set(.digestAgain, at: now + SyncLimits.digestTimeout)
  }

  /// A neighbour has not answered a digest: another one is asked, before it is time for the next.
  mutating func probeAgain() {
    guard let (address, tries) = asked, paths[address]?.probe != nil else { return }
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

  mutating func send(_ pages: [Entries], to address: PeerAddress) {
    for page in pages { send(.entries(page), to: address) }
  }

  func pages(
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
}

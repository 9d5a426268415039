import MeshCRDT
import MeshWire

// Rooms that are followed anew are asked for as a whole, so that a small one is here within a round
// trip; those that are not followed any more are dropped. Where somebody does not follow all, hosts say
// which rooms their sessions are in to everybody: visits, beside what is said there.

extension Engine {
  // MARK: Follow and forget

  /// Goes from following these rooms to those that are followed now.
  mutating func changeRooms(from before: Set<RoomID>?) {
    if let followedIDs {
      for slot in state.sortedSlots where slot != ownSlot {
        let log = state.logs[slot]
        let held = Set(log.rooms.keys).union(state.moving[slot].moves.keys.map(\.room))
        for room in held.subtracting(followedIDs).sorted() where !room.isLobby {
          if !PlantedBug.isActive(.unfollowedRoomKept) { drop(slot, room) }
        }
      }
    }
    for room in fetches.keys.sorted() where !follows(room) { fetches[room] = nil }
    waitingRooms = waitingRooms.filter { follows($0) }
    // Where visits stood for what is said, or the other way round, all has to be told anew.
    for slot in state.sortedSlots where slot != ownSlot {
      for session in state.logs[slot].visits.keys.sorted() { markDirty(session) }
    }
    guard let before else { return }
    guard let followedIDs else {
      // Too many to ask for each: the next digest tells what there is.
      if let address = random.sample(receivers(), 1).first { probe(address) }
      return
    }
    for room in followedIDs.subtracting(before).sorted() where !room.isLobby { fetch(room) }
  }

  /// Forgets what an origin said in a room.
  private mutating func drop(_ slot: Int, _ room: RoomID) {
    guard let origin = state.origins[slot] else { return }
    counters.count(.roomsDropped)
    for key in state.drop(slot: slot, room: room) { markDirty(key.session) }
    stores[slot].remove(room)
    liveness[slot].givenUp[room] = nil
    pulls[ShelfID(origin, room)] = nil
    manifests[ShelfID(origin, room)] = nil
    offers[ShelfID(origin, room)] = nil
  }

  /// Asks for all of a room: one peer that follows it, and the hosts who have sessions there and do
  /// not. Where there is no path to any of them, some are tried.
  private mutating func fetch(_ room: RoomID) {
    guard !PlantedBug.isActive(.roomNotFetched) else { return }
    let interests = interests()
    var followers: [PeerAddress] = []
    var unreached: [OriginID] = []
    var hosts = 0
    for slot in state.sortedSlots where slot != ownSlot && isVisible(slot) {
      guard let origin = state.origins[slot] else { continue }
      let isFollower = interests[slot]?.contains(room) ?? true
      if let address = pathOf[origin] {
        if isFollower {
          followers.append(address)
        } else if hosts < SyncLimits.fetchHosts, hasVisits(slot, room) {
          hosts += 1
          send(.fetch(nonce: 0, room), to: address)
        }
      } else if isFollower || hasVisits(slot, room) {
        unreached.append(origin)
      }
    }
    if let nearest = nearest(followers) { return fetch(room, from: nearest, tries: 1) }
    waitingRooms.insert(room)
    seek(random.sample(unreached, SyncLimits.fetchHosts))
  }

  /// A path begins: rooms that waited for it are asked for.
  mutating func fetchWaiting(from address: PeerAddress) {
    guard !waitingRooms.isEmpty, let origin = paths[address]?.life.origin else { return }
    // Who is not known yet may well follow all rooms.
    let slot = state.slot(of: origin)
    let interest = slot.flatMap { interests()[$0] }
    for room in waitingRooms.sorted() {
      if interest?.contains(room) ?? true {
        waitingRooms.remove(room)
        fetch(room, from: address, tries: 1)
      } else if let slot, hasVisits(slot, room) {
        send(.fetch(nonce: 0, room), to: address)
      }
    }
  }

  private mutating func fetch(_ room: RoomID, from address: PeerAddress, tries: Int) {
    let nonce = random.next()
    // A digest at the beginning of a path has told how long a round trip is; the answer may be long.
    let patience = paths[address]?.roundTrip.map { $0.scaled(4, over: 1) + .milliseconds(50) }
    let deadline = now + min(patience ?? SyncLimits.answerTimeout, SyncLimits.answerTimeout)
    fetches[room] = FetchState(nonce: nonce, address: address, tries: tries, deadline: deadline)
    counters.count(.fetchesSent)
    send(.fetch(nonce: nonce, room), to: address)
    timers.set(.fetch(room), at: deadline)
  }

  /// The peer whose answers come soonest, as far as that is known; else anyone.
  private mutating func nearest(_ addresses: [PeerAddress]) -> PeerAddress? {
    var best: (address: PeerAddress, roundTrip: Span)?
    for address in addresses {
      guard let roundTrip = paths[address]?.roundTrip,
        best.map({ roundTrip < $0.roundTrip }) ?? true
      else { continue }
      best = (address, roundTrip)
    }
    return best?.address ?? random.sample(addresses, 1).first
  }

  private func hasVisits(_ slot: Int, _ room: RoomID) -> Bool {
    state.logs[slot].visits.values.contains { $0[room].map { !$0.isTombstone } ?? false }
  }

  /// A room was asked for, and the answer is late: somebody else is asked.
  mutating func retryFetch(_ room: RoomID) {
    guard let fetch = fetches[room] else { return }
    guard fetch.deadline <= now else { return timers.set(.fetch(room), at: fetch.deadline) }
    fetches[room] = nil
    guard fetch.tries < SyncLimits.fetchTries else { return }
    let interests = interests()
    let others = pathOf.sorted { $0.key < $1.key }.filter { path in
      path.value != fetch.address
        && state.slot(of: path.key).flatMap { interests[$0] }?.contains(room) ?? true
    }
    let address = random.sample(others.map(\.value), 1).first ?? fetch.address
    guard paths[address] != nil else { return }
    self.fetch(room, from: address, tries: fetch.tries + 1)
  }

  /// True while a peer tells all of a room.
  func isFetching(_ room: RoomID, from address: PeerAddress) -> Bool {
    !fetches.isEmpty && fetches[room]?.address == address
  }

  /// Tells all that is held of a room: the batches, as many as go at once, then the list.
  mutating func answerFetch(_ room: RoomID, nonce: UInt64, to address: PeerAddress) {
    counters.count(.fetchesAnswered)
    var entries: [DigestEntry] = []
    var bytes = 0
    let most = min(SyncLimits.fetchBytes, answerBytes)
    for slot in state.residents(of: room) {
      guard let entry = state.digestEntry(slot: slot, room: room) else { continue }
      entries.append(entry)
      guard bytes < most else { continue }
      let answer = stores[slot][room].answer(after: 0, bytes: most - bytes)
      for batch in answer.batches {
        bytes += batch.envelope.bytes.count
        send(.batch(batch.envelope), to: address, isAnswer: true)
      }
    }
    entries.sort { $0.shelf < $1.shelf }
    let mask = entries.reduce(UInt32(0)) { $0 | 1 << UInt32(Digest.bucket(of: $1.shelf)) }
    send(
      pages(of: entries, mask: mask, nonce: nonce, wantsAnswer: false, atMost: .max), to: address)
  }

  /// The list that ends an answer: what is missing of it is pulled from now on.
  mutating func endFetch(_ entries: Entries, from address: PeerAddress) {
    guard !fetches.isEmpty, !entries.hasMore else { return }
    for (room, fetch) in fetches where fetch.nonce == entries.nonce && fetch.address == address {
      fetches[room] = nil
    }
  }

  // MARK: Visits

  /// Takes in who follows what. Once somebody is seen who does not follow all rooms, this node says
  /// where its sessions are, and goes on doing so.
  mutating func noteInterests() {
    let interests = interests()
    guard !tellsVisits, interests.keys.contains(where: { $0 != ownSlot && isVisible($0) }) else {
      return
    }
    tellsVisits = true
    for (session, host) in hosted.sorted(by: { $0.key < $1.key }) {
      for room in host.places.keys.sorted() { writeVisit(session, room, host) }
    }
  }

  /// Says that a session is in a room, if that is not clear to all from what it says there.
  mutating func writeVisit(_ session: SessionID, _ room: RoomName, _ host: HostedSession) {
    guard tellsVisits, !room.isLobby, let place = host.places[room] else { return }
    write(
      Record(
        session: session, lane: .visit, room: room, counter: place.presence.enteredCounter,
        value: .visit))
  }

  mutating func buryVisit(_ session: SessionID, _ room: RoomName, counter: UInt64) {
    guard tellsVisits, !room.isLobby else { return }
    write(Record(session: session, lane: .visit, room: room, counter: counter, value: nil))
  }

  /// Sees to it that what sessions are about to say in these rooms has shelves to stand on.
  ///
  /// Shelves on which nothing lives go with their generation alone, so that their versions are not
  /// used twice: a node that has too many begins another one.
  mutating func makeShelves(for rooms: some Sequence<RoomName>) throws(OperationError) {
    let log = state.logs[ownSlot]
    // What is pending may need as many again.
    let known = log.rooms.count + pending.records.count
    let isNew = rooms.contains { !$0.isLobby && log.rooms.row(of: state.room($0)) == nil }
    guard isNew, known + Limits.roomsPerSession >= Limits.shelvesPerOrigin else { return }
    let live = Set(hosted.values.lazy.flatMap { $0.places.keys }).count
    guard 2 * live < Limits.shelvesPerOrigin else {
      throw .tooManyShelves(limit: Limits.shelvesPerOrigin)
    }
    raiseGeneration(above: generation)
  }
}

import MeshCRDT
import MeshWire

// Who is told what: the one place that chooses receivers.
//
// While the members are few, each tells all others. When they are many, each tells its neighbours in
// the overlay, who send on what was news to them. Records and cursors go over all edges: what is lost
// on one comes over another. Heads, of which there is an endless stream, wait a little for company,
// and go over a tree for each origin: an edge over which a head came that was known is pruned for
// its origin, until somebody misses heads and asks for them.

extension Engine {
  /// True while the members are too many to tell each of them.
  var isLarge: Bool { overlay.count > configuration.directPeers + 1 }

  /// The addresses of all peers, one for each, in the order of their ids.
  mutating func receivers() -> [PeerAddress] {
    if let sortedReceivers { return sortedReceivers }
    let receivers = pathOf.sorted { $0.key < $1.key }.map(\.value)
    sortedReceivers = receivers
    return receivers
  }

  /// The paths to the neighbours in the overlay; where there is none, to the next member on the ring.
  mutating func neighbours() -> [PeerAddress] {
    if let knownNeighbours { return knownNeighbours }
    let paths = pathOf
    var found = overlay.neighbours(of: origin, depth: 16) { paths[$0] != nil }
      .compactMap { paths[$0] }
    if found.count < 2 * configuration.rings {
      // Just come: whoever is known will do.
      for address in receivers() where !found.contains(address) {
        found.append(address)
        if found.count == 2 * configuration.rings { break }
      }
    }
    knownNeighbours = found
    return found
  }

  /// Tells something of this node: to everybody while they are few, else to those who send it on.
  mutating func disseminate(_ message: Message) {
    let encoded = message.encoded()
    for address in isLarge ? neighbours() : receivers() {
      outbox.append(encoded, to: address, now: now)
    }
  }

  /// Sends on what was news here, while the mesh is too big for its origin to tell everybody.
  mutating func forward(_ message: Message, from sender: PeerAddress) {
    guard isLarge else { return }
    let encoded = message.encoded()
    for address in neighbours() where address != sender {
      outbox.append(encoded, to: address, now: now)
    }
  }

  // MARK: Heads of others

  /// Sends on a head that was news, in a moment, with others.
  mutating func forwardHead(_ slot: Int, isNewLife: Bool, from sender: PeerAddress) {
    guard isLarge, let origin = state.origins[slot] else { return }
    // Who was pruned tells a head only when asked, and so does who is no neighbour any more: that is no
    // way for the next.
    if !liveness[slot].cut.contains(sender), neighbours().contains(sender) {
      liveness[slot].parent = sender
    }
    if isNewLife {
      for address in neighbours()
      where address != sender && !liveness[slot].pruned.contains(address) {
        introduce(origin, to: address)
      }
    }
    guard !liveness[slot].isWaiting else { return }
    liveness[slot].isWaiting = true
    waitingHeads.append(slot)
    if waitingHeads.count == 1 {
      timers.set(.flushHeads, at: now + headPeriod.scaled(1, over: 20))
    }
  }

  /// Tells the heads that waited, each with its age now.
  mutating func flushHeads() {
    let waiting = waitingHeads
    waitingHeads = []
    for slot in waiting {
      // It may have been forgotten, and its place taken.
      let wasWaiting = liveness[slot].isWaiting
      liveness[slot].isWaiting = false
      guard wasWaiting, let head = liveness[slot].head, state.origins[slot] == head.origin else {
        continue
      }
      let message = Message.head(ageMilliseconds: age(slot), head).encoded()
      for address in neighbours()
      where address != liveness[slot].parent && !liveness[slot].pruned.contains(address) {
        outbox.append(message, to: address, now: now)
      }
    }
  }

  /// A head that was known came by another way than the first: that way is not needed.
  mutating func pruneHeads(of slot: Int, from sender: PeerAddress) {
    guard isLarge, let origin = state.origins[slot], let parent = liveness[slot].parent,
      parent != sender, neighbours().contains(parent)
    else { return }
    // Where heads get lost, one way is not enough.
    if let doubtedAt = liveness[slot].doubtedAt,
      now < doubtedAt + liveness[slot].period.scaled(Self.doubtHalfPeriods, over: 2)
    {
      return
    }
    liveness[slot].cut.removeAll { $0 == sender }
    if liveness[slot].cut.count >= Self.prunedBound { liveness[slot].cut.removeFirst() }
    liveness[slot].cut.append(sender)
    paths[sender]?.isCut = true
    send(.prune([origin]), to: sender)
  }

  /// For how long after it was missed an origin's heads may come by several ways, in halves of its
  /// period.
  private static let doubtHalfPeriods: UInt64 = 16

  /// A neighbour gets the heads of these origins by another way.
  mutating func hearPrune(_ origins: [OriginID], from address: PeerAddress) {
    for origin in origins {
      guard let slot = state.slot(of: origin), !liveness[slot].pruned.contains(address) else {
        continue
      }
      // Of those who pruned, the neighbours of today count.
      if liveness[slot].pruned.count >= Self.prunedBound { liveness[slot].pruned.removeFirst() }
      liveness[slot].pruned.append(address)
      paths[address]?.isCut = true
    }
  }

  /// How many addresses that pruned are kept for each origin.
  private static let prunedBound = 16

  /// All neighbours get the heads of an origin again, until they prune it.
  mutating func forgetPrunes(of slot: Int) {
    guard !PlantedBug.isActive(.prunedNeverGrafted) else { return }
    liveness[slot].pruned = []
    liveness[slot].cut = []
    liveness[slot].parent = nil
  }

  /// Somebody misses heads of an origin: it gets them from here again.
  mutating func graftHeads(of slot: Int, to address: PeerAddress) {
    guard !PlantedBug.isActive(.prunedNeverGrafted) else { return }
    liveness[slot].pruned.removeAll { $0 == address }
  }

  // MARK: The overlay

  /// How long it is from one head of this node to the next: the same at all nodes that see as many
  /// members, so that the heads of all fit into each node's budget.
  package var headPeriod: Span {
    guard isLarge else { return configuration.headPeriod }
    let members = UInt64(overlay.count)
    let budget = min(configuration.headBudget, 700 + 15 * members)
    return max(configuration.headPeriod, .milliseconds(members * Self.headBytes * 1000 / budget))
  }

  /// What a head costs when it is sent on, its share of a datagram counted.
  private static let headBytes: UInt64 = 150

  /// An origin appears or is hidden.
  mutating func noteMember(_ origin: OriginID, isVisible: Bool) {
    if isVisible { overlay.insert(origin) } else { overlay.remove(origin) }
    seekNeighbours()
  }

  /// Tries to reach the neighbours that there is no path to.
  mutating func seekNeighbours() {
    guard isLarge else { return }
    seek(overlay.neighbours(of: origin))
  }

  /// Tries to reach the neighbours on the ring of some room that is followed here, where not all follow
  /// all: who says nothing in a room himself does not look for them otherwise, and they may know
  /// nothing of where he is now.
  mutating func seekFollowers() {
    guard isLarge, !interests().isEmpty else { return }
    let rooms = followedIDs ?? Set(roomNames.keys)
    for room in random.sample(rooms.filter { !$0.isLobby }.sorted(), 1) {
      seek(route(in: room).neighbours)
    }
  }

  /// True when enough of the neighbours are reached, so that other addresses are not urgent.
  mutating func isConnected() -> Bool { isLarge && neighbours().count >= 2 * configuration.rings }

  /// True when a path is worth being kept up.
  func isWanted(_ origin: OriginID) -> Bool {
    !isLarge || overlay.neighbours(of: self.origin).contains(origin)
      || frameRoutes.values.contains { $0.neighbours.contains(origin) }
  }
}

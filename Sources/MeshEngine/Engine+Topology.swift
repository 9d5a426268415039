import MeshCRDT
import MeshWire

// Whom things go to, and what is sent on.

extension Engine {
  /// Tells the router of the paths as they are now.
  private mutating func updateRoutes() {
    router.setPeers(paths.table.best, revision: paths.table.revision)
  }

  /// Whom something of this node goes to; of a room, to those who subscribe to it.
  mutating func receivers(in room: RoomName? = nil) -> [PeerAddress] {
    updateRoutes()
    guard let room, !room.isLobby, subscriptions.arePartial else { return router.addresses() }
    return router.addresses(in: room) { [subscriptions] in subscriptions.subscribes($0, to: room) }
  }

  /// Sends on what was news here, while the mesh is too large for its origin to reach everybody.
  mutating func forward(
    _ message: @autoclosure () -> OutgoingMessage, _ counter: Counters.Name,
    in room: RoomName? = nil, from sender: PeerAddress
  ) {
    guard router.isLarge, !PlantedBug.isActive(.notForwarded) else { return }
    let message = message()
    for address in receivers(in: room) where address != sender {
      context.counters.count(counter)
      context.send(message, to: address)
    }
  }

  /// Sends on a checkpoint that was news, and of a new life where it is.
  mutating func forward(
    _ checkpoint: Authentic<Checkpoint>, isNewLife: Bool, except holders: Set<PeerAddress>
  ) {
    guard router.isLarge else { return }
    for address in receivers() where !holders.contains(address) {
      send(checkpoint, to: address)
      if isNewLife {
        paths.sendPeers([checkpoint.origin], andOthers: false, to: address, &context)
      }
    }
  }

  /// An origin is visible from now on, or no longer.
  mutating func noteMember(_ other: OriginID, isVisible: Bool) {
    router.setMember(other, isVisible: isVisible)
    members.isLarge = router.isLarge
    if isVisible { seekNeighbours() }
  }

  // MARK: Beats

  /// A beat was news, or is this node's own: it goes on in a moment, with others.
  mutating func add(beatOf other: OriginID, from sender: PeerAddress?) {
    updateRoutes()
    guard router.add(beatOf: other, from: sender, now: context.now) else { return }
    context.setTimer(
      .beats, after: beats.schedule.period.scaled(1, over: EngineLimits.beatWaitsPerPeriod))
  }

  mutating func noteKnown(beatOf other: OriginID, from sender: PeerAddress) {
    updateRoutes()
    router.noteKnown(beatOf: other, from: sender, now: context.now)
  }

  /// Sends the beats that waited, and says which ones are not needed.
  mutating func flushBeats() {
    updateRoutes()
    for departure in router.flush() {
      var newest: [Beat] = []
      for other in departure.beats {
        if let beat = newestBeat(of: other) { newest.append(beat) }
      }
      for first in stride(from: 0, to: newest.count, by: Beat.bound) {
        let part = Array(newest[first..<min(first + Beat.bound, newest.count)])
        context.counters.count(.beatsSent, part.count)
        context.send(.beats(part), to: departure.address)
      }
      for first in stride(from: 0, to: departure.prunes.count, by: MeshMessage.pruneBound) {
        let last = min(first + MeshMessage.pruneBound, departure.prunes.count)
        context.counters.count(.prunesSent, last - first)
        context.send(.control(.prune(Array(departure.prunes[first..<last]))), to: departure.address)
      }
    }
  }

  mutating func receivePrune(_ origins: [OriginID], from address: PeerAddress) {
    context.counters.count(.prunesReceived, origins.count)
    for other in origins { router.prune(other, to: address) }
  }

  /// Whom to ask for a newer sign of life of an origin.
  mutating func sources(ofMissed other: OriginID) -> [PeerAddress] {
    updateRoutes()
    let own = paths.table.bestAddress(of: other)
    guard router.isLarge else {
      let others = paths.table.best.filter { $0.origin != other }.map(\.address)
      return (own.map { [$0] } ?? []) + context.random.sample(others, 3)
    }
    let period = members.clock(of: other)?.period ?? beats.schedule.period
    let sources = router.sources(
      ofMissed: other, period: period, now: context.now, &context.random)
    // Whoever stands on no ring any more, as it is hidden, is asked as well: all may have pruned its beats.
    guard let own, !sources.contains(own) else { return sources }
    return [own] + sources
  }

  // MARK: Paths

  /// Which paths this node needs.
  mutating func demand() -> PathDemand {
    updateRoutes()
    guard router.isLarge else { return .all }
    return PathDemand(
      wanted: router.wanted(), enough: router.neighbourCount, isMet: router.isConnected(),
      meshSize: router.memberCount)
  }

  /// Tries to reach the neighbours that there is no path to, and asks for an address that is not known.
  mutating func seekNeighbours() {
    guard router.isLarge else { return }
    updateRoutes()
    for other in router.missing() { paths.contact(other, &context) }
  }

  /// Asks somebody where the neighbours are of whom no address is known.
  private mutating func askForNeighbours() {
    guard router.isLarge else { return }
    let unknown = router.missing().filter { paths.book.addresses(of: $0).isEmpty }
    for other in context.random.sample(unknown, EngineLimits.addressesAskedFor) {
      if let address = context.random.sample(receivers(), 1).first {
        probe(other, at: [address], anything: true)
      }
    }
  }

  /// Tells a node on a new path where others are: first those that will stand beside it.
  mutating func introduce(to address: PeerAddress) {
    let origin = paths.table.origin(at: address)
    let beside = router.isLarge ? origin.map { router.beside($0) } ?? [] : []
    paths.sendPeers(beside, andOthers: true, to: address, &context)
  }

  /// Somebody to compare with. In a large mesh mostly a neighbour; now and then anybody, so that parts of the
  /// mesh that lost each other meet again.
  mutating func chooseForComparison() -> PeerAddress? {
    let peers = paths.table.best.map(\.address)
    guard router.isLarge else { return context.random.sample(peers, 1).first }
    // Who hosts nobody in a room finds those beside it on the room's rings here.
    let rooms = hosting.subscription.rooms?.sorted() ?? []
    if let room = context.random.sample(rooms, 1).first { _ = receivers(in: room) }
    seekNeighbours()
    askForNeighbours()
    switch context.random.below(16) {
    case 0..<12: return context.random.sample(receivers(), 1).first
    case 12..<15: return context.random.sample(peers, 1).first
    default:
      // The first words on a new path are a comparison.
      if let other = context.random.sample(paths.book.origins, 1).first {
        paths.contact(other, &context)
      }
      return nil
    }
  }
}

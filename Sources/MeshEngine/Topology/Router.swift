import MeshCRDT

/// Whom this node sends what: the one owner of routes.
///
/// While the members are few, a node sends to each of its peers itself, and nobody sends on. In a *large* mesh
/// it sends to its neighbours: on each ring those before and behind it, of all members, or of those who
/// subscribe to a room. They send on what was news to them. Where there is no path to a neighbour, the next
/// member on the ring takes its place.
///
/// Routes are found when they are asked for, and kept until a member, a path or a subscription changes.
/// Bounds: the members, ``rooms`` routes of rooms, and the trees of beats.
struct Router: Sendable {
  /// A node with a path.
  typealias Peer = (origin: OriginID, address: PeerAddress)

  /// Routes of rooms that are kept.
  static let rooms = 1024
  /// Members on a ring that are tried as a neighbour, in each direction.
  static let depth = 16

  /// Whom something goes to.
  private struct Route: Sendable {
    var addresses: [PeerAddress] = []
    /// Whom it should go to: those beside this node.
    var beside: [OriginID] = []
  }

  private let origin: OriginID
  private let directPeers: Int
  private var overlay: Overlay
  /// The best path to each node, by origin.
  private var peers: [Peer] = []
  private var revision: UInt64 = 0
  /// `nil`: something has changed since it was found.
  private var route: Route?
  private var roomRoutes: [RoomName: Route] = [:]
  private(set) var trees = BeatTrees()

  init(origin: OriginID, directPeers: Int, rings: Int, hashKey: HashKey) {
    self.origin = origin
    self.directPeers = directPeers
    overlay = Overlay(rings: rings, hashKey: hashKey)
    _ = overlay.insert(origin)
  }

  /// True when the members are too many to send to each of them.
  var isLarge: Bool { overlay.count > directPeers + 1 }

  /// The visible members, this node among them.
  var memberCount: Int { overlay.count }

  /// The neighbours that a node has, where it has paths to all.
  var neighbourCount: Int { 2 * overlay.ringCount }

  // MARK: Inputs

  /// A member appeared, or is not visible any more.
  mutating func setMember(_ member: OriginID, isVisible: Bool) {
    guard member != origin else { return }
    if isVisible ? overlay.insert(member) : overlay.remove(member) { forgetRoutes() }
    if !isVisible { trees.remove(member) }
  }

  /// Takes the paths of now, in the order of the origins.
  ///
  /// - Parameter revision: another one whenever the paths are others.
  mutating func setPeers(_ peers: [Peer], revision: UInt64) {
    guard revision != self.revision else { return }
    self.peers = peers
    self.revision = revision
    forgetRoutes()
  }

  /// Somebody subscribes to other rooms.
  mutating func noteSubscriptions() { roomRoutes = [:] }

  private mutating func forgetRoutes() {
    route = nil
    roomRoutes = [:]
  }

  // MARK: Routes

  /// Whom something of this node goes to, and what was news here goes on to in a large mesh.
  ///
  /// - Parameters:
  ///   - room: `nil`: it goes to all.
  ///   - subscribes: true for those who subscribe to the room; `nil`: all do.
  mutating func addresses(
    in room: RoomName? = nil, subscribes: ((OriginID) -> Bool)? = nil
  ) -> [PeerAddress] {
    guard let room, let subscribes else { return currentRoute().addresses }
    if let known = roomRoutes[room] { return known.addresses }
    if roomRoutes.count >= Self.rooms { roomRoutes = [:] }
    let route = findRoute(where: subscribes)
    roomRoutes[room] = route
    return route.addresses
  }

  /// The nodes that this one needs a path to; `nil`: all.
  mutating func wanted() -> Set<OriginID>? {
    guard isLarge else { return nil }
    var wanted = Set(currentRoute().beside)
    for route in roomRoutes.values { wanted.formUnion(route.beside) }
    return wanted
  }

  /// Those of the wanted ones that there is no path to.
  mutating func missing() -> [OriginID] {
    (wanted() ?? []).filter { address(of: $0) == nil }.sorted()
  }

  /// True when this node needs no more paths than it has.
  mutating func isConnected() -> Bool {
    isLarge && currentRoute().addresses.count >= neighbourCount
  }

  /// The members that stand beside a node, or would if it were one: whom it wants to know.
  func beside(_ other: OriginID) -> [OriginID] {
    var result: [OriginID] = []
    walk(from: other) { member, _ in
      guard member != origin else { return true }
      if !result.contains(member) { result.append(member) }
      return false
    }
    return result
  }

  private mutating func currentRoute() -> Route {
    if let route { return route }
    let route = findRoute(where: nil)
    self.route = route
    trees.setNeighbours(isLarge ? route.addresses : [])
    return route
  }

  private func findRoute(where subscribes: ((OriginID) -> Bool)?) -> Route {
    let others = peers.lazy.filter { subscribes?($0.origin) ?? true }.map(\.address)
    var route = Route()
    guard isLarge else {
      route.addresses = Array(others)
      return route
    }
    walk(from: origin, depth: Self.depth, where: subscribes) { member, isFirst in
      if isFirst, !route.beside.contains(member) { route.beside.append(member) }
      guard let address = address(of: member) else { return true }
      if !route.addresses.contains(address) { route.addresses.append(address) }
      return false
    }
    // A node that has just come sends to whom it knows.
    for address in others where route.addresses.count < neighbourCount {
      if !route.addresses.contains(address) { route.addresses.append(address) }
    }
    return route
  }

  /// Goes along all rings in both directions, at most so many members each, until the visitor returns
  /// false.
  private func walk(
    from start: OriginID, depth: Int = 2, where isUsed: ((OriginID) -> Bool)? = nil,
    _ isToGoOn: (_ member: OriginID, _ isFirst: Bool) -> Bool
  ) {
    for ring in 0..<overlay.ringCount {
      for backwards in [true, false] {
        var count = 0
        overlay.visit(from: start, on: ring, backwards: backwards) { member in
          guard isUsed?(member) ?? true else { return true }
          count += 1
          return isToGoOn(member, count == 1) && count < depth
        }
      }
    }
  }

  /// The address of the best path to a node.
  private func address(of other: OriginID) -> PeerAddress? {
    var (low, high) = (0, peers.count)
    while low < high {
      let middle = (low + high) / 2
      if peers[middle].origin < other { low = middle + 1 } else { high = middle }
    }
    return low < peers.count && peers[low].origin == other ? peers[low].address : nil
  }
}

// MARK: - Beats

extension Router {
  /// A beat was news, or is this node's own, with no address. Returns true when it is the first that waits to be
  /// sent on.
  mutating func add(
    beatOf other: OriginID, from address: PeerAddress?, now: MonotonicTime
  ) -> Bool {
    guard isLarge else { return false }
    _ = currentRoute()
    return trees.add(other, from: address, now: now)
  }

  /// A beat came that was known.
  mutating func noteKnown(beatOf other: OriginID, from address: PeerAddress, now: MonotonicTime) {
    guard isLarge else { return }
    _ = currentRoute()
    trees.noteKnown(other, from: address, now: now)
  }

  /// A peer need not be sent beats of an origin.
  mutating func prune(_ other: OriginID, to address: PeerAddress) {
    trees.prune(other, to: address)
  }

  /// A peer misses beats of an origin.
  mutating func graft(_ other: OriginID, to address: PeerAddress) {
    trees.graft(other, to: address)
  }

  /// Beats of an origin are missed. Returns whom to ask: whom they came from, and others.
  ///
  /// - Parameter period: the time between beats of the origin.
  mutating func sources(
    ofMissed other: OriginID, period: Span, now: MonotonicTime, _ random: inout RandomSource
  ) -> [PeerAddress] {
    let neighbours = currentRoute().addresses
    let parent = trees.parent(of: other)
    let asked =
      [parent].compactMap(\.self)
      + random.sample(neighbours.filter { $0 != parent }, parent == nil ? 2 : 1)
    trees.noteMissed(
      other, asked: asked, until: now + period.scaled(BeatTrees.cautiousPeriods, over: 1))
    return asked
  }

  /// Takes what waited to be sent on.
  mutating func flush() -> [BeatTrees.Departure] {
    _ = currentRoute()
    return trees.flush()
  }
}

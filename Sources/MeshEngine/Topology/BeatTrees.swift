import MeshCRDT

/// The trees over which the beats of others go in a large mesh, one for each origin.
///
/// A beat that was news goes to all neighbours but the one that it came from, in a moment, with others. An
/// edge over which a known beat came is *pruned* for its origin: what is left is a tree. Whoever misses
/// beats probes, and that *grafts* the edge again. An origin whose beats were missed lately keeps several
/// edges, because one is not enough where datagrams get lost.
///
/// Bounds: 24 bytes for each origin that is visible, and ``neighbourBound`` neighbours.
struct BeatTrees: Sendable {
  /// Neighbours beyond it get no beats.
  static let neighbourBound = 32
  /// Periods after a miss in which nothing is pruned.
  static let cautiousPeriods: UInt64 = 8

  private struct Branch: Sendable {
    /// Where its beats come from: a neighbour's place.
    var parent: Int8?
    /// The neighbours that get its beats another way, by their bits.
    var pruned: UInt32 = 0
    /// The neighbours that were told so by this node. They send a beat only when asked.
    var cut: UInt32 = 0
    /// Until when nothing is pruned, since beats were missed.
    var cautiousUntil = MonotonicTime(nanoseconds: 0)
    /// True when its newest beat is to be sent on.
    var isWaiting = false

    func takesBeats(at place: Int) -> Bool {
      parent.map { Int($0) != place } ?? true && pruned & 1 << UInt32(place) == 0
    }

    mutating func forget(_ bits: UInt32) {
      pruned &= ~bits
      cut &= ~bits
      if let place = parent, bits & 1 << UInt32(place) != 0 { parent = nil }
    }
  }

  /// The neighbours by place. A place is free when its neighbour is none any more.
  private var places: [PeerAddress?] = []
  private var branches: [OriginID: Branch] = [:]
  private var waiting: [OriginID] = []
  private var prunes: [PeerAddress: [OriginID]] = [:]

  /// The number of origins of which anything is noted.
  var count: Int { branches.count }

  /// The neighbour that an origin's beats come from.
  func parent(of origin: OriginID) -> PeerAddress? {
    branches[origin]?.parent.flatMap { places[Int($0)] }
  }

  /// The neighbours that an origin's beats are sent on to.
  func children(of origin: OriginID) -> [PeerAddress] {
    let branch = branches[origin] ?? Branch()
    return places.indices.compactMap { branch.takesBeats(at: $0) ? places[$0] : nil }
  }

  private func place(of address: PeerAddress) -> Int? { places.firstIndex(of: address) }

  // MARK: Neighbours and origins

  /// Takes the neighbours of now. One that is none any more is no parent, and nothing is remembered of it.
  /// Cost: the origins, when one goes.
  mutating func setNeighbours(_ addresses: [PeerAddress]) {
    let addresses = addresses.prefix(Self.neighbourBound)
    var gone: UInt32 = 0
    for (place, address) in places.enumerated() {
      guard let address, !addresses.contains(address) else { continue }
      places[place] = nil
      gone |= 1 << UInt32(place)
    }
    if gone != 0 {
      for index in branches.values.indices { branches.values[index].forget(gone) }
    }
    for address in addresses where place(of: address) == nil {
      if let free = places.firstIndex(of: nil) {
        places[free] = address
      } else {
        places.append(address)
      }
    }
  }

  /// Forgets the tree of an origin that is not visible any more.
  mutating func remove(_ origin: OriginID) {
    guard let branch = branches.removeValue(forKey: origin), branch.isWaiting else { return }
    waiting.removeAll { $0 == origin }
  }

  // MARK: Beats

  /// A beat was news, or is this node's own: it is to be sent on. Returns true when it is the first that
  /// waits.
  mutating func add(
    _ origin: OriginID, from address: PeerAddress?, now: MonotonicTime
  ) -> Bool {
    var branch = branches[origin] ?? Branch()
    if let address {
      if let place = place(of: address) {
        // Who was told that it is not needed sends a beat when asked only: that is no way for the next.
        if branch.cut & 1 << UInt32(place) == 0 { branch.parent = Int8(place) }
      } else if branch.parent != nil, branch.cautiousUntil <= now {
        // Who is no neighbour may stop at any time.
        addPrune(origin, to: address)
      }
    }
    let isFirst = !branch.isWaiting && waiting.isEmpty
    if !branch.isWaiting { waiting.append(origin) }
    branch.isWaiting = true
    branches[origin] = branch
    return isFirst
  }

  private mutating func addPrune(_ origin: OriginID, to address: PeerAddress) {
    if prunes[address]?.contains(origin) != true { prunes[address, default: []].append(origin) }
  }

  /// A known beat came: the edge is not needed, if beats come over another one.
  mutating func noteKnown(_ origin: OriginID, from address: PeerAddress, now: MonotonicTime) {
    guard var branch = branches[origin] else { return }
    let place = place(of: address)
    guard let parent = branch.parent else {
      branch.parent = place.map { Int8($0) }
      branches[origin] = branch
      return
    }
    guard place != Int(parent), branch.cautiousUntil <= now else { return }
    if let place { branch.cut |= 1 << UInt32(place) }
    branches[origin] = branch
    addPrune(origin, to: address)
  }

  /// A neighbour gets the beats of an origin another way.
  mutating func prune(_ origin: OriginID, to address: PeerAddress) {
    guard let place = place(of: address) else { return }
    branches[origin]?.pruned |= 1 << UInt32(place)
  }

  /// A node misses beats of an origin: it gets them from here again, if it is a neighbour.
  mutating func graft(_ origin: OriginID, to address: PeerAddress) {
    guard !PlantedBug.isActive(.prunedNeverGrafted), let place = place(of: address) else { return }
    branches[origin]?.pruned &= ~(1 << UInt32(place))
    if branches[origin]?.parent == Int8(place) { branches[origin]?.parent = nil }
  }

  /// Beats of an origin are missed: the nodes that are asked for them give them from now on. Its parent gave
  /// none, and is none until it does.
  mutating func noteMissed(_ origin: OriginID, asked: [PeerAddress], until: MonotonicTime) {
    for place in asked.compactMap({ place(of: $0) }) {
      branches[origin]?.cut &= ~(1 << UInt32(place))
    }
    branches[origin]?.cautiousUntil = until
    branches[origin]?.parent = nil
  }

  /// What one node is to be sent.
  struct Departure: Sendable {
    let address: PeerAddress
    /// The origins whose newest beats it gets.
    var beats: [OriginID] = []
    /// The origins whose beats it need not send.
    var prunes: [OriginID] = []
  }

  /// Takes what waited.
  mutating func flush() -> [Departure] {
    var departures: [Departure] = places.compactMap { $0.map { Departure(address: $0) } }
    for origin in waiting {
      branches[origin]?.isWaiting = false
      guard let branch = branches[origin] else { continue }
      var index = 0
      for place in places.indices where places[place] != nil {
        if branch.takesBeats(at: place) { departures[index].beats.append(origin) }
        index += 1
      }
    }
    for (address, origins) in prunes.sorted(by: { $0.key < $1.key }) {
      if let index = departures.firstIndex(where: { $0.address == address }) {
        departures[index].prunes = origins
      } else {
        departures.append(Departure(address: address, prunes: origins))
      }
    }
    waiting = []
    prunes = [:]
    return departures
  }
}

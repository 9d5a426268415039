import MeshCRDT

/// Who is told what by whom, when they are too many to be told directly.
///
/// All members stand on rings, on each in another order, which follows from a keyed hash of the ids:
/// so all nodes that know the same members have the same rings without a word about it. The two
/// neighbours of a node on each ring are its neighbours. A graph of a few random rings is nearly
/// always an expander: few hops lead everywhere, and no few nodes cut it in two.
///
/// Source: Law and Siu, *Distributed Construction of Random Expander Networks*, INFOCOM 2003.
struct Overlay: Sendable {
  private struct Place: Sendable {
    let key: UInt64
    let origin: OriginID

    func precedes(_ other: Place) -> Bool {
      key == other.key ? origin < other.origin : key < other.key
    }
  }

  private let hashKey: HashKey
  private var rings: [[Place]]

  init(rings: Int, hashKey: HashKey) {
    self.hashKey = hashKey
    self.rings = Array(repeating: [], count: rings)
  }

  /// The number of members.
  var count: Int { rings.first?.count ?? 0 }

  /// Adds a member. Cost: moves a part of each ring.
  mutating func insert(_ origin: OriginID) {
    for ring in rings.indices {
      let place = place(of: origin, on: ring)
      let index = index(of: place, on: ring)
      guard index == rings[ring].count || rings[ring][index].origin != origin else { return }
      rings[ring].insert(place, at: index)
    }
  }

  /// Removes a member. Cost: moves a part of each ring.
  mutating func remove(_ origin: OriginID) {
    for ring in rings.indices {
      let index = index(of: place(of: origin, on: ring), on: ring)
      guard index < rings[ring].count, rings[ring][index].origin == origin else { return }
      rings[ring].remove(at: index)
    }
  }

  /// The members beside one on each ring: each once, nearest first, at most `depth` each way.
  /// `isUsable` ends the search in a direction.
  func neighbours(
    of origin: OriginID, depth: Int = 1, where isUsable: (OriginID) -> Bool = { _ in true }
  ) -> [OriginID] {
    var result: [OriginID] = []
    for ring in rings.indices where rings[ring].count > 1 {
      let places = rings[ring]
      let own = index(of: place(of: origin, on: ring), on: ring)
      let isMember = own < places.count && places[own].origin == origin
      for step in [places.count - 1, 1] {
        var index = own
        if !isMember && step == 1 { index = (own + places.count - 1) % places.count }
        for _ in 0..<min(depth, places.count - 1) {
          index = (index + step) % places.count
          let other = places[index].origin
          guard other != origin else { break }
          if isUsable(other) {
            if !result.contains(other) { result.append(other) }
            break
          }
        }
      }
    }
    return result
  }

  private func place(of origin: OriginID, on ring: Int) -> Place {
    var hasher = SipHash(key: hashKey)
    hasher.combine(UInt64(ring))
    hasher.combine(origin.word0)
    hasher.combine(origin.word1)
    hasher.combine(origin.word2)
    hasher.combine(origin.word3)
    return Place(key: hasher.finalize(), origin: origin)
  }

  private func index(of place: Place, on ring: Int) -> Int {
    var low = 0
    var high = rings[ring].count
    while low < high {
      let middle = (low + high) / 2
      if rings[ring][middle].precedes(place) { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

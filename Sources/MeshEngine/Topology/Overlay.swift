import MeshCRDT

/// The order of all members on a few rings.
///
/// On each ring they stand in another order, which follows from a keyed hash of their ids: nodes that see
/// the same members have the same rings without a word about it. A graph of a few random rings is nearly
/// always an expander: few hops lead everywhere, and no few nodes cut it in two.
///
/// Source: Law and Siu, *Distributed Construction of Random Expander Networks*, INFOCOM 2003.
struct Overlay: Sendable {
  private struct Place: Comparable, Sendable {
    let key: UInt64
    let origin: OriginID

    static func < (left: Self, right: Self) -> Bool {
      left.key == right.key ? left.origin < right.origin : left.key < right.key
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

  var ringCount: Int { rings.count }

  /// Adds a member. Returns false when it is there. Cost: moves a part of each ring.
  mutating func insert(_ origin: OriginID) -> Bool {
    var isNew = false
    for ring in rings.indices {
      let place = place(of: origin, on: ring)
      let index = index(of: place, on: ring)
      guard index == rings[ring].count || rings[ring][index] != place else { continue }
      rings[ring].insert(place, at: index)
      isNew = true
    }
    return isNew
  }

  /// Removes a member. Returns false when there is none. Cost: moves a part of each ring.
  mutating func remove(_ origin: OriginID) -> Bool {
    var wasThere = false
    for ring in rings.indices {
      let place = place(of: origin, on: ring)
      let index = index(of: place, on: ring)
      guard index < rings[ring].count, rings[ring][index] == place else { continue }
      rings[ring].remove(at: index)
      wasThere = true
    }
    return wasThere
  }

  /// Visits the other members on a ring from a place on, nearest first, until the visitor returns false.
  ///
  /// - Parameter origin: whose place; it need not be a member.
  func visit(
    from origin: OriginID, on ring: Int, backwards: Bool, _ isToGoOn: (OriginID) -> Bool
  ) {
    let places = rings[ring]
    let own = index(of: place(of: origin, on: ring), on: ring)
    for step in 0..<places.count {
      let index =
        backwards
        ? (own + places.count - 1 - step) % places.count : (own + step) % places.count
      let other = places[index].origin
      guard other == origin || isToGoOn(other) else { return }
    }
  }

  private func place(of origin: OriginID, on ring: Int) -> Place {
    var hasher = SipHash(key: hashKey)
    hasher.combine(UInt8(truncatingIfNeeded: ring))
    for word in [origin.word0, origin.word1, origin.word2, origin.word3] {
      hasher.combine(word.byteSwapped)
    }
    return Place(key: hasher.finalize(), origin: origin)
  }

  /// The first index whose place is not before one.
  private func index(of place: Place, on ring: Int) -> Int {
    var (low, high) = (0, rings[ring].count)
    while low < high {
      let middle = (low + high) / 2
      if rings[ring][middle] < place { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

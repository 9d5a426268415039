/// The sums over the records of one origin that stand together on one shelf: the versions, what is
/// known completely, and what lives.
///
/// A shelf has versions of its own, so that somebody who is told of some rooms alone can still see
/// what is missing there, and verify what is held. Layout: 96 bytes.
package struct Shelf: Sendable {
  /// What is known completely.
  package internal(set) var cut: Cut = .empty
  /// The highest that the origin said of the shelf.
  package internal(set) var claim: Cut = .empty

  // Kept incrementally; functions of the records.
  /// The number of live records.
  package internal(set) var liveCount: UInt64 = 0
  /// The sum of the hashes of the live records, modulo 2^64.
  package internal(set) var liveHash: UInt64 = 0
  /// No record has a higher version than this. It may be above all of them.
  package internal(set) var highestVersion: UInt64 = 0
  /// The keys of the tombstones that wait for a cut.
  var tombstones: Set<RecordKey> = []
  /// The hash that stands for the shelf in the digest of the state; 0: none does.
  var summed: UInt64 = 0

  package init() {}

  /// True when everything the origin said it has is here.
  package var isSettled: Bool { cut == claim && highestVersion <= cut.version }

  /// What is held, whether or not it is complete: when it is, this equals the cut.
  package var held: Cut {
    Cut(version: max(highestVersion, cut.version), count: liveCount, hash: liveHash)
  }

  /// True when nothing was ever heard of it.
  var isUnheard: Bool { claim == .empty && cut == .empty && highestVersion == 0 }
}

/// Equal when all that peers can observe is equal, the records aside.
extension Shelf: Hashable {
  package static func == (left: Self, right: Self) -> Bool {
    left.cut == right.cut && left.claim == right.claim
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(cut)
    hasher.combine(claim)
  }
}

/// The rooms that a session was seen to enter, in the order of their ids: the lane `visit`.
package struct VisitEntry: Hashable, Sendable {
  package struct Visit: Hashable, Sendable {
    package let room: RoomID
    package let cell: Cell
  }

  package private(set) var visits: [Visit] = []

  package subscript(room: RoomID) -> Cell? {
    get { visits.first { $0.room == room }?.cell }
    set {
      let index = visits.firstIndex { $0.room >= room } ?? visits.count
      let isThere = index < visits.count && visits[index].room == room
      switch (isThere, newValue) {
      case (true, let cell?): visits[index] = Visit(room: room, cell: cell)
      case (true, nil): visits.remove(at: index)
      case (false, let cell?): visits.insert(Visit(room: room, cell: cell), at: index)
      case (false, nil): break
      }
    }
  }
}

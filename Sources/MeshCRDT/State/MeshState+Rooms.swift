// What is held room by room: for nodes that follow some rooms alone.

/// Which shelves two nodes both hold: those of the lobby, those of the rooms that both follow, and of
/// the rooms that one of them follows the shelf of the other.
package struct Sharing: Sendable {
  /// A node that takes part: its slot, if it is known, and the rooms that it follows; `nil`: all.
  package struct Side: Sendable {
    package let slot: Int?
    package let rooms: Set<RoomID>?

    package init(slot: Int?, rooms: Set<RoomID>?) {
      self.slot = slot
      self.rooms = rooms
    }

    func covers(_ room: RoomID, of slot: Int) -> Bool {
      slot == self.slot || rooms?.contains(room) ?? true
    }
  }

  package let sides: (Side, Side)

  package init(_ first: Side, _ second: Side) { sides = (first, second) }

  /// True when both follow all rooms.
  package var isEverything: Bool { sides.0.rooms == nil && sides.1.rooms == nil }

  package func covers(_ room: RoomID, of slot: Int) -> Bool {
    room.isLobby || sides.0.covers(room, of: slot) && sides.1.covers(room, of: slot)
  }

  /// The rooms that both follow; `nil`: all.
  var commonRooms: Set<RoomID>? {
    guard let first = sides.0.rooms, let second = sides.1.rooms else {
      return sides.0.rooms ?? sides.1.rooms
    }
    return first.intersection(second)
  }
}

extension MeshState {
  /// The slots of the origins that have live records in a room, lowest first.
  package func residents(of room: RoomID) -> [Int] {
    residents[room]?.slots.map { Int($0) } ?? []
  }

  /// The rooms that an origin has live records in, in the order of their ids.
  package func liveRooms(slot: Int) -> [RoomID] {
    logs[slot].rooms.rows.filter { $0.value.summed != 0 }.map(\.key).sorted()
  }

  /// One hash of what is held of a room, the same on all nodes that follow it and converged.
  package func roomHash(_ room: RoomID) -> UInt64 {
    guard !room.isLobby else { return lobbyDigest.stateHash(key: hashKey) }
    var digest = Digest()
    add(room, to: &digest)
    return digest.stateHash(key: hashKey)
  }

  /// The summary of the shelves that two nodes share. Cost: constant when they share everything, else
  /// the origins in the rooms that they share.
  package func digest(of sharing: Sharing) -> Digest {
    guard let rooms = sharing.commonRooms else { return digest }
    var result = lobbyDigest
    for room in rooms where !room.isLobby { add(room, to: &result) }
    let own = Set([sharing.sides.0.slot, sharing.sides.1.slot].compactMap { $0 })
    for slot in own {
      guard let origin = origins[slot] else { continue }
      for row in logs[slot].rooms.rows
      where row.value.summed != 0 && !rooms.contains(row.key) && sharing.covers(row.key, of: slot) {
        result.replace(ShelfID(origin, row.key), old: 0, new: row.value.summed)
      }
    }
    return result
  }

  private func add(_ room: RoomID, to digest: inout Digest) {
    for slot in residents(of: room) {
      guard let origin = origins[slot] else { continue }
      digest.replace(ShelfID(origin, room), old: 0, new: logs[slot].shelf(room).summed)
    }
  }

  /// What is held of the shelves in some buckets that two nodes share, in rising order. Shelves of
  /// rooms on which nothing lives are left out, as they are in the digest. Cost: the shelves of all
  /// origins.
  package func digestEntries(mask: UInt32, sharing: Sharing) -> [DigestEntry] {
    let common = sharing.commonRooms?.sorted()
    var result: [DigestEntry] = []
    for slot in sortedSlots {
      guard let origin = origins[slot] else { continue }
      if mask & 1 << UInt32(Digest.bucket(of: ShelfID(origin, .lobby))) != 0,
        let entry = digestEntry(slot: slot, room: .lobby)
      {
        result.append(entry)
      }
      guard !logs[slot].rooms.isEmpty else { continue }
      let isSide = slot == sharing.sides.0.slot || slot == sharing.sides.1.slot
      let rooms: [RoomID]
      if let common, !isSide {
        rooms = common.filter { !$0.isLobby && logs[slot].shelf($0).summed != 0 }
      } else {
        rooms = liveRooms(slot: slot).filter { sharing.covers($0, of: slot) }
      }
      for room in rooms where mask & 1 << UInt32(Digest.bucket(of: ShelfID(origin, room))) != 0 {
        if let entry = digestEntry(slot: slot, room: room) { result.append(entry) }
      }
    }
    return result
  }
}

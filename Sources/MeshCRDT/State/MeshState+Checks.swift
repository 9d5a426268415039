// MARK: - Checks

extension MeshState {
  /// Compares everything that is kept incrementally with what it is made from; for tests and the
  /// simulator. Cost: the whole state.
  package func invariantViolation() -> String? {
    var digest = Digest()
    var lobbies = Digest()
    var residents: [RoomID: [Int]] = [:]
    var homes: [SessionID: [Int]] = [:]
    var removers: [RecordKey: [Int]] = [:]
    for slot in sortedSlots {
      guard let origin = origins[slot] else { return "a forgotten origin has a slot" }
      if let violation = logs[slot].invariantViolation() { return "\(origin.short): \(violation)" }
      for room in [.lobby] + logs[slot].rooms.keys {
        guard room.isLobby || logs[slot].shelf(room).liveCount > 0 else { continue }
        digest.replace(old: nil, new: digestEntry(slot: slot, room: room), key: hashKey)
        if room.isLobby {
          lobbies.replace(old: nil, new: digestEntry(slot: slot, room: room), key: hashKey)
        } else {
          residents[room, default: []].append(slot)
        }
      }
      for row in logs[slot].entries.rows where row.value.session?.isTombstone == false {
        homes[row.key, default: []].append(slot)
      }
      for (key, cell) in logs[slot].notices where key.lane == .removal && !cell.isTombstone {
        removers[key, default: []].append(slot)
      }
    }
    if digest != self.digest { return "the digest differs from the logs" }
    if lobbies != lobbyDigest { return "the digest of the lobby differs from the logs" }
    if residents.mapValues({ $0.sorted() })
      != self.residents.mapValues({ $0.slots.map { Int($0) } })
    {
      return "the index of rooms differs from the logs"
    }
    if homes.count != self.homes.count { return "the index of sessions differs from the logs" }
    for (session, slots) in homes where slots.sorted() != self.homes(of: session) {
      return "the homes of session \(session) differ from the logs"
    }
    if removers.mapValues({ $0.sorted() })
      != self.removers.mapValues({ $0.slots.map { Int($0) } })
    {
      return "the index of removals differs from the logs"
    }
    return nil
  }
}

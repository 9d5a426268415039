import MeshCRDT
import MeshEngine

extension World {
  /// Interest: who follows a room no more holds nothing of it and still knows who is there; who follows
  /// it again has all of it within a round trip.
  mutating func checkFollowing() {
    for _ in 0..<2 where failure == nil {
      let up = nodes.indices.filter { nodes[$0].engine != nil }
      let index = up[random.below(up.count)]
      guard let engine = nodes[index].engine,
        let room = rooms.first(where: { !living(in: $0, besidesNode: index).isEmpty })
      else { return }
      let all = Set(rooms)
      follow((engine.followedRooms ?? all).subtracting([room]), at: index)
      // All hosts have to be told, and to say where their sessions are.
      run(until: time + 2 * Self.second + 8 * weather.longestDelay)
      checkWhereabouts(room, at: index)
      follow((engine.followedRooms ?? all).union([room]), at: index)
      // Where little may be sent, the answer takes longer, and more so with many hosts.
      let narrow = (nodes.count > 17 ? 2 : 1) * Self.second
      let patience = peerRate == nil ? 20 * Self.millisecond : narrow
      let roundTrip = 2 * weather.longestDelay + patience
      run(until: time + roundTrip)
      guard let seen = nodes[index].engine else { return }
      for session in living(in: room, besidesNode: index) {
        let place = seen.session(session.id)?.place(in: room)
        let truth = nodes[session.node].engine?.session(session.id)?.place(in: room)
        guard place?.presence != truth?.presence else { continue }
        return fail(
          "interest: node \(index) follows \(room) anew, and does not know session \(session.id) "
            + "there \(roundTrip / Self.millisecond) ms later")
      }
    }
  }

  private mutating func checkWhereabouts(_ room: RoomName, at index: Int) {
    guard let engine = nodes[index].engine, failure == nil else { return }
    if let violation = engine.invariantViolation() { fail("I3: node \(index): \(violation)") }
    for session in living(in: room, besidesNode: index) {
      guard let snapshot = engine.session(session.id), snapshot.place(in: room) == nil,
        snapshot.visits.contains(room)
      else {
        return fail(
          "F13: node \(index) does not follow \(room), and is not told that session "
            + "\(session.id) is there")
      }
    }
  }

  private mutating func follow(_ rooms: Set<RoomName>, at index: Int) {
    nodes[index].disk.followed = rooms
    cursors.forget(node: index)
    drive(index) { engine, now in try? engine.perform(.follow(rooms), now: now) }
  }

  /// The sessions in a room that are beyond doubt, but for those of one node.
  private func living(in room: RoomName, besidesNode index: Int) -> [ClientSession] {
    sessions.filter { session in
      guard !session.isEnded, !session.isLost, !session.isContested, session.silentSince == nil,
        session.orderedOutBy == nil, session.node != index, session.places[room] != nil,
        let host = nodes[session.node].engine, let engine = nodes[index].engine
      else { return false }
      return host.session(session.id)?.host == host.origin && host.reaches(engine.origin)
    }
  }
}

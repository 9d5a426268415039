import MeshCRDT
import MeshEngine

extension World {
  // MARK: After the faults

  /// What is not yet as it must be; `nil`: any two live nodes hold the same of the lobby and of the
  /// rooms that both follow, and their views are the truth.
  func disagreement() -> String? {
    let up = nodes.indices.filter { nodes[$0].isUp }
    if let difference = differentStates(up) { return difference }
    let origins = Dictionary(
      uniqueKeysWithValues: up.compactMap { index in
        nodes[index].engine.map { ($0.origin, index) }
      })
    let hidden = Set(traitor?.origins ?? [])
    var views: [SeenWorld] = []
    for index in up {
      guard let engine = nodes[index].engine else { continue }
      let snapshot = engine.snapshot()
      if snapshot.isStale { return "node \(index) is stale" }
      let visible = snapshot.nodes.filter { $0.value == .online || $0.value == .suspect }
      if Set(visible.keys).subtracting(hidden) != Set(origins.keys) {
        let missing = origins.keys.filter { visible[$0] == nil }.min()
        let words = missing.map { ": \($0.short) is \(engine.describe($0))" } ?? ""
        return "node \(index) sees \(visible.count) of \(origins.count) nodes\(words)"
      }
      views.append(
        SeenWorld(
          node: index, origin: engine.origin, followed: engine.followedRooms,
          sessions: snapshot.sessions.filter { !hidden.contains($0.host) }))
    }
    for (offset, view) in views.enumerated() {
      for other in views[..<offset] {
        guard let (id, words) = other.difference(from: view) else { continue }
        return "nodes \(other.node) and \(view.node) see session \(id) differently: it \(words)"
      }
    }
    for view in views {
      if let words = untruth(view, origins: origins) { return "to node \(view.node), \(words)" }
    }
    return nil
  }

  /// Two nodes that do not hold the same of what both are to hold.
  private func differentStates(_ up: [Int]) -> String? {
    var engines = up.compactMap { index in nodes[index].engine.map { (index, $0) } }
    guard let first = engines.first else { return nil }
    if engines.allSatisfy({ $0.1.followedRooms == nil }) {
      // All hold everything.
      let other = engines.first { $0.1.stateHash != first.1.stateHash }
      return other.map { difference(first, $0) }
    }
    for right in engines.indices {
      for left in 0..<right {
        let hash = engines[left].1.sharedHash(with: engines[right].1.origin)
        let other = engines[right].1.sharedHash(with: engines[left].1.origin)
        if hash != other { return difference(engines[left], engines[right]) }
      }
    }
    return nil
  }

  private func difference(_ left: (Int, Engine), _ right: (Int, Engine)) -> String {
    var engines = (left.1, right.1)
    let mine = Set(engines.0.sharedEntries(with: engines.1.origin))
    let theirs = Set(engines.1.sharedEntries(with: engines.0.origin))
    let words = Set(mine.symmetricDifference(theirs).map(\.origin)).sorted().map {
      "\n    \($0.short) at node \(left.0): \(left.1.describe($0))"
        + "\n    \($0.short) at node \(right.0): \(right.1.describe($0))"
    }
    return "nodes \(left.0) and \(right.0) have different state hashes" + words.joined()
  }

  /// What a node sees and is not true, or is true and it does not see.
  private func untruth(_ view: SeenWorld, origins: [OriginID: Int]) -> String? {
    let seen = Dictionary(uniqueKeysWithValues: view.sessions.map { ($0.id, $0) })
    var expected = 0
    for (index, session) in sessions.enumerated() {
      let isGone =
        session.isEnded || session.isLost || session.silentSince != nil
        || session.orderedOutBy != nil
      guard let snapshot = seen[session.id] else {
        if isGone || session.isContested { continue }
        return "session \(index) is not seen"
      }
      expected += 1
      if session.isContested {
        guard let host = origins[snapshot.host],
          nodes[host].engine?.hostedSessions.contains(session.id) == true
        else { return "session \(index) is seen at a node that does not host it" }
        let hosts = origins.values.filter {
          nodes[$0].engine?.hostedSessions.contains(session.id) == true
        }
        if hosts.count > 1 { return "session \(index) is hosted by \(hosts.count) nodes" }
        continue
      }
      if isGone { return "session \(index) is seen, but it has ended" }
      if origins[snapshot.host] != session.node { return "session \(index) is seen elsewhere" }
      for (room, place) in session.places {
        guard view.knows(room, of: snapshot.host) else {
          if !snapshot.visits.contains(room) {
            return "session \(index) is not seen in \(room), which is not followed"
          }
          continue
        }
        guard let other = snapshot.place(in: room) else {
          return "session \(index) is not seen in \(room)"
        }
        if other.presence.status?.status != place.status || other.presence.message != place.message
        {
          return "the status of session \(index) in \(room) is not the last"
        }
        if other.cursor != place.cursor {
          return "the cursor of session \(index) in \(room) is not the last"
        }
      }
      let others = snapshot.rooms.count { session.places[$0] == nil }
      if others > 0 { return "session \(index) is seen in \(others) rooms that it left" }
    }
    return expected == view.sessions.count
      ? nil : "\(view.sessions.count - expected) sessions are seen that are not there"
  }
}

/// What one node sees.
private struct SeenWorld {
  let node: Int
  let origin: OriginID
  let followed: Set<RoomName>?
  let sessions: [SessionSnapshot]

  /// True when the node is told what sessions of a host say in a room.
  func knows(_ room: RoomName, of host: OriginID) -> Bool {
    host == origin || room.isLobby || followed?.contains(room) ?? true
  }

  /// The first session that two nodes see differently, and in what: in where it is, or in what it says
  /// in rooms of which both are told.
  func difference(from other: SeenWorld) -> (id: SessionID, words: String)? {
    if followed == nil && other.followed == nil && sessions == other.sessions { return nil }
    let mine = Dictionary(uniqueKeysWithValues: sessions.map { ($0.id, $0) })
    let theirs = Dictionary(uniqueKeysWithValues: other.sessions.map { ($0.id, $0) })
    for id in Set(mine.keys).union(theirs.keys).sorted() {
      let left = mine[id].map { common($0, with: other) }
      let right = theirs[id].map { common($0, with: other) }
      if left != right { return (id, ReplayedView.difference(left, right)) }
    }
    return nil
  }

  /// A session with what both nodes are told of it, and the names of the other rooms.
  private func common(_ session: SessionSnapshot, with other: SeenWorld) -> SessionSnapshot {
    let known = session.places.filter {
      knows($0.room, of: session.host) && other.knows($0.room, of: session.host)
    }
    let names = Set(known.map(\.room))
    return SessionSnapshot(
      id: session.id, host: session.host, value: session.value, places: known,
      visits: session.rooms.filter { !names.contains($0) })
  }
}

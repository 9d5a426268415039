import MeshCRDT
import MeshEngine
import MeshTrust
import MeshWire

extension World {
  // MARK: As it runs

  /// Takes in an event of a node.
  mutating func observe(_ event: MeshEvent, at index: Int) {
    watched?.note(event, at: index, time: time)
    if let wrong = nodes[index].replayed.apply(event) { fail("F4: node \(index): \(wrong)") }
    switch event {
    case .stale: nodes[index].freshAt = time
    case .cursor(let id, let room, let cursor): noteTold(cursor, of: id, in: room, at: index)
    case .node(let origin, .offline):
      if nodes[index].box?.engine.holds(origin) == false {
        fail("I5: node \(index) forgot \(origin.short) when hiding it")
      }
      checkPatience(origin, at: index)
    case .moved(let id, let host):
      note("node \(index) gave session \(id) up to \(host.short)")
      if let session = sessions.firstIndex(where: { $0.id == id }) {
        sessions[session].isContested = true
      }
    case .removed(let id, let room):
      guard let session = sessions.firstIndex(where: { $0.id == id }) else { return }
      note("node \(index) takes session \(session) out of \(room) by order")
      if !room.isLobby {
        sessions[session].places[room] = nil
      } else if sessions[session].node == index {
        sessions[session].isEnded = true
      }
    case .leaseEnded(let id):
      guard let session = sessions.firstIndex(where: { $0.id == id }) else { return }
      note("the lease of session \(session) ends at node \(index)")
      let client = sessions[session]
      if client.node == index && client.silentSince == nil && !client.isContested
        && !client.isLost
      {
        fail("F18: the lease of session \(session) ended while its client sent heartbeats")
      }
    default: break
    }
  }

  /// A cursor that moves never goes back to where it was before.
  private mutating func noteTold(
    _ cursor: Cursor, of id: SessionID, in room: RoomName, at index: Int
  ) {
    guard !isMeasuring, !nodes.contains(where: \.isClone),
      let wrong = cursors.note(cursor, of: id, in: room, toldTo: index),
      sessions.contains(where: { $0.id == id && !$0.isContested })
    else { return }
    fail("F8: node \(index) is told \(wrong)")
  }

  /// F21: who just woke gives the others time.
  private mutating func checkPatience(_ origin: OriginID, at index: Int) {
    let woke = nodes[index].wokeAt
    // Who shares his key with another process is heard as either of them.
    guard woke > 0, !nodes.contains(where: \.isClone), time < woke + Self.second,
      time > 8 * Self.second, deaths[origin] == nil,
      let other = nodes.first(where: { $0.engine?.origin == origin }), other.isUp,
      other.pausedUntil == nil, other.graceAt + 8 * Self.second < time,
      // Who was cut off itself is offline for all.
      other.freshAt + 8 * Self.second < time,
      nodes[index].wasOnline.contains(origin)
    else { return }
    let words = nodes[index].engine?.describe(origin) ?? ""
    fail("F21: node \(index) declared \(origin.short) offline right after it woke: \(words)")
  }

  /// The cheap part of the checks, for one node at a time.
  mutating func checkSome() {
    let index = random.below(nodes.count)
    guard let engine = nodes[index].engine, nodes[index].pausedUntil == nil else { return }
    check(engine, index)
  }

  mutating func checkEverything() {
    for index in nodes.indices {
      guard let engine = nodes[index].engine else { continue }
      check(engine, index)
      if let forged = engine.unverifiedBatch() { fail("I4: node \(index) holds \(forged)") }
    }
  }

  private mutating func check(_ engine: Engine, _ index: Int) {
    if let forged = engine.unverifiedBatch(newest: 3) { fail("I4: node \(index) holds \(forged)") }
    if let violation = engine.invariantViolation() { fail("I3: node \(index): \(violation)") }
    if let difference = nodes[index].replayed.difference(from: engine.snapshot()) {
      fail("F4: node \(index): events and snapshot differ: \(difference)")
    }
  }

  /// Remembers whom a node sees, just before it cannot hear for a while.
  mutating func noteSeen(_ index: Int) {
    guard let engine = nodes[index].engine else { return }
    nodes[index].wasOnline = Set(
      engine.snapshot().nodes.filter { $0.value == .online || $0.value == .suspect }.keys)
  }

  /// F19: an origin that died is hidden everywhere after its time to live, whoever retells it.
  mutating func checkDead(_ origin: OriginID, diedAt: UInt64) {
    guard deaths[origin] == diedAt else { return }
    let patience = patience(with: origin)
    if time < diedAt + patience {
      // The network has become slower since.
      return queue.add(.checkDead(origin: origin, diedAt: diedAt), at: diedAt + patience)
    }
    let liars = traitor != nil
    for index in nodes.indices {
      guard let engine = nodes[index].engine, nodes[index].pausedUntil == nil,
        nodes[index].wokeAt < diedAt, nodes[index].freshAt < diedAt, !engine.isStale, !liars
      else { continue }
      let health = engine.snapshot().nodes[origin]
      if health == .online || health == .suspect {
        fail(
          "F19: node \(index) sees \(origin.short), which died \((time - diedAt) / Self.millisecond) ms ago: \(engine.describe(origin))"
        )
      }
    }
  }

  // MARK: I6

  /// Bytes that an address without a proven path has sent to a node.
  mutating func received(_ bytes: [UInt8], at index: Int, from source: PeerAddress) {
    outsider?.note(received: bytes.count, by: index, from: source)
  }

  mutating func watch(_ bytes: [UInt8], from index: Int, to address: PeerAddress) {
    guard let wrong = outsider?.note(sent: bytes.count, by: index, to: address) else { return }
    fail("I6: node \(index): \(wrong)")
  }

  // MARK: After the faults

  /// What is not yet as it must be; `nil`: all live nodes have equal state hashes, and their views
  /// are the truth.
  func disagreement() -> String? {
    let up = nodes.indices.filter { nodes[$0].isUp }
    guard let first = up.first, let reference = nodes[first].engine else { return nil }
    for index in up.dropFirst() {
      guard let engine = nodes[index].engine, engine.stateHash != reference.stateHash else {
        continue
      }
      let all = Set(engine.origins).union(reference.origins).sorted()
      let differing = all.filter { engine.digestEntry($0) != reference.digestEntry($0) }
      let words = differing.map {
        "\n    \($0.short) at node \(first): \(reference.describe($0))"
          + "\n    \($0.short) at node \(index): \(engine.describe($0))"
      }
      return "nodes \(first) and \(index) have different state hashes" + words.joined()
    }
    let origins = Dictionary(
      uniqueKeysWithValues: up.compactMap { index in
        nodes[index].engine.map { ($0.origin, index) }
      })
    let hidden = Set(traitor?.origins ?? [])
    var views: [[SessionSnapshot]] = []
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
      views.append(snapshot.sessions.filter { !hidden.contains($0.host) })
    }
    for (offset, view) in views.enumerated() where view != views[0] {
      let ids = Set(view).symmetricDifference(views[0]).map(\.id)
      guard let id = ids.min() else { continue }
      let words = ReplayedView.difference(
        views[0].first { $0.id == id }, view.first { $0.id == id })
      return "nodes \(up[0]) and \(up[offset]) see session \(id) differently: it \(words)"
    }
    return views.first.flatMap { untruth($0, origins: origins) }
  }

  /// What is seen and not true, or true and not seen.
  private func untruth(_ view: [SessionSnapshot], origins: [OriginID: Int]) -> String? {
    let seen = Dictionary(uniqueKeysWithValues: view.map { ($0.id, $0) })
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
      let others = snapshot.places.count { session.places[$0.room] == nil }
      if others > 0 { return "session \(index) is seen in \(others) rooms that it left" }
    }
    return expected == view.count
      ? nil : "\(view.count - expected) sessions are seen that are not there"
  }
}

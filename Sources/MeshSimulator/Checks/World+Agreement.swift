import MeshCRDT
import MeshEngine

// What must be so after the faults.

extension World {
  /// What is not yet as it must be; `nil`: all hold the same of honest origins, and show the truth.
  func disagreement() -> String? {
    let up = honest
    let live = Dictionary(
      uniqueKeysWithValues: up.compactMap { node in node.engine.map { ($0.origin, node) } })
    if let unequal = unequalTrust(up) ?? unequalState(up, live) ?? quarantineGap(up)
      ?? unequalHealth(up, live)
    {
      return unequal
    }
    for node in up {
      if let untruth = untruth(at: node, live) { return "at node \(node.index), \(untruth)" }
    }
    return unequalHosts(live) ?? unfinishedWords(up)
  }

  /// Two nodes that do not hold the same, completely.
  private func unequalState(_ up: [SimulatedNode], _ live: [OriginID: SimulatedNode]) -> String? {
    if liarOrigins.isEmpty {
      var hashes: [Hash128: Int] = [:]
      for node in up {
        if let hash = node.process?.engine.stateHash() { hashes[hash] = node.index }
      }
      if hashes.count <= 1 { return nil }
    }
    for (origin, host) in live.sorted(by: { $0.key < $1.key }) {
      guard let summary = host.process?.engine.summary(of: origin) else {
        return "node \(host.index) holds nothing of itself"
      }
      for node in up where node.process?.engine.summary(of: origin) != summary {
        let held =
          node.process?.engine.summary(of: origin).map { "\($0.incarnation) \($0.sequence)" }
          ?? "nothing"
        return "node \(node.index) holds \(held) of node \(host.index), which says "
          + "\(summary.incarnation) \(summary.sequence) \(describe(origin, at: node))"
      }
    }
    return liarOrigins.isEmpty ? "state hashes differ by origins that are gone" : nil
  }

  private func unequalHealth(_ up: [SimulatedNode], _ live: [OriginID: SimulatedNode]) -> String? {
    for node in up {
      if node.process?.engine.isStale == true { return "node \(node.index) is stale" }
      let visible = node.replayed.nodes.filter {
        ($0.value == .online || $0.value == .suspect) && !liarOrigins.contains($0.key)
      }
      guard Set(visible.keys) != Set(live.keys) else { continue }
      let missing = live.keys.filter { visible[$0] == nil }.min()
      let surplus = visible.keys.filter { live[$0] == nil }.min()
      return "node \(node.index) shows \(visible.count) of \(live.count) nodes; "
        + "missing: \(missing.flatMap { live[$0] }.map { "node \($0.index)" } ?? "none") "
        + "\(missing.map { describe($0, at: node) } ?? ""), too many: \(surplus?.short ?? "none") "
        + "\(surplus.map { describe($0, at: node) } ?? "")"
    }
    return nil
  }

  /// What a node knows of an origin, in a few words.
  func describe(_ origin: OriginID, at node: SimulatedNode) -> String {
    guard let engine = node.engine else { return "(down)" }
    let paths = "\(engine.pathCount) paths"
    guard let status = engine.peers(now: node.local(time)).first(where: { $0.origin == origin })
    else {
      return "(unknown, \(paths))"
    }
    return "(\(status.health), \(status.ageMilliseconds) ms old, "
      + "path \(status.address.map { "\($0)" } ?? "none") of \(paths), complete \(status.isComplete))"
  }

  /// Whoever was found to contradict itself by one is in quarantine at all who were there.
  private func quarantineGap(_ up: [SimulatedNode]) -> String? {
    for node in up {
      for (origin, incarnation) in node.contradicted.sorted(by: { $0.key < $1.key }) {
        for other in up where other.startedAt < contradictedAt[origin] ?? 0 {
          guard let engine = other.engine, engine.holds(origin),
            !engine.isQuarantined(origin, incarnation),
            engine.summary(of: origin).map({ $0.incarnation <= incarnation }) ?? false
          else { continue }
          return
            "node \(other.index) holds \(origin.short), which node \(node.index) has in quarantine"
        }
      }
    }
    return nil
  }

  /// What a node shows and is not true, or is true and it does not show.
  private func untruth(at node: SimulatedNode, _ live: [OriginID: SimulatedNode]) -> String? {
    var expected = 0
    for (index, client) in clients.enumerated() where !client.isStolen {
      let seen = node.replayed.sessions[client.id]
      if seen != nil { expected += 1 }
      switch client.phase {
      case .ended, .silent, .lost:
        if let seen {
          let hosts = live.values.filter { $0.engine?.hostedSessions.contains(client.id) == true }
          return "client \(index) is seen at \(seen.host.short), hosted by nodes "
            + "\(hosts.map(\.index).sorted()), and is \(client.phase)"
        }
        if client.phase == .lost { return "client \(index) waits for its node" }
      case .live:
        if client.isInDoubt { return "client \(index) is in doubt" }
        if let order = client.bindingOrder, nodes[order].isUp {
          return "client \(index) was ordered out by node \(order)"
        }
        guard let seen else { return "client \(index) is not seen" }
        if let words = untruth(of: client, seen, at: live[seen.host]) {
          return "client \(index) \(words)"
        }
      }
    }
    let shown = node.replayed.sessions.values.filter { session in
      !liarOrigins.contains(session.host)
        && !(clientOf[session.id].map { clients[$0].isStolen } ?? false)
    }
    return expected == shown.count
      ? nil : "\(shown.count - expected) sessions are seen that nobody opened"
  }

  private func untruth(of client: Client, _ seen: SessionSnapshot, at host: SimulatedNode?)
    -> String?
  {
    guard host?.index == client.node else {
      return "is seen at node \(host?.index ?? -1), and is at node \(client.node)"
    }
    if seen.value.profile != client.profile { return "has another profile" }
    for (room, place) in client.places {
      guard let other = seen.place(in: room) else { return "is not seen in \(room)" }
      if other.presence.status?.status != place.status || other.presence.message != place.message {
        return "has another status in \(room): \(other.presence), not \(place)"
      }
      if other.presence.data != place.data { return "has other data in \(room)" }
      if other.presence.isTyping && (place.typedAt ?? 0) + 5 * Self.second < time {
        return "types in \(room)"
      }
      if other.cursor != place.cursor && place.cursor != nil {
        return "has another cursor in \(room)"
      }
    }
    let others = seen.rooms.filter { client.places[$0] == nil }
    return others.isEmpty ? nil : "is seen in \(others[0]), which it left"
  }

  /// A session that two nodes host, or another one than its client's.
  private func unequalHosts(_ live: [OriginID: SimulatedNode]) -> String? {
    for node in live.values.sorted(by: { $0.index < $1.index }) {
      for session in node.process?.engine.hostedSessions ?? [] {
        guard let index = clientOf[session], !clients[index].isStolen else { continue }
        if clients[index].node != node.index || !clients[index].isLive {
          return "node \(node.index) hosts client \(index), which is at node \(clients[index].node)"
        }
      }
    }
    return nil
  }

  /// When all agree, time goes on a while: nothing changes, and little is said.
  func checkCalm() {
    for node in honest {
      if let engine = node.engine { checkView(node, engine) }
    }
  }
}

import MeshCRDT
import MeshEngine

// Rules of one node, which a comparison of nodes does not show.

extension World {
  /// The rules that a node's present state must keep.
  func checkRules(_ node: SimulatedNode, _ engine: Engine) {
    checkFarewells(node, engine)
    checkCutOff(node, engine)
    checkSilence(node, engine)
  }

  /// Whoever begins after an origin's death is told its age, and never shows it.
  func checkRevival(_ origin: OriginID, _ node: SimulatedNode) {
    // Who heard an origin late, through others alone or after a pause, tells it younger than it is.
    let late: Set<Scenario.Fault> = [
      .oneWay, .partialPartition, .partition, .isolation, .pause, .suspension, .stalls, .liars,
      .clone,
    ]
    guard !faults.contains(where: late.contains) else { return }
    guard let diedAt = deaths[origin], node.startedAt > diedAt, node.disturbedAt == node.startedAt,
      let beat = noteBeat(of: origin, at: node)
    else { return }
    let span =
      time
      - node.beats.silence(
        of: origin, diedAt: diedAt, beat, areLies: faults.contains(.liars)
      ).since
    if span > patience + span / 40 + 2 * slowest {
      fail(
        "dead",
        "node \(node.index) first hears of \(origin.short), dead for \(span / Self.millisecond) ms")
    }
  }

  /// Whoever left is known to have left, but where the mesh key that sealed it has not come yet.
  private func checkFarewells(_ node: SimulatedNode, _ engine: Engine) {
    for (origin, (leftAt, epoch)) in farewells.sorted(by: { $0.key < $1.key })
    where deaths[origin] != nil && epoch <= node.newestEpoch && isUndisturbed(since: leftAt) {
      guard time > leftAt + Self.second + slowest, node.stall == nil,
        node.disturbedAt + 10 * Self.second < leftAt, node.staleAt < leftAt,
        let health = node.replayed.nodes[origin], health != .left
      else { continue }
      fail("farewell", "node \(node.index) calls \(origin.short) \(health), which left")
    }
  }

  /// Whoever hears nobody knows it.
  private func checkCutOff(_ node: SimulatedNode, _ engine: Engine) {
    guard outsider == nil, node.stall == nil, node.disturbedAt + 5 * Self.second < linksChangedAt,
      time > linksChangedAt + 4 * Self.second + slowest, !engine.isStale,
      !nodes.contains(where: { $0 !== node && canHear(from: $0.index, node.index) }),
      node.replayed.nodes.contains(where: {
        $0.key != engine.origin && ($0.value == .online || $0.value == .suspect)
      })
    else { return }
    fail("cutOff", "node \(node.index) hears nobody, and shows others as if it did")
  }

  /// A process that knows of another one with its key does nothing any more.
  private func checkSilence(_ node: SimulatedNode, _ engine: Engine) {
    guard engine.isCloned else { return }
    var copy = engine
    do throws(OperationError) {
      try copy.perform(.subscribe(nil), now: node.local(time))
      fail("clones", "node \(node.index) goes on beside another process with its key")
    } catch {}
  }

  /// A session that comes from another host has all that was seen of it there, and enters its rooms anew: but
  /// those that its client left, here a moment ago, say.
  func checkHandOver(_ index: Int, from seen: SessionSnapshot?, at node: SimulatedNode) {
    guard let seen, let engine = node.process?.engine, seen.host != engine.origin,
      let taken = engine.hostedSession(seen.id), deaths[seen.host] == nil,
      isUndisturbed(since: time),
      !clients[index].isStolen
    else { return }
    for place in seen.places where clients[index].places[place.room] != nil {
      let own = taken.place(in: place.room)
      if own?.presence.status != place.presence.status
        || own?.presence.message != place.presence.message || own?.cursor != place.cursor
        || own.map({ $0.presence.enteredCounter <= place.presence.enteredCounter }) ?? true
      {
        fail("handOver", "client \(index) brings \(String(describing: own)) of \(place)")
      }
    }
  }

  /// What a session says in a room does not go back to what it said before.
  func checkStatusOrder(_ event: MeshEvent, _ node: SimulatedNode) {
    guard case .changed(let session) = event, let old = node.replayed.sessions[session.id],
      old.host == session.host, old.value.joinedAt == session.value.joinedAt,
      let index = clientOf[session.id], !clients[index].wasSplit, !clients[index].isStolen
    else { return }
    for place in session.places {
      guard let before = old.place(in: place.room)?.presence.status,
        let status = place.presence.status, status.counter < before.counter
      else { continue }
      fail(
        "statusOrder",
        "node \(node.index) is told status \(status.counter) of client \(index) after \(before.counter)"
      )
    }
  }

  /// A status that is set counts above all that is seen of its user.
  func checkLastWord(_ operation: LocalOperation, at node: SimulatedNode) {
    guard case .setStatus(let id, let room, .some, _, _) = operation,
      let engine = node.process?.engine,
      let counter = engine.hostedSession(id)?.place(in: room)?.presence.status?.counter,
      let user = clientOf[id].map({ clients[$0].profile.userID })
    else { return }
    for client in clients where client.id != id && client.profile.userID == user && !client.isStolen
    {
      let seen = engine.session(client.id)?.places.compactMap(\.presence.status?.counter).max() ?? 0
      if seen >= counter {
        fail(
          "lastWord",
          "a status of \(user) at node \(node.index) counts \(counter), an earlier one \(seen)")
      }
    }
  }

  /// Words of an origin above its complete checkpoint: nobody signs them any more.
  func unfinishedWords(_ up: [SimulatedNode]) -> String? {
    for node in up {
      for origin in node.replayed.nodes.keys.sorted() where !liarOrigins.contains(origin) {
        if node.process?.engine.hasUnfinishedWords(of: origin) == true {
          return "node \(node.index) holds words of \(origin.short) that its checkpoint has not"
        }
      }
    }
    return nil
  }
}

import MeshCRDT
import MeshEngine

// What is checked as a world runs. Each check has a name, and is one function.

extension World {
  /// Takes in an event of a node.
  func observe(_ event: MeshEvent, at node: SimulatedNode) {
    if node.isHonest { checkStatusOrder(event, node) }
    checkReplay(event, node)
    watched?.note(event, at: node.index, time: time)
    guard node.isHonest else { return }
    if case .node(let origin, _) = event { noteBeat(of: origin, at: node) }
    switch event {
    case .cursor(let id, let room, let cursor): checkCursorOrder(cursor, of: id, in: room, node)
    case .node(let origin, .offline): checkLiving(origin, node)
    case .node(let origin, .online), .node(let origin, .suspect): checkRevival(origin, node)
    case .stale: node.staleAt = time
    case .contradicted(let origin, let incarnation): checkContradicted(origin, incarnation, node)
    case .cloned: checkCloned(node)
    default: tell(event, at: node)
    }
  }

  // MARK: Events

  /// Events replay to the snapshot, and none is told twice.
  private func checkReplay(_ event: MeshEvent, _ node: SimulatedNode) {
    if let wrong = node.replayed.apply(event) { fail("events", "node \(node.index): \(wrong)") }
  }

  /// A cursor that moves never goes back to where it was before.
  private func checkCursorOrder(
    _ cursor: Cursor, of id: SessionID, in room: RoomName, _ node: SimulatedNode
  ) {
    guard let wrong = cursors.note(cursor, of: id, in: room, toldTo: node.index),
      let index = clientOf[id], !clients[index].wasSplit, !clients[index].isStolen
    else { return }
    fail(
      "cursorOrder",
      "node \(node.index) is told \(wrong), client \(index) of node \(clients[index].node)")
  }

  /// A node is not called offline while it lives, and nothing came between it and who says so.
  private func checkLiving(_ origin: OriginID, _ node: SimulatedNode) {
    guard let other = nodes.first(where: { $0.process?.engine.origin == origin }), other.isHonest,
      !other.hasClone,
      other.isAwake, other.stall == nil, node.stall == nil, weather.loss < 0.1,
      weather.corruption == 0,
      weather.truncation == 0, weather.sizeLimit > 600, side.isEmpty, cut.isEmpty,
      other.translation == nil,
      node.translation == nil
    else { return }
    let quiet = 6 * Self.second + 4 * slowest
    let disturbed = max(
      linksChangedAt, other.disturbedAt, node.disturbedAt, node.staleAt, other.staleAt)
    guard time > disturbed + quiet + 20 * Self.second else { return }
    fail("living", "node \(node.index) calls \(origin.short), node \(other.index), offline")
  }

  /// Nobody is in quarantine but who contradicted itself.
  private func checkContradicted(
    _ origin: OriginID, _ incarnation: Incarnation, _ node: SimulatedNode
  ) {
    note("node \(node.index) puts \(origin.short) \(incarnation) into quarantine")
    node.contradicted[origin] = max(incarnation, node.contradicted[origin] ?? incarnation)
    if contradictedAt[origin] == nil { contradictedAt[origin] = time }
    if !liarOrigins.contains(origin) {
      fail("quarantine", "node \(node.index) puts \(origin.short) into quarantine, which is honest")
    }
  }

  private func checkCloned(_ node: SimulatedNode) {
    note("node \(node.index) stops as a clone")
    // An old disk may have been put back more often than a process goes above it.
    if !node.hasClone && !faults.contains(.crashOldDisk) {
      fail("clones", "node \(node.index) stopped, and no other process has its key")
    }
    node.hasClone = true
    loseClients(of: node.index)
  }

  // MARK: Outputs

  /// A datagram is within its bound, and its incarnation is on the disk before.
  func checkSent(_ bytes: [UInt8], _ node: SimulatedNode, _ process: RunningEngine) {
    if bytes.count > Limits.datagramBytes {
      fail("datagramSize", "a datagram of \(bytes.count) bytes")
    }
    let incarnation = process.change { $0.incarnation }
    if incarnation.counter > node.disk.counter {
      fail(
        "persistBeforeSend",
        "node \(node.index) says something in incarnation \(incarnation.counter), its disk knows \(node.disk.counter)"
      )
    }
  }

  /// One input has a bounded number of outputs.
  func checkOutputs(_ count: Int, _ node: SimulatedNode) {
    let bound = 3000 + 40 * nodes.count + 4 * clients.count
    if count > bound {
      fail("outputs", "node \(node.index) answers one input with \(count) outputs")
    }
  }

  /// Counts what a node sends in a second: there is no storm.
  func countSent(_ bytes: Int, _ node: SimulatedNode) {
    let second = time / Self.second
    if node.sent.second != second { node.sent = (second, 0, 0) }
    node.sent.datagrams += 1
    node.sent.bytes += bytes
    guard node.isHonest else { return }
    let bound = 2000 + 400 * nodes.count + 20 * clients.count
    if node.sent.datagrams > bound {
      fail("storm", "node \(node.index) sends \(node.sent.datagrams) datagrams in a second")
    }
  }

  // MARK: Now and then

  /// The cheap part of the checks, for one node at a time.
  func checkSome() {
    let node = nodes[random.below(nodes.count)]
    guard node.isAwake, node.isHonest, let engine = node.engine else { return }
    checkView(node, engine)
    checkTables(node, engine)
    checkAges(node, engine)
    checkRules(node, engine)
  }

  func checkView(_ node: SimulatedNode, _ engine: Engine) {
    if let difference = node.replayed.difference(from: engine.snapshot()) {
      fail("snapshot", "node \(node.index): events and snapshot differ: \(difference)")
    }
  }

  private func checkTables(_ node: SimulatedNode, _ engine: Engine) {
    if engine.size.origins > Limits.origins {
      fail("tables", "node \(node.index) holds \(engine.size.origins) origins")
    }
    if engine.pathCount > 1024 {
      fail("tables", "node \(node.index) has \(engine.pathCount) paths")
    }
    if engine.knownAddresses.count > 8192 {
      fail("tables", "node \(node.index) knows \(engine.knownAddresses.count) addresses")
    }
  }

  /// Nobody who died is believed to be younger than his silence is known to be.
  private func checkAges(_ node: SimulatedNode, _ engine: Engine) {
    for (origin, diedAt) in deaths.sorted(by: { $0.key < $1.key }) {
      guard let beat = engine.newestBeat(of: origin, at: node.local(time)),
        isWitness(node, of: diedAt)
      else { continue }
      let silence = node.beats.silence(
        of: origin, diedAt: diedAt, beat, areLies: faults.contains(.liars))
      let span = time - silence.since
      let bound = span / 40 + beatDelay + silence.allowance
      if beat.age.nanoseconds < span - min(span, bound) {
        fail(
          "ages",
          "node \(node.index) believes \(origin.short) to be \(beat.age.milliseconds) ms old, dead for "
            + "\((time - diedAt) / Self.millisecond) ms\(silence.allowance == 0 ? "" : ", whose beats came late")"
        )
      }
    }
  }

  /// What a beat in time may come late by: the slowest way, and a tenth of a period until who misses it asks.
  private var beatDelay: UInt64 { 3 * slowest + BeatWatch.period / 10 }

  /// Notes what a node has of the beats of whom it hears, and of those of the dead that come late.
  func noteBeats(from source: PeerAddress, at node: SimulatedNode) {
    guard node.isHonest else { return }
    for origin in deaths.keys where node.beats.mayBeLate(origin) { noteBeat(of: origin, at: node) }
    guard let sender = receivers[source].map({ nodes[$0.node] }),
      let (origin, sent) = sender.process?.change({
        ($0.origin, $0.newestBeat(of: $0.origin, at: sender.local(time)))
      }), let sent, !node.beats.isTimely(origin, sent.schedule),
      let known = noteBeat(of: origin, at: node), sent.age.nanoseconds <= beatDelay,
      (known.schedule, known.chain, known.index) == (sent.schedule, sent.chain, sent.index)
    else { return }
    node.beats.noteTimely(origin, sent.schedule)
  }

  /// Notes the newest beat of an origin that a node knows.
  @discardableResult
  func noteBeat(of origin: OriginID, at node: SimulatedNode) -> BeatStanding? {
    let beat = node.process?.change { $0.newestBeat(of: origin, at: node.local(time)) }
    if let beat { node.beats.note(beat, of: origin, at: time) }
    return beat
  }

  /// True when a node was there when somebody died, and its clock went on since.
  private func isWitness(_ node: SimulatedNode, of diedAt: UInt64) -> Bool {
    node.startedAt + 6 * Self.second < diedAt && node.disturbedAt < diedAt && node.stall == nil
  }

  /// An origin that died is hidden everywhere after its time to live, whoever retells it.
  func checkDead(_ origin: OriginID, diedAt: UInt64) {
    guard deaths[origin] == diedAt else { return }
    var next: UInt64?
    for node in honest where node.isAwake && isWitness(node, of: diedAt) && node.staleAt < diedAt {
      guard let engine = node.engine, !engine.isStale,
        let beat = engine.newestBeat(of: origin, at: node.local(time))
      else { continue }
      let silence = node.beats.silence(
        of: origin, diedAt: diedAt, beat, areLies: faults.contains(.liars))
      let due = silence.since + patience + silence.allowance
      guard time >= due else {
        next = min(next ?? due, due)
        continue
      }
      let health = node.replayed.nodes[origin]
      guard health == .online || health == .suspect else { continue }
      fail(
        "dead",
        "node \(node.index) shows \(origin.short), which died \((time - diedAt) / Self.millisecond) ms ago"
      )
    }
    // Beats came late, or the network has become slower since.
    if let next { queue.add(.checkDead(origin: origin, diedAt: diedAt), at: next) }
  }

  /// The silence after which a path is lost.
  private static let pathSilence = 10 * second

  /// A session that ended is not shown any more, where nothing came between, the mesh key that its host seals with
  /// has come, and no path leads to where the node was before.
  func checkEnded(_ index: Int, endedAt: UInt64) {
    let client = clients[index]
    let host = nodes[client.node]
    guard client.phase == .ended(endedAt), !client.wasSplit, !client.isStolen, !client.isInDoubt,
      host.disturbedAt < endedAt, host.isAwake, !host.hasClone, isUndisturbed(since: endedAt),
      let origin = host.process?.engine.origin
    else { return }
    for node in honest
    where node.isAwake && node.disturbedAt + Self.second < endedAt && node.stall == nil
      && node.newestEpoch >= host.newestEpoch
      && (node.movedAt == 0 || node.movedAt + Self.pathSilence < endedAt)
    {
      guard node.replayed.sessions[client.id] != nil,
        node.replayed.nodes[origin] == .online
      else { continue }
      fail(
        "ended",
        "node \(node.index) shows client \(index), which ended \((time - endedAt) / Self.millisecond) ms ago"
      )
    }
  }

  /// True when links have lost nothing since some time.
  func isUndisturbed(since begin: UInt64) -> Bool {
    linksChangedAt + 10 * Self.second < begin && weather.loss == 0 && weather.corruption == 0
      && weather.truncation == 0 && weather.sizeLimit > 1200 && side.isEmpty && cut.isEmpty
      && !nodes.contains { $0.sendRate != nil || $0.peerRate != nil }
  }
}

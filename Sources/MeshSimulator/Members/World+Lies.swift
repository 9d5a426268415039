import MeshCRDT
import MeshEngine
import MeshTrust
import MeshWire

// What liars say by themselves, to the end of the world.

extension World {
  func actLiar(_ index: Int) {
    let node = nodes[index]
    guard let liar = node.liar, node.isAwake else {
      if node.isUp { queue.add(.lie(node: index), at: time + Self.second) }
      return
    }
    queue.add(.lie(node: index), at: time + UInt64(100 + random.below(900)) * Self.millisecond)
    speak(node)
    let targets = liar.tokens.keys.sorted()
    guard !targets.isEmpty, let pen = pen(of: node) else { return }
    let target = targets[random.below(targets.count)]
    for lie in liar.lies {
      switch lie {
      case .poisonCounters: poison(node, targets)
      case .flood: flood(node, liar, pen, target)
      case .replay: replay(node, liar, targets)
      case .falsePeers: say([.peerExchange(falsePeerHints())], by: node, to: target)
      case .forge: forge(node, liar, pen, target)
      case .fillTables: fillTables(node, liar, targets)
      case .falseAges:
        for origin in liar.checkpoints.keys.sorted().prefix(4) {
          guard let signed = liar.checkpoints[origin] else { continue }
          say(
            [.checkpoint(ageMilliseconds: random.chance(0.5) ? 0 : 7_200_000, signed)], by: node,
            to: target)
        }
      default: break
      }
    }
  }

  /// A liar has sessions that change, like everybody.
  private func speak(_ node: SimulatedNode) {
    let id = SessionID(UInt64(node.index), 0x6C69_6172)
    guard let room = Self.roomNames.first else { return }
    if node.process?.engine.hostedSessions.contains(id) != true {
      _ = perform(
        node.index, .open(id, Profile(userID: "mallory"), device: "", .attached, at: wall))
    }
    _ = perform(node.index, .enter(id, room))
    _ = perform(
      node.index,
      .setStatus(
        id, random.chance(0.5) ? room : .lobby, .busy, message: "\(random.below(1000))", at: wall))
  }

  private func say(_ messages: [MeshMessage], by node: SimulatedNode, to target: PeerAddress) {
    guard let token = node.liar?.tokens[target] else { return }
    for message in messages {
      transmitOwn(datagram([message], echo: token, of: node), from: node, to: target)
    }
  }

  /// Makes an identity up that says something, and has its words told.
  private func makeUp(_ changes: [RecordChange], by node: SimulatedNode, _ targets: [PeerAddress]) {
    guard let incarnation = Incarnation(counter: 1, nonce: random.next()) else { return }
    let crypto = scenario.makeCrypto(
      NodeSecrets(node: random.next(), mesh: meshSecret, process: 1, newestEpoch: node.newestEpoch))
    let pen = LyingPen(crypto: crypto, mesh: mesh, hash: scenario.treeHash)
    liarOrigins.insert(pen.origin)
    node.liar?.identities += 1
    let words = pen.statement(changes, incarnation, hashKey: mesh.hashKey)
    for target in targets { say(words, by: node, to: target) }
  }

  private func poison(_ node: SimulatedNode, _ targets: [PeerAddress]) {
    guard !isHealing, random.chance(0.2), !clients.isEmpty else { return }
    let index = random.below(clients.count)
    note("node \(node.index) poisons client \(index)")
    clients[index].isStolen = true
    let counter = Limits.counterBound - 1 - UInt64(random.below(2))
    makeUp([LyingPen.session(clients[index].id, counter: counter)], by: node, targets)
  }

  private func fillTables(_ node: SimulatedNode, _ liar: Liar, _ targets: [PeerAddress]) {
    guard liar.identities < 300 else { return }
    for _ in 0..<10 {
      let sessions = (0..<4).map { _ in LyingPen.session(SessionID(random.next(), 3), counter: 1) }
      makeUp(sessions, by: node, random.sample(targets, 2).sorted())
    }
  }

  private func flood(_ node: SimulatedNode, _ liar: Liar, _ pen: LyingPen, _ target: PeerAddress) {
    let origins = nodes.compactMap { $0.crypto?.origin }
    guard let incarnation = node.process?.engine.incarnation else { return }
    for step in 0..<60 {
      let origin = origins[random.below(origins.count)]
      let message: MeshMessage
      switch random.below(5) {
      case 0:
        message = .compare(
          CompareRequest(
            place: .replica, request: UInt16(step), budget: 65_536,
            nodes: [.init(tree: .rooms, path: .top, hash: .empty)]))
      case 1:
        message = .probe([Probe(origin: origin, incarnation: nil, sequence: 0, beat: 0)])
      case 2: message = .challenge(token: random.next() | 1)
      case 3:
        message = .repair(
          RepairRequest(
            origin: origin, incarnation: incarnation, room: nil, after: 0, through: 1 << 40))
      default:
        guard let wrong = wrongBatch(origin, pen) else { continue }
        message = .batch(wrong)
      }
      say([message], by: node, to: target)
    }
  }

  private func wrongBatch(_ origin: OriginID, _ pen: LyingPen) -> SignedMessage? {
    guard let incarnation = Incarnation(counter: 1 << 20, nonce: random.next()) else { return nil }
    let body = Batch(
      incarnation: incarnation, room: .lobby, previous: 0, first: 1 + UInt64(random.below(1000)),
      changes: [LyingPen.session(SessionID(random.next(), 1), counter: 5)])
    let bytes = body.encoded()
    return SignedMessage(
      kind: .batch, origin: origin, signature: pen.crypto.sign(bytes), body: bytes)
  }

  /// Batches, and a contradiction, in another's name.
  private func forge(_ node: SimulatedNode, _ liar: Liar, _ pen: LyingPen, _ target: PeerAddress) {
    let victim = nodes[random.below(nodes.count)]
    guard let origin = victim.crypto?.origin, let incarnation = victim.process?.engine.incarnation
    else { return }
    if let batch = wrongBatch(origin, pen) { say([.batch(batch)], by: node, to: target) }
    let two = [1, 2].compactMap { (counter: UInt64) -> SignedMessage? in
      let body = Batch(
        incarnation: incarnation, room: .lobby, previous: 0, first: 1,
        changes: [LyingPen.session(SessionID(1, 1), counter: counter)])
      let bytes = body.encoded()
      return SignedMessage(
        kind: .batch, origin: origin, signature: pen.crypto.sign(bytes), body: bytes)
    }
    if two.count == 2, let contradiction = Contradiction(two[0], two[1], hash: StandInTreeHash()) {
      say([.contradiction(contradiction)], by: node, to: target)
    }
  }

  private func replay(_ node: SimulatedNode, _ liar: Liar, _ targets: [PeerAddress]) {
    guard !liar.heard.isEmpty else { return }
    for _ in 0..<10 {
      let old = liar.heard[random.below(liar.heard.count)]
      let target = targets[random.below(targets.count)]
      // From its own address, or in the sender's name.
      transmit(old.bytes, from: random.chance(0.5) ? node.address : old.from, to: target)
    }
  }

  private func falsePeerHints() -> [PeerExchange] {
    (0..<16).map { step in
      PeerExchange(
        origin: OriginID(random.next(), 1, 2, random.next()), addressHigh: 0,
        addressLow: step % 2 == 0 ? 0xFFFF_FFFF_FFFF : 0xFFFF_0A63_0000 | random.next() & 0xFFFF,
        port: UInt16(1 + random.below(60_000)))
    }
  }
}

import MeshCRDT
import MeshEngine
import MeshTrust

extension World {
  /// Begins a life of a node from its disk.
  func start(_ index: Int) {
    let node = nodes[index]
    node.life += 1
    guard let incarnation = Incarnation(counter: node.disk.counter + 1, nonce: random.next()) else {
      return
    }
    var configuration = EngineConfiguration(
      mesh: mesh, incarnation: incarnation,
      seed: (random.next(), random.next(), random.next(), random.next()))
    configuration.forgetAfter = forgetAfter
    configuration.removalHold = .seconds(3)
    configuration.sendRate = node.sendRate
    configuration.peerRate = node.peerRate
    if hasMulticast { configuration.announcePeriod = .seconds(5) }
    scenario.configure(&configuration)
    let process = node.life &* 0x9E37 &+ UInt64(index) << 32 &+ 1
    let secrets =
      isClosed
      ? NodeSecrets(
        node: node.disk.secret, mesh: meshSecret, process: process, epochs: node.disk.epochs)
      : NodeSecrets(
        node: node.disk.secret, mesh: meshSecret, process: process, newestEpoch: node.newestEpoch)
    let crypto = scenario.makeCrypto(secrets)
    configuration.trust = trust(of: node, crypto.origin)
    let engine = Engine(
      configuration: configuration, crypto: crypto, treeHash: scenario.treeHash,
      now: node.local(time))
    node.process = RunningEngine(engine)
    node.crypto = crypto
    node.replayed = ReplayedView(engine.snapshot())
    node.startedAt = time
    node.disturbedAt = time
    node.staleAt = 0
    node.buffer = []
    node.accepted = [:]
    node.beats = BeatWatch()
    node.contradicted = [:]
    cursors.forget(node: index)
    deaths[engine.origin] = nil
    farewells[engine.origin] = nil
    note("node \(index) \(engine.origin.short) starts, incarnation \(incarnation.counter)")
    if node.liar != nil { startLiar(index) }
    // Configured are the first two nodes; the others are heard of, or remembered.
    let seeds = [0, 1].filter { $0 != index && $0 < nodes.count }.map { publicAddress(nodes[$0]) }
    let addresses = seeds + node.disk.addresses
    drive(index) { engine, now in engine.addPeers(addresses, now: now) }
    reconnectClients(of: index)
  }

  /// Ends a life without a word.
  func crash(_ index: Int) {
    let node = nodes[index]
    guard let engine = node.engine else { return }
    node.disk.addresses = engine.knownAddresses
    node.process = nil
    node.pausedUntil = nil
    node.isDeaf = false
    node.tickAt = nil
    node.diesAtPersist = false
    note("node \(index) crashes")
    noteDeath(of: engine.origin)
    loseClients(of: index)
  }

  private func noteDeath(of origin: OriginID) {
    // A clone may live on.
    guard !nodes.contains(where: { $0.process?.engine.origin == origin }) else { return }
    deaths[origin] = time
    for node in nodes where node.isHonest { noteBeat(of: origin, at: node) }
    queue.add(.checkDead(origin: origin, diedAt: time), at: time + patience)
  }

  /// How long after its end an origin may be seen where a beat of its came in time. Clocks run 1 % fast or slow
  /// and references drift by 1/1,000, and an age leaves out the time under way: up to three hops.
  var patience: UInt64 {
    let timeToLive = 5 * Self.second
    return timeToLive + timeToLive / 40 + 100 * Self.millisecond + 3 * slowest
  }

  /// Gives an engine an input and does what it wants done.
  func drive(_ index: Int, _ body: (inout Engine, MonotonicTime) -> Void) {
    let node = nodes[index]
    guard let process = node.process else { return }
    let now = node.local(time)
    process.change { body(&$0, now) }
    var outputs = 0
    while let output = process.change({ $0.nextOutput() }) {
      outputs += 1
      switch output {
      case .send(let bytes, let address):
        checkSent(bytes, node, process)
        send(bytes, from: node, to: address)
      case .announce(let bytes):
        checkSent(bytes, node, process)
        for other in nodes where other !== node {
          send(bytes, from: node, to: publicAddress(other))
        }
      case .persist(let durable):
        node.backups.append(node.disk)
        if node.backups.count > 8 { node.backups.removeFirst() }
        node.disk.counter = durable.incarnationCounter
        if node.diesAtPersist {
          crash(index)
          queue.add(.start(node: index), at: time + UInt64(random.below(3000)) * Self.millisecond)
          return
        }
      case .keep(let decrees): node.disk.decrees = decrees
      case .keepKeys:
        let crypto = process.engine.crypto
        node.disk.epochs = crypto.epochs
        node.newestEpoch = max(node.newestEpoch, crypto.newestEpoch)
        node.crypto = crypto
      case .event(let event): observe(event, at: node)
      }
    }
    checkOutputs(outputs, node)
    schedule(node)
  }

  func schedule(_ node: SimulatedNode) {
    guard let deadline = node.process?.change({ $0.deadline }) else { return }
    var due = max(node.world(deadline), time)
    if let stall = node.stall { due = stall.release(due) }
    if let known = node.tickAt, known <= due { return }
    node.tickAt = due
    queue.add(.tick(node: node.index, life: node.life, time: due), at: due)
  }

  /// Sets the next tick anew, after its clock or its stalls have changed.
  func reschedule(_ node: SimulatedNode) {
    node.tickAt = nil
    schedule(node)
  }

  /// Gives a process that slept what waited in its socket.
  func release(_ index: Int) {
    let buffer = nodes[index].buffer
    guard !buffer.isEmpty else { return }
    nodes[index].buffer = []
    for (bytes, from) in buffer { hear(index, bytes, from: from) }
  }

  func perform(_ index: Int, _ operation: LocalOperation) -> OperationError? {
    operations += 1
    var refusal: OperationError?
    drive(index) { engine, now in
      do throws(OperationError) { try engine.perform(operation, now: now) } catch {
        refusal = error
      }
    }
    if refusal == nil { checkLastWord(operation, at: nodes[index]) }
    return refusal
  }
}

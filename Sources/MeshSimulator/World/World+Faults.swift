import MeshCRDT
import MeshEngine

extension World {
  /// Lets one of the drawn faults happen.
  func strike() {
    guard !faults.isEmpty else { return }
    let fault = faults[random.below(faults.count)]
    let victim = nodes[random.below(nodes.count)]
    switch fault {
    case .loss: change { $0.loss = max(calm.loss, random.unit() * 0.4) }
    case .duplication: change { $0.duplication = random.unit() * 0.5 }
    case .corruption: change { $0.corruption = random.unit() * 0.1 }
    case .truncation: change { $0.truncation = random.unit() * 0.1 }
    case .sizeLimit: change { $0.sizeLimit = random.chance(0.5) ? 65_535 : 300 + random.below(900) }
    case .reordering:
      change {
        $0.straggling = random.unit() * 0.3
        $0.straggle = UInt64(1 + random.below(300)) * Self.millisecond
      }
    case .delay:
      let least = UInt64(1 + random.below(150)) * Self.millisecond
      change { $0.delay = least...least * UInt64(1 + random.below(4)) }
    case .partition:
      let sides = random.chance(0.3) ? 3 : 2
      for index in nodes.indices { side[index] = random.below(sides) }
      if random.chance(0.4) { side = [:] }
      linksChangedAt = time
    case .isolation:
      side = [victim.index: 1]
      linksChangedAt = time
    case .oneWay, .partialPartition:
      if random.chance(0.3) { cut = [] }
      for _ in 0..<(1 + random.below(nodes.count)) {
        let (from, to) = (random.below(nodes.count), random.below(nodes.count))
        cut.insert(from * 10_000 + to)
        if fault == .partialPartition { cut.insert(to * 10_000 + from) }
      }
      linksChangedAt = time
    case .addressChange: changeAddress(victim)
    case .translation: translate(victim)
    case .crashKeptDisk, .crashOldDisk, .crashLostDisk: crash(victim, disk: fault)
    case .crashAfterPersist:
      guard victim.isHonest, victim.isUp else { return }
      crash(victim.index)
      victim.diesAtPersist = true
      queue.add(
        .start(node: victim.index), at: time + UInt64(random.below(4000)) * Self.millisecond)
    case .pause:
      suspend(victim, for: UInt64(500 + random.below(20_000)) * Self.millisecond, hears: true)
    case .stalls:
      let phase = UInt64(random.below(2400)) * Self.millisecond
      victim.stall =
        random.chance(0.3)
        ? nil : random.chance(0.5) ? .sleepy(phase: phase) : .lateTimers(phase: phase)
      victim.disturbedAt = time
      reschedule(victim)
    case .clockDrift:
      victim.setRate(UInt64(990_000 + random.below(20_001)), at: time)
      if victim.pausedUntil == nil { reschedule(victim) }
    case .suspension:
      suspend(victim, for: UInt64(3 + random.below(60)) * Self.second, hears: false)
    case .churn:
      guard victim.isAwake, victim.isHonest else { return }
      leave(victim)
      queue.add(.start(node: victim.index), at: time + UInt64(1 + random.below(8)) * Self.second)
    case .clone: clone(victim)
    case .keyRotation: if isClosed { changeMembership(by: victim) } else { rotateKeys(victim) }
    case .joinStorm: for _ in 0..<20 { act() }
    case .sendRate:
      guard victim.isUp, victim.isHonest else { return }
      victim.sendRate = random.chance(0.5) ? nil : 30_000 + UInt64(random.below(60_000))
      victim.peerRate = random.chance(0.5) ? nil : 15_000 + UInt64(random.below(30_000))
      crash(victim.index)
      queue.add(.start(node: victim.index), at: time + 500 * Self.millisecond)
    case .residue, .outsider, .liars: return
    }
    note("fault \(fault.rawValue) at node \(victim.index)")
  }

  private func change(_ body: (inout Weather) -> Void) {
    body(&weather)
    linksChangedAt = time
  }

  func leave(_ victim: SimulatedNode) {
    note("node \(victim.index) leaves")
    if let origin = victim.engine?.origin { farewells[origin] = (time, victim.newestEpoch) }
    _ = perform(victim.index, .leaveMesh)
    crash(victim.index)
  }

  private func crash(_ victim: SimulatedNode, disk fault: Scenario.Fault) {
    guard victim.isUp, victim.isHonest else { return }
    // A closed mesh whose only holder of the key loses its disk has to be made anew.
    let holders = nodes.count { !$0.disk.epochs.isEmpty }
    if isClosed, fault != .crashKeptDisk, holders < 3 { return }
    crash(victim.index)
    if fault == .crashOldDisk, let old = victim.backups.first { victim.disk = old }
    if fault == .crashLostDisk {
      loseClients(of: victim.index, isSplit: true)
      victim.disk = Disk(secret: random.next())
      victim.backups = []
      victim.hasClone = false
    }
    queue.add(
      .start(node: victim.index), at: time + UInt64(random.below(12_000)) * Self.millisecond)
  }

  private func changeAddress(_ victim: SimulatedNode) {
    guard victim.translation == nil else { return }
    receivers[victim.address] = nil
    victim.address = newAddress()
    receivers[victim.address] = Receiver(node: victim.index)
    noteMove(of: victim)
  }

  /// Puts a node behind an address translation, or changes its mappings.
  private func translate(_ victim: SimulatedNode) {
    // The first two are configured by their addresses.
    guard victim.index > 1 else { return }
    receivers = receivers.filter { $0.value.node != victim.index }
    if var translation = victim.translation {
      translation.salt = random.next()
      victim.translation = translation
    } else {
      let symmetric = nodes.contains { $0.translation?.isSymmetric == true }
      victim.translation = Translation(
        network: 0x0B00_0000 | UInt32(victim.index), isSymmetric: !symmetric && random.chance(0.5),
        salt: random.next())
    }
    noteMove(of: victim)
  }

  private func noteMove(of victim: SimulatedNode) {
    victim.movedAt = time
    victim.disturbedAt = time
  }

  private func suspend(_ victim: SimulatedNode, for span: UInt64, hears: Bool) {
    guard victim.isAwake else { return }
    victim.pausedUntil = time + span
    victim.isDeaf = !hears
    victim.disturbedAt = time + span
    queue.add(.endPause(node: victim.index, life: victim.life), at: time + span)
  }

  func endPause(_ index: Int) {
    let node = nodes[index]
    node.pausedUntil = nil
    node.isDeaf = false
    node.disturbedAt = time
    note("node \(index) wakes")
    // A process that wakes finds its timers late and its socket full, in either order.
    let isTimerFirst = random.chance(0.5)
    if isTimerFirst { drive(index) { engine, now in engine.tick(now: now) } }
    release(index)
    node.tickAt = nil
    drive(index) { engine, now in engine.tick(now: now) }
  }

  /// Starts a second process from a copy of a node's disk.
  private func clone(_ victim: SimulatedNode) {
    guard victim.isUp, victim.isHonest, !nodes.contains(where: \.isClone) else { return }
    let index = nodes.count
    addNode(secret: victim.disk.secret, index: index)
    nodes[index].disk.counter = victim.disk.counter - 1
    nodes[index].isClone = true
    victim.hasClone = true
    side[index] = side[victim.index]
    start(index)
  }

  /// A step of a change of the mesh key: a node that has a new one seals with it at once, so that nodes
  /// without it do not hear it until they have it, too.
  private func rotateKeys(_ victim: SimulatedNode) {
    guard victim.isUp, victim.isHonest else { return }
    let newest = nodes.map(\.newestEpoch).max() ?? 1
    let isEverywhere = nodes.allSatisfy { $0.isClone || $0.newestEpoch == newest }
    victim.newestEpoch = isEverywhere ? newest + 1 : newest
    crash(victim.index)
    queue.add(.start(node: victim.index), at: time + 500 * Self.millisecond)
  }

  /// Draws what stays of the weather when the faults are over.
  func prepareResidue() {
    guard faults.contains(.residue) else { return }
    if random.chance(0.9) {
      calm.loss = max(calm.loss, 0.02 + random.unit() * 0.15)
    } else {
      calm.sizeLimit = 500 + random.below(700)
    }
    weather = calm
  }

  /// Ends all faults: the network is calm, everybody is up. Liars go on.
  func heal() {
    isHealing = true
    time = max(time, faultsEnd)
    note("the faults end")
    weather = calm
    side = [:]
    cut = []
    outsider = nil
    linksChangedAt = time
    for node in nodes where node.isClone && node.isUp { crash(node.index) }
    // Whoever has not the newest key is started again with it.
    let epoch = nodes.map(\.newestEpoch).max() ?? 1
    for node in nodes where !node.isClone {
      node.diesAtPersist = false
      node.stall = nil
      node.setRate(1_000_000, at: time)
      let mustRestart = node.hasClone || !isClosed && node.newestEpoch != epoch
      if !isClosed { node.newestEpoch = epoch }
      if node.pausedUntil != nil { endPause(node.index) }
      if node.isUp, mustRestart { crash(node.index) }
      if node.isUp { reschedule(node) } else { start(node.index) }
      node.disturbedAt = time
    }
    for node in nodes where node.isUp && !hasMulticast {
      // Whoever lost everybody's address is given one again.
      let address = publicAddress(nodes[node.index == 0 ? 1 : 0])
      drive(node.index) { engine, now in engine.addPeers([address], now: now) }
    }
    queue.add(.client, at: time + Self.second)
  }
}

import MeshCRDT
import MeshEngine

extension World {
  /// Lets one of the drawn faults happen.
  mutating func strike() {
    guard !faults.isEmpty else { return }
    let fault = faults[random.below(faults.count)]
    let victim = random.below(nodes.count)
    switch fault {
    case .loss: weather.loss = random.unit() * 0.4
    case .duplication: weather.duplication = random.unit() * 0.5
    case .corruption: weather.corruption = random.unit() * 0.1
    case .truncation: weather.truncation = random.unit() * 0.1
    case .sizeLimit: weather.sizeLimit = random.chance(0.5) ? 65_535 : 300 + random.below(900)
    case .reordering:
      weather.straggling = random.unit() * 0.3
      weather.straggle = UInt64(1 + random.below(300)) * Self.millisecond
    case .delay:
      let least = UInt64(1 + random.below(150)) * Self.millisecond
      weather.delay = least...least * UInt64(1 + random.below(4))
    case .partition:
      let sides = random.chance(0.3) ? 3 : 2
      for index in nodes.indices { side[index] = random.below(sides) }
      if random.chance(0.4) { side = [:] }
    case .isolation:
      side = [victim: 1]
    case .oneWay, .partialPartition:
      if random.chance(0.3) { cut = [] }
      for _ in 0..<(1 + random.below(nodes.count)) {
        let (from, to) = (random.below(nodes.count), random.below(nodes.count))
        cut.insert(from * 10_000 + to)
        if fault == .partialPartition { cut.insert(to * 10_000 + from) }
      }
    case .addressChange: changeAddress(victim)
    case .crashKeptDisk, .crashOldDisk, .crashLostDisk: crash(victim, disk: fault)
    case .pause: pause(victim)
    case .clockDrift:
      nodes[victim].setRate(UInt64(990_000 + random.below(20_001)), at: time)
      // A process that sleeps does nothing meanwhile.
      if nodes[victim].pausedUntil == nil { reschedule(victim) }
    case .clockJump:
      guard nodes[victim].isUp, nodes[victim].pausedUntil == nil else { return }
      noteSeen(victim)
      nodes[victim].leap(UInt64(3 + random.below(60)) * Self.second, at: time)
      nodes[victim].graceAt = time
      nodes[victim].wokeAt = time
      reschedule(victim)
    case .churn:
      guard nodes[victim].isUp, nodes[victim].pausedUntil == nil else { return }
      note("node \(victim) leaves")
      drive(victim) { engine, now in try? engine.perform(.leaveMesh, now: now) }
      crash(victim)
      queue.add(.start(node: victim), at: time + UInt64(1 + random.below(8)) * Self.second)
    case .clone: clone(victim)
    case .joinStorm:
      for _ in 0..<20 { act() }
    case .outsider, .traitor:
      // These act by themselves.
      return
    }
    note("fault \(fault.rawValue) at node \(victim)")
  }

  private mutating func crash(_ victim: Int, disk fault: Fault) {
    guard nodes[victim].isUp, !nodes[victim].isClone else { return }
    crash(victim)
    if fault == .crashOldDisk, let old = nodes[victim].backups.first {
      nodes[victim].disk = old
    }
    if fault == .crashLostDisk {
      nodes[victim].disk = Disk(secret: random.next())
      nodes[victim].backups = []
    }
    queue.add(.start(node: victim), at: time + UInt64(random.below(12_000)) * Self.millisecond)
  }

  private mutating func changeAddress(_ victim: Int) {
    nodeAt[nodes[victim].address] = nil
    nodes[victim].address = newAddress()
    nodeAt[nodes[victim].address] = victim
  }

  private mutating func pause(_ victim: Int) {
    guard nodes[victim].isUp, nodes[victim].pausedUntil == nil else { return }
    let end = time + UInt64(500 + random.below(20_000)) * Self.millisecond
    nodes[victim].pausedUntil = end
    nodes[victim].asleepSince = time
    noteSeen(victim)
    queue.add(.endPause(node: victim, life: nodes[victim].life), at: end)
  }

  mutating func endPause(_ index: Int) {
    nodes[index].pausedUntil = nil
    nodes[index].graceAt = time
    nodes[index].wokeAt = time
    // A shorter sleep may end before any timer of the node was late: it cannot notice that one.
    if time < nodes[index].asleepSince + 3 * Self.second / 2 { nodes[index].wasOnline = [] }
    note("node \(index) wakes")
    let buffer = nodes[index].buffer
    nodes[index].buffer = []
    // A process that wakes finds its timers late and its socket full, in either order.
    let isTimerFirst = random.chance(0.5)
    if isTimerFirst { drive(index) { engine, now in engine.tick(now: now) } }
    for (bytes, from) in buffer { hear(index, bytes, from: from) }
    if !isTimerFirst { drive(index) { engine, now in engine.tick(now: now) } }
  }

  private mutating func reschedule(_ index: Int) {
    nodes[index].tickAt = nil
    drive(index) { engine, now in engine.tick(now: now) }
  }

  /// Starts a second process from a copy of a node's disk.
  private mutating func clone(_ victim: Int) {
    guard nodes[victim].isUp, !nodes.contains(where: { $0.isClone }) else { return }
    let index = nodes.count
    addNode(secret: nodes[victim].disk.secret, index: index)
    nodes[index].disk.generation = nodes[victim].disk.generation - 1
    nodes[index].isClone = true
    side[index] = side[victim]
    start(index)
  }

  /// Ends all faults: the network is calm, everybody is up, nobody is hostile.
  mutating func heal() {
    isHealing = true
    time = max(time, faultsEnd)
    note("the faults end")
    weather = calm
    side = [:]
    cut = []
    outsider = nil
    traitor?.isActive = false
    for index in nodes.indices where nodes[index].isClone && nodes[index].isUp { crash(index) }
    for index in nodes.indices where !nodes[index].isClone {
      nodes[index].setRate(1_000_000, at: time)
      if nodes[index].pausedUntil != nil { endPause(index) }
      if nodes[index].isUp { reschedule(index) } else { start(index) }
    }
    guard !hasMulticast else { return }
    // Whoever lost everybody's address is given one again.
    let address = nodes[0].address
    for index in nodes.indices.dropFirst() where nodes[index].isUp {
      drive(index) { engine, now in engine.addPeers([address], now: now) }
    }
  }
}

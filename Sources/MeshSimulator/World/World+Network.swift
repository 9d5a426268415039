import MeshCRDT
import MeshEngine

extension World {
  /// Puts a datagram of a node on the wire.
  mutating func send(_ bytes: [UInt8], from index: Int, to address: PeerAddress) {
    datagrams += 1
    batchMeter?.count(bytes, from: index)
    trace.record(time, UInt64(index), SipHash.hash(bytes, key: HashKey(1, 2)))
    let source = nodes[index].address
    watch(bytes, from: index, to: address)
    if address == traitor?.address { return transmit(bytes, from: source, to: address) }
    guard let target = nodeAt[address], canHear(from: index, target) else { return }
    if isMeasuring, crossedAt == nil, (index ^ target) & 1 == 1 { crossedAt = time }
    transmit(bytes, from: source, to: address)
  }

  private func canHear(from index: Int, _ target: Int) -> Bool {
    side[index, default: 0] == side[target, default: 0]
      && !cut.contains(index * 10_000 + target)
  }

  /// Lets the weather have its way with a datagram.
  mutating func transmit(_ bytes: [UInt8], from source: PeerAddress, to address: PeerAddress) {
    if weather.loss > 0, random.chance(weather.loss) { return }
    guard bytes.count <= weather.sizeLimit else { return }
    var copies = 1
    if weather.duplication > 0, random.chance(weather.duplication) {
      copies += 1 + random.below(2)
    }
    for _ in 0..<copies {
      var bytes = bytes
      if weather.corruption > 0, !bytes.isEmpty, random.chance(weather.corruption) {
        bytes[random.below(bytes.count)] ^= UInt8(1 << random.below(8))
      }
      if weather.truncation > 0, !bytes.isEmpty, random.chance(weather.truncation) {
        bytes.removeLast(random.below(bytes.count))
      }
      let range = weather.delay
      var delay =
        range.lowerBound + UInt64(random.below(Int(range.upperBound - range.lowerBound) + 1))
      if weather.straggling > 0, random.chance(weather.straggling) {
        delay += UInt64(random.below(Int(weather.straggle)))
      }
      queue.add(.deliver(to: address, from: source, bytes: bytes), at: time + delay)
    }
  }

  mutating func deliver(_ bytes: [UInt8], to address: PeerAddress, from source: PeerAddress) {
    if let reply = hearAdversary(bytes, at: address, from: source) {
      for bytes in reply { transmit(bytes, from: address, to: source) }
      return
    }
    guard let index = nodeAt[address], nodes[index].isUp else { return }
    if nodes[index].pausedUntil != nil {
      if nodes[index].buffer.count < 128 { nodes[index].buffer.append((bytes, source)) }
      return
    }
    hear(index, bytes, from: source)
  }

  mutating func hear(_ index: Int, _ bytes: [UInt8], from source: PeerAddress) {
    guard let box = nodes[index].box else { return }
    let before = box.engine.counters[.datagramsAccepted]
    received(bytes, at: index, from: source)
    drive(index) { engine, now in engine.receive(bytes, from: source, now: now) }
    guard box.engine.counters[.datagramsAccepted] > before, !isMeasuring else { return }
    // What is heard is heard once.
    let hash = SipHash.hash(bytes, key: HashKey(source.low, UInt64(source.port)))
    if !nodes[index].heard.insert(hash).inserted {
      fail("node \(index) heard a datagram twice")
    }
  }
}

import MeshCRDT
import MeshEngine

/// Who gets what is sent to an address.
struct Receiver {
  let node: Int
  /// The only address that a mapping lets through; `nil`: all.
  var only: PeerAddress?
}

/// The address translation that a node is behind.
struct Translation {
  let network: UInt32
  /// True when there is a mapping for each address that it sends to, which alone may answer there.
  let isSymmetric: Bool
  /// Changes with all mappings.
  var salt: UInt64

  func address(for target: PeerAddress) -> PeerAddress {
    let key = isSymmetric ? target.bytes : []
    let port = UInt16(1024 + FoldedHash(key, key: HashKey(salt, UInt64(network))).first % 60_000)
    return PeerAddress(ipv4: network, port: port)
  }
}

extension World {
  /// The address at which others find a node.
  func publicAddress(_ node: SimulatedNode) -> PeerAddress {
    guard let translation = node.translation else { return node.address }
    return translation.address(for: node.address)
  }

  /// Puts a datagram of a node on the wire, or what a liar makes of it.
  func send(_ bytes: [UInt8], from node: SimulatedNode, to address: PeerAddress) {
    guard node.liar != nil else { return transmitOwn(bytes, from: node, to: address) }
    distort(bytes, from: node, to: address)
  }

  func transmitOwn(_ bytes: [UInt8], from node: SimulatedNode, to address: PeerAddress) {
    datagrams += 1
    trace.record(time, UInt64(node.index), FoldedHash(bytes).first)
    countSent(bytes.count, node)
    meter?.note(bytes, from: node.index)
    sampler?.count(bytes, from: node.index, at: time)
    // What members send that lie is no answer.
    if node.isHonest {
      outsider?.note(sent: bytes.count, by: node.index, to: address).map {
        fail("amplification", $0)
      }
    }
    let source: PeerAddress
    if let translation = node.translation {
      source = translation.address(for: address)
      receivers[source] = Receiver(node: node.index, only: translation.isSymmetric ? address : nil)
    } else {
      source = node.address
    }
    guard let target = receivers[address] else { return }
    guard target.only == nil || target.only == source else { return }
    guard canHear(from: node.index, target.node) else { return }
    transmit(bytes, from: source, to: address)
  }

  func canHear(from index: Int, _ target: Int) -> Bool {
    side[index, default: 0] == side[target, default: 0] && !cut.contains(index * 10_000 + target)
  }

  /// Lets the weather have its way with a datagram.
  func transmit(_ bytes: [UInt8], from source: PeerAddress, to address: PeerAddress) {
    if weather.loss > 0, random.chance(weather.loss) { return }
    guard bytes.count <= weather.sizeLimit else { return }
    var copies = 1
    if weather.duplication > 0, random.chance(weather.duplication) { copies += 1 + random.below(2) }
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

  func deliver(_ bytes: [UInt8], to address: PeerAddress, from source: PeerAddress) {
    if outsider != nil, random.chance(0.1) { outsider?.capture(bytes, source, address) }
    guard let receiver = receivers[address], nodes[receiver.node].isUp else { return }
    let node = nodes[receiver.node]
    if !isAwake(node) {
      if node.buffer.count < 128, !node.isDeaf { node.buffer.append((bytes, source)) }
      return
    }
    hear(node.index, bytes, from: source)
  }

  /// True when a process runs and does not sleep.
  func isAwake(_ node: SimulatedNode) -> Bool {
    guard node.isAwake else { return false }
    guard let stall = node.stall, stall.holdsDatagrams else { return true }
    return stall.release(time) == time
  }

  func hear(_ index: Int, _ bytes: [UInt8], from source: PeerAddress) {
    let node = nodes[index]
    guard let process = node.process else { return }
    if meter != nil {
      if let sender = receivers[source]?.node, sender % 2 != index % 2 { datagramsAcross += 1 }
      return drive(index) { engine, now in engine.receive(bytes, from: source, now: now) }
    }
    func acceptedCount() -> UInt64 { process.change { $0.counters[.datagramsAccepted] } }
    let before = acceptedCount()
    outsider?.note(received: bytes.count, by: index, from: source)
    node.liar?.overhear(bytes, from: source)
    drive(index) { engine, now in engine.receive(bytes, from: source, now: now) }
    guard acceptedCount() > before else { return }
    noteBeats(from: source, at: node)
    // A datagram counts once on a path; a path that is proven anew has another window.
    let proven = process.change { $0.counters[.pathsProven] }
    let hash = FoldedHash(bytes, key: HashKey(source.low, UInt64(source.port))).first
    if node.accepted.updateValue(proven, forKey: hash) == proven {
      fail("replay", "node \(index) accepted a datagram twice")
    }
  }
}

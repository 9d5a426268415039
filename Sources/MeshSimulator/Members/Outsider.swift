import MeshCRDT
import MeshEngine

/// Somebody on the network without the mesh key: captures, replays, alters, floods, spoofs.
struct Outsider {
  let address: PeerAddress
  /// Captured datagrams, with where they went and came from.
  private(set) var captured: [(bytes: [UInt8], from: PeerAddress, to: PeerAddress)] = []
  /// Addresses in whose name it sends: nobody is there.
  let victims: [PeerAddress]
  /// Bytes by node and address.
  private var received: [Int: [PeerAddress: Int]] = [:]
  private var sent: [Int: [PeerAddress: Int]] = [:]

  init(address: PeerAddress, victims: [PeerAddress]) {
    self.address = address
    self.victims = victims
  }

  private func isWatched(_ other: PeerAddress) -> Bool {
    other == address || victims.contains(other)
  }

  mutating func capture(_ bytes: [UInt8], _ source: PeerAddress, _ target: PeerAddress) {
    if captured.count < 300 { captured.append((bytes, source, target)) }
  }

  mutating func note(received count: Int, by node: Int, from source: PeerAddress) {
    guard isWatched(source) else { return }
    received[node, default: [:]][source, default: 0] += count
  }

  /// Counts what a node sends to an address that cannot prove itself. Returns what is wrong.
  mutating func note(sent count: Int, by node: Int, to target: PeerAddress) -> String? {
    guard isWatched(target) else { return nil }
    sent[node, default: [:]][target, default: 0] += count
    let out = sent[node]?[target] ?? 0
    let into = received[node]?[target] ?? 0
    guard out > Limits.amplificationFactor * into else { return nil }
    return "node \(node) sent \(out) bytes, at last \(count), to \(target), which sent \(into)"
  }
}

extension World {
  func actOutsider() {
    guard !isHealing, let outsider else { return }
    queue.add(.adversary, at: time + UInt64(20 + random.below(400)) * Self.millisecond)
    let target = publicAddress(nodes[random.below(nodes.count)])
    let source =
      random.chance(0.5) ? outsider.address : outsider.victims[random.below(outsider.victims.count)]
    let choice = random.below(5)
    if choice == 0 {
      // Noise, of any length.
      return transmit(
        (0..<random.below(1400)).map { _ in UInt8(truncatingIfNeeded: random.next()) },
        from: source, to: target)
    }
    guard !outsider.captured.isEmpty else { return }
    func old() -> (bytes: [UInt8], from: PeerAddress, to: PeerAddress) {
      outsider.captured[random.below(outsider.captured.count)]
    }
    switch choice {
    case 1, 2:
      // Captured words, later: in the name of who said them, or in another's.
      let words = old()
      transmit(words.bytes, from: random.chance(0.5) ? words.from : source, to: words.to)
    case 3:
      var words = old()
      guard !words.bytes.isEmpty else { return }
      words.bytes[random.below(words.bytes.count)] ^= 1
      transmit(words.bytes, from: words.from, to: words.to)
    default:
      for _ in 0..<50 { transmit(old().bytes, from: source, to: target) }
    }
  }
}

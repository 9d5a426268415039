import MeshCRDT
import MeshEngine
import MeshTrust
import MeshWire

/// A way in which a member lies.
package enum Lie: String, CaseIterable, Hashable, Sendable {
  /// It does not say some of its words, or others', to some nodes.
  case withhold
  /// It says one version differently to different nodes: in one room (the lobby, too), or in two.
  case equivocateBatch, equivocateRooms
  /// It signs two checkpoints of one sequence, or a root that is not that of its records.
  case equivocateCheckpoint, wrongRoot
  /// Identities that it made up write the highest counters for sessions of others.
  case poisonCounters
  /// Comparisons, probes, challenges and wrong signatures without end.
  case flood
  /// It holds back beats and checkpoints for seconds.
  case holdBack
  /// It sends datagrams of others again: to where they went, and to third nodes.
  case replay
  /// Its answers to comparisons have other bytes, leave nodes out, or have some that nobody asked for.
  case wrongNodes
  /// It says that checkpoints of others are younger or older than they are.
  case falseAges
  /// It tells addresses of broadcast, multicast, and of victims.
  case falsePeers
  /// Batches and contradictions in others' names.
  case forge
  /// It makes up identities with sessions and rooms, to fill tables.
  case fillTables
}

/// A member that lies: what it does to the datagrams that its engine sends, and what it signs.
final class Liar {
  let lies: [Lie]
  /// The counter of the datagrams of its present life.
  var counter: UInt64 = 0
  /// The tokens that nodes gave to it.
  var tokens: [PeerAddress: UInt64] = [:]
  /// Datagrams that it heard.
  private(set) var heard: [(bytes: [UInt8], from: PeerAddress)] = []
  /// The newest checkpoints that it heard, for ages and forgeries.
  var checkpoints: [OriginID: SignedMessage] = [:]
  /// Identities that it made up.
  var identities = 0

  init(lies: [Lie]) { self.lies = lies }

  func has(_ lie: Lie) -> Bool { lies.contains(lie) }

  func overhear(_ bytes: [UInt8], from source: PeerAddress) {
    if heard.count < 200, has(.replay) { heard.append((bytes, source)) }
  }
}

/// What an origin can sign: a toolkit for lies.
struct LyingPen {
  let crypto: any Crypto
  let verifier: SignatureVerifier
  let hash: any TreeHash
  let mesh: MeshID

  init(crypto: any Crypto, mesh: MeshID, hash: any TreeHash) {
    self.crypto = crypto
    self.hash = hash
    self.mesh = mesh
    verifier = SignatureVerifier(mesh: mesh, crypto: crypto, hash: hash)
  }

  var origin: OriginID { crypto.origin }

  func sign(_ body: some StatementBody) -> SignedMessage? { verifier.sign(body)?.message }

  /// A batch, and the checkpoint with the root of its records, of an incarnation that says nothing else.
  func statement(
    _ changes: [RecordChange], _ incarnation: Incarnation, hashKey: HashKey, leaving: Bool = false
  ) -> [MeshMessage] {
    var records = HashTree(hashKey: hashKey)
    for (offset, change) in changes.enumerated() {
      let stored = StoredRecord(
        version: UInt64(offset + 1), counter: change.counter, value: (change.value ?? [])[...])
      _ = records.set(change.key.bytes, to: stored.bytes)
    }
    var rooms = HashTree(hashKey: hashKey)
    let count = UInt64(changes.count)
    _ = rooms.set(
      RoomEntry.key(.lobby),
      to: RoomEntry(version: count, count: count, hash: records.hash(hash)).bytes)
    let batch = Batch(
      incarnation: incarnation, room: .lobby, previous: 0, first: 1, changes: changes)
    let checkpoint = Checkpoint(
      incarnation: incarnation, sequence: 1, version: count, root: rooms.root(hash),
      value: Hash128(1, origin.word0),
      chain: 1, schedule: 1, offsetMilliseconds: 0, beat: 0, periodMilliseconds: 2000,
      isLeaving: leaving)
    guard let first = sign(batch), let second = sign(checkpoint) else { return [] }
    return [.batch(first), .checkpoint(ageMilliseconds: 0, second)]
  }

  static func session(_ id: SessionID, counter: UInt64) -> RecordChange {
    let value = SessionValue(
      profile: Profile(userID: "mallory"), device: "", joinedAt: WallTime(milliseconds: 1))
    return RecordChange(EntryKey(.session, id), counter: counter, value: RecordValues.bytes(value))
  }
}

// MARK: - What goes out

extension World {
  func prepareMembers() {
    if faults.contains(.outsider) {
      outsider = Outsider(address: newAddress(), victims: (0..<3).map { _ in newAddress() })
    }
    guard faults.contains(.liars), nodes.count > 3 else { return }
    let lies = Lie.allCases.filter { scenario.lies?.contains($0) ?? true }
    let indices = random.sample(Array(2..<nodes.count), 1 + random.below(nodes.count / 3))
    for index in indices {
      let count = scenario.lies.map(\.count) ?? 1 + random.below(4)
      nodes[index].liar = Liar(lies: random.sample(lies, count))
    }
  }

  func pen(of node: SimulatedNode) -> LyingPen? {
    node.crypto.map { LyingPen(crypto: $0, mesh: mesh, hash: scenario.treeHash) }
  }

  /// Begins a life of a liar: it has sessions, too, and lies now and then.
  func startLiar(_ index: Int) {
    let node = nodes[index]
    guard let liar = node.liar, let crypto = node.crypto else { return }
    note("node \(index) lies: \(liar.lies.map(\.rawValue).joined(separator: " "))")
    liarOrigins.insert(crypto.origin)
    liar.counter = 0
    liar.tokens = [:]
    queue.add(.lie(node: index), at: time + Self.second)
  }

  /// What becomes of a datagram of a liar's engine.
  func distort(_ bytes: [UInt8], from node: SimulatedNode, to address: PeerAddress) {
    guard let liar = node.liar, let crypto = node.crypto,
      let clear = try? DatagramHeader.Clear.read(bytes),
      let opened = crypto.open(bytes, epoch: clear.epoch),
      let (header, reader) = try? DatagramHeader.Inner.read(opened: opened)
    else { return transmitOwn(bytes, from: node, to: address) }
    if header.echo != 0 { liar.tokens[address] = header.echo }
    var messages: [MeshMessage] = []
    var held: [MeshMessage] = []
    var rest = reader
    while let message = try? rest.next() {
      guard let kept = distorted(message, liar, node, to: address) else { continue }
      if liar.has(.holdBack), isSignOfLife(kept), random.chance(0.5) {
        held.append(kept)
      } else {
        messages.append(kept)
      }
    }
    if !messages.isEmpty || opened.count == DatagramHeader.innerBytes {
      transmitOwn(datagram(messages, echo: header.echo, of: node), from: node, to: address)
    }
    if !held.isEmpty {
      let late = datagram(held, echo: header.echo, of: node)
      let delay = UInt64(500 + random.below(9000)) * Self.millisecond
      queue.add(
        .resend(node: node.index, life: node.life, bytes: late, to: address), at: time + delay)
    }
  }

  private func isSignOfLife(_ message: MeshMessage) -> Bool {
    switch message {
    case .beats, .checkpoint: true
    default: false
    }
  }

  /// A datagram of a liar.
  func datagram(_ messages: [MeshMessage], echo: UInt64, of node: SimulatedNode) -> [UInt8] {
    guard let liar = node.liar, let crypto = node.crypto,
      let incarnation = node.process?.engine.incarnation
    else {
      return []
    }
    liar.counter += 1
    var bytes = DatagramHeader.assembled(
      DatagramHeader.Clear(tag: mesh.tag, epoch: crypto.newestEpoch),
      processNonce: (node.life, UInt64(node.index)),
      DatagramHeader.Inner(
        sender: crypto.origin, incarnation: incarnation, counter: liar.counter, echo: echo),
      messages: messages.flatMap { $0.encoded() })
    crypto.seal(&bytes)
    return bytes
  }

  /// What a liar says in the place of a message; `nil`: nothing.
  private func distorted(
    _ message: MeshMessage, _ liar: Liar, _ node: SimulatedNode, to address: PeerAddress
  ) -> MeshMessage? {
    let isOdd = FoldedHash(address.bytes).first & 1 == 1
    if case .pathProof = message { return message }
    if case .challenge = message { return message }
    if case .checkpoint(_, let signed) = message { liar.checkpoints[signed.origin] = signed }
    if liar.has(.withhold), random.chance(isOdd ? 0.9 : 0.3) { return nil }
    switch message {
    case .batch(let signed) where signed.origin == node.crypto?.origin && isOdd:
      guard let other = equivocated(signed, liar, node) else { return message }
      return .batch(other)
    case .checkpoint(let age, let signed):
      guard signed.origin == node.crypto?.origin else {
        return liar.has(.falseAges)
          ? .checkpoint(ageMilliseconds: random.chance(0.5) ? 0 : 3_600_000, signed) : message
      }
      guard liar.has(.wrongRoot) || (liar.has(.equivocateCheckpoint) && isOdd),
        let body = try? signed.read(Checkpoint.self),
        let other = pen(of: node)?.sign(body.withWrongRoot)
      else { return message }
      return .checkpoint(ageMilliseconds: age, other)
    case .nodes(let answer) where liar.has(.wrongNodes): return .nodes(wrong(answer))
    case .peerExchange where liar.has(.falsePeers): return .peerExchange(falsePeers())
    default: return message
    }
  }

  /// Another batch of the same versions.
  private func equivocated(_ signed: SignedMessage, _ liar: Liar, _ node: SimulatedNode)
    -> SignedMessage?
  {
    guard liar.has(.equivocateBatch) || liar.has(.equivocateRooms),
      let body = try? signed.read(Batch.self)
    else {
      return nil
    }
    let isMoved = liar.has(.equivocateRooms) && !body.room.isLobby
    let changes = body.changes.enumerated().map { offset, change in
      offset == 0 && !isMoved && change.counter > 0
        ? RecordChange(
          change.key, counter: min(change.counter + 1, Limits.counterBound - 1), slice: change.value
        )
        : change
    }
    let other = Batch(
      incarnation: body.incarnation, room: isMoved ? RoomName("elsewhere") ?? .lobby : body.room,
      previous: isMoved ? 0 : body.previous, first: body.first, changes: changes)
    return other == body ? nil : pen(of: node)?.sign(other)
  }

  private func wrong(_ answer: NodesAnswer) -> NodesAnswer {
    var nodes = answer.nodes
    switch random.below(3) {
    case 0 where !nodes.isEmpty:
      let index = random.below(nodes.count)
      var bytes = nodes[index].bytes
      if bytes.count > 4 { bytes[1 + random.below(bytes.count - 1)] ^= 1 }
      nodes[index] = .init(tree: nodes[index].tree, path: nodes[index].path, bytes: bytes)
    case 1: nodes = []
    default: nodes = nodes.reversed()
    }
    return NodesAnswer(
      place: answer.place, request: answer.request, page: answer.page,
      isLast: answer.isLast || random.chance(0.3),
      nodes: nodes)
  }

  private func falsePeers() -> [PeerExchange] {
    let victims: [(UInt64, UInt64, UInt16)] = [
      (0, 0xFFFF_FFFF_FFFF, 7000), (0, 0xFFFF_E000_0001, 7000), (0xFF02_0000_0000_0000, 1, 7000),
      (0, 0xFFFF_7F00_0001, 80),
      (0, 0xFFFF_0A00_0000 | random.next() & 0xFFFF, UInt16(1 + random.below(60_000))),
    ]
    return (0..<16).map { _ in
      let (high, low, port) = victims[random.below(victims.count)]
      return PeerExchange(
        origin: OriginID(random.next(), 1, 2, random.next()), addressHigh: high, addressLow: low,
        port: port)
    }
  }
}

extension Checkpoint {
  /// The same with the root of nothing that there is.
  fileprivate var withWrongRoot: Checkpoint {
    Checkpoint(
      incarnation: incarnation, sequence: sequence, version: version,
      root: Hash256(Hash128(sequence, 1), Hash128(2, 3)), value: value, chain: chain,
      schedule: schedule,
      offsetMilliseconds: offsetMilliseconds, beat: beat, periodMilliseconds: periodMilliseconds,
      isLeaving: isLeaving, features: features)
  }
}

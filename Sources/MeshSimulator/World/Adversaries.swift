import MeshCRDT
import MeshEngine
import MeshTrust
import MeshWire

/// Somebody on the network without the mesh key: captures, replays, alters, floods, spoofs.
struct Outsider {
  let address: PeerAddress
  /// Captured datagrams, with where they went and came from.
  var captured: [(bytes: [UInt8], from: PeerAddress, to: PeerAddress)] = []
  /// Addresses in whose name it sends: nobody is there.
  let victims: [PeerAddress]
  /// Bytes by node and address.
  private var receivedBytes: [Int: [PeerAddress: Int]] = [:]
  private var sentBytes: [Int: [PeerAddress: Int]] = [:]

  init(address: PeerAddress, victims: [PeerAddress]) {
    self.address = address
    self.victims = victims
  }

  private func isWatched(_ other: PeerAddress) -> Bool {
    other == address || victims.contains(other)
  }

  mutating func note(received count: Int, by node: Int, from source: PeerAddress) {
    guard isWatched(source) else { return }
    receivedBytes[node, default: [:]][source, default: 0] += count
  }

  /// Counts what a node sends to an address that cannot prove itself. Returns what is wrong.
  mutating func note(sent count: Int, by node: Int, to target: PeerAddress) -> String? {
    guard isWatched(target) else { return nil }
    sentBytes[node, default: [:]][target, default: 0] += count
    let sent = sentBytes[node]?[target] ?? 0
    let received = receivedBytes[node]?[target] ?? 0
    return sent > Limits.amplificationFactor * received
      ? "sent \(sent) bytes to an address that sent \(received)" : nil
  }
}

/// A member of the mesh with a key of its own and bad intentions.
struct Traitor {
  let address: PeerAddress
  let crypto: any Crypto
  let verifier: Verifier
  let tag: UInt64
  var isActive = true
  var counter: UInt64 = 0
  var version: UInt64 = 0
  var heartbeat: UInt64 = 0
  /// What nodes want to be answered with.
  var tokens: [PeerAddress: UInt64] = [:]
  /// Signed words of others.
  var words: [Message] = []
  /// Its own id and those that it made up.
  var origins: [OriginID]

  init(address: PeerAddress, crypto: any Crypto, mesh: MeshID) {
    self.address = address
    self.crypto = crypto
    verifier = Verifier(mesh: mesh, crypto: crypto)
    tag = mesh.tag
    origins = [crypto.origin]
  }

  func token(for address: PeerAddress) -> UInt64 { crypto.token(forAddress: address.bytes) }

  mutating func datagram(_ messages: [Message], echo: UInt64) -> [UInt8] {
    counter += 1
    var writer = ByteWriter()
    OuterHeader(tag: tag, epoch: crypto.sealingEpoch).write(to: &writer)
    writer.uint64(0xBAD)
    writer.uint64(counter)
    writer.uint64(0)
    InnerHeader(sender: crypto.origin, generation: 1, counter: 1 << 40 | counter, echo: echo)
      .write(to: &writer)
    for message in messages { writer.raw(message.encoded()) }
    var bytes = writer.bytes
    crypto.seal(&bytes)
    return bytes
  }

  /// Opens a datagram that was meant for somebody else, and keeps the signed words in it.
  mutating func overhear(_ bytes: [UInt8]) {
    guard words.count < 400, let inner = crypto.open(bytes, epoch: crypto.sealingEpoch) else {
      return
    }
    var reader = ByteReader(inner)
    guard (try? InnerHeader.read(&reader)) != nil else { return }
    while !reader.isAtEnd, let message = try? Message.read(&reader) {
      switch message {
      case .batch, .frame: words.append(message)
      case .head: words.append(message)
      default: break
      }
    }
  }
}

extension World {
  mutating func prepareAdversaries() {
    if faults.contains(.outsider) {
      outsider = Outsider(
        address: newAddress(), victims: (0..<3).map { _ in newAddress() })
    }
    if faults.contains(.traitor) {
      traitor = Traitor(
        address: newAddress(), crypto: options.makeCrypto(random.next(), meshSecret, 1),
        mesh: mesh)
    }
    if outsider != nil || traitor != nil {
      queue.add(.adversary, at: 500 * Self.millisecond)
    }
  }

  /// Captures a part of what is on the wire, and answers what is sent to an adversary. `nil`: the
  /// datagram is not for him.
  mutating func hearAdversary(
    _ bytes: [UInt8], at address: PeerAddress, from source: PeerAddress
  ) -> [[UInt8]]? {
    if outsider != nil, random.chance(0.1) {
      if (outsider?.captured.count ?? 0) < 300 {
        outsider?.captured.append((bytes, source, address))
      }
    }
    if traitor?.isActive == true, random.chance(0.1) { traitor?.overhear(bytes) }
    if let outsider, address == outsider.address || outsider.victims.contains(address) {
      return []
    }
    guard var traitor, address == traitor.address else { return nil }
    defer { self.traitor = traitor }
    guard traitor.isActive, let inner = traitor.crypto.open(bytes, epoch: 1) else { return [] }
    var reader = ByteReader(inner)
    guard (try? InnerHeader.read(&reader)) != nil else { return [] }
    var answers: [[UInt8]] = []
    while !reader.isAtEnd, let message = try? Message.read(&reader) {
      switch message {
      case .challenge(let token): answers.append(prove(&traitor, token, to: source))
      case .proof(let envelope):
        var body = envelope.body
        guard let proof = try? ProofBody.read(&body) else { continue }
        traitor.tokens[source] = proof.token
        if proof.wantsProof { answers.append(prove(&traitor, proof.token, to: source)) }
      case .pull(let pull):
        // Omission: "there is nothing more".
        let end = PullEnd(
          shelf: pull.shelf, generation: pull.generation, after: pull.after,
          through: pull.after, hasMore: false)
        answers.append(traitor.datagram([.pullEnd(end)], echo: traitor.tokens[source] ?? 0))
      case .manifestRequest(let request):
        // A lie: "nothing lives".
        let empty = Manifest(
          shelf: request.shelf, generation: request.generation, after: request.after,
          through: request.after, isLast: true, items: [])
        answers.append(traitor.datagram([.manifest(empty)], echo: traitor.tokens[source] ?? 0))
      default: traitor.overhear(bytes)
      }
    }
    return answers
  }

  private func prove(
    _ traitor: inout Traitor, _ token: UInt64, to target: PeerAddress
  ) -> [UInt8] {
    let body = ProofBody(
      generation: 1, life: 1, echo: token, token: traitor.token(for: target), wantsProof: false)
    var writer = ByteWriter()
    body.write(to: &writer)
    let proof = traitor.verifier.sign(body, bytes: writer.bytes).envelope
    return traitor.datagram([.proof(proof)], echo: token)
  }

  mutating func actAdversary() {
    guard !isHealing else { return }
    queue.add(.adversary, at: time + UInt64(20 + random.below(400)) * Self.millisecond)
    let target = nodes[random.below(nodes.count)].address
    if outsider != nil { actOutsider(target) }
    if traitor?.isActive == true { actTraitor(target) }
  }

  private mutating func actOutsider(_ target: PeerAddress) {
    guard let outsider else { return }
    let source =
      random.chance(0.5)
      ? outsider.address : outsider.victims[random.below(outsider.victims.count)]
    switch random.below(5) {
    case 0:
      // Noise, of any length.
      var noise = [UInt8](repeating: 0, count: random.below(1400))
      for index in noise.indices { noise[index] = UInt8(truncatingIfNeeded: random.next()) }
      transmit(noise, from: source, to: target)
    case 1, 2:
      // Captured words, later: in the name of who said them, or in another's.
      guard !outsider.captured.isEmpty else { return }
      let old = outsider.captured[random.below(outsider.captured.count)]
      transmit(old.bytes, from: random.chance(0.5) ? old.from : source, to: old.to)
    case 3:
      guard !outsider.captured.isEmpty else { return }
      var old = outsider.captured[random.below(outsider.captured.count)]
      guard !old.bytes.isEmpty else { return }
      old.bytes[random.below(old.bytes.count)] ^= 1
      transmit(old.bytes, from: old.from, to: old.to)
    default:
      // A flood.
      for _ in 0..<50 where !outsider.captured.isEmpty {
        let old = outsider.captured[random.below(outsider.captured.count)]
        transmit(old.bytes, from: source, to: target)
      }
    }
  }

  private mutating func actTraitor(_ target: PeerAddress) {
    guard var traitor else { return }
    defer { self.traitor = traitor }
    guard let echo = traitor.tokens[target] else {
      let hello = traitor.datagram([.challenge(token: traitor.token(for: target))], echo: 0)
      return transmit(hello, from: traitor.address, to: target)
    }
    for message in lies(&traitor) {
      transmit(traitor.datagram([message], echo: echo), from: traitor.address, to: target)
    }
    // In somebody else's name, who would be flooded with answers.
    if let victim = outsider?.victims.first {
      transmit(
        traitor.datagram([.digest(nonce: 1, Digest())], echo: random.next()), from: victim,
        to: target)
    }
  }

  private mutating func lies(_ traitor: inout Traitor) -> [Message] {
    let honest = nodes.compactMap { $0.engine?.origin }
    switch random.below(7) {
    case 0:
      // A batch in another's name, signed by nobody, or by himself.
      guard let victim = honest.first(where: { _ in random.chance(0.4) }) else { return [] }
      return [forged(&traitor, in: victim)]
    case 1:
      // Old words of others, true but stale.
      return traitor.words.isEmpty ? [] : [traitor.words[random.below(traitor.words.count)]]
    case 2:
      // A counter that would leave nothing for the others.
      return [own(&traitor, counter: Limits.counterBound - 1 - UInt64(random.below(3)))]
    case 3: return [own(&traitor, counter: UInt64(random.below(1000)))]
    case 4:
      traitor.heartbeat += 1
      let body = HeadBody(
        generation: 1, heartbeat: traitor.heartbeat,
        claim: Cut(version: UInt64(random.below(99)), count: 3, hash: random.next()),
        counter: UInt64(random.below(100)), periodMilliseconds: 2000, isLeaving: false)
      var writer = ByteWriter()
      body.write(to: &writer)
      return [
        .head(ageMilliseconds: 0, traitor.verifier.sign(body, bytes: writer.bytes).envelope)
      ]
    case 5:
      // A list of things that are not.
      let entries = honest.sorted().prefix(4).map {
        DigestEntry(
          shelf: ShelfID($0, random.chance(0.5) ? .lobby : RoomID(bits: random.next())),
          generation: UInt64(1 + random.below(3)),
          held: Cut(version: 1 << 40, count: 1, hash: 7))
      }
      return [
        .entries(
          Entries(
            nonce: 1, wantsAnswer: true, hasMore: false, mask: .max,
            after: .first, entries: Array(entries)))
      ]
    default:
      return [
        .introduction([
          Introduction(
            origin: OriginID(random.next(), 1, 2, 3), addressHigh: 0,
            addressLow: random.next(), port: 9)
        ])
      ]
    }
  }

  private mutating func forged(_ traitor: inout Traitor, in victim: OriginID) -> Message {
    let session = SessionID(random.next(), 1)
    let body = batchBody(first: 1 + UInt64(random.below(2000)), session: session, counter: 5)
    var writer = ByteWriter()
    writer.origin(victim)
    writer.raw(traitor.crypto.sign(body))
    writer.raw(body)
    guard let envelope = try? Envelope(kind: .batch, bytes: writer.bytes) else {
      preconditionFailure("an envelope with a body")
    }
    return .batch(envelope)
  }

  private mutating func own(_ traitor: inout Traitor, counter: UInt64) -> Message {
    traitor.version += 1
    let session = SessionID(random.next(), 2)
    let bytes = batchBody(first: traitor.version, session: session, counter: counter)
    var reader = ByteReader(bytes)
    guard let body = try? BatchBody.read(&reader) else {
      preconditionFailure("a body that was just written")
    }
    return .batch(traitor.verifier.sign(body, bytes: bytes).envelope)
  }

  private func batchBody(first: UInt64, session: SessionID, counter: UInt64) -> [UInt8] {
    var writer = ByteWriter()
    let value = SessionValue(
      profile: Profile(userID: "mallory"), device: "", joinedAt: WallTime(milliseconds: 1))
    _ = BatchBody.write(
      generation: 1, room: .lobby, first: first,
      records: [
        Record(
          session: session, lane: .session, room: .lobby, counter: counter,
          value: .session(value))
      ], liveCount: first, liveHash: 99, to: &writer)
    return writer.bytes
  }
}

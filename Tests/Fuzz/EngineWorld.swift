import MeshCRDT
import MeshSimulator
import MeshTrust
import MeshWire

@testable import MeshEngine

/// The node that is fuzzed with all around it. Datagrams take no time. A value: each input begins with a
/// copy.
struct EngineWorld {
  static let mesh: MeshID = {
    guard let mesh = MeshID(bytes: (0..<16).map { UInt8($0) }) else { fatalError("16 bytes") }
    return mesh
  }()
  static let room = RoomName("design") ?? .lobby
  /// The sessions of the node and of its neighbour.
  static let sessions = [SessionID(1, 0), SessionID(1, 1)]

  private enum Place {
    static let node = PeerAddress(high: 0xfd00 << 48 | 1 << 16, low: 1, port: 7000)
    static let neighbour = PeerAddress(high: 0xfd00 << 48 | 2 << 16, low: 1, port: 7000)
    static let member = PeerAddress(high: 0xfd00 << 48 | 3 << 16, low: 1, port: 7000)
    /// Of nobody: nothing may be said there beyond three times what came from there.
    static let stranger = PeerAddress(ipv4: 0xC0A8_0109, port: 7000)
  }

  private var node: Engine
  private var neighbour: Engine
  /// The first one owns the path.
  private var authors: [LyingAuthor]
  private var now = MonotonicTime(milliseconds: 1_000_000)

  // What the member knows.
  private var counter: UInt64 = 0
  private var token: UInt64 = 0
  private var requests: [CompareRequest] = []
  private var said: [SignedMessage] = []
  private var heard: [[UInt8]] = []

  // What users were told.
  private var told: [SessionID: SessionSnapshot] = [:]
  private var health: [OriginID: NodeHealth] = [:]

  /// Datagrams between the node and its neighbour.
  private var toNeighbour: [[UInt8]] = []
  private var toNode: [[UInt8]] = []
  private var work = 0
  private var strangerIn = 0
  private var strangerOut = 0

  /// True when an input has had its share.
  var isTired: Bool { work > 2000 }

  /// The node and its neighbour, which have met, with a session each, and a path of the member.
  static func started() -> EngineWorld? {
    guard var world = EngineWorld() else { return nil }
    world.node.addPeers([Place.neighbour], now: world.now)
    world.drain()
    for (index, session) in sessions.enumerated() {
      let operation = LocalOperation.all([
        .open(
          session, Profile(userID: "user \(index)"), device: "fuzz", .attached,
          at: WallTime(milliseconds: 1)),
        .enter(session, room),
      ])
      if index == 0 {
        guard (try? world.node.perform(operation, now: world.now)) != nil else { return nil }
      } else {
        guard (try? world.neighbour.perform(operation, now: world.now)) != nil else { return nil }
      }
      world.drain()
    }
    world.prove()
    world.pass(milliseconds: 3000)
    guard world.token != 0, world.node.pathCount == 2, world.told.count == 2 else { return nil }
    world.work = 0
    return world
  }

  private init?() {
    func engine(_ secret: UInt64, _ now: MonotonicTime) -> Engine? {
      guard let incarnation = Incarnation(counter: 5, nonce: secret) else { return nil }
      var configuration = EngineConfiguration(
        mesh: Self.mesh, incarnation: incarnation, seed: (secret, 2, 3, 4))
      configuration.announcePeriod = .seconds(5)
      return Engine(
        configuration: configuration,
        crypto: StandInCrypto(NodeSecrets(node: secret, mesh: 7, process: 9)),
        treeHash: StandInTreeHash(), now: now)
    }
    guard let node = engine(1, now), let neighbour = engine(2, now) else { return nil }
    self.node = node
    self.neighbour = neighbour
    let now = now
    authors = (11...13).compactMap { LyingAuthor(secret: $0, mesh: Self.mesh, now: now) }
    guard authors.count == 3 else { return nil }
    health = [node.origin: .online]
  }
}

// MARK: - Time and datagrams

extension EngineWorld {
  /// Lets time go by, with all that becomes due.
  private mutating func pass(milliseconds: UInt64) {
    let end = now + .milliseconds(milliseconds)
    while !isTired, let next = [node.deadline, neighbour.deadline].compactMap({ $0 }).min(),
      next <= end
    {
      now = max(now, next)
      work += 1
      if node.deadline.map({ $0 <= now }) ?? false { node.tick(now: now) }
      if neighbour.deadline.map({ $0 <= now }) ?? false { neighbour.tick(now: now) }
      drain()
    }
    // Without the ticks that are due it would be a pause.
    if !isTired { now = end }
  }

  /// Takes all outputs, and delivers what goes to the neighbour, until there is nothing more.
  private mutating func drain() {
    repeat {
      while let output = node.nextOutput() {
        work += 1
        take(output)
      }
      while let output = neighbour.nextOutput() {
        if case .send(let bytes, Place.node) = output { toNode.append(bytes) }
      }
      let (there, here) = (toNeighbour, toNode)
      (toNeighbour, toNode) = ([], [])
      for bytes in there { neighbour.receive(bytes, from: Place.node, now: now) }
      for bytes in here { node.receive(bytes, from: Place.neighbour, now: now) }
      if there.isEmpty, here.isEmpty { return }
    } while work < 20_000
    check(false, "two nodes talk without end")
  }

  private mutating func take(_ output: Output) {
    switch output {
    case .persist: check(!node.isCloned, "another's words made a clone of the node")
    // An open mesh has no members to keep.
    case .keep, .keepKeys: check(false, "an open mesh keeps what a closed one does")
    case .event(let event): note(event)
    case .announce(let bytes): check(bytes.count <= Limits.datagramBytes, "a long datagram")
    case .send(let bytes, let address):
      check(bytes.count <= Limits.datagramBytes, "a long datagram")
      switch address {
      case Place.neighbour: toNeighbour.append(bytes)
      case Place.member: overhear(bytes)
      case Place.stranger:
        strangerOut += bytes.count
        check(
          strangerOut <= Limits.amplificationFactor * strangerIn,
          "\(strangerOut) bytes for \(strangerIn)")
      default: break
      }
    }
  }

  /// What the member learns of a datagram to it.
  private mutating func overhear(_ bytes: [UInt8]) {
    guard let clear = try? DatagramHeader.Clear.read(bytes),
      let opened = authors[0].crypto.open(bytes, epoch: clear.epoch),
      let (_, messages) = try? DatagramHeader.Inner.read(opened: opened)
    else { return check(false, "the node sends what is no datagram") }
    if heard.count < 8 { heard.append(bytes) }
    var reader = messages
    do {
      while let message = try reader.next() {
        switch message {
        case .compare(let request): requests = requests.suffix(3) + [request]
        case .challenge(let other) where other != 0: token = other
        case .pathProof(let signed):
          if let proof = try? signed.read(PathProof.self), proof.token != 0 { token = proof.token }
        default: break
        }
      }
    } catch {
      check(false, "the node sends a malformed message")
    }
  }

  /// Proves the member's path, as three datagrams do.
  private mutating func prove() {
    send([.challenge(token: 77)], echo: 0)
    let proof = PathProof(
      incarnation: authors[0].incarnation, echo: token, token: 78, wantsProof: false)
    if let signed = authors[0].sign(proof) { send([.pathProof(signed)], echo: token) }
  }

  private mutating func send(_ messages: [MeshMessage], echo: UInt64? = nil) {
    for message in messages { trace("the member: \(Self.described(message))") }
    send(raw: messages.flatMap { $0.encoded() }, echo: echo ?? token)
  }

  private mutating func send(raw: [UInt8], echo: UInt64) {
    counter += 1
    var bytes = DatagramHeader.assembled(
      DatagramHeader.Clear(tag: Self.mesh.tag, epoch: authors[0].crypto.newestEpoch),
      processNonce: (11, 11),
      DatagramHeader.Inner(
        sender: authors[0].origin, incarnation: authors[0].incarnation, counter: counter,
        echo: echo),
      messages: raw)
    authors[0].crypto.seal(&bytes)
    deliver(bytes, from: Place.member)
  }

  private mutating func deliver(_ bytes: [UInt8], from address: PeerAddress) {
    work += 1
    if address == Place.stranger { strangerIn += bytes.count }
    node.receive(bytes, from: address, now: now)
    drain()
  }

  private func trace(_ text: @autoclosure () -> String) {
    if EngineTarget.isTracing { print("\(now.nanoseconds / 1_000_000): \(text())") }
  }

  private static func described(_ message: MeshMessage) -> String {
    guard let signed = message.signed else { return "\(message)" }
    switch signed.kind {
    case .batch: return (try? signed.read(Batch.self)).map { "\($0)" } ?? "no batch"
    case .checkpoint: return (try? signed.read(Checkpoint.self)).map { "\($0)" } ?? "no checkpoint"
    case .cursorFrame: return (try? signed.read(CursorFrame.self)).map { "\($0)" } ?? "no frame"
    case .pathProof: return "path proof"
    }
  }

  private mutating func note(_ event: MeshEvent) {
    trace("event: \(event)")
    switch event {
    case .appeared(let snapshot):
      check(told[snapshot.id] == nil, "a session appears twice")
      told[snapshot.id] = snapshot
    case .changed(let snapshot):
      check(told[snapshot.id] != nil, "a session changes that is not there")
      check(told[snapshot.id] != snapshot, "a change of nothing")
      told[snapshot.id] = snapshot
    case .disappeared(let session):
      check(told[session] != nil, "a session goes that is not there")
      told[session] = nil
    case .cursor(let session, let room, let cursor):
      check(told[session]?.place(in: room) != nil, "a cursor of a session that is not there")
      told[session] = told[session]?.moving(in: room, to: cursor)
    case .node(let origin, let health):
      check(
        origin != neighbour.origin || health == .online, "the neighbour is \(health), and is not")
      self.health[origin] = health
    case .forgotten(let origin): health[origin] = nil
    case .cloned: check(false, "another's words made a clone of the node")
    case .contradicted(let origin, _):
      check(
        origin != neighbour.origin && origin != node.origin, "an honest node contradicts itself")
    default: break
    }
  }
}

// MARK: - What the input does

extension EngineWorld {
  mutating func act(_ input: inout FuzzInput) {
    let step = input.byte()
    let index = input.below(authors.count)
    switch step % 24 {
    case 0: say(authors[index].batch(&input)) { .batch($0) }
    case 1, 2:
      // A batch with the checkpoint that has it.
      say(authors[index].batch(&input)) { .batch($0) }
      say(authors[index].checkpoint(&input, now: now)) { .checkpoint(ageMilliseconds: 0, $0) }
    case 3:
      let age = input.number() % MeshMessage.ageBound
      say(authors[index].checkpoint(&input, now: now)) { .checkpoint(ageMilliseconds: age, $0) }
    case 4: say(authors[index].frame(&input)) { .cursorFrame($0) }
    case 5:
      send([.beats((0..<(1 + input.below(3))).map { _ in authors[index].beat(&input, now: now) })])
    case 6:
      guard let request = requests.last else { return }
      send([.nodes(authors[index].answer(request, &input))])
    case 7: send([.compare(request(&input))])
    case 8: send([.nodes(answer(&input))])
    case 9:
      let after = input.counter()
      send([
        .repair(
          RepairRequest(
            origin: origin(&input), incarnation: incarnation(&input),
            room: input.flag() ? input.room() : nil, after: after,
            through: max(after + 1, input.counter())))
      ])
    case 10:
      send([
        .probe([
          Probe(
            origin: origin(&input), incarnation: incarnation(&input), sequence: input.counter(),
            beat: input.number() & 4095)
        ])
      ])
    case 11: contradict(&input)
    case 12: send([.peerExchange((0..<(1 + input.below(4))).map { _ in peer(&input) })])
    case 13: send([.prune((0..<(1 + input.below(3))).map { _ in origin(&input) })])
    case 14: authors[index].restart(&input, now: now)
    case 15: pass(milliseconds: input.number() % 20_000)
    case 16: pass(milliseconds: UInt64(input.byte()))
    case 17: prove()
    case 18, 19: operate(&input)
    case 20:
      // A message of any body.
      let kind = 1 + input.byte() % MeshMessage.highestKind
      let body = input.blob(atMost: 1000)
      send(
        raw: [kind, UInt8(body.count >> 8), UInt8(truncatingIfNeeded: body.count)] + body,
        echo: input.flag() ? token : input.number())
    case 21: send(raw: input.blob(atMost: DatagramHeader.messageBytes), echo: token)
    case 22: spoof(&input)
    default:
      // Words that were said before, again.
      guard !said.isEmpty else { return }
      let signed = said[input.below(said.count)]
      switch signed.kind {
      case .batch: send([.batch(signed)])
      case .checkpoint: send([.checkpoint(ageMilliseconds: UInt64(input.byte()), signed)])
      case .cursorFrame: send([.cursorFrame(signed)])
      case .pathProof: break
      }
    }
  }

  private mutating func say(_ signed: SignedMessage?, _ message: (SignedMessage) -> MeshMessage) {
    guard let signed else { return }
    said = said.suffix(7) + [signed]
    send([message(signed)])
  }

  private mutating func contradict(_ input: inout FuzzInput) {
    guard said.count > 1 else { return }
    let (one, other) = (said[input.below(said.count)], said[input.below(said.count)])
    guard let contradiction = Contradiction(one, other, hash: StandInTreeHash()) else { return }
    send([.contradiction(contradiction)])
  }

  private func origin(_ input: inout FuzzInput) -> OriginID {
    switch input.below(8) {
    case 0: node.origin
    case 1, 2: neighbour.origin
    case 3: OriginID(input.number(), 1, 2, 3)
    default: authors[input.below(authors.count)].origin
    }
  }

  private func incarnation(_ input: inout FuzzInput) -> Incarnation {
    switch input.below(4) {
    case 0: node.incarnation
    case 1: neighbour.incarnation
    case 2:
      Incarnation(counter: max(1, input.number() & 0xFFFF), nonce: input.number())
        ?? node.incarnation
    default: authors[input.below(authors.count)].incarnation
    }
  }

  private func place(_ input: inout FuzzInput) -> ComparisonPlace {
    switch input.below(3) {
    case 0: .replica
    case 1 where !requests.isEmpty: requests[input.below(requests.count)].place
    default: .origin(origin(&input), incarnation(&input), sequence: max(1, input.counter()))
    }
  }

  private func tree(_ input: inout FuzzInput, in place: ComparisonPlace) -> OriginFetch.Tree {
    place == .replica || input.flag() ? .rooms : .records(input.room())
  }

  private func path(_ input: inout FuzzInput) -> TreePath {
    (0..<input.below(6)).reduce(TreePath.top) { path, _ in path.child(input.below(16)) }
  }

  private func request(_ input: inout FuzzInput) -> CompareRequest {
    let place = place(&input)
    let nodes = (0..<(1 + input.below(12))).map { _ in
      CompareRequest.Node(
        tree: tree(&input, in: place), path: path(&input), hash: Hash128(input.number(), 9))
    }
    return CompareRequest(
      place: place, request: input.uint16(), budget: input.number(),
      nodes: Array(nodes.prefix(CompareRequest.prefix(of: nodes, at: place))))
  }

  private func answer(_ input: inout FuzzInput) -> NodesAnswer {
    let place = place(&input)
    let nodes = (0..<input.below(6)).map { _ in
      NodesAnswer.Node(
        tree: tree(&input, in: place), path: path(&input), bytes: input.blob(atMost: 300))
    }
    let number =
      requests.isEmpty || input.flag()
      ? input.uint16() : requests[input.below(requests.count)].request
    return NodesAnswer(
      place: place, request: number, page: input.below(4), isLast: input.flag(),
      nodes: Array(nodes.prefix(NodesAnswer.prefix(of: nodes, at: place))))
  }

  private func peer(_ input: inout FuzzInput) -> PeerExchange {
    let address =
      switch input.below(5) {
      case 0: Place.node
      case 1: Place.neighbour
      case 2: Place.member
      case 3: PeerAddress(ipv4: 0x0A00_0000 | UInt32(input.uint16()), port: input.uint16())
      default: PeerAddress(high: input.number() << 48, low: input.number(), port: input.uint16())
      }
    // The stranger is nobody's hint.
    let isStranger = address.high == Place.stranger.high && address.low == Place.stranger.low
    return PeerExchange(
      origin: origin(&input), addressHigh: address.high,
      addressLow: isStranger ? 0 : address.low, port: address.port)
  }

  /// A datagram in another's name, sealed or not.
  private mutating func spoof(_ input: inout FuzzInput) {
    let form = input.byte()
    var bytes: [UInt8]
    if form & 4 == 0, !heard.isEmpty {
      bytes = heard[input.below(heard.count)]
      if form & 8 == 0 { bytes[input.below(bytes.count)] ^= input.byte() }
    } else {
      bytes = input.blob(atMost: 1300)
      if form & 8 == 0 {
        bytes = DatagramHeader.assembled(
          DatagramHeader.Clear(tag: Self.mesh.tag, epoch: 1), processNonce: (11, 12),
          DatagramHeader.Inner(
            sender: form & 16 == 0 ? neighbour.origin : origin(&input),
            incarnation: incarnation(&input), counter: max(1, input.number()),
            echo: input.flag() ? 0 : input.number()), messages: bytes)
        authors[0].crypto.seal(&bytes)
      }
    }
    deliver(
      bytes, from: [Place.member, Place.stranger, Place.stranger, Place.neighbour][Int(form & 3)])
  }

  /// What the node's own users do meanwhile.
  private mutating func operate(_ input: inout FuzzInput) {
    let session = input.session()
    let room = input.room()
    let time = WallTime(milliseconds: input.number() & 0xFFFF_FFFF)
    let operation: LocalOperation
    switch input.below(12) {
    case 0, 1:
      operation = .open(
        session, Profile(userID: "user \(input.below(4))"), device: "",
        input.flag() ? .attached : .leased(timeToLive: .milliseconds(1 + input.number() % 60_000)),
        at: time)
    case 2, 3: operation = .enter(session, room)
    case 4: operation = .exit(session, room)
    case 5: operation = .leave(session)
    case 6:
      operation = .setStatus(
        session, room, Status.allCases[input.below(Status.allCases.count)],
        message: input.flag() ? input.text(atMost: 140) : nil, at: time)
    case 7: operation = .setTyping(session, room, input.flag())
    case 8: operation = .setData(session, room, input.take(input.below(20)))
    case 9: operation = .moveCursor(session, room, input.cursor())
    case 10: operation = .remove(session, from: room, isFinal: input.flag())
    default:
      operation = .subscribe(
        input.flag() ? nil : Set((0..<input.below(3)).map { _ in input.room() }))
    }
    trace("the node: \(operation)")
    try? node.perform(operation, now: now)
    drain()
  }
}

// MARK: - What must hold

extension EngineWorld {
  mutating func checkTables() {
    check(node.pathCount <= EngineLimits.paths, "more paths than there may be")
    check(node.size.origins <= 2 + authors.count, "origins that nobody is")
    check(node.visibleCount <= node.size.origins, "more is seen than is held")
    check(node.incarnation.counter == 5, "another's words raised the incarnation")
    check(node.isQuarantined(neighbour.origin, neighbour.incarnation) == false, "the neighbour")
    check(neighbour.isQuarantined(node.origin, node.incarnation) == false, "the node")
    check(
      node.holds(neighbour.origin) && neighbour.holds(node.origin), "an honest node is forgotten")
  }

  /// What was told is what there is.
  mutating func checkEvents() {
    // What waits for its turn is told first.
    for _ in 0..<100 where node.view.hasWork {
      now = max(now, node.deadline ?? now)
      node.tick(now: now)
      while let output = node.nextOutput() { take(output) }
    }
    let snapshot = node.snapshot()
    check(
      snapshot.sessions == told.values.sorted { $0.id < $1.id },
      "told: \(told.values.sorted { $0.id < $1.id }), there: \(snapshot.sessions)")
    check(snapshot.nodes == health, "told: \(health), there: \(snapshot.nodes)")
  }

  /// The node and its neighbour hold the same, once the member is silent.
  mutating func checkAgreement() {
    try? node.perform(.subscribe(nil), now: now)
    drain()
    work = -100_000
    pass(milliseconds: 30_000)
    checkEvents()
    // What a visible origin has not finished saying counts where it was heard.
    guard node.visibleCount == 2, neighbour.visibleCount == 2 else { return }
    check(node.stateHash() == neighbour.stateHash(), "the node and its neighbour do not agree")
    let (here, there) = (node.snapshot(), neighbour.snapshot())
    check(
      here.sessions == there.sessions,
      "the node sees \(here.sessions) and its neighbour \(there.sessions)")
  }
}

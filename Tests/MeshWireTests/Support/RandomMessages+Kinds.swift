import MeshCRDT
import MeshWire

extension RandomMessages {
  /// A message of a kind, 1…13.
  mutating func message(kind: UInt8) throws(WireError) -> MeshMessage {
    switch kind {
    case 1: return .challenge(token: generator.next())
    case 2: return .pathProof(try signed(.pathProof))
    case 3: return .batch(try signed(.batch))
    case 4:
      return .checkpoint(
        ageMilliseconds: number(below: MeshMessage.ageBound), try signed(.checkpoint))
    case 5: return .cursorFrame(try signed(.cursorFrame))
    case 6:
      return .beats(
        (0..<count(1...Beat.bound)).map { _ in
          Beat(of: origin(), index: number(below: Beat.indexBound), value: hash128())
        })
    case 7:
      let place = place()
      let nodes = (0..<count(1...CompareRequest.bound)).map { _ in compared(at: place) }
      return .compare(
        CompareRequest(
          place: place, request: UInt16(number(below: 1 << 16)),
          budget: number(below: CompareRequest.budgetBound + 1),
          nodes: Array(nodes.prefix(CompareRequest.prefix(of: nodes, at: place)))))
    case 8:
      let place = place()
      let nodes = (0..<count(0...NodesAnswer.bound)).map { _ in answered(at: place, 0...40) }
      return .nodes(
        NodesAnswer(
          place: place, request: UInt16(number(below: 1 << 16)),
          page: Int(number(below: UInt64(NodesAnswer.pageBound))),
          isLast: generator.chance(50),
          nodes: Array(nodes.prefix(NodesAnswer.prefix(of: nodes, at: place)))))
    case 9:
      let through = counter(from: 1)
      return .repair(
        RepairRequest(
          origin: origin(), incarnation: incarnation(), room: generator.chance(50) ? room() : nil,
          after: number(below: through), through: through))
    case 10:
      return .probe((0..<count(1...Probe.bound)).map { _ in probe() })
    case 11: return .contradiction(try contradiction())
    case 12:
      return .peerExchange(
        (0..<count(1...PeerExchange.bound)).map { _ in
          PeerExchange(
            origin: origin(), addressHigh: generator.next(), addressLow: generator.next(),
            port: UInt16(truncatingIfNeeded: generator.next()))
        })
    case 14: return .certificate(certificate())
    case 15: return .decree(decree())
    default: return .prune((0..<count(1...MeshMessage.pruneBound)).map { _ in origin() })
    }
  }

  private mutating func rights(_ role: Role? = nil) -> Rights {
    let patterns = (0..<count(0...UserScope.bound)).compactMap { _ in
      UserPattern(text(atMost: 20, atLeast: 1), isPrefix: generator.chance(50))
    }
    let users = UserScope(patterns) ?? (generator.chance(50) ? .all : .none)
    return Rights(
      role: role ?? Role.allCases.randomElement(using: &generator) ?? .member, users: users,
      quotas: Quotas(
        sessions: number(below: Quotas.valueBound), rooms: number(below: Quotas.valueBound),
        records: number(below: Quotas.valueBound), bytesPerSecond: number(below: Quotas.valueBound))
    )
  }

  private mutating func link(_ role: Role? = nil) -> CertificateLink {
    let issuedAt = number(below: 1 << 41)
    let expires = number(below: Limits.counterBound, from: issuedAt)
    let signature = bytes(SignedMessage.signatureBytes)
    while true {
      let ticket = Ticket(
        issuer: origin(), key: origin(), rights: rights(role),
        uses: number(below: Ticket.usesBound),
        issuedAt: issuedAt, expires: expires, lifetime: counter(from: 1), mesh: [],
        sign: { _ in signature })
      let link = ticket.flatMap {
        CertificateLink(
          binding: origin(), to: $0, at: number(below: expires + 1, from: issuedAt), mesh: [],
          sign: { _ in signature })
      }
      if let link { return link }
    }
  }

  /// A certificate that nobody signed.
  mutating func certificate() -> Certificate {
    Certificate(node: origin(), link: link(), issuer: generator.chance(30) ? link(.admin) : nil)
  }

  mutating func decree() -> Decree {
    let subjects: [Decree.Subject] = [
      .revokedNode(origin()), .revokedTicket(origin()),
      .revokedUser(text(atMost: Limits.userIDBytes, atLeast: 1)),
      .epoch(UInt32(truncatingIfNeeded: generator.next()), check: hash256()), .authority(origin()),
    ]
    let issuedAt = counter()
    let signature = bytes(SignedMessage.signatureBytes)
    while true {
      let decree = Decree(
        subjects.randomElement(using: &generator) ?? subjects[0], signer: origin(),
        link: generator.chance(40) ? link(.admin) : nil, issuedAt: issuedAt,
        until: number(below: Limits.counterBound, from: issuedAt), mesh: [],
        sign: { _ in signature })
      if let decree { return decree }
    }
  }

  mutating func place() -> ComparisonPlace {
    generator.chance(30)
      ? .replica : .origin(origin(), incarnation(), sequence: counter(from: 1))
  }

  /// A tree that nodes of a place stand in; the same one twice in a row now and then.
  private mutating func tree(at place: ComparisonPlace) -> OriginFetch.Tree {
    guard place != .replica, generator.chance(80) else { return .rooms }
    return .records(generator.chance(80) ? .lobby : room())
  }

  mutating func compared(at place: ComparisonPlace) -> CompareRequest.Node {
    CompareRequest.Node(
      tree: tree(at: place), path: path(), hash: generator.chance(30) ? .empty : hash128())
  }

  mutating func answered(at place: ComparisonPlace, _ bytes: ClosedRange<Int>) -> NodesAnswer.Node {
    NodesAnswer.Node(
      tree: tree(at: place), path: path(), bytes: generator.chance(50) ? [] : blob(bytes))
  }

  private mutating func probe() -> Probe {
    guard generator.chance(80) else {
      return Probe(origin: origin(), incarnation: nil, sequence: 0, beat: 0)
    }
    let sequence = counter()
    return Probe(
      origin: origin(), incarnation: incarnation(), sequence: sequence,
      beat: sequence == 0 ? 0 : number(below: Beat.indexBound))
  }

  /// Two batches or checkpoints that differ in what their statement covers.
  private mutating func contradiction() throws(WireError) -> Contradiction {
    let origin = origin()
    let incarnation = incarnation()
    let number = number(below: Limits.counterBound - 1, from: 1)
    let kind = generator.chance(50) ? StatementKind.batch : .checkpoint
    var messages: [SignedMessage] = []
    for index in 0..<UInt64(2) {
      let body: [UInt8]
      if kind == .batch {
        let key = EntryKey(.presence, session())
        body =
          Batch(
            incarnation: incarnation, room: room(), previous: self.number(below: number),
            first: number, changes: [RecordChange(key, counter: index, value: nil)]
          ).encoded()
      } else {
        body =
          Checkpoint(
            incarnation: incarnation, sequence: number, version: counter(), root: hash256(),
            value: hash128(), chain: 1, schedule: 1, offsetMilliseconds: 0, beat: index,
            periodMilliseconds: 2000
          ).encoded()
      }
      messages.append(
        try SignedMessage(
          kind: kind, bytes: origin.bytes + bytes(SignedMessage.signatureBytes) + body))
    }
    guard let contradiction = Contradiction(messages[0], messages[1], hash: StandInHash()) else {
      throw .outOfBounds
    }
    return contradiction
  }
}

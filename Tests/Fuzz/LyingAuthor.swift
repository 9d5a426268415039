import MeshCRDT
import MeshSimulator
import MeshTrust
import MeshWire

@testable import MeshEngine

/// An identity of the fuzzed member: it signs what the input says, and keeps what it said, so that its
/// words can be consistent, too.
struct LyingAuthor {
  let crypto: StandInCrypto
  private let verifier: SignatureVerifier
  private let mesh: MeshID
  private(set) var replica: OriginReplica
  private var chain: HeartbeatChain
  private var version: UInt64 = 0
  private var sequence: UInt64 = 0
  private var start: MonotonicTime

  var origin: OriginID { crypto.origin }
  var incarnation: Incarnation { replica.incarnation }

  init?(secret: UInt64, mesh: MeshID, now: MonotonicTime) {
    guard let incarnation = Incarnation(counter: 1, nonce: secret) else { return nil }
    self.mesh = mesh
    crypto = StandInCrypto(NodeSecrets(node: secret, mesh: 7, process: 9))
    verifier = SignatureVerifier(mesh: mesh, crypto: crypto, hash: StandInTreeHash())
    replica = OriginReplica(incarnation: incarnation, hashKey: mesh.hashKey)
    chain = HeartbeatChain(
      seed: Hash128(secret, 1), origin: crypto.origin, incarnation: incarnation,
      hash: StandInTreeHash())
    start = now
  }

  func sign(_ body: some StatementBody) -> SignedMessage? { verifier.sign(body)?.message }

  /// Begins another life, which has said nothing.
  mutating func restart(_ input: inout FuzzInput, now: MonotonicTime) {
    let counter = input.flag() ? incarnation.counter + 1 : max(1, input.number() & 0xFFFF_FFFF)
    guard let next = Incarnation(counter: counter, nonce: UInt64(input.below(3))) else { return }
    replica = OriginReplica(incarnation: next, hashKey: mesh.hashKey)
    chain = HeartbeatChain(
      seed: Hash128(counter, 1), origin: origin, incarnation: next, hash: StandInTreeHash())
    (version, sequence, start) = (0, 0, now)
  }

  /// A batch: the next one, or one whose place the input says.
  mutating func batch(_ input: inout FuzzInput) -> SignedMessage? {
    let room = input.room()
    let form = input.byte()
    var changes: [RecordChange] = []
    for _ in 0..<(form & 0x80 == 0 ? 1 + Int(form >> 5) : 40) where !input.isAtEnd {
      changes.append(input.change(in: room))
    }
    guard !changes.isEmpty else { return nil }
    let log = replica.logs[room]
    let isEmpty = log?.tree.isEmpty ?? true
    var previous = isEmpty ? 0 : log?.version ?? 0
    var first = version + 1
    if form & 1 == 1 { previous = input.number() }
    if form & 2 == 2 { first = input.number() }
    let body = Batch(
      incarnation: incarnation, room: room, previous: previous, first: first, changes: changes)
    guard let signed = sign(body) else { return nil }
    if form & 3 == 0,
      let place = BatchPlace(
        incarnation: incarnation, room: room, previous: previous, first: first,
        count: UInt64(changes.count)),
      case .applied = replica.apply(place, changes)
    {
      version = place.versions.upperBound
    }
    return signed
  }

  /// A checkpoint of what was said, of which the input may change any field.
  mutating func checkpoint(_ input: inout FuzzInput, now: MonotonicTime) -> SignedMessage? {
    let form = input.uint16()
    func changed(_ bit: UInt16) -> Bool { form & (1 << bit) != 0 }
    let beat = min(4095, now.since(start).milliseconds / 2000)
    sequence += 1
    var changed: [Checkpoint.ChangedRoom] = []
    if form & 0x8000 != 0 {
      for _ in 0..<input.below(4) {
        changed.append(.init(room: input.room(), version: input.number()))
      }
    } else {
      changed = replica.written.map { room in
        let log = replica.logs[room]
        return .init(room: room, version: log?.tree.isEmpty ?? true ? 0 : log?.version ?? 0)
      }
    }
    let root = replica.root(StandInTreeHash())
    func field(_ bit: UInt16, _ value: UInt64) -> UInt64 {
      form & (1 << bit) == 0 ? value : input.number()
    }
    let index = field(0, beat)
    let body = Checkpoint(
      incarnation: incarnation, sequence: field(1, sequence), version: field(2, version),
      root: form & 8 == 0 ? root : Hash256(Hash128(input.number(), 1), Hash128(2, 3)),
      value: form & 16 == 0
        ? chain.value(ofBeat: index, hash: StandInTreeHash()) ?? chain.anchor
        : Hash128(input.number(), 5),
      chain: field(5, 1), schedule: field(6, 1), offsetMilliseconds: field(7, 0), beat: index,
      periodMilliseconds: field(8, 2000), isLeaving: form & 0x200 != 0, features: field(10, 0))
    let facts = CheckpointFacts(
      incarnation: incarnation, sequence: body.sequence, version: body.version, root: body.root)
    let signed = sign(form & 0x1000 == 0 ? body.naming(changed) : body)
    if signed != nil { _ = replica.evaluate(facts, StandInTreeHash()) }
    return signed
  }

  func beat(_ input: inout FuzzInput, now: MonotonicTime) -> Beat {
    let form = input.byte()
    let index =
      form & 1 == 0 ? min(4095, now.since(start).milliseconds / 2000) : input.number() & 4095
    let value =
      form & 2 == 0
      ? chain.value(ofBeat: index, hash: StandInTreeHash()) ?? chain.anchor
      : Hash128(input.number(), 7)
    return Beat(of: origin, index: index, value: value)
  }

  func frame(_ input: inout FuzzInput) -> SignedMessage? {
    let room = input.room()
    let updates = (0..<(1 + input.below(6))).map { _ in
      CursorUpdate(
        session: input.session(), counter: max(1, input.counter()), cursor: input.cursor())
    }
    return sign(CursorFrame(incarnation: incarnation, room: room, updates: updates))
  }

  /// The answer to a request about this author: what was asked for, or something else.
  func answer(_ request: CompareRequest, _ input: inout FuzzInput) -> NodesAnswer {
    let form = input.byte()
    var nodes: [NodesAnswer.Node] = []
    for node in request.nodes {
      var bytes = replica.completeContent(node.tree, node.path) ?? []
      if form & 1 == 1, !bytes.isEmpty {
        bytes[input.below(bytes.count)] ^= input.byte()
      }
      nodes.append(.init(tree: node.tree, path: node.path, bytes: bytes))
    }
    if form & 2 == 2, !nodes.isEmpty { nodes.swapAt(0, input.below(nodes.count)) }
    if form & 4 == 4 { nodes = Array(nodes.dropFirst(input.below(4))) }
    let count = NodesAnswer.prefix(of: nodes, at: request.place)
    return NodesAnswer(
      place: request.place, request: request.request, page: form & 8 == 0 ? 0 : input.below(5),
      isLast: form & 16 == 0, nodes: Array(nodes.prefix(count)))
  }
}

// MARK: - Fields

extension FuzzInput {
  mutating func room() -> RoomName {
    switch below(8) {
    case 0...2: .lobby
    case 3...5: EngineWorld.room
    case 6: RoomName("room \(below(100))") ?? .lobby
    default: RoomName(String(decoding: take(below(80)), as: UTF8.self)) ?? .lobby
    }
  }

  mutating func session() -> SessionID {
    let form = byte()
    return form & 0x80 == 0 ? SessionID(1, UInt64(form % 7)) : SessionID(number(), number())
  }

  /// A number that is mostly below its bound.
  mutating func counter() -> UInt64 {
    let number = number()
    return number < Limits.counterBound ? number : number & (Limits.counterBound - 1)
  }

  mutating func text(atMost bound: Int) -> String {
    let text = String(decoding: take(below(bound + 1)), as: UTF8.self)
    return text.utf8.count <= bound ? text : ""
  }

  mutating func cursor() -> Cursor {
    Cursor(
      column: uint16(), row: uint16(), isVisible: flag(),
      anchor: flag() ? text(atMost: Limits.anchorBytes) : nil)
  }

  mutating func change(in room: RoomName) -> RecordChange {
    let form = byte()
    let kinds: [RecordKind] =
      room.isLobby
      ? [.session, .removal, .subscription, .occupancy, .presence, .session]
      : [.presence, .cursor, .presence, .cursor, .presence, .session]
    let kind =
      form & 7 < 6
      ? kinds[Int(form & 7)] : RecordKind(rawValue: byte() & 63) ?? .session
    let key =
      kind == .subscription && form & 8 == 0
      ? EntryKey.subscription
      : EntryKey(kind, session(), room: kind.namesRoom ? self.room() : .lobby)
    let counter = kind == .subscription && form & 8 == 0 ? 0 : counter()
    let value: [UInt8]?
    switch form >> 4 {
    case 0...2: value = nil
    case 3: value = blob(atMost: 900)
    default: value = self.value(kind)
    }
    return RecordChange(key, counter: counter, value: value)
  }

  private mutating func value(_ kind: RecordKind) -> [UInt8] {
    switch kind {
    case .session:
      RecordValues.bytes(
        SessionValue(
          profile: Profile(
            userID: "user \(below(4))", name: text(atMost: 64), data: take(below(9))),
          device: "fuzz", joinedAt: WallTime(milliseconds: counter())))
    case .presence:
      RecordValues.bytes(
        PresenceValue(
          enteredCounter: counter(),
          status: flag()
            ? StatusValue(
              status: Status.allCases[below(Status.allCases.count)], counter: counter(),
              changedAt: WallTime(milliseconds: counter())) : nil,
          message: text(atMost: 140), isTyping: flag(), data: take(below(20))))
    case .cursor: RecordValues.bytes(cursor())
    case .removal: RecordValues.bytes(RemovalValue(isFinal: flag()))
    case .subscription:
      RecordValues.bytes(
        subscription: (0..<below(5)).map { _ in RoomID(room(), key: EngineWorld.mesh.hashKey) })
    case .occupancy: RecordValues.occupancyBytes
    default: blob(atMost: 800)
    }
  }
}

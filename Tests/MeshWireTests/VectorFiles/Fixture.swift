import MeshCRDT
import MeshCrypto
import MeshTrust
import MeshWire

/// The mesh of the test vectors: fixed keys, two nodes, and what they say.
struct Fixture {
  static let meshBytes = [UInt8](0xa0...0xaf)
  static let keys: [(epoch: UInt32, key: [UInt8])] = [
    (1, [UInt8](0x00...0x1f)), (2, [UInt8](0x20...0x3f)),
  ]
  static let seeds: [(name: String, seed: [UInt8])] = [
    ("alice", [UInt8](repeating: 0x11, count: 32)), ("bob", [UInt8](repeating: 0x22, count: 32)),
  ]
  static let roomNames = [
    "", "design", "caf\u{E9}", "cafe\u{301}", String(repeating: "r", count: Limits.roomNameBytes),
  ]

  /// The version of the first record of each shelf.
  static let firstVersion: UInt64 = 10
  static let generation: UInt64 = 3

  let mesh: MeshID
  let alice: SodiumCrypto
  let bob: SodiumCrypto
  let design: RoomName
  let cafe: RoomName
  let session = SessionID(0x0011_2233_4455_6677, 0x8899_aabb_ccdd_eeff)
  let departed = SessionID(1, 2)

  init() throws {
    guard let mesh = MeshID(bytes: Self.meshBytes), let design = RoomName("design"),
      let cafe = RoomName("caf\u{E9}")
    else { throw JSON.Problem.missing("mesh") }
    self.mesh = mesh
    self.design = design
    self.cafe = cafe
    alice = Self.crypto(0, epochs: 2)
    bob = Self.crypto(1, epochs: 1)
  }

  /// The cryptography of a node that knows the first keys.
  static func crypto(_ node: Int, epochs: Int) -> SodiumCrypto {
    var keyring = MeshKeyring(epoch: keys[0].epoch, key: SecretBytes(keys[0].key))
    for (epoch, key) in keys[1..<epochs] { keyring.add(epoch: epoch, key: SecretBytes(key)) }
    return SodiumCrypto(node: NodeKey(seed: SecretBytes(seeds[node].seed)), keyring: keyring)
  }

  // MARK: Records

  /// Records of alice on three shelves, by name: those of each shelf are consecutive there.
  var records: [(name: String, record: Record)] {
    [
      (
        "session",
        Record(
          session: session, lane: .session, room: .lobby, counter: 100,
          value: .session(
            SessionValue(
              profile: Profile(
                userID: "u-1", name: "Alice Λ", colour: Colour(rgb: 0x1E_90FF),
                avatar: "https://example.org/a.png", data: [1, 2, 255]),
              device: "laptop", joinedAt: WallTime(milliseconds: 1_700_000_000_000))))
      ),
      (
        "presence with a status",
        Record(
          session: session, lane: .presence, room: design, counter: 101,
          value: .presence(
            PresenceValue(
              enteredCounter: 101,
              status: StatusValue(
                status: .busy, counter: 101,
                changedAt: WallTime(milliseconds: 1_700_000_001_000)),
              message: "drawing ✎", isTyping: true, data: [0xCA, 0xFE])))
      ),
      (
        "presence without a status",
        Record(
          session: session, lane: .presence, room: .lobby, counter: 102,
          value: .presence(PresenceValue(enteredCounter: 102)))
      ),
      (
        "cursor with an anchor",
        Record(
          session: session, lane: .cursor, room: design, counter: 103,
          value: .cursor(
            Cursor(column: 0x1234, row: 0xFFFF, isVisible: true, anchor: "shape-7")))
      ),
      (
        "hidden cursor",
        Record(
          session: session, lane: .cursor, room: cafe, counter: Limits.counterBound - 1,
          value: .cursor(Cursor(column: 0, row: 1, isVisible: false, anchor: nil)))
      ),
      (
        "tombstone of a presence",
        Record(
          session: departed, lane: .presence, room: design, counter: 104, value: nil)
      ),
      (
        "tombstone of a session",
        Record(
          session: departed, lane: .session, room: .lobby, counter: 105, value: nil)
      ),
    ]
  }

  /// Records that alice writes after those, for all: orders to remove sessions of others, her interest,
  /// and where a session is.
  var orders: [(name: String, record: Record)] {
    [
      (
        "removal from the mesh, final",
        Record(
          session: departed, lane: .removal, room: .lobby, counter: 106,
          value: .removal(RemovalValue(isFinal: true)))
      ),
      (
        "removal from a room",
        Record(
          session: departed, lane: .removal, room: cafe, counter: 107,
          value: .removal(RemovalValue(isFinal: false)))
      ),
      (
        "tombstone of a removal",
        Record(session: departed, lane: .removal, room: .lobby, counter: 108, value: nil)
      ),
      (
        "interest in two rooms",
        Record(
          session: .nobody, lane: .interest, room: .lobby, counter: 109,
          value: .interest(
            InterestValue(rooms: [design, cafe].map { RoomID($0, key: mesh.hashKey) })))
      ),
      (
        "interest in all rooms again",
        Record(session: .nobody, lane: .interest, room: .lobby, counter: 110, value: nil)
      ),
      (
        "visit to a room",
        Record(session: session, lane: .visit, room: design, counter: 101, value: .visit)
      ),
      (
        "tombstone of a visit",
        Record(session: session, lane: .visit, room: cafe, counter: 111, value: nil)
      ),
    ]
  }

  /// The key of a record in the state.
  func key(_ record: Record) -> RecordKey {
    RecordKey(
      session: record.session, lane: record.lane,
      room: RoomID(record.room, key: mesh.hashKey))
  }

  /// All records, each with its version on its shelf.
  var versions: [(name: String, record: Record, version: UInt64)] {
    var next: [RoomName: UInt64] = [:]
    return (records + orders).map { item in
      let version = next[item.record.shelf] ?? Self.firstVersion
      next[item.record.shelf] = version + 1
      return (item.name, item.record, version)
    }
  }

  /// A record as the state holds it, read from bytes of a batch of a room.
  func cell(
    _ bytes: [UInt8], in room: RoomName, version: UInt64
  ) throws -> (key: RecordKey, cell: Cell) {
    var reader = ByteReader(bytes)
    let (record, range) = try Record.read(from: &reader, in: room)
    let key = key(record)
    return (
      key,
      Cell(
        key: key, version: version, counter: record.counter, isTombstone: record.value == nil,
        storage: bytes, range: range, hashKey: mesh.hashKey)
    )
  }

  /// Alice's log after ``records``.
  func log() throws -> OriginLog {
    var log = OriginLog(generation: Self.generation)
    for item in versions.prefix(records.count) {
      let (key, cell) = try cell(
        item.record.encoded, in: item.record.shelf, version: item.version)
      _ = log.join(key, cell)
    }
    return log
  }

  /// The rooms of alice's shelves.
  var shelves: [RoomName] { [.lobby, design, cafe] }

  /// Alice's word about one of her shelves.
  func claim(_ room: RoomName) throws -> Cut {
    let shelf = try log().shelf(RoomID(room, key: mesh.hashKey))
    return Cut(version: shelf.highestVersion, count: shelf.liveCount, hash: shelf.liveHash)
  }

  func shelfID(_ origin: OriginID, _ room: RoomName) -> ShelfID {
    ShelfID(origin, RoomID(room, key: mesh.hashKey))
  }

  /// What a node that knows both holds of them.
  func digestEntries() throws -> [DigestEntry] {
    let alices = try shelves.map { room in
      DigestEntry(
        shelf: shelfID(alice.origin, room), generation: Self.generation, held: try claim(room))
    }
    let bobs = DigestEntry(shelf: shelfID(bob.origin, .lobby), generation: 1, held: .empty)
    return (alices + [bobs]).sorted { $0.shelf < $1.shelf }
  }

  func digest() throws -> Digest {
    var digest = Digest()
    for entry in try digestEntries() {
      digest.replace(old: nil, new: entry, key: mesh.hashKey)
    }
    return digest
  }

  // MARK: Messages

  private func sign(_ kind: SignedKind, _ crypto: SodiumCrypto, _ body: [UInt8]) throws -> Envelope
  {
    let signed = Envelope.signedBytes(
      kind: kind, mesh: mesh.bytes, origin: crypto.origin, body: body)
    return try Envelope(kind: kind, bytes: crypto.origin.bytes + crypto.sign(signed) + body)
  }

  func head(isLeaving: Bool = false, certificate: [UInt8] = []) throws -> Envelope {
    var writer = ByteWriter()
    HeadBody(
      generation: Self.generation, heartbeat: 4242, claim: try claim(.lobby), counter: 105,
      periodMilliseconds: 2000, isLeaving: isLeaving, certificate: certificate
    ).write(to: &writer)
    return try sign(.head, alice, writer.bytes)
  }

  private func batch(_ room: RoomName) throws -> Envelope {
    let claim = try claim(room)
    var writer = ByteWriter()
    _ = BatchBody.write(
      generation: Self.generation, room: room, first: Self.firstVersion,
      records: records.map(\.record).filter { $0.shelf == room }, liveCount: claim.count,
      liveHash: claim.hash, to: &writer)
    return try sign(.batch, alice, writer.bytes)
  }

  private func frame() throws -> Envelope {
    let moves = [
      FrameBody.Move(
        session: session,
        cursor: Cursor(column: 1, row: 2, isVisible: true, anchor: nil)),
      FrameBody.Move(
        session: departed,
        cursor: Cursor(column: 0x8000, row: 0x7FFF, isVisible: true, anchor: "é")),
    ]
    var writer = ByteWriter()
    FrameBody(generation: Self.generation, counter: 106, room: design, moves: moves)
      .write(to: &writer)
    return try sign(.frame, alice, writer.bytes)
  }

  private func proof() throws -> Envelope {
    var writer = ByteWriter()
    ProofBody(
      generation: 1, life: 0x1122_3344_5566_7788, echo: 0x0123_4567_89ab_cdef,
      token: 0xfedc_ba98_7654_3210, wantsProof: true
    ).write(to: &writer)
    return try sign(.proof, bob, writer.bytes)
  }

  /// A message of every kind, heads in three forms.
  func messages() throws -> [(name: String, message: Message)] {
    let origin = alice.origin
    let lobby = shelfID(origin, .lobby)
    let room = shelfID(origin, design)
    let items = try log().cells(of: .lobby).filter { !$0.cell.isTombstone }
      .map { Manifest.Item(version: $0.cell.version, hash: $0.cell.hash) }
      .sorted { $0.version < $1.version }
    return [
      ("challenge", .challenge(token: 0x0123_4567_89ab_cdef)),
      ("proof", .proof(try proof())),
      ("batch", .batch(try batch(.lobby))),
      ("batch of a room", .batch(try batch(design))),
      ("head", .head(ageMilliseconds: 0, try head())),
      (
        "head of a node that leaves, told on",
        .head(ageMilliseconds: 1500, try head(isLeaving: true))
      ),
      (
        "head with a certificate",
        .head(ageMilliseconds: Message.ageBound - 1, try head(certificate: [0xC0, 0xDE]))
      ),
      ("frame", .frame(try frame())),
      ("digest", .digest(nonce: 7, try digest())),
      (
        "entries",
        .entries(
          Entries(
            nonce: 7, wantsAnswer: true, hasMore: false, mask: 0x8000_0001,
            after: .first, entries: try digestEntries()))
      ),
      ("pull", .pull(Pull(shelf: room, generation: Self.generation, after: 9))),
      (
        "end of an answer to a pull",
        .pullEnd(
          PullEnd(
            shelf: room, generation: Self.generation, after: 9, through: 12, hasMore: true))
      ),
      (
        "request of a manifest",
        .manifestRequest(
          ManifestRequest(shelf: lobby, generation: Self.generation, after: 0))
      ),
      (
        "manifest",
        .manifest(
          Manifest(
            shelf: lobby, generation: Self.generation, after: 0, through: 12, isLast: true,
            items: items))
      ),
      (
        "query of heads",
        .headQuery([
          HeadKnown(origin: origin, generation: Self.generation, heartbeat: 4241),
          HeadKnown(origin: bob.origin, generation: 1, heartbeat: 0),
        ])
      ),
      (
        "introduction",
        .introduction([
          Introduction(
            origin: origin, addressHigh: 0, addressLow: 0x0000_FFFF_C000_0207, port: 4711),
          Introduction(
            origin: bob.origin, addressHigh: 0x2001_0db8_0000_0000, addressLow: 1, port: 65_535),
        ])
      ),
      ("prune", .prune([origin, bob.origin])),
      ("fetch of a room", .fetch(nonce: 9, room.room)),
    ]
  }
}

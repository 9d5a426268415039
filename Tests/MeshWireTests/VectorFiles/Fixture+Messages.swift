import MeshCRDT
import MeshCrypto
import MeshTrust
import MeshWire

extension Fixture {
  /// A body, signed by a node.
  func sign(_ body: some StatementBody, by crypto: SodiumCrypto) throws -> SignedMessage {
    let kind = type(of: body).kind
    let bytes = body.encoded()
    let signed = try kind.signedBytes(
      mesh: mesh.bytes, origin: crypto.origin, body: bytes[...], hash: Self.hash)
    guard
      let message = SignedMessage(
        kind: kind, origin: crypto.origin, signature: crypto.sign(signed), body: bytes)
    else { throw JSON.Problem.missing("signature") }
    return message
  }

  func batch(_ room: RoomName) throws -> SignedMessage {
    let written = Self.written.filter { $0.log == room }
    return try sign(
      Batch(
        incarnation: Self.incarnation, room: room, previous: 0, first: written[0].version,
        changes: written.map(\.change)),
      by: alice)
  }

  func checkpoint(
    beat: UInt64 = Self.beat, chain number: UInt64 = 1, offset: UInt64 = 0,
    isLeaving: Bool = false, namesRooms: Bool = true
  ) throws -> SignedMessage {
    var tree = Self.rooms
    let checkpoint = Checkpoint(
      incarnation: Self.incarnation, sequence: 42, version: Self.version(Self.design),
      root: tree.root(Self.hash), value: try Self.hash128(chain[Int(beat)]), chain: number,
      schedule: 1, offsetMilliseconds: offset, beat: beat, periodMilliseconds: 2000,
      isLeaving: isLeaving)
    let changed = Self.logs.map {
      Checkpoint.ChangedRoom(room: $0, version: Self.version($0))
    }
    return try sign(namesRooms ? checkpoint.naming(changed) : checkpoint, by: alice)
  }

  static func hash128(_ bytes: [UInt8]) throws -> Hash128 {
    guard bytes.count == 16 else { throw JSON.Problem.wrongType("hash") }
    func word(_ slice: ArraySlice<UInt8>) -> UInt64 { slice.reduce(0) { $0 << 8 | UInt64($1) } }
    return Hash128(word(bytes[..<8]), word(bytes[8...]))
  }

  private func frame() throws -> SignedMessage {
    try sign(
      CursorFrame(
        incarnation: Self.incarnation, room: Self.design,
        updates: [
          CursorUpdate(
            session: Self.session, counter: 104,
            cursor: Cursor(column: 1, row: 2, isVisible: true, anchor: nil)),
          CursorUpdate(
            session: Self.departed, counter: 1,
            cursor: Cursor(column: 0x8000, row: 0x7FFF, isVisible: true, anchor: "é")),
        ]),
      by: alice)
  }

  /// Alice's two words about one number.
  func contradiction(_ one: SignedMessage, _ other: SignedMessage) throws -> MeshMessage {
    guard let contradiction = Contradiction(one, other, hash: Self.hash) else {
      throw JSON.Problem.missing("contradiction")
    }
    return .contradiction(contradiction)
  }

  private func otherBatch() throws -> SignedMessage {
    try sign(
      Batch(
        incarnation: Self.incarnation, room: Self.cafe, previous: 0, first: 3,
        changes: [RecordChange(EntryKey(.cursor, Self.session), counter: 1, value: nil)]),
      by: alice)
  }

  /// A message of every kind.
  func messages() throws -> [(name: String, message: MeshMessage)] {
    let origin = alice.origin
    let chain = chain
    var rooms = Self.rooms
    let records = Self.records(Self.design)
    let top = rooms.hash(Self.hash)
    let place = ComparisonPlace.origin(origin, Self.incarnation, sequence: 42)
    let log = OriginFetch.Tree.records(Self.design)
    let deep = TreePath.top.child(10).child(0).child(15)
    return [
      ("challenge", .challenge(token: 0x0123_4567_89AB_CDEF)),
      (
        "path proof",
        .pathProof(
          try sign(
            PathProof(
              incarnation: Fields.incarnation(1, 0x22), echo: 0x0123_4567_89AB_CDEF,
              token: 0xFEDC_BA98_7654_3210, wantsProof: true),
            by: bob))
      ),
      ("batch", .batch(try batch(.lobby))),
      ("batch of a room", .batch(try batch(Self.design))),
      ("checkpoint", .checkpoint(ageMilliseconds: 0, try checkpoint())),
      (
        "checkpoint of a node that leaves, sent on",
        .checkpoint(ageMilliseconds: 1500, try checkpoint(isLeaving: true, namesRooms: false))
      ),
      (
        "checkpoint that names no room, of the highest age",
        .checkpoint(ageMilliseconds: MeshMessage.ageBound - 1, try checkpoint(namesRooms: false))
      ),
      (
        "checkpoint of the third chain of a schedule, at its beat 0",
        .checkpoint(ageMilliseconds: 0, try checkpoint(beat: 0, chain: 3, offset: 8_191_000))
      ),
      ("cursor frame", .cursorFrame(try frame())),
      (
        "beats",
        .beats(
          try [17, 4095].map {
            Beat(of: origin, index: UInt64($0), value: try Self.hash128(chain[$0]))
          })
      ),
      (
        "compare at the top of a replica",
        .compare(
          CompareRequest(
            place: .replica, request: 0xFFFE, budget: 1200,
            nodes: [.init(tree: .rooms, path: .top, hash: Hash128(7, 8))]))
      ),
      (
        "compare of the trees of an origin",
        .compare(
          CompareRequest(
            place: place, request: 258, budget: 65_536,
            nodes: [
              .init(tree: .rooms, path: .top.child(1), hash: top),
              .init(tree: log, path: deep, hash: .empty),
              .init(tree: log, path: .top.child(1), hash: top),
              .init(tree: .records(.lobby), path: .top, hash: .empty),
              .init(tree: log, path: .top, hash: top),
            ]))
      ),
      (
        "nodes that are equal",
        .nodes(NodesAnswer(place: .replica, request: 0xFFFE, page: 0, isLast: true, nodes: []))
      ),
      (
        "nodes",
        .nodes(
          NodesAnswer(
            place: place, request: 258, page: 3, isLast: false,
            nodes: [
              .init(tree: .rooms, path: .top, bytes: rooms.content(at: .top) ?? []),
              .init(tree: log, path: .top, bytes: records.content(at: .top) ?? []),
              .init(tree: log, path: deep, bytes: []),
            ]))
      ),
      (
        "repair of a room log",
        .repair(
          RepairRequest(
            origin: origin, incarnation: Self.incarnation, room: Self.design, after: 8, through: 12
          ))
      ),
      (
        "repair of all",
        .repair(
          RepairRequest(
            origin: origin, incarnation: Self.incarnation, room: nil, after: 0, through: 300))
      ),
      (
        "probe",
        .probe([
          Probe(origin: origin, incarnation: Self.incarnation, sequence: 42, beat: 17),
          Probe(origin: bob.origin, incarnation: nil, sequence: 0, beat: 0),
        ])
      ),
      (
        "contradiction of checkpoints",
        try contradiction(checkpoint(), checkpoint(namesRooms: false))
      ),
      ("contradiction of batches", try contradiction(batch(.lobby), otherBatch())),
      (
        "peer exchange",
        .peerExchange([
          PeerExchange(
            origin: origin, addressHigh: 0, addressLow: 0x0000_FFFF_C000_0207, port: 4711),
          PeerExchange(
            origin: bob.origin, addressHigh: 0x2001_0DB8_0000_0000, addressLow: 1, port: 65_535),
        ])
      ),
      ("prune", .prune([origin, bob.origin])),
    ] + (try trustMessages())
  }

  /// The keys of the trust layer, by name.
  static let trustSeeds: [(name: String, seed: [UInt8])] = [
    ("authority", [UInt8](repeating: 0x33, count: 32)),
    ("ticket", [UInt8](repeating: 0x44, count: 32)),
    ("ticket of the admin", [UInt8](repeating: 0x55, count: 32)),
  ]

  static func trustKey(_ index: Int) -> SodiumCrypto {
    SodiumCrypto(node: NodeKey(seed: SecretBytes(trustSeeds[index].seed)), keyring: MeshKeyring())
  }

  private static let wall: UInt64 = 1_800_000_000_000
  private static let day: UInt64 = 86_400_000

  private func link(
    of node: SodiumCrypto, by issuer: SodiumCrypto, _ ticket: SodiumCrypto, _ rights: Rights,
    uses: UInt64
  ) throws -> CertificateLink {
    guard
      let ticketSigned = Ticket(
        issuer: issuer.origin, key: ticket.origin, rights: rights, uses: uses, issuedAt: Self.wall,
        expires: Self.wall + Self.day, lifetime: 365 * Self.day, mesh: mesh.bytes, sign: issuer.sign
      ),
      let link = CertificateLink(
        binding: node.origin, to: ticketSigned, at: Self.wall + 1000, mesh: mesh.bytes,
        sign: ticket.sign)
    else { throw JSON.Problem.missing("certificate") }
    return link
  }

  /// Bob is an admin by the authority, Alice a member by Bob.
  func adminLink() throws -> CertificateLink {
    try link(
      of: bob, by: Self.trustKey(0), Self.trustKey(2), Rights(role: .admin, users: .all), uses: 1)
  }

  func certificate() throws -> Certificate {
    let patterns = [UserPattern("ada"), UserPattern("bob-", isPrefix: true)].compactMap(\.self)
    let users = UserScope(patterns) ?? .none
    return Certificate(
      node: alice.origin,
      link: try link(
        of: alice, by: bob, Self.trustKey(1),
        Rights(
          role: .member, users: users,
          quotas: Quotas(sessions: 100, rooms: 300, records: 0, bytesPerSecond: 65_536)), uses: 300),
      issuer: try adminLink())
  }

  func decree(_ subject: Decree.Subject, byAdmin: Bool) throws -> Decree {
    let signer = byAdmin ? bob : Self.trustKey(0)
    guard
      let decree = Decree(
        subject, signer: signer.origin, link: byAdmin ? try adminLink() : nil,
        issuedAt: Self.wall + 2000, until: Self.wall + 400 * Self.day, mesh: mesh.bytes,
        sign: signer.sign)
    else { throw JSON.Problem.missing("decree") }
    return decree
  }

  private func trustMessages() throws -> [(name: String, message: MeshMessage)] {
    let epoch = Self.keys[1].epoch
    return [
      ("certificate by an admin", .certificate(try certificate())),
      (
        "certificate by an authority",
        .certificate(Certificate(node: bob.origin, link: try adminLink()))
      ),
      ("revoked node", .decree(try decree(.revokedNode(alice.origin), byAdmin: true))),
      (
        "revoked ticket",
        .decree(try decree(.revokedTicket(Self.trustKey(1).origin), byAdmin: false))
      ),
      ("revoked user", .decree(try decree(.revokedUser("caf\u{E9}"), byAdmin: false))),
      (
        "epoch",
        .decree(
          try decree(
            .epoch(
              epoch, check: MeshKeyring.check(of: SecretBytes(Self.keys[1].key), epoch: epoch)),
            byAdmin: true))
      ),
      ("authority", .decree(try decree(.authority(Self.trustKey(2).origin), byAdmin: false))),
    ]
  }
}

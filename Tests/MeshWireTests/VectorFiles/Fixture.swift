import MeshCRDT
import MeshCrypto
import MeshTrust
import MeshWire

/// The mesh of the test vectors: fixed keys, two nodes, and what alice says.
struct Fixture {
  static let meshBytes = [UInt8](0xA0...0xAF)
  static let keys: [(epoch: UInt32, key: [UInt8])] = [
    (1, [UInt8](0x00...0x1F)), (2, [UInt8](0x20...0x3F)),
  ]
  static let seeds: [(name: String, seed: [UInt8])] = [
    ("alice", [UInt8](repeating: 0x11, count: 32)), ("bob", [UInt8](repeating: 0x22, count: 32)),
  ]
  static let hash = SodiumTreeHash()
  static let incarnation = Fields.incarnation
  static let session = SessionID(0x0011_2233_4455_6677, 0x8899_AABB_CCDD_EEFF)
  static let departed = SessionID(1, 2)
  static let design = RoomName(unchecked: "design")
  static let cafe = RoomName(unchecked: "caf\u{E9}")
  /// The beat at which the checkpoints of the vectors are signed.
  static let beat: UInt64 = 17

  let mesh: MeshID
  let alice: SodiumCrypto
  let bob: SodiumCrypto

  init() throws {
    guard let mesh = MeshID(bytes: Self.meshBytes) else { throw JSON.Problem.missing("mesh") }
    self.mesh = mesh
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

  /// A record with the log that it stands in, and its version.
  struct Written {
    let name: String
    let log: RoomName
    let version: UInt64
    let change: RecordChange
  }

  /// Records of alice in two room logs: those of each are consecutive.
  static var written: [Written] {
    let unknown = RecordKind(rawValue: 9) ?? .session
    let lobby: [(String, RecordChange)] = [
      (
        "session",
        RecordChange(
          EntryKey(.session, session), counter: 100,
          value: RecordValues.bytes(
            SessionValue(
              profile: Profile(
                userID: "u-1", name: "Alice Λ", colour: Colour(rgb: 0x1E_90FF),
                avatar: "https://example.org/a.png", data: [1, 2, 255]),
              device: "laptop", joinedAt: WallTime(milliseconds: 1_700_000_000_000))))
      ),
      (
        "presence in the lobby, without a status",
        RecordChange(
          EntryKey(.presence, session), counter: 101,
          value: RecordValues.bytes(PresenceValue(enteredCounter: 101)))
      ),
      (
        "removal from the mesh, final",
        RecordChange(
          EntryKey(.removal, departed), counter: 106,
          value: RecordValues.bytes(RemovalValue(isFinal: true)))
      ),
      (
        "removal from a room",
        RecordChange(
          EntryKey(.removal, departed, room: cafe), counter: 107,
          value: RecordValues.bytes(RemovalValue(isFinal: false)))
      ),
      (
        "subscription to two rooms",
        RecordChange(
          .subscription, counter: 0,
          value: RecordValues.bytes(
            subscription: [design, cafe].map { RoomID($0, key: hashKey) }))
      ),
      (
        "occupancy of a room",
        RecordChange(
          EntryKey(.occupancy, session, room: design), counter: 102,
          value: RecordValues.occupancyBytes)
      ),
      (
        "record of an unknown kind",
        RecordChange(EntryKey(unknown, session), counter: 1, value: [0xDE, 0xAD])
      ),
      (
        "tombstone of a removal",
        RecordChange(EntryKey(.removal, departed, room: cafe), counter: 108, value: nil)
      ),
    ]
    let room: [(String, RecordChange)] = [
      (
        "presence with a status",
        RecordChange(
          EntryKey(.presence, session), counter: 102,
          value: RecordValues.bytes(
            PresenceValue(
              enteredCounter: 102,
              status: StatusValue(
                status: .busy, counter: 55, changedAt: WallTime(milliseconds: 1_700_000_001_000)),
              message: "drawing ✎", isTyping: true, data: [0xCA, 0xFE])))
      ),
      (
        "cursor with an anchor",
        RecordChange(
          EntryKey(.cursor, session), counter: 103,
          value: RecordValues.bytes(
            Cursor(column: 0x1234, row: 0xFFFF, isVisible: true, anchor: "shape-7")))
      ),
      (
        "hidden cursor, the highest counter",
        RecordChange(
          EntryKey(.cursor, departed), counter: Limits.counterBound - 1,
          value: RecordValues.bytes(Cursor(column: 0, row: 1, isVisible: false, anchor: nil)))
      ),
      (
        "tombstone of a presence",
        RecordChange(EntryKey(.presence, departed), counter: 104, value: nil)
      ),
    ]
    let all = lobby.map { (RoomName.lobby, $0) } + room.map { (design, $0) }
    return all.enumerated().map { index, item in
      Written(
        name: item.1.0, log: item.0, version: UInt64(index) + 1, change: item.1.1)
    }
  }

  static let hashKey =
    MeshID(bytes: meshBytes)?.hashKey ?? HashKey(0, 0)

  // MARK: Trees

  /// The tree of records of a room log.
  static func records(_ room: RoomName) -> HashTree {
    var tree = HashTree(hashKey: hashKey)
    for item in written where item.log == room {
      let key = item.change.key.bytes
      guard let value = item.change.value else {
        tree.remove(key)
        continue
      }
      tree.set(
        key,
        to: StoredRecord(
          version: item.version, counter: item.change.counter, value: value[...]
        ).bytes)
    }
    return tree
  }

  static let logs: [RoomName] = [.lobby, design]

  static func version(_ room: RoomName) -> UInt64 {
    written.last { $0.log == room }?.version ?? 0
  }

  /// The tree of rooms of alice.
  static var rooms: HashTree {
    var tree = HashTree(hashKey: hashKey)
    for room in logs {
      var records = records(room)
      var writer = ByteWriter()
      writer.varint(version(room))
      writer.varint(records.count)
      writer.raw(records.hash(hash).bytes)
      tree.set([0x2F] + Array(room.text.utf8), to: writer.bytes)
    }
    return tree
  }

  /// The tree of a replica that is complete for alice, and for bob, who says nothing.
  var replica: HashTree {
    var tree = HashTree(hashKey: mesh.hashKey)
    var rooms = Self.rooms
    let lines = [
      (alice, Self.incarnation, UInt64(42), rooms.root(Self.hash)),
      (bob, Fields.incarnation(1, 0x22), 1, Hash256.empty),
    ]
    for (crypto, incarnation, sequence, root) in lines {
      tree.set(
        crypto.origin.bytes, to: incarnation.bytes + sequence.bigEndianBytes + root.bytes)
    }
    return tree
  }

  // MARK: Heartbeats

  static let chainSeed = [UInt8](0xC0...0xCF)

  /// The values of alice's chain: that of beat *i* is at place *i*.
  var chain: [[UInt8]] {
    let front =
      Array("PresenceMesh/2 beat".utf8) + alice.origin.bytes + Self.incarnation.bytes
    var values = [Self.chainSeed]
    for _ in 0..<4096 {
      values.append(Array(Self.hash.hash256(front + (values.last ?? [])).bytes[..<16]))
    }
    return values.reversed()
  }
}

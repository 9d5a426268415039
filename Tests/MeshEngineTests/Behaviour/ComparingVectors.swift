import MeshCRDT
import MeshTrust
import MeshWire
import Testing

@testable import MeshEngine

/// Requests to a node that holds a few origins, and its answers.
enum ComparingVectors {
  private static func big(_ number: Int) -> (room: RoomName, changes: [RecordChange]) {
    (
      RoomName("room \(number)") ?? .lobby,
      (0..<(number == 5 ? 8 : 1)).map {
        LogVectors.presence($0, counter: UInt64(number + 1), data: number == 5 ? 90 : 0)
      }
    )
  }

  /// Takes in an origin whose every room was written by one batch.
  private static func ingest(
    _ secret: UInt64, _ rooms: [(room: RoomName, changes: [RecordChange])], sequence: UInt64,
    into store: inout RecordStore
  ) throws -> [String: Any] {
    let mesh = try #require(MeshID(bytes: (0..<16).map { UInt8($0) }))
    let crypto = TestCrypto(secret: secret)
    let verifier = SignatureVerifier(mesh: mesh, crypto: crypto, hash: BehaviourFile.hash)
    let incarnation = try #require(Incarnation(counter: UInt64(secret), nonce: 9))
    let opened = store.open(crypto.origin, incarnation)
    let slot = try #require(opened).slot
    var version: UInt64 = 0
    var described: [[String: Any]] = []
    for (room, changes) in rooms {
      let batch = Batch(
        incarnation: incarnation, room: room, previous: 0, first: version + 1, changes: changes)
      version += UInt64(changes.count)
      _ = store.ingest(try #require(verifier.sign(batch)), slot: slot)
      described.append([
        "room": room.text, "version": version,
        "records": try changes.enumerated().map { index, change in
          let record = StoredRecord(
            version: batch.first + UInt64(index), counter: change.counter,
            value: try #require(change.value)[...])
          return ["key": hex(change.key.bytes), "value": hex(record.bytes)]
        } as [[String: String]],
      ])
    }
    let root = store.root(slot: slot)
    let checkpoint = Checkpoint(
      incarnation: incarnation, sequence: sequence, version: version, root: root, value: .empty,
      chain: 1, schedule: 1, offsetMilliseconds: 0, beat: 0, periodMilliseconds: 2000,
      isLeaving: false)
    store.ingest(try #require(verifier.sign(checkpoint)), slot: slot)
    _ = store.need(slot: slot)
    #expect(store.isComplete(slot: slot))
    return [
      "origin": hex(crypto.origin), "incarnation": hex(incarnation),
      "sequence": sequence, "version": version, "root": hex(root), "rooms": described,
    ]
  }

  static func cases() throws -> [Any] {
    var store = RecordStore(hashKey: BehaviourFile.hashKey, hash: BehaviourFile.hash)
    let origins = [
      try ingest(1, (0..<40).map(big), sequence: 7, into: &store),
      try ingest(2, [(.lobby, [LogVectors.presence(1, counter: 3)])], sequence: 2, into: &store),
      try ingest(3, [], sequence: 1, into: &store),
    ]
    let first = TestCrypto(secret: 1).origin
    let incarnation = try #require(Incarnation(counter: 1, nonce: 9))
    func place(_ sequence: UInt64 = 7) -> ComparisonPlace {
      .origin(first, incarnation, sequence: sequence)
    }
    let other = Hash128(1, 1)
    func path(_ digits: Int...) -> TreePath { digits.reduce(.top) { $0.child($1) } }
    func top(_ hash: Hash128) -> [CompareRequest.Node] {
      [.init(tree: .rooms, path: .top, hash: hash)]
    }
    let room = try #require(RoomName("room 5"))
    let gone = try #require(RoomName("not there"))
    let requests: [(String, CompareRequest)] = [
      (
        "replicas that are equal",
        .init(place: .replica, request: 1, budget: 65_536, nodes: top(store.stateHash()))
      ),
      ("replicas, all", .init(place: .replica, request: 2, budget: 65_536, nodes: top(.empty))),
      ("an origin, all", .init(place: place(), request: 3, budget: 65_536, nodes: top(.empty))),
      (
        "an origin, as far as the budget lasts",
        .init(place: place(), request: 4, budget: 1500, nodes: top(.empty))
      ),
      ("an origin, its top", .init(place: place(), request: 5, budget: 65_536, nodes: top(other))),
      (
        "an older checkpoint than the node has",
        .init(place: place(6), request: 6, budget: 100, nodes: top(other))
      ),
      (
        "a later checkpoint than the node has",
        .init(place: place(8), request: 7, budget: 100, nodes: top(.empty))
      ),
      (
        "some nodes: of the tree of rooms, of a room's records, and such as do not exist",
        .init(
          place: place(), request: 8, budget: 65_536,
          nodes: [
            .init(tree: .rooms, path: path(3), hash: other),
            .init(tree: .rooms, path: path(3, 1, 4), hash: other),
            .init(tree: .records(room), path: .top, hash: .empty),
            .init(tree: .records(room), path: path(15), hash: other),
            .init(tree: .records(gone), path: .top, hash: other),
            .init(tree: .records(gone), path: .top, hash: .empty),
          ])
      ),
      (
        "an origin that is not held",
        .init(
          place: .origin(OriginID(9, 9, 9, 9), incarnation, sequence: 1), request: 9, budget: 100,
          nodes: top(.empty))
      ),
    ]
    return [["origins": origins]]
      + requests.map { name, request in
        let answer = ComparisonAnswers.answer(request, from: &store)
        return [
          "name": name, "request": hex(MeshMessage.compare(request).encoded()),
          "checkpoint_first": answer?.checkpoint != nil,
          "answer": answer?.nodes.map { hex(MeshMessage.nodes($0).encoded()) } ?? [],
        ] as [String: Any]
      }
  }
}

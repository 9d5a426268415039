import MeshCRDT
import MeshCrypto
import Testing

@Suite("Replicas")
struct ReplicaTests {
  private func origin(_ number: UInt64) -> OriginID { OriginID(number, 1, 2, 3) }

  /// Random records of all kinds.
  private func changes(_ random: inout SplitMix64, in room: RoomName) -> [RecordChange] {
    (0..<(1 + random.below(5))).map { _ in
      let session = SessionID(UInt64(random.below(12)), 0)
      let kinds: [RecordKind] =
        room.isLobby ? [.session, .presence, .removal, .occupancy, .cursor] : [.presence, .cursor]
      let other = RoomName("r\(random.below(4))") ?? .lobby
      return RecordChange(
        EntryKey(kinds[random.below(kinds.count)], session, room: other), counter: 1,
        value: random.below(2) == 0 ? nil : [UInt8(random.below(5))])
    }
  }

  @Test(
    "The index is that of the records, whatever comes, goes back, is fetched and forgotten",
    arguments: 1...40)
  func index(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var replica = Replica(hashKey: meshKey)
    var authors = (1...3).map { Author(counter: 1, nonce: $0) }
    for step in 0..<200 {
      let number = random.below(3)
      let id = origin(UInt64(number))
      let opened = replica.open(id, authors[number].incarnation)
      let slot = try #require(opened?.slot)
      switch random.below(12) {
      case 0:
        let facts = authors[number].checkpoint()
        _ = replica.evaluate(slot: slot, facts, blake)
      case 1: _ = replica.revert(slot: slot)
      case 2 where random.below(4) == 0:
        while replica.origin(slot: slot) != nil {
          _ = replica.forget(slot: slot, atMost: 1 + random.below(5))
          #expect(replica.invariantViolation() == nil)
        }
      case 3:
        let facts = authors[number].checkpoint()
        let begun = replica.fetch(slot: slot, facts, blake)
        var fetch = try #require(begun)
        var bytes = 0
        let isThere = fetchAll(&fetch, from: authors[number].replica, bytes: &bytes)
        #expect(isThere)
        let result = fetch.result
        _ = replica.adopt(slot: slot, try #require(result))
        #expect(replica.replica(slot: slot)?.complete == facts)
      case 4 where random.below(5) == 0:
        authors[number] = Author(counter: UInt64(step) + 2, nonce: 1)
      default:
        let name = random.below(2) == 0 ? RoomName.lobby : room("r\(random.below(4))")
        let batch = authors[number].write(changes(&random, in: name), in: name)
        _ = replica.apply(slot: slot, batch.place, batch.changes)
      }
      let violation = replica.invariantViolation()
      #expect(violation == nil, "step \(step)")
    }
  }

  @Test("Replicas that hold the same checkpoints have the same hash, and others have not")
  func stateHash() throws {
    var random = SplitMix64(seed: 1)
    var authors = (1...3).map { Author(counter: 1, nonce: $0) }
    for index in authors.indices { authors[index].live(20, rooms: 3, &random) }
    var replicas = [Replica(hashKey: meshKey), Replica(hashKey: meshKey)]
    for order in [[0, 1, 2], [2, 0, 1]].enumerated() {
      for number in order.element {
        let id = origin(UInt64(number))
        let opened = replicas[order.offset].open(id, authors[number].incarnation)
        let slot = try #require(opened?.slot)
        for batch in authors[number].batches {
          _ = replicas[order.offset].apply(slot: slot, batch.place, batch.changes)
        }
      }
    }
    let empty = replicas[0].stateHash(blake)
    #expect(empty == .empty)
    for number in authors.indices {
      let facts = authors[number].checkpoint()
      let slots = replicas.map { $0.slot(of: origin(UInt64(number))) ?? -1 }
      let before = replicas.indices.map { replicas[$0].stateHash(blake) }
      let first = replicas[0].evaluate(slot: slots[0], facts, blake)
      #expect(first == .complete)
      let between = replicas.indices.map { replicas[$0].stateHash(blake) }
      #expect(before[0] == before[1] && between[0] != between[1])
      let second = replicas[1].evaluate(slot: slots[1], facts, blake)
      #expect(second == .complete)
      let after = replicas.indices.map { replicas[$0].stateHash(blake) }
      #expect(after[0] == after[1])
    }
    #expect(
      replicas[0].roomHash(room("room 1"), blake) == replicas[1].roomHash(room("room 1"), blake))
    #expect(
      replicas[0].roomHash(room("room 1"), blake) != replicas[1].roomHash(room("room 2"), blake))
  }

  @Test("A lower incarnation than the one held is not opened, a higher one takes its place whole")
  func incarnations() throws {
    var replica = Replica(hashKey: meshKey)
    let (low, high) = (Author(counter: 4, nonce: 9), Author(counter: 4, nonce: 10))
    var author = low
    let opened = replica.open(origin(1), low.incarnation)
    let slot = try #require(opened?.slot)
    let batch = author.write(
      [RecordChange(EntryKey(.session, SessionID(1, 1)), counter: 1, value: [1])], in: .lobby)
    _ = replica.apply(slot: slot, batch.place, batch.changes)
    _ = replica.evaluate(slot: slot, author.checkpoint(), blake)
    let higher = replica.open(origin(1), high.incarnation)
    let changes = try #require(higher).changes
    #expect(changes.count == 1 && changes[0].new == nil)
    let hash = replica.stateHash(blake)
    #expect(hash == .empty && replica.sessionCount == 0)
    let lower = replica.open(origin(1), low.incarnation)
    #expect(lower == nil)
  }

  @Test("More origins than the bound are not opened")
  func bound() {
    var replica = Replica(hashKey: meshKey)
    let incarnation = Author().incarnation
    for number in 0..<UInt64(Limits.origins) { _ = replica.open(origin(number), incarnation) }
    let refused = replica.open(origin(1 << 40), incarnation)
    #expect(refused == nil)
    _ = replica.forget(slot: 7)
    let slot = replica.open(origin(1 << 40), incarnation)?.slot
    #expect(slot == 7)
  }
}

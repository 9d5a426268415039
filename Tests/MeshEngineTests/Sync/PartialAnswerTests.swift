import MeshCRDT
import MeshWire
import Testing

@testable import MeshEngine

@Suite("Answers of those who hold some rooms")
struct PartialAnswerTests {
  private let room = RoomName("room 1") ?? .lobby

  /// A world in which node 1 holds one of 40 rooms of node 0, and what both answer about node 0.
  private func answers(
    proven: Bool, _ nodes: [CompareRequest.Node]
  ) throws -> [ComparisonAnswers.Answer] {
    var world = World()
    world.start()
    world.start(peers: [0])
    try world.perform(1, .subscribe([room]))
    for index in 0..<40 {
      let other = RoomName("room \(index)") ?? .lobby
      try world.open(0, SessionID(1, UInt64(index)), user: "ada", in: other)
    }
    world.run(milliseconds: 2000)
    let origin = world.origin(0)
    try world.perform(1, .subscribe(nil))
    world.run(milliseconds: 500)
    try world.perform(1, .subscribe([room]))
    if !proven {
      try world.perform(
        0, .setData(SessionID(1, 2), RoomName("room 2") ?? .lobby, [1]))
      world.run(milliseconds: 500)
    }
    let held = world.nodes[1].engine.records.completed(origin)
    let (checkpoint, replica) = try #require(held)
    #expect(replica.isProven == proven)
    let request = CompareRequest(
      place: .origin(
        origin, checkpoint.body.incarnation, sequence: checkpoint.body.sequence),
      request: 1, budget: 65_536, nodes: nodes)
    return [0, 1].compactMap {
      ComparisonAnswers.answer(request, from: &world.nodes[$0].engine.records)
    }
  }

  @Test("They answer with what they hold as the origin does, and say nothing of the rest")
  func partsOfTheTruth() throws {
    let found = try answers(
      proven: true, [.init(tree: .rooms, path: .top, hash: .empty)])
    try #require(found.count == 2)
    let all = Set(found[0].nodes.flatMap(\.nodes))
    let some = Set(found[1].nodes.flatMap(\.nodes))
    #expect(some.isSubset(of: all) && some.count + 30 < all.count)
    let trees = Set(some.map(\.tree))
    #expect(trees == [.rooms, .records(.lobby), .records(room)])
    // Asked about what they do not hold they are silent, and do not say that it is empty.
    let asked = (0..<16).map {
      CompareRequest.Node(tree: .rooms, path: TreePath.top.child($0), hash: .other)
    }
    let other = CompareRequest.Node(
      tree: .records(RoomName("room 2") ?? .lobby), path: .top, hash: .other)
    let nobody = CompareRequest.Node(
      tree: .records(RoomName("nobody") ?? .lobby), path: .top, hash: .other)
    let more = try answers(proven: true, asked + [other, nobody])
    try #require(more.count == 2)
    let truth = Set(more[0].nodes.flatMap(\.nodes))
    let part = more[1].nodes.flatMap(\.nodes)
    #expect(!part.isEmpty && Set(part).isSubset(of: truth))
    #expect(!part.contains { $0.tree == other.tree })
  }

  @Test("Whoever cannot prove what it holds answers with its place, and no nodes")
  func unproven() throws {
    let found = try answers(
      proven: false, [.init(tree: .rooms, path: .top, hash: .empty)])
    try #require(found.count == 2)
    #expect(found[0].nodes.flatMap(\.nodes).count > 40)
    #expect(
      found[1].nodes.count == 1 && found[1].nodes.allSatisfy { $0.isLast && $0.nodes.isEmpty })
  }
}

import MeshCRDT
import Testing

@testable import MeshEngine

@Suite("Trees of beats")
struct BeatTreesTests {
  private var trees = BeatTrees()
  private let neighbours = (1...4).map { PeerAddress(high: 1, low: $0, port: 1) }
  private let stranger = PeerAddress(high: 2, low: 9, port: 1)
  private let origin = OverlayTests.origin(7)

  init() { trees.setNeighbours(neighbours) }

  private func at(_ seconds: UInt64) -> MonotonicTime {
    MonotonicTime(nanoseconds: seconds * 1_000_000_000)
  }

  /// Whom the beats of an origin go to, and who is told that its beats are not needed.
  private mutating func flush(_ origin: OriginID? = nil) -> (
    beats: [PeerAddress], prunes: [PeerAddress]
  ) {
    let departures = trees.flush()
    let other = origin ?? self.origin
    return (
      departures.filter { $0.beats.contains(other) }.map(\.address),
      departures.filter { $0.prunes.contains(other) }.map(\.address)
    )
  }

  @Test("A beat goes to all neighbours but the one that it came from, an own one to all")
  mutating func forwarding() {
    var isFirst = [trees.add(origin, from: neighbours[2], now: at(1))]
    isFirst.append(trees.add(OverlayTests.origin(8), from: nil, now: at(1)))
    // Of several beats of one origin the newest is sent.
    isFirst.append(trees.add(origin, from: neighbours[2], now: at(1)))
    #expect(isFirst == [true, false, false])
    let departures = trees.flush()
    #expect(departures.map(\.address) == neighbours)
    #expect(departures.map(\.beats.count) == [2, 2, 1, 2])
    let empty = flush()
    #expect(empty.beats.isEmpty)
  }

  @Test("Over an edge that was pruned no beats go, until they are missed")
  mutating func pruneAndGraft() {
    _ = trees.add(origin, from: neighbours[0], now: at(1))
    trees.prune(origin, to: neighbours[1])
    let pruned = flush()
    #expect(pruned.beats == [neighbours[2], neighbours[3]])
    trees.graft(origin, to: neighbours[1])
    _ = trees.add(origin, from: neighbours[0], now: at(3))
    let grafted = flush()
    #expect(grafted.beats == [neighbours[1], neighbours[2], neighbours[3]])
    // Other origins' beats go on.
    trees.prune(origin, to: neighbours[1])
    _ = trees.add(OverlayTests.origin(8), from: nil, now: at(3))
    let other = flush(OverlayTests.origin(8))
    #expect(other.beats == neighbours)
  }

  @Test("A known beat prunes the edge that it came over, if beats come over another one")
  mutating func known() {
    trees.noteKnown(origin, from: neighbours[1], now: at(1))
    let without = flush()
    #expect(without.prunes.isEmpty)
    _ = trees.add(origin, from: neighbours[0], now: at(1))
    trees.noteKnown(origin, from: neighbours[0], now: at(1))
    trees.noteKnown(origin, from: neighbours[1], now: at(1))
    trees.noteKnown(origin, from: neighbours[1], now: at(1))
    trees.noteKnown(origin, from: stranger, now: at(1))
    let pruned = flush()
    #expect(pruned.prunes == [neighbours[1], stranger])
    // What comes over it when asked is no way for the next.
    _ = trees.add(origin, from: neighbours[1], now: at(3))
    #expect(trees.parent(of: origin) == neighbours[0])
  }

  @Test("Who is no neighbour is no parent, also when it was one")
  mutating func parent() {
    _ = trees.add(origin, from: stranger, now: at(1))
    #expect(trees.parent(of: origin) == nil)
    _ = trees.add(origin, from: neighbours[0], now: at(1))
    #expect(trees.parent(of: origin) == neighbours[0])
    trees.prune(origin, to: neighbours[1])
    trees.setNeighbours(Array(neighbours[2...]) + [stranger])
    #expect(trees.parent(of: origin) == nil)
    // Whoever takes a place begins anew.
    let children = trees.children(of: origin)
    #expect(Set(children) == Set(neighbours[2...] + [stranger]))
  }

  @Test("News by a way that may end at any time is pruned, once there is a better one")
  mutating func strangersNews() {
    _ = trees.add(origin, from: stranger, now: at(1))
    trees.noteKnown(origin, from: neighbours[0], now: at(1))
    let first = flush()
    #expect(first.prunes.isEmpty && trees.parent(of: origin) == neighbours[0])
    _ = trees.add(origin, from: stranger, now: at(3))
    let second = flush()
    #expect(second.prunes == [stranger])
  }

  @Test("While beats are missed nothing is pruned, and who is asked gives them again")
  mutating func missed() {
    _ = trees.add(origin, from: neighbours[0], now: at(1))
    trees.noteKnown(origin, from: neighbours[1], now: at(1))
    _ = flush()
    trees.noteMissed(origin, asked: [neighbours[1]], until: at(20))
    _ = trees.add(origin, from: neighbours[1], now: at(5))
    #expect(trees.parent(of: origin) == neighbours[1])
    trees.noteKnown(origin, from: neighbours[0], now: at(5))
    let cautious = flush()
    #expect(cautious.prunes.isEmpty)
    trees.noteKnown(origin, from: neighbours[0], now: at(20))
    let after = flush()
    #expect(after.prunes == [neighbours[0]])
  }

  @Test("Nothing is kept of an origin that is hidden, and prunes of unknown ones leave nothing")
  mutating func bounds() {
    for number in 0..<100 {
      trees.prune(OverlayTests.origin(1000 + number), to: neighbours[0])
      trees.graft(OverlayTests.origin(1000 + number), to: neighbours[0])
    }
    #expect(trees.count == 0)
    _ = trees.add(origin, from: neighbours[0], now: at(1))
    trees.remove(origin)
    let after = flush()
    #expect(trees.count == 0 && after.beats.isEmpty)
    let many = (0..<100).map { PeerAddress(high: 3, low: $0, port: 1) }
    trees.setNeighbours(many)
    #expect(trees.children(of: origin).count == BeatTrees.neighbourBound)
  }
}

import MeshCRDT
import MeshTrust
import Testing

@testable import MeshEngine

@Suite("The table of paths, and their replay windows")
struct PathTableTests {
  private var context: EngineContext
  private var table = PathTable()

  init() throws {
    context = try PathSide(1, at: PathNetwork.address(1, 1), now: PathNetwork.start).context
  }

  private func sender(_ number: UInt64, counter: UInt64 = 1) throws -> Sender {
    Sender(
      origin: OriginID(number, 0, 0, 0),
      incarnation: try #require(Incarnation(counter: counter, nonce: number)))
  }

  @discardableResult
  private mutating func adopt(
    _ sender: Sender, at address: PeerAddress, counter: UInt64? = nil, isConfigured: Bool = false
  ) -> PathTable.Adopted? {
    context.advance(to: context.now + .milliseconds(1))
    return table.adopt(
      sender, at: address, token: 1, ownToken: 2,
      counter: counter ?? context.now.nanoseconds, isConfigured: isConfigured, &context)
  }

  @Test("One origin has at most four paths: a fifth takes the place of the one silent longest")
  mutating func boundOfOrigin() throws {
    let busy = try sender(1)
    let addresses = (1...5).map { PathNetwork.address(1, $0) }
    for address in addresses.dropLast() { adopt(busy, at: address) }
    _ = table.receive(
      from: addresses[0], busy, counter: .max, now: context.now + .milliseconds(9))
    let adopted = try #require(adopt(busy, at: addresses[4]))
    #expect(adopted.lost.map(\.address) == [addresses[1]])
    #expect(adopted.lost.map(\.reason) == [.evicted])
    #expect(adopted.lost.map(\.isReachedElsewhere) == [true])
    #expect(table.count == 4)
  }

  @Test("A prefix with many paths, of whatever keys, takes no place from another prefix")
  mutating func boundOfPrefix() throws {
    let honest = (1...6).map { PathNetwork.address($0, 1) }
    for (number, address) in honest.enumerated() {
      adopt(try sender(UInt64(number + 1)), at: address)
    }
    let first = PathNetwork.address(200, 1, port: 1)
    for number in 1...UInt16(2000) {
      adopt(
        try sender(UInt64(number) + 1000), at: PathNetwork.address(200, 1, port: number))
    }
    #expect(table.count == EngineLimits.paths)
    #expect(honest.allSatisfy { table.path(at: $0) != nil })
    // The one of the prefix that was silent longest went first.
    #expect(table.path(at: first) == nil)
    // And who comes from elsewhere finds a place.
    adopt(try sender(50), at: PathNetwork.address(50, 1))
    #expect(table.count == EngineLimits.paths)
    #expect(table.path(at: PathNetwork.address(50, 1)) != nil)
    #expect(honest.allSatisfy { table.path(at: $0) != nil })
    // The best paths are those of all origins, in their order.
    let origins = Set(table.addresses.compactMap { table.path(at: $0)?.sender.origin }).sorted()
    #expect(table.best.map(\.origin) == origins)
    #expect(table.best.allSatisfy { table.bestAddress(of: $0.origin) == $0.address })
    #expect(context.counters[.pathsEvicted] == 2000 + 6 + 1 - UInt64(EngineLimits.paths))
  }

  @Test("A path to an address that the user gave does not give way to others")
  mutating func configuredStays() throws {
    let configured = PathNetwork.address(200, 1, port: 60_000)
    adopt(try sender(1), at: configured, isConfigured: true)
    for number in 1...UInt16(1500) {
      adopt(
        try sender(UInt64(number) + 1000), at: PathNetwork.address(200, 1, port: number))
    }
    #expect(table.path(at: configured) != nil)
  }

  @Test("The first path of an incarnation stays the best one while it is heard")
  mutating func firstPathStays() throws {
    let node = try sender(1)
    let (first, second) = (PathNetwork.address(1, 1), PathNetwork.address(1, 2))
    adopt(node, at: first)
    let revision = table.revision
    adopt(node, at: second)
    #expect(table.bestAddress(of: node.origin) == first)
    #expect(table.revision == revision)
    context.advance(to: context.now + .seconds(3))
    adopt(node, at: second)
    #expect(table.bestAddress(of: node.origin) == second)
    #expect(table.revision == revision + 1)
    // Its loss leaves the other one.
    #expect(table.drop(second, .silent)?.isReachedElsewhere == true)
    #expect(table.bestAddress(of: node.origin) == first)
    #expect(table.drop(first, .silent)?.isReachedElsewhere == false)
    #expect(table.bestAddress(of: node.origin) == nil)
  }

  @Test("A higher incarnation has the best path at once, a lower one never while that is heard")
  mutating func higherIncarnationWins() throws {
    let (first, second) = (PathNetwork.address(1, 1), PathNetwork.address(1, 2))
    adopt(try sender(1, counter: 5), at: first)
    adopt(try sender(1, counter: 6), at: second)
    #expect(table.bestAddress(of: OriginID(1, 0, 0, 0)) == second)
    adopt(try sender(1, counter: 5), at: first)
    #expect(table.bestAddress(of: OriginID(1, 0, 0, 0)) == second)
  }

  @Test("Another node at the address of a path takes its place")
  mutating func replaced() throws {
    let address = PathNetwork.address(1, 1)
    adopt(try sender(1), at: address)
    let adopted = try #require(adopt(try sender(2), at: address))
    #expect(adopted.lost.map(\.reason) == [.replaced])
    #expect(table.count == 1)
    let old = try sender(1)
    #expect(table.receive(from: address, old, counter: .max, now: context.now) == .noPath)
  }

  @Test("A path of a node with rare beats may be silent for three of its periods")
  mutating func silenceFollowsThePeriod() throws {
    let address = PathNetwork.address(1, 1)
    adopt(try sender(1), at: address)
    context.advance(to: context.now + .seconds(50))
    #expect(table.handleSilence(of: address, period: .seconds(20), &context) == nil)
    #expect(table.handleSilence(of: address, period: .seconds(2), &context)?.reason == .silent)
    #expect(table.isEmpty)
  }

  // MARK: Replay windows

  @Test("Each path of each incarnation of a sender has a replay window of its own")
  mutating func windowsByPath() throws {
    let (old, new) = (try sender(1, counter: 1), try sender(1, counter: 2))
    let (here, there) = (PathNetwork.address(1, 1), PathNetwork.address(1, 2))
    adopt(old, at: here, counter: 5)
    adopt(old, at: there, counter: .max)
    for counter: UInt64 in [3, 4000, 3900] {
      #expect(table.receive(from: here, old, counter: counter, now: context.now) == .accepted)
    }
    for counter: UInt64 in [4000, 3900, 5, 3, 2976] {
      #expect(table.standing(of: here, old, counter: counter, echo: 7) == .replayed)
      #expect(table.receive(from: here, old, counter: counter, now: context.now) == .replayed)
      let again = adopt(old, at: here, counter: counter)
      #expect(again == nil)
    }
    #expect(table.standing(of: here, old, counter: 3999, echo: 7) == .unproven)
    #expect(table.standing(of: here, new, counter: 5, echo: 7) != .replayed)
    #expect(table.receive(from: here, new, counter: 9, now: context.now) == .noPath)
    adopt(new, at: here, counter: 1)
    #expect(table.receive(from: here, new, counter: 5, now: context.now) == .accepted)
  }

  @Test("A lower incarnation takes the address of a higher one when that one is silent")
  mutating func lowerIncarnation() throws {
    let (old, new) = (try sender(1, counter: 1), try sender(1, counter: 2))
    let address = PathNetwork.address(1, 1)
    adopt(new, at: address)
    let whileHeard = adopt(old, at: address)
    #expect(whileHeard == nil && table.path(at: address)?.sender == new)
    context.advance(to: context.now + .seconds(3))
    let whileSilent = adopt(old, at: address)
    #expect(whileSilent != nil && table.path(at: address)?.sender == old)
  }

  @Test("Of one origin's paths those of the prefix that has most go first, and its best one last")
  mutating func manyPathsOfOneOrigin() throws {
    let busy = try sender(1)
    let (best, other) = (PathNetwork.address(1, 1), PathNetwork.address(2, 1))
    adopt(busy, at: best)
    adopt(busy, at: other)
    for number: UInt32 in 1...100 {
      adopt(busy, at: PathNetwork.address(9, number))
      #expect(table.path(at: best) != nil && table.path(at: other) != nil)
    }
    #expect(table.count == 4 && table.bestAddress(of: busy.origin) == best)
  }
}

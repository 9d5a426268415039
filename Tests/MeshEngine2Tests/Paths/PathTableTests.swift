import MeshCRDT
import MeshCRDT2
import MeshTrust
import Testing

@testable import MeshEngine2

@Suite("The table of paths, and the replay windows")
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
    _ sender: Sender, at address: PeerAddress, isConfigured: Bool = false
  ) -> PathTable.Adopted {
    context.advance(to: context.now + .milliseconds(1))
    return table.adopt(
      sender, at: address, token: 1, ownToken: 2, isConfigured: isConfigured, &context)
  }

  @Test("One origin has at most four paths: a fifth takes the place of the one silent longest")
  mutating func boundOfOrigin() throws {
    let busy = try sender(1)
    let addresses = (1...5).map { PathNetwork.address(1, $0) }
    for address in addresses.dropLast() { adopt(busy, at: address) }
    _ = table.receive(from: addresses[0], busy, now: context.now + .milliseconds(9))
    let adopted = adopt(busy, at: addresses[4])
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
    let origins = Set(table.senders.map(\.origin)).sorted()
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
    let adopted = adopt(try sender(2), at: address)
    #expect(adopted.lost.map(\.reason) == [.replaced])
    #expect(table.count == 1)
    #expect(!table.receive(from: address, try sender(1), now: context.now))
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

  @Test("Each incarnation of a sender has a replay window of its own, also after its path is lost")
  mutating func windowsByIncarnation() throws {
    var windows = ReplayWindows()
    let (old, new) = (try sender(1, counter: 1), try sender(1, counter: 2))
    for counter: UInt64 in [5, 3, 4000, 3900] {
      #expect(windows.accept(counter, of: old, inUse: [], &context))
    }
    #expect(windows.accept(5, of: new, inUse: [], &context))
    for counter: UInt64 in [4000, 3900, 5, 1, 2976] {
      #expect(!windows.isNew(counter, of: old))
      #expect(!windows.accept(counter, of: old, inUse: [], &context))
    }
    #expect(windows.isNew(3999, of: old) && windows.isNew(4001, of: old))
    #expect(!windows.isNew(5, of: new) && windows.isNew(4000, of: new))
  }

  @Test("A sender with ever new incarnations takes its own windows' places, not those of others")
  mutating func windowsOfOneSender() throws {
    var windows = ReplayWindows()
    let (other, used) = (try sender(2), try sender(1, counter: 1))
    _ = windows.accept(5, of: other, inUse: [], &context)
    _ = windows.accept(5, of: used, inUse: [], &context)
    for counter in 2...5000 {
      _ = windows.accept(
        5, of: try sender(1, counter: UInt64(counter)), inUse: [used], &context)
    }
    #expect(windows.count == EngineLimits.replayWindowsPerOrigin + 1)
    #expect(!windows.isNew(5, of: other) && !windows.isNew(5, of: used))
  }

  @Test("When the windows are full, the one used least lately goes, of those without a path")
  mutating func windowsAreBounded() throws {
    var windows = ReplayWindows()
    let first = try sender(1)
    for number in 1...UInt64(EngineLimits.replayWindows) + 2 {
      context.advance(to: context.now + .milliseconds(1))
      _ = windows.accept(5, of: try sender(number), inUse: [first], &context)
    }
    #expect(windows.count == EngineLimits.replayWindows)
    #expect(!windows.isNew(5, of: first))
    #expect(windows.isNew(5, of: try sender(2)))
    #expect(windows.isNew(5, of: try sender(3)))
    #expect(!windows.isNew(5, of: try sender(4)))
  }
}

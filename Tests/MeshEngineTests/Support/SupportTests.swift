import MeshCRDT
import Testing

@testable import MeshEngine

@Suite("Budgets, shares and timers")
struct SupportTests {
  private static let start = MonotonicTime(milliseconds: 1000)

  @Test("A fair budget keeps a share for quiet prefixes and one for quiet hosts")
  func fairBudget() {
    var budget = FairBudget(perSecond: 60, now: Self.start)
    func take(_ address: PeerAddress) -> Int {
      var count = 0
      while budget.take(for: address, now: Self.start) { count += 1 }
      return count
    }
    // All but what is kept; its first uses are those of a quiet source, of what is for all.
    #expect(take(PathNetwork.address(1, 1)) == 40)
    // Another host of the prefix, and another prefix: as a quiet source has it.
    #expect(take(PathNetwork.address(1, 2)) == EngineLimits.usesOfQuietSource)
    #expect(take(PathNetwork.address(2, 1)) == EngineLimits.usesOfQuietSource)
    #expect(take(PathNetwork.address(2, 1, port: 1)) == 0)
    let all = (3...UInt32(99)).reduce(0) { $0 + take(PathNetwork.address($1, 1)) }
    #expect(all == 20 - 2 * EngineLimits.usesOfQuietSource)
  }

  @Test("Uses are counted for a second, and no more keys than the bound")
  func useCounts() {
    var counts = UseCounts<Int>(bound: 2, now: Self.start)
    for key in [1, 1, 2, 3, 3] { counts.use(key, now: Self.start) }
    #expect([1, 2, 3].map { counts.count(of: $0, now: Self.start) } == [2, 1, 0])
    let later = Self.start + .milliseconds(999)
    #expect(counts.count(of: 1, now: later) == 2)
    #expect(counts.count(of: 1, now: Self.start + .seconds(1)) == 0)
  }

  @Test("Hosts are told apart by what one of them has to itself, prefixes by what a site has")
  func ranges() {
    func address(_ high: UInt64, _ low: UInt64) -> PeerAddress {
      PeerAddress(high: high, low: low, port: 1)
    }
    let site: UInt64 = 0x2001_0DB8_0001_0000
    #expect(AddressRange.host(of: address(site, 1)) == .host(of: address(site, 2)))
    #expect(AddressRange.host(of: address(site, 1)) != .host(of: address(site + 1, 1)))
    #expect(AddressRange.prefix(of: address(site, 1)) == .prefix(of: address(site + 1, 1)))
    #expect(
      AddressRange.prefix(of: address(site, 1)) != .prefix(of: address(site + 0x1_0000, 1)))
    let link: UInt64 = 0xFE80 << 48
    #expect(AddressRange.host(of: address(link, 1)) != .host(of: address(link, 2)))
    let four = (1...UInt32(2)).map { PathNetwork.address(1, $0) }
    #expect(AddressRange.host(of: four[0]) != .host(of: four[1]))
    #expect(AddressRange.prefix(of: four[0]) == .prefix(of: four[1]))
    #expect(AddressRange.prefix(of: four[0]) != .prefix(of: PathNetwork.address(2, 1)))
  }

  @Test("Timers fire in their order, once, and not before they are due")
  func timers() {
    var queue = TimerQueue<Int>()
    queue.set(1, at: Self.start + .milliseconds(5))
    queue.set(2, at: Self.start + .milliseconds(3))
    queue.set(3, at: Self.start + .milliseconds(5))
    queue.set(1, at: Self.start + .milliseconds(9))
    queue.set(3, at: Self.start + .milliseconds(4))
    #expect(queue.next(due: Self.start + .milliseconds(2)) == nil)
    #expect(queue.deadline == Self.start + .milliseconds(3))
    let due = Self.start + .milliseconds(20)
    #expect((0..<4).map { _ in queue.next(due: due) } == [2, 3, 1, nil])
    #expect(queue.count == 0)
  }

  @Test("The time of the context never goes back, and its incarnation rises only")
  func context() throws {
    var context = try PathSide(
      1, at: PathNetwork.address(1, 1), counter: 5, nonce: 9, now: Self.start
    ).context
    context.advance(to: Self.start - .milliseconds(5))
    #expect(context.now == Self.start)
    for counter in [0, 4, 5, UInt64(1) << 32] { context.raiseIncarnation(to: counter) }
    #expect(context.incarnation.counter == 5)
    context.raiseIncarnation(to: 8)
    #expect(context.incarnation.counter == 8 && context.incarnation.nonce == 9)
    context.emit(.stale(true))
    context.emit(.stale(false))
    #expect((0..<3).map { _ in context.nextEvent() } == [.stale(true), .stale(false), nil])
  }
}

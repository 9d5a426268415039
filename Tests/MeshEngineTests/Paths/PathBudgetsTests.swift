import MeshCRDT
import MeshTrust
import Testing

@testable import MeshEngine

@Suite("What paths may make a node do")
struct PathBudgetsTests {
  private static let address = PathNetwork.address(2, 1)
  private static let origin = OriginID(5, 0, 0, 0)
  private var context: EngineContext
  private var budgets: PathBudgets

  init() throws {
    context = try PathSide(1, at: PathNetwork.address(1, 1), now: PathNetwork.start) {
      $0.answerRate = 100_000
    }.context
    budgets = PathBudgets(now: context.now)
    budgets.open(Self.address, origin: Self.origin, context)
  }

  /// How often a price can be paid now.
  private mutating func payments(of units: UInt64, isOwnWord: Bool) -> UInt64 {
    var count: UInt64 = 0
    while budgets.takeWork(units, of: Self.address, isOwnWord: isOwnWord, &context) { count += 1 }
    return count
  }

  @Test("A path has its work in a second, of which a part is kept for what its origin says itself")
  mutating func work() throws {
    let perSecond = EngineLimits.workPerSecond / WorkUnits.signature
    #expect(payments(of: WorkUnits.signature, isOwnWord: false) == perSecond * 3 / 4)
    #expect(payments(of: WorkUnits.signature, isOwnWord: true) == perSecond / 4)
    #expect(context.counters[.workRefused] == 2)
    context.advance(to: context.now + .seconds(1))
    #expect(payments(of: WorkUnits.signature, isOwnWord: true) == perSecond)
    // Another path has its own, and what is no path has none.
    let other = PathNetwork.address(3, 1)
    #expect(!budgets.takeWork(1, of: other, isOwnWord: true, &context))
    budgets.open(other, origin: OriginID(6, 0, 0, 0), context)
    #expect(budgets.takeWork(1, of: other, isOwnWord: false, &context))
    #expect(!budgets.takeWork(.max, of: other, isOwnWord: false, &context))
  }

  @Test("The trees of an origin with 100,000 sessions may come from one peer in a second")
  mutating func largeFetch() {
    // 3 records a session, and about as many in a node.
    let nodes = payments(of: WorkUnits.receivedNode, isOwnWord: false)
    #expect(nodes >= 150_000)
  }

  @Test("A wrong signature costs twenty times its work")
  mutating func priceOfWaste() throws {
    #expect(!budgets.charge(.wrongSignature, to: Self.address, &context))
    let left = (EngineLimits.workPerSecond - 20 * WorkUnits.signature) / WorkUnits.signature
    #expect(payments(of: WorkUnits.signature, isOwnWord: true) == left)
  }

  @Test("A path that wastes is dropped, and its address is banned for ever longer")
  mutating func bans() throws {
    let other = PathNetwork.address(9, 9)
    var span = EngineLimits.banSpan
    for _ in 0..<9 {
      var charges = 1
      while !budgets.charge(.wrongSignature, to: Self.address, &context) { charges += 1 }
      #expect(charges == 16)
      budgets.close(Self.address)
      let now = context.now
      #expect(budgets.isBanned(Self.address, now: now))
      #expect(budgets.isBanned(Self.address, now: now + span - .milliseconds(1)))
      #expect(!budgets.isBanned(Self.address, now: now + span))
      #expect(!budgets.isBanned(other, now: now))
      context.advance(to: now + span)
      span = min(span.scaled(2, over: 1), EngineLimits.banSpanAtMost)
      budgets.open(Self.address, origin: Self.origin, context)
    }
    #expect(span == EngineLimits.banSpanAtMost)
  }

  @Test("Waste that comes rarely is forgiven")
  mutating func forgiven() throws {
    for _ in 0..<100 {
      context.advance(to: context.now + .seconds(2))
      #expect(!budgets.charge(.wrongSignature, to: Self.address, &context))
    }
  }

  @Test("A path has its bytes of answers in a second")
  mutating func answers() throws {
    var bytes = 0
    for _ in 0..<50 {
      context.advance(to: context.now + .milliseconds(20))
      while bytes < 1_000_000, budgets.takeAnswer(bytes: 1000, of: Self.address, &context) {
        bytes += 1000
      }
    }
    // What is for a second at once, and for the second that passed.
    #expect((195_000...201_000).contains(bytes), "\(bytes) bytes")
    #expect(context.counters[.answersRefused] == 50)
    // More than the burst is possible, when nothing else was asked for lately.
    context.advance(to: context.now + .seconds(1))
    #expect(budgets.takeAnswer(bytes: 165_536, of: Self.address, &context))
    #expect(!budgets.takeAnswer(bytes: 1, of: Self.address, &context))
  }

  @Test("A path that wastes is lost, what comes from it is not read, and it cannot be proven again")
  func wastefulPath() throws {
    var network = try PathNetwork.pair()
    let address = network.sides[0].address
    var lost: LostPath?
    for _ in 0..<16 { lost = network.sides[1].charge(.wrongSignature, to: address) }
    #expect(lost?.reason == .wasteful)
    #expect(network.sides[1].paths.table.isEmpty)
    network.pass(milliseconds: 55_000)
    #expect(network.sides[1].paths.table.isEmpty)
    #expect(network.sides[1][.datagramsBanned] > 0)
    network.pass(milliseconds: 15_000)
    #expect(network.pathCount(0, 1) == 2)
  }
}

extension PathSide {
  @discardableResult
  mutating func charge(_ waste: Waste, to address: PeerAddress) -> LostPath? {
    paths.charge(waste, to: address, &context)
  }
}
